"""What a person sees who starts a device in a terminal: the climb rung by rung, the verdict, the lights, the queue.

A listener on the daemon's events that keeps the last of each and lets rich redraw it. It shows and never
decides; the lights it draws are read back from the pins. Where the output is not a terminal, `lines` is used.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from appliance.events import (
    Event,
    Measured,
    OutboxChanged,
    RoundStarted,
    SyncChanged,
    VerdictReached,
    WorkerRestarted,
)
from appliance.lights.patterns import Light
from appliance.lights.pins import Lights
from appliance.views.light_words import in_words
from appliance.views.rung_words import rung_line
from firmware.judgement.ladder import Ladder
from firmware.language.translator import Translator

REFRESH_HZ: Final = 10
_LABEL_WIDTH: Final = 11
_LIGHT_STYLES: Final = {
    Light.NETWORK: "bold green",
    Light.DELIVERY: "bold blue",
    Light.ATTENTION: "bold red",
}
_STATE_MARKS: Final = {
    "reached": ("●", "green"),
    "partly": ("◐", "yellow"),
    "failed": ("○", "red"),
    "unknown": ("–", "dim"),
    "pending": ("·", "dim"),
}


@dataclass(slots=True, kw_only=True)
class Seen:
    """The last of everything the daemon told."""

    round_id: int | None = None
    expected: int = 0
    measured: int = 0
    ladder: Ladder | None = None
    verdict: VerdictReached | None = None
    outbox: OutboxChanged = field(
        default_factory=lambda: OutboxChanged(waiting=0, acknowledged=0, quarantined=0)
    )
    sync: SyncChanged = field(default_factory=lambda: SyncChanged(state="connecting", message=""))
    worker_restarts: int = 0


class Terminal:
    """A live view of one device. Use as a context manager; `on_event` may be called from any thread."""

    def __init__(
        self,
        *,
        title: str,
        page: str | None,
        lights: Lights,
        translator: Translator,
        console: Console | None = None,
    ) -> None:
        self._translator = translator
        self._title = title
        self._page = page
        self._lights = lights
        self._seen = Seen()
        self._lock = threading.Lock()
        self._live = Live(self, console=console, refresh_per_second=REFRESH_HZ, transient=False)

    def on_event(self, event: Event) -> None:
        """Take note of what happened; the next redraw shows it."""
        with self._lock:
            seen = self._seen
            match event:
                case RoundStarted():
                    seen.round_id, seen.expected, seen.measured = event.round_id, event.tasks, 0
                    seen.ladder = None
                case Measured():
                    seen.measured += 1
                    seen.ladder = event.ladder or seen.ladder
                case VerdictReached():
                    seen.verdict, seen.ladder = event, event.ladder
                case OutboxChanged():
                    seen.outbox = event
                case SyncChanged():
                    seen.sync = event
                case WorkerRestarted():
                    seen.worker_restarts += 1

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what was seen last (called by rich at each redraw)."""
        with self._lock:
            yield Group(*self._parts())

    def _parts(self) -> Iterator[Text | Table]:
        seen = self._seen
        yield Text.assemble(("Tidegauge", "bold"), f"  {self._title}")
        if self._page is not None:
            yield Text.assemble(self._label("page"), (self._page, f"link {self._page}"))
        yield Text(self._label("round") + _round_text(seen, self._translator))
        yield self._ladder(seen.ladder)
        yield from self._verdict(seen.verdict)
        yield self._light_row()
        for line in in_words(self._lights.situation, time.monotonic_ns(), self._translator):
            yield Text(f"           {line}", style="dim")
        yield Text(self._label("results") + _queue_text(seen.outbox, self._translator))
        yield Text(self._label("collector") + _sync_text(seen.sync, self._translator))
        if seen.worker_restarts:
            restarts = self._translator.count("device.worker-restarts", seen.worker_restarts)
            yield Text(self._label("worker") + restarts, "yellow")
        yield Text(self._translator.say("device.ends"), style="dim")

    def _ladder(self, ladder: Ladder | None) -> Table:
        table = Table.grid(padding=(0, 2))
        for state in ladder.rungs if ladder is not None else ():
            mark, style = _STATE_MARKS[str(state.state)]
            table.add_row("         ", Text(mark, style), str(state.rung), rung_line(state, self._translator))
        return table

    def _verdict(self, reached: VerdictReached | None) -> Iterator[Text]:
        if reached is None:
            yield Text(self._label("verdict") + self._translator.say("device.no-verdict-yet"), "dim")
            return
        since = datetime.fromtimestamp(reached.since_utc_ns / 1e9, UTC)
        since_by_rule = self._translator.say(
            "device.since-by-rule", time=f"{since:%H:%M:%S}", rule_id=reached.verdict.rule_id
        )
        yield Text.assemble(self._label("verdict"), (reached.verdict.verdict, "bold"), f"  {since_by_rule}")
        for line in self._translator.evidence(reached.verdict.evidence):
            yield Text(f"           {line}", style="dim")

    def _label(self, name: str) -> str:
        return f"{self._translator.say(f'device.label-{name}'):<{_LABEL_WIDTH}}"

    def _light_row(self) -> Text:
        row = Text(self._label("lights"))
        for light, lit in self._lights.lit().items():
            row.append("● " if lit else "○ ", _LIGHT_STYLES[light] if lit else "dim")
            row.append(f"{light}   ")
        if self._lights.simulated:
            row.append(self._translator.say("device.simulated"), "dim")
        return row


def _round_text(seen: Seen, translator: Translator) -> str:
    if seen.round_id is None:
        return translator.say("device.round-starting")
    return translator.say(
        "device.round-progress", round=seen.round_id, measured=seen.measured, expected=seen.expected
    )


def _sync_text(sync: SyncChanged, translator: Translator) -> str:
    if not sync.message:
        return sync.state
    return translator.say("device.state-message", state=sync.state, message=sync.message)


def _queue_text(outbox: OutboxChanged, translator: Translator) -> str:
    key = "device.queue-quarantined" if outbox.quarantined else "device.queue"
    return translator.say(
        key, waiting=outbox.waiting, acknowledged=outbox.acknowledged, quarantined=outbox.quarantined
    )
