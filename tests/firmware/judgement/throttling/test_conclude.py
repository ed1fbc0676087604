"""What a test comes to: what spoils it, what kind of state is kept, and what is never called targeted."""

from collections.abc import Callable

import pytest

from firmware.judgement.throttling.conclude import conclude
from firmware.judgement.throttling.findings import Answer, PairedFinding, Why
from firmware.judgement.throttling.paired_test import PairedTest
from firmware.judgement.throttling.runs import NameRole, PairedRun, RunResult, Way
from firmware.judgement.throttling.throttling_case import WASH_OUT_S, begin, having, next_of
from tests.firmware.judgement.throttling.transfers import driven, plan, transferred

FAST, SLOW = 2e5, 2e4


class Remembering:
    """A line where the suspect's name is slow, and what it was used for stays slow for `remembers_s`."""

    def __init__(self, *, whole_line: bool = False, remembers_s: float = 0.0) -> None:
        """Take them."""
        self.whole_line, self.remembers_s = whole_line, remembers_s
        self.last: dict[int, float] = {}

    def __call__(self, run: PairedRun, now_s: float) -> RunResult:
        """Return what comes of a run."""
        key = 0 if self.whole_line else run.address
        is_suspect = run.role is NameRole.SUSPECT
        slow = is_suspect or now_s - self.last.get(key, -1e9) < self.remembers_s
        result = transferred(run, SLOW if slow else FAST, began_s=now_s)
        if is_suspect:
            self.last[key] = result.finished_at_s
        return result


def found(goes: Callable[[PairedRun, float], RunResult], seed: str = "4") -> PairedFinding:
    return conclude(driven(PairedTest(plan=plan(seed=seed)), goes))


@pytest.mark.parametrize("seed", ["4", "5", "6"])
def test_state_kept_for_an_address_is_told_and_does_not_spoil_the_test(seed: str) -> None:
    finding = found(Remembering(remembers_s=60), seed)
    assert finding.answer is Answer.SLOWER
    assert finding.carry_over.is_kept_for_address(2.3)
    assert not finding.carry_over.spreads(2.3)


@pytest.mark.parametrize("slower", [1.45, 1.48])
def test_a_name_that_is_slower_by_less_than_half_is_never_accused_however_sure_it_is(slower: float) -> None:
    def goes(run: PairedRun, now_s: float) -> RunResult:
        return transferred(run, FAST / slower if run.role is NameRole.SUSPECT else FAST, began_s=now_s)

    finding = found(goes)
    assert finding.p == 1 / 256
    assert (finding.answer, finding.why) == (Answer.INCONCLUSIVE, Why.NOT_SIGNIFICANT)


def test_state_kept_for_a_flow_is_told_as_none_for_the_address() -> None:
    finding = found(Remembering())
    assert finding.answer is Answer.SLOWER
    assert finding.carry_over.at_once == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("seed", [str(number) for number in range(8)])
def test_a_line_that_is_slow_as_a_whole_after_the_suspect_is_never_called_targeted(seed: str) -> None:
    finding = found(Remembering(whole_line=True, remembers_s=60), seed)
    assert finding.answer is Answer.INCONCLUSIVE
    assert finding.why in (Why.CONTROL_SLOWED, Why.WASH_OUT_TOO_SHORT)


@pytest.mark.parametrize("seed", [str(number) for number in range(8)])
def test_a_wash_out_that_is_too_short_is_seen_and_never_comforts(seed: str) -> None:
    finding = found(Remembering(remembers_s=2000), seed)
    assert finding.answer is Answer.INCONCLUSIVE
    assert finding.why in (Why.WASH_OUT_TOO_SHORT, Why.CONTROL_SLOWED)


def test_a_case_waits_longer_after_a_wash_out_that_was_too_short() -> None:
    goes = Remembering(remembers_s=250)
    case, now_s = begin("4", Way.DOWNLOAD, addresses=2, not_before_s=0.0), 0.0
    waits = set()
    while True:
        case, run = next_of(case, now_s)
        if run is None:
            break
        waits.add(case.current.plan.wash_out_s)
        now_s = max(now_s, run.not_before_s)
        result = goes(run, now_s)
        case, now_s = having(case, result), result.finished_at_s
    assert waits == {WASH_OUT_S, 3 * WASH_OUT_S}
    assert case.answer is Answer.SLOWER


def test_where_a_list_allows_the_random_name_is_as_slow_and_the_suspect_is_not_accused() -> None:
    finding = found(
        lambda run, now_s: transferred(run, FAST if run.role is NameRole.CONTROL else SLOW, began_s=now_s)
    )
    assert finding.answer is Answer.INCONCLUSIVE
    assert finding.why is Why.RANDOM_NAME_SLOW


def test_a_freeze_is_a_freeze_and_after_how_many_bytes() -> None:
    def goes(run: PairedRun, now_s: float) -> RunResult:
        after = 18_000.0 if run.role is NameRole.SUSPECT else float("inf")
        return transferred(run, FAST, began_s=now_s, freezes_after_bytes=after)

    finding = found(goes)
    assert finding.answer is Answer.FROZEN
    assert finding.frozen_after_bytes == 18_000
    assert finding.suspect_bytes_per_s is None


def test_a_line_that_freezes_for_everyone_accuses_nobody() -> None:
    assert found(
        lambda run, now_s: transferred(run, FAST, began_s=now_s, freezes_after_bytes=18_000)
    ).answer not in (
        Answer.FROZEN,
        Answer.SLOWER,
    )


@pytest.mark.parametrize("slow_address", [0, 1])
@pytest.mark.parametrize("seed", [str(number) for number in range(12)])
def test_an_address_that_is_slow_for_all_names_accuses_none(seed: str, slow_address: int) -> None:
    finding = found(
        lambda run, now_s: transferred(run, SLOW if run.address == slow_address else FAST, began_s=now_s),
        seed,
    )
    assert finding.answer not in (Answer.SLOWER, Answer.FROZEN)


def all_at_one_address() -> str:
    """Return a seed whose first eight lots put the suspect on one address."""
    from firmware.judgement.throttling.design import block_design

    return next(
        seed
        for seed in map(str, range(5000))
        if len({block_design(seed, 2, number).suspect_address for number in range(8)}) == 1
    )


def test_lots_that_never_swapped_the_addresses_say_nothing() -> None:
    seed = all_at_one_address()
    finding = found(
        lambda run, now_s: transferred(run, SLOW if run.role is NameRole.SUSPECT else FAST, began_s=now_s),
        seed,
    )
    assert (finding.answer, finding.why) == (Answer.INCONCLUSIVE, Why.NOT_SWAPPED)


def test_a_clean_answer_says_what_it_would_have_seen() -> None:
    finding = found(lambda run, now_s: transferred(run, FAST, began_s=now_s))
    assert finding.answer is Answer.CLEAN
    assert finding.below_bytes_per_s is not None
    assert FAST / 2 < finding.below_bytes_per_s < FAST
    assert finding.burst_bytes == 80 * 1024


def test_a_line_on_which_nothing_shows_is_outside_the_region() -> None:
    finding = found(lambda run, now_s: transferred(run, 3_000, began_s=now_s))
    assert (finding.answer, finding.why) == (Answer.INCONCLUSIVE, Why.OUT_OF_REGION)
