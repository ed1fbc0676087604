"""A case: one name, one way, tested until something may be said: two confirmations, and the reruns. Pure; time is an argument.

"Targeted" is said only where two tests, each drawn anew, the second `APART_S` after the first ended, both found the name
slower. What came to nothing is begun again up to `ATTEMPTS` times, which the false-alarm rate counts
(`randomisation.false_alarms`). One case for each way, with bytes and an answer of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware.judgement.throttling.conclude import conclude
from firmware.judgement.throttling.findings import Answer, PairedFinding, Why
from firmware.judgement.throttling.paired_test import PairedPlan, PairedTest, next_run, progress_of
from firmware.judgement.throttling.randomisation import ATTEMPTS, CONFIRMATIONS
from firmware.judgement.throttling.runs import PairedRun, RunResult, Way

APART_S: Final = 900.0
"""Between the end of a test and the beginning of the next."""
WASH_OUT_S: Final = 120.0
MOST_WASH_OUT_S: Final = 900.0
_SLOWED: Final = (Answer.SLOWER, Answer.FROZEN)
_ENDS: Final = (Answer.CLEAN, Answer.ALIKE)
_NO_USE_AGAIN: Final = (Why.OUT_OF_REGION, Why.RANDOM_NAME_SLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlingCase:
    """A case so far: the tests that ended, as found, and the one that is on. `attempt` counts from 0."""

    seed: str
    way: Way
    addresses: int
    current: PairedTest
    screened: bool = True
    found: tuple[PairedFinding, ...] = ()
    attempt: int = 0
    confirmed: int = 0

    @property
    def answer(self) -> Answer | None:
        """Return what the case comes to: the last test's answer, and `SLOWER` only where it is confirmed; None before its end."""
        if not self.found:
            return None
        last = self.found[-1]
        if self.confirmed == CONFIRMATIONS or last.answer in _ENDS:
            return last.answer
        if last.answer is Answer.INCONCLUSIVE and (self.attempt >= ATTEMPTS or last.why in _NO_USE_AGAIN):
            return Answer.INCONCLUSIVE
        return None

    @property
    def cost_bytes(self) -> int:
        """Return what all its tests have cost on the wire."""
        return sum(one.cost_bytes for one in self.found) + self.current.cost_bytes


def begin(
    seed: str, way: Way, *, addresses: int, not_before_s: float, screened: bool = True
) -> ThrottlingCase:
    """Return a case in which nothing has been measured; the addresses have been left alone by `not_before_s`."""
    plan = PairedPlan(
        seed=f"{seed} 0 0",
        way=way,
        addresses=addresses,
        wash_out_s=WASH_OUT_S,
        not_before_s=not_before_s,
        screened=screened,
    )
    return ThrottlingCase(
        seed=seed, way=way, addresses=addresses, screened=screened, current=PairedTest(plan=plan)
    )


def next_of(case: ThrottlingCase, now_s: float) -> tuple[ThrottlingCase, PairedRun | None]:
    """Return the case, moved on where a test has ended, and the run that is wanted next; None where the case has ended."""
    while case.answer is None:
        run = next_run(case.current, now_s)
        if run is not None:
            return case, run
        case = _test_ended(case, now_s)
    return case, None


def having(case: ThrottlingCase, result: RunResult) -> ThrottlingCase:
    """Return the case with one more result of the test that is on."""
    return replace(case, current=case.current.having(result))


def _test_ended(case: ThrottlingCase, now_s: float) -> ThrottlingCase:
    finding = conclude(case.current)
    plan = case.current.plan
    if finding.answer in _SLOWED:
        confirmed, attempt = case.confirmed + 1, case.attempt
    else:
        if case.confirmed and finding.answer in _ENDS:
            # The first test found it slower and the second did not: nothing is said either way.
            finding = replace(finding, answer=Answer.INCONCLUSIVE, why=Why.NOT_CONFIRMED)
        confirmed, attempt = 0, case.attempt + 1
    wash_out_s = plan.wash_out_s
    if finding.why in (Why.WASH_OUT_TOO_SHORT, Why.CONTROL_SLOWED):
        wash_out_s = min(MOST_WASH_OUT_S, 3 * wash_out_s)
    ended_s = max([now_s, *_ends(case.current)])
    following = replace(
        plan,
        seed=f"{case.seed} {attempt} {confirmed}",
        screened=case.screened and not confirmed,
        payload_bytes=progress_of(case.current).payload_bytes,
        wash_out_s=wash_out_s,
        not_before_s=ended_s + max(APART_S, wash_out_s),
    )
    return replace(
        case,
        found=(*case.found, finding),
        confirmed=confirmed,
        attempt=attempt,
        current=PairedTest(plan=following),
    )


def _ends(test: PairedTest) -> Sequence[float]:
    return [one.finished_at_s for one in test.results]
