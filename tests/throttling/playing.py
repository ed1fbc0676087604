"""A case played on a made line, in virtual time: the runs that are asked for go over it, and what came of it is counted."""

from dataclasses import dataclass

from firmware.judgement.throttling.findings import Answer, PairedFinding
from firmware.judgement.throttling.runs import Ending, NameRole, PairedRun, RunResult, Way
from firmware.judgement.throttling.throttling_case import begin, having, next_of
from tests.throttling.lines import Made
from tests.throttling.world import World

NAMES = {NameRole.SUSPECT: "suspect", NameRole.CONTROL: "control", NameRole.RANDOM: "random"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was said of a made line."""

    made: Made
    answer: Answer
    found: tuple[PairedFinding, ...]
    cost_bytes: int
    runs: int
    took_s: float


def play(made: Made) -> Played:
    """Play a case to its end."""
    world = World.of(made)
    case = begin(str(made.seed), Way.DOWNLOAD, addresses=made.line.addresses, not_before_s=0.0)
    now_s, runs = 0.0, 0
    while True:
        case, run = next_of(case, now_s)
        if run is None:
            break
        result = _go(world, run, max(now_s, run.not_before_s))
        now_s = result.finished_at_s
        case = having(case, result)
        runs += 1
    answer = case.answer
    assert answer is not None
    return Played(
        made=made, answer=answer, found=case.found, cost_bytes=case.cost_bytes, runs=runs, took_s=now_s
    )


def _go(world: World, run: PairedRun, begins_s: float) -> RunResult:
    points, complete = world.transfer(NAMES[run.role], run.address, run.payload_bytes, begins_s, run.most_s)
    return RunResult(
        run=run,
        began_s=begins_s,
        ended_s=points[-1][0] if complete else run.most_s,
        ending=Ending.COMPLETE if complete else Ending.TIME,
        points=tuple(points),
        cost_bytes=round(points[-1][1] * 1.04) + 5_000
        if points[-1][1] < run.payload_bytes
        else run.most_bytes,
    )
