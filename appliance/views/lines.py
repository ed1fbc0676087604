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


class Lines:
    """A listener that writes lines through `write`."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._rungs: dict[str, str] = {}
        self._queue = ""

    def on_event(self, event: Event) -> None:
        """Say what happened, if it is news."""
        match event:
            case RoundStarted():
                self._rungs.clear()
                self._write(f"round {event.round_id}: {event.tasks} measurements")
            case Measured():
                if event.ladder is not None:
                    self._tell_rungs(event.ladder)
            case VerdictReached():
                self._tell_verdict(event)
            case OutboxChanged():
                self._tell_queue(event)
            case StorageChanged():
                self._write(
                    f"storage: held in memory: {event.fault}" if event.fault else "storage: stored again"
                )
            case SyncChanged():
                self._write(f"collector {event.state}" + (f": {event.message}" if event.message else ""))
            case ExportStarted() | ExportProgressed() | ExportEnded() | UsbDriveGone():
                self._tell_usb_drive(event)
            case WorkerRestarted():
                self._write(f"worker restarted, the gap is recorded: {event.reason}")

    def _tell_usb_drive(self, event: ExportStarted | ExportProgressed | ExportEnded | UsbDriveGone) -> None:
        match event:
            case ExportStarted():
                self._write(f"USB drive: plugged in, {event.waiting:,} records wait; do not pull it")
            case ExportProgressed():
                self._write(
                    f"USB drive: {event.written:,} of {event.waiting:,} records written; do not pull it"
                )
            case ExportEnded():
                self._write(str(event.carried))
            case UsbDriveGone():
                self._write("USB drive: pulled")

    def _tell_rungs(self, ladder: Ladder) -> None:
        for state in ladder.rungs:
            if state.waiting or self._rungs.get(state.rung) == (line := rung_line(state)):
                continue
            self._rungs[state.rung] = line
            self._write(f"  {state.rung:<13} {state.state:<8} {line}")

    def _tell_verdict(self, reached: VerdictReached) -> None:
        self._tell_rungs(reached.ladder)
        since = datetime.fromtimestamp(reached.since_utc_ns / 1e9, UTC)
        verdict = reached.verdict
        self._write(
            f"verdict {verdict.verdict} since {since:%Y-%m-%d %H:%M:%S} UTC (rule {verdict.rule_id}, "
            f"round {reached.round_id})"
        )
        for line in verdict.evidence:
            self._write(f"  {line}")

    def _tell_queue(self, outbox: OutboxChanged) -> None:
        text = f"results {outbox.waiting} waiting, {outbox.acknowledged} acknowledged"
        if outbox.quarantined:
            text += f", {outbox.quarantined} rejected and quarantined"
        if text != self._queue:
            self._queue = text
            self._write(text)
