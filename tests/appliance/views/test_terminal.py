"""What a person reads while a device runs: the live view and the plain lines, from the events alone."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from appliance.events import (
    Measured,
    OutboxChanged,
    RoundStarted,
    SyncChanged,
    VerdictReached,
    WorkerRestarted,
)
from appliance.lights.pins import Lights, LightsConfig, PinFactory
from appliance.views.lines import Lines
from appliance.views.rung_words import rung_line
from appliance.views.terminal import Terminal
from firmware.judgement.ladder import Ladder, RungProgress, RungState
from firmware.model.record import Rung, Verdict
from firmware.model.statement import prose, stated
from tests.english import ENGLISH
from tests.firmware.records import tcp_record

CUT = Verdict(
    verdict="international_cut",
    rule_id="international-cut",
    evidence=(
        stated("rung", rung="domestic", reached=4, tried=4),
        prose("international: 0 of 5 reached"),
    ),
)


def state(
    rung: Rung, reached: int = 1, tried: int = 1, *, waiting: int = 0, failures: tuple[str, ...] = ()
) -> RungState:
    progress = RungProgress.REACHED if reached == tried else RungProgress.PARTLY
    if reached == 0:
        progress = RungProgress.FAILED if tried else RungProgress.PENDING
    return RungState(
        rung=rung,
        state=progress,
        reached=reached,
        tried=tried,
        waiting=waiting,
        best_ns=1_234_567 if reached else None,
        failures=failures,
    )


LADDER = Ladder(
    rungs=(
        state(Rung.LINK),
        state(Rung.DOMESTIC, 4, 4),
        state(Rung.INTERNATIONAL, 0, 3, failures=("a: connect: x", "b: connect: x", "c: read: y")),
        state(Rung.PLATFORMS, 0, 0, waiting=3),
    )
)


@pytest.fixture
def lights() -> Iterator[Lights]:
    with Lights(LightsConfig(factory=PinFactory.MOCK)) as made:
        yield made


def drawn(terminal: Terminal) -> str:
    """Return what stands in the terminal now."""
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(terminal)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_the_live_view_tells_all_that_a_person_waits_for(lights: Lights) -> None:
    terminal = Terminal(title="device abc", page="http://127.0.0.1:8464/", lights=lights, translator=ENGLISH)
    assert "none yet" in drawn(terminal)
    terminal.on_event(RoundStarted(round_id=7, tasks=9))
    terminal.on_event(Measured(record=tcp_record(1), ladder=LADDER))
    text = drawn(terminal)
    assert "7: 1 of 9 measurements in" in text
    assert "international" in text
    assert "0 of 3; connect: x × 2; c: read: y" in text
    assert "being measured" in text
    terminal.on_event(VerdictReached(round_id=7, ladder=LADDER, verdict=CUT, since_utc_ns=0))
    terminal.on_event(OutboxChanged(waiting=1234, acknowledged=5678, quarantined=2))
    terminal.on_event(SyncChanged(state="waiting", message="refused; next try in 7 s; measuring goes on"))
    terminal.on_event(WorkerRestarted(reason="killed by SIGKILL"))
    text = drawn(terminal)
    for said in (
        "device abc",
        "http://127.0.0.1:8464/",
        "international_cut  since 00:00:00 UTC  (rule international-cut)",
        "domestic: 4 of 4 reached",
        "international: 0 of 5 reached",
        "1,234 waiting here, 5,678 acknowledged by the collector, 2 rejected and quarantined",
        "waiting: refused; next try in 7 s; measuring goes on",
        "restarted 1 time; the gap is recorded",
        "(simulated: this machine has no pins)",
        "delivery: a short flash every four seconds",
    ):
        assert said in text, text


def test_the_live_view_redraws_in_a_terminal_and_ends_whole(lights: Lights) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=100, force_terminal=True)
    with Terminal(
        title="device abc", page=None, lights=lights, translator=ENGLISH, console=console
    ) as terminal:
        terminal.on_event(OutboxChanged(waiting=42, acknowledged=0, quarantined=0))
    assert "42 waiting here" in screen.getvalue()


def test_plain_lines_say_what_is_new_and_only_that() -> None:
    said: list[str] = []
    lines = Lines(said.append, ENGLISH)
    lines.on_event(RoundStarted(round_id=7, tasks=9))
    for _ in range(2):
        lines.on_event(Measured(record=tcp_record(1), ladder=LADDER))
        lines.on_event(OutboxChanged(waiting=5, acknowledged=0, quarantined=0))
    lines.on_event(VerdictReached(round_id=7, ladder=LADDER, verdict=CUT, since_utc_ns=0))
    lines.on_event(SyncChanged(state="connected", message=""))
    assert said == [
        "round 7: 9 measurements",
        "  link          reached  1 of 1, best 1.2 ms",
        "  domestic      reached  4 of 4, best 1.2 ms",
        "  international failed   0 of 3; connect: x × 2; c: read: y",
        "results 5 waiting, 0 acknowledged",
        "verdict international_cut since 1970-01-01 00:00:00 UTC (rule international-cut, round 7)",
        "  domestic: 4 of 4 reached",
        "  international: 0 of 5 reached",
        "collector connected",
    ]


def test_a_rung_that_nothing_can_tell_of_says_so() -> None:
    unknown = RungState(
        rung=Rung.DOMESTIC,
        state=RungProgress.UNKNOWN,
        reached=0,
        tried=0,
        waiting=0,
        best_ns=None,
        failures=(),
    )
    assert rung_line(unknown, ENGLISH) == "nothing asked that could tell"
