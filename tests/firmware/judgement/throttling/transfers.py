"""Transfers made by hand for tests: a rate, a first burst, a freeze, and tests driven to their end with them."""

from collections.abc import Callable

from firmware.judgement.throttling.paired_test import PairedPlan, PairedTest, next_run
from firmware.judgement.throttling.runs import Ending, NameRole, PairedRun, RunResult, Way

MOST_STEP_S = 0.1
MOST_STEP_BYTES = 4096.0


def transferred(
    run: PairedRun,
    bytes_per_s: float,
    *,
    began_s: float = 0.0,
    burst_bytes: float = 0.0,
    fast_bytes_per_s: float = 1e6,
    freezes_after_bytes: float = float("inf"),
    ending: Ending | None = None,
    receiver_limited: bool = False,
    other_share: float = 0.0,
) -> RunResult:
    """Return a run that goes at one rate after a fast burst, to its payload, its freeze or its time."""
    points, at_s, got = [(0.05, 0.0)], 0.05, 0.0
    most = min(run.payload_bytes, freezes_after_bytes)
    while got < most and at_s < run.most_s:
        is_fast = got < burst_bytes
        rate = fast_bytes_per_s if is_fast else bytes_per_s
        amount = min(
            MOST_STEP_BYTES, rate * MOST_STEP_S, (burst_bytes if is_fast else most) - got, most - got
        )
        step_s = min(amount / rate, run.most_s - at_s)
        at_s, got = at_s + step_s, got + max(rate * step_s, 1e-6)
        points.append((at_s, got))
    complete = got >= run.payload_bytes - 1
    return RunResult(
        run=run,
        began_s=began_s,
        ended_s=at_s if complete else run.most_s,
        ending=ending or (Ending.COMPLETE if complete else Ending.TIME),
        points=tuple((at_s, round(got)) for at_s, got in points),
        cost_bytes=run.most_bytes,
        receiver_limited=receiver_limited,
        other_share=other_share,
    )


def plan(**changes: object) -> PairedPlan:
    """Return a plan of a download over two addresses."""
    usual: dict[str, object] = {"seed": "1", "way": Way.DOWNLOAD, "addresses": 2, "wash_out_s": 120.0}
    return PairedPlan(**{**usual, **changes})  # type: ignore[arg-type]


def driven(
    test: PairedTest, goes: Callable[[PairedRun, float], RunResult], *, most_runs: int = 100
) -> PairedTest:
    """Return the test after every run that it asked for, each begun as soon as it may be."""
    now_s = 0.0
    for _ in range(most_runs):
        run = next_run(test, now_s)
        if run is None:
            return test
        now_s = max(now_s, run.not_before_s)
        result = goes(run, now_s)
        test, now_s = test.having(result), result.finished_at_s
    raise AssertionError("it never ended")


def by_role(**rates: float) -> Callable[[PairedRun, float], RunResult]:
    """Return what makes transfers at a rate for each role."""

    def goes(run: PairedRun, now_s: float) -> RunResult:
        return transferred(run, rates[NameRole(run.role).value], began_s=now_s)

    return goes
