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
from appliance.lights.patterns import Light, in_words
from appliance.lights.pins import Lights
from appliance.views.rung_words import rung_line
from firmware.judgement.ladder import Ladder

REFRESH_HZ: Final = 10
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
        self, *, title: str, page: str | None, lights: Lights, console: Console | None = None
    ) -> None:
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
            yield Text.assemble("Page       ", (self._page, f"link {self._page}"))
        yield Text(f"Round      {_round_text(seen)}")
        yield self._ladder(seen.ladder)
        yield from self._verdict(seen.verdict)
        yield self._light_row()
        for line in in_words(self._lights.situation, time.monotonic_ns()):
            yield Text(f"           {line}", style="dim")
        yield Text(f"Results    {_queue_text(seen.outbox)}")
        yield Text(f"Collector  {seen.sync.state}" + (f": {seen.sync.message}" if seen.sync.message else ""))
        if seen.worker_restarts:
            yield Text(f"Worker     restarted {seen.worker_restarts} times; each gap is recorded", "yellow")
        yield Text("Ctrl-C ends it; what is kept stays kept.", style="dim")

    def _ladder(self, ladder: Ladder | None) -> Table:
        table = Table.grid(padding=(0, 2))
        for state in ladder.rungs if ladder is not None else ():
            mark, style = _STATE_MARKS[str(state.state)]
            table.add_row("         ", Text(mark, style), str(state.rung), rung_line(state))
        return table

    def _verdict(self, reached: VerdictReached | None) -> Iterator[Text]:
        if reached is None:
            yield Text("Verdict    none yet: the first round is being measured", "dim")
            return
        since = datetime.fromtimestamp(reached.since_utc_ns / 1e9, UTC)
        yield Text.assemble(
            "Verdict    ",
            (reached.verdict.verdict, "bold"),
            f"  since {since:%H:%M:%S} UTC  (rule {reached.verdict.rule_id})",
        )
        for line in reached.verdict.evidence:
            yield Text(f"           {line}", style="dim")

    def _light_row(self) -> Text:
        row = Text("Lights     ")
        for light, lit in self._lights.lit().items():
            row.append("● " if lit else "○ ", _LIGHT_STYLES[light] if lit else "dim")
            row.append(f"{light}   ")
        if self._lights.simulated:
            row.append("(simulated: this machine has no pins)", "dim")
        return row


def _round_text(seen: Seen) -> str:
    if seen.round_id is None:
        return "starting"
    return f"{seen.round_id}: {seen.measured} of {seen.expected} measurements in"


def _queue_text(outbox: OutboxChanged) -> str:
    text = f"{outbox.waiting:,} waiting here, {outbox.acknowledged:,} acknowledged by the collector"
    return f"{text}, {outbox.quarantined:,} rejected and quarantined" if outbox.quarantined else text
