"""What a device tells where nobody watches a terminal: plain lines, one an event, for a pipe or the journal.

The same facts as the live view, in words that can be searched for. It never repeats what has not changed.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from appliance.events import (
    Event,
    ExportEnded,
    ExportProgressed,
    ExportStarted,
    Measured,
    OutboxChanged,
    RoundStarted,
    StorageChanged,
    SyncChanged,
    UsbDriveGone,
    VerdictReached,
    WorkerRestarted,
)
from appliance.views.rung_words import rung_line
from firmware.judgement.ladder import Ladder
from firmware.language.translator import Translator


class Lines:
    """A listener that writes lines through `write`."""

    def __init__(self, write: Callable[[str], None], translator: Translator) -> None:
        self._write = write
        self._translator = translator
        self._rungs: dict[str, str] = {}
        self._queue = ""

    def on_event(self, event: Event) -> None:
        """Say what happened, if it is news."""
        match event:
            case RoundStarted():
                self._rungs.clear()
                self._write(self._translator.count("device.round-begun", event.tasks, round=event.round_id))
            case Measured():
                if event.ladder is not None:
                    self._tell_rungs(event.ladder)
            case VerdictReached():
                self._tell_verdict(event)
            case OutboxChanged():
                self._tell_queue(event)
            case StorageChanged():
                say = self._translator.say
                self._write(
                    say("device.held", fault=event.fault) if event.fault else say("device.stored-again")
                )
            case SyncChanged():
                self._tell_sync(event)
            case ExportStarted() | ExportProgressed() | ExportEnded() | UsbDriveGone():
                self._tell_usb_drive(event)
            case WorkerRestarted():
                self._write(self._translator.say("device.worker-restarted", reason=event.reason))

    def _tell_usb_drive(self, event: ExportStarted | ExportProgressed | ExportEnded | UsbDriveGone) -> None:
        match event:
            case ExportStarted():
                self._write(self._translator.count("device.drive-plugged-in", event.waiting))
            case ExportProgressed():
                self._write(
                    self._translator.say(
                        "device.drive-progress", written=event.written, waiting=event.waiting
                    )
                )
            case ExportEnded():
                self._write(str(event.carried))
            case UsbDriveGone():
                self._write(self._translator.say("device.drive-pulled"))

    def _tell_rungs(self, ladder: Ladder) -> None:
        for state in ladder.rungs:
            if state.waiting or self._rungs.get(state.rung) == (line := rung_line(state, self._translator)):
                continue
            self._rungs[state.rung] = line
            self._write(f"  {state.rung:<13} {state.state:<8} {line}")

    def _tell_verdict(self, reached: VerdictReached) -> None:
        self._tell_rungs(reached.ladder)
        since = datetime.fromtimestamp(reached.since_utc_ns / 1e9, UTC)
        verdict = reached.verdict
        self._write(
            self._translator.say(
                "device.verdict-revised" if reached.is_revision else "device.verdict-reached",
                verdict=verdict.verdict,
                time=f"{since:%Y-%m-%d %H:%M:%S}",
                rule_id=verdict.rule_id,
                round=reached.round_id,
            )
        )
        for line in self._translator.evidence(verdict.evidence):
            self._write(f"  {line}")

    def _tell_sync(self, event: SyncChanged) -> None:
        key = "device.collector-state-message" if event.message else "device.collector-state"
        self._write(self._translator.say(key, state=event.state, message=event.message))

    def _tell_queue(self, outbox: OutboxChanged) -> None:
        text = self._translator.say(
            "device.results-quarantined" if outbox.quarantined else "device.results",
            waiting=outbox.waiting,
            acknowledged=outbox.acknowledged,
            quarantined=outbox.quarantined,
        )
        if text != self._queue:
            self._queue = text
            self._write(text)
