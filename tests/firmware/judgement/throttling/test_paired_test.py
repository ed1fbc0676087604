"""A paired test as it goes: bytes that are never exceeded, addresses left alone, roles by lot, and where it ends."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.judgement.throttling.conclude import conclude
from firmware.judgement.throttling.design import block_design
from firmware.judgement.throttling.findings import Answer
from firmware.judgement.throttling.paired_test import BLOCK_S, PairedTest, next_run, progress_of
from firmware.judgement.throttling.randomisation import ATTEMPTS
from firmware.judgement.throttling.runs import (
    OVERHEAD_BYTES,
    Ending,
    NameRole,
    PairedRun,
    Purpose,
    RunResult,
    Way,
)
from firmware.judgement.throttling.sizes import (
    CLEAN_MOST_BYTES,
    CONFIRMATION_MOST_BYTES,
    MOST_BLOCKS,
    PAYLOADS,
    RUN_MOST_BYTES,
    SCREEN_PAYLOAD,
)
from firmware.judgement.throttling.throttling_case import APART_S, begin, having, next_of
from tests.firmware.judgement.throttling.transfers import by_role, driven, plan, transferred

RATES = st.floats(1_500, 3e6)


@st.composite
def whims(draw: st.DrawFn) -> "Whim":
    """Return any way in which a network may answer: rates by role, freezes, failures, other traffic, and what is not used."""
    return Whim(
        rates={role: draw(RATES) for role in NameRole},
        factors=draw(st.lists(st.floats(0.3, 3), min_size=1, max_size=7)),
        endings=draw(st.lists(st.sampled_from([None] * 9 + [Ending.FAILED]), min_size=1, max_size=9)),
        freezes=draw(st.sampled_from([float("inf"), float("inf"), 20_000.0])),
        cost=draw(st.sampled_from([1.0, 1.0, 0.4])),
        late_s=draw(st.sampled_from([0.0, 0.0, 30.0, 500.0])),
    )


class Whim:
    """A network that does as it likes, within what a caller may let a run cost."""

    def __init__(
        self,
        *,
        rates: dict[NameRole, float],
        factors: list[float],
        endings: list[Ending | None],
        freezes: float,
        cost: float,
        late_s: float,
    ) -> None:
        """Take them."""
        self.rates, self.factors, self.endings = rates, factors, endings
        self.freezes, self.cost, self.late_s = freezes, cost, late_s
        self.asked: list[RunResult] = []

    def __call__(self, run: PairedRun, now_s: float) -> RunResult:
        """Return what comes of a run."""
        number = len(self.asked)
        result = transferred(
            run,
            self.rates[run.role] * self.factors[number % len(self.factors)],
            began_s=now_s + self.late_s * (number % 3 == 0),
            freezes_after_bytes=self.freezes if run.role is NameRole.SUSPECT else float("inf"),
            ending=self.endings[number % len(self.endings)],
        )
        self.asked.append(replace(result, cost_bytes=round(run.most_bytes * self.cost)))
        return self.asked[-1]


@settings(max_examples=60, deadline=None)
@given(
    whim=whims(),
    addresses=st.integers(2, 4),
    screened=st.booleans(),
    payload=st.sampled_from(PAYLOADS),
    seed=st.integers(0, 10**6),
)
def test_whatever_comes_a_test_ends_and_stays_within_its_bytes(
    whim: Whim, addresses: int, screened: bool, payload: int, seed: int
) -> None:
    test = driven(
        PairedTest(plan=plan(seed=str(seed), addresses=addresses, screened=screened, payload_bytes=payload)),
        whim,
    )
    finding = conclude(test)
    assert finding.cost_bytes == sum(one.cost_bytes for one in whim.asked) <= CONFIRMATION_MOST_BYTES
    assert all(one.run.most_bytes <= RUN_MOST_BYTES for one in whim.asked)
    if finding.answer is Answer.CLEAN:
        assert finding.cost_bytes <= CLEAN_MOST_BYTES
    if finding.answer in (Answer.SLOWER, Answer.FROZEN):
        pairs = Counter(one.run.role for one in whim.asked if one.run.purpose is Purpose.PAIR)
        assert pairs[NameRole.SUSPECT] >= 5
        assert pairs[NameRole.CONTROL] + pairs[NameRole.RANDOM] >= 5
        assert finding.p is not None
        assert finding.p <= 1 / 256
    # An innocuous run that counts never goes where a suspect's has been within the wash-out, nor do two of a block share a place.
    last_suspect: dict[int, float] = {}
    for one in whim.asked:
        if one.run.role is NameRole.SUSPECT:
            last_suspect[one.run.address] = one.finished_at_s
        elif one.run.purpose is not Purpose.AFTER and one.run.address in last_suspect:
            assert one.began_s - last_suspect[one.run.address] >= 119.999
    for number in {one.run.block for one in whim.asked}:
        both = [
            one.run.address
            for one in whim.asked
            if one.run.block == number and one.run.purpose is Purpose.PAIR
        ]
        assert len(set(both)) == len(both)


@settings(max_examples=25, deadline=None)
@given(whim=whims(), seed=st.integers(0, 10**6))
def test_whatever_comes_a_case_ends_within_the_bytes_of_its_tests_and_leaves_time_between_them(
    whim: Whim, seed: int
) -> None:
    case, now_s = begin(str(seed), Way.UPLOAD, addresses=2, not_before_s=0.0), 0.0
    ends: list[float] = [0.0]
    while True:
        tests = len(case.found)
        case, run = next_of(case, now_s)
        if run is None:
            break
        now_s = max(now_s, run.not_before_s)
        if len(case.found) > tests:
            assert now_s - ends[-1] >= APART_S - 0.001
        result = whim(run, now_s)
        case, now_s = having(case, result), result.finished_at_s
        ends.append(now_s)
    assert case.answer is not None
    assert len(case.found) <= 2 * ATTEMPTS
    assert case.cost_bytes <= len(case.found) * CONFIRMATION_MOST_BYTES
    if case.answer in (Answer.SLOWER, Answer.FROZEN):
        assert [one.answer in (Answer.SLOWER, Answer.FROZEN) for one in case.found[-2:]] == [True, True]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("more", [1.0, 1.7, 6.0])
def test_no_run_is_asked_for_that_could_bring_a_test_over_its_bytes(payload: int, more: float) -> None:
    """Also where runs cost more than they may, which is a caller's fault: nothing is asked for that there is no room for."""
    test, now_s = PairedTest(plan=plan(seed="4", screened=False, payload_bytes=payload)), 0.0
    while (run := next_run(test, now_s)) is not None:
        assert test.cost_bytes + run.most_bytes <= CONFIRMATION_MOST_BYTES
        result = transferred(run, 2e4 if run.role is NameRole.SUSPECT else 2e5, began_s=run.not_before_s)
        test = test.having(replace(result, cost_bytes=round(more * run.most_bytes)))
        now_s = result.finished_at_s
    assert (conclude(test).answer is Answer.SLOWER) is (
        more == 1.0 or (more == 1.7 and payload == PAYLOADS[0])
    )


def test_a_case_of_which_no_test_comes_to_anything_ends_after_its_attempts() -> None:
    case, now_s = begin("1", Way.DOWNLOAD, addresses=2, not_before_s=0.0), 0.0
    while True:
        case, run = next_of(case, now_s)
        if run is None:
            break
        result = transferred(run, 2e5, began_s=run.not_before_s, other_share=1.0)
        case, now_s = having(case, result), result.finished_at_s
    assert case.answer is Answer.INCONCLUSIVE
    assert len(case.found) == ATTEMPTS


def test_a_clean_line_costs_two_runs() -> None:
    test = driven(PairedTest(plan=plan()), by_role(suspect=2e5, control=2e5, random=2e5))
    assert conclude(test).answer is Answer.CLEAN
    assert [one.run.role for one in test.results] == [NameRole.CONTROL, NameRole.SUSPECT]
    assert test.cost_bytes == 2 * (SCREEN_PAYLOAD + OVERHEAD_BYTES) <= CLEAN_MOST_BYTES


def test_a_slowed_name_is_found_after_eight_blocks() -> None:
    test = driven(PairedTest(plan=plan(seed="4")), by_role(suspect=2e4, control=2e5, random=2e5))
    finding = conclude(test)
    assert finding.answer is Answer.SLOWER
    assert finding.blocks == 8
    assert finding.factor is not None
    assert finding.factor.value == pytest.approx(10, rel=0.05)
    assert finding.suspect_bytes_per_s is not None
    assert finding.suspect_bytes_per_s.value == pytest.approx(2e4, rel=0.02)


def test_a_block_whose_second_run_came_too_late_is_begun_anew_elsewhere() -> None:
    test = PairedTest(plan=plan(screened=False))
    first = next_run(test, 0.0)
    assert first is not None
    test = test.having(transferred(first, 2e5))
    at_once = next_run(test, 1.0)
    late = next_run(test, BLOCK_S + 10.0)
    assert at_once is not None
    assert late is not None
    assert (at_once.block, late.block) == (0, 1)


def test_a_block_with_a_run_that_says_nothing_is_not_counted_and_three_end_the_test() -> None:
    def goes(run: PairedRun, now_s: float) -> RunResult:
        return transferred(
            run,
            2e4 if run.role is NameRole.SUSPECT else 2e5,
            began_s=now_s,
            other_share=0.5 * (run.block >= 2),
        )

    test = driven(PairedTest(plan=plan()), goes)
    progress = progress_of(test)
    assert (len(progress.blocks), progress.broken) == (2, 3)
    assert conclude(test).answer is Answer.INCONCLUSIVE


def test_lots_fall_evenly_and_are_the_same_again_from_the_same_seed() -> None:
    drawn = [block_design(str(seed), 2, number) for seed in range(500) for number in range(8)]
    assert drawn == [block_design(str(seed), 2, number) for seed in range(500) for number in range(8)]
    first = sum(one.roles[0] is NameRole.SUSPECT for one in drawn)
    there = sum(one.suspect_address == 0 for one in drawn)
    assert abs(first - 2000) < 160
    assert abs(there - 2000) < 160
    innocuous = Counter(role for one in drawn for role in one.roles if role is not NameRole.SUSPECT)
    assert innocuous[NameRole.CONTROL] == innocuous[NameRole.RANDOM] == 2000


def test_the_sizes_fit_the_bytes() -> None:
    for payload, blocks in MOST_BLOCKS.items():
        whole = 2 * (SCREEN_PAYLOAD + OVERHEAD_BYTES) + 2 * blocks * (payload + OVERHEAD_BYTES)
        assert whole <= CONFIRMATION_MOST_BYTES
    larger = PAYLOADS[-1] + 80 * 1024
    assert 16 * (larger + OVERHEAD_BYTES) > CONFIRMATION_MOST_BYTES


def test_a_plan_needs_two_addresses_and_a_size_that_there_is() -> None:
    with pytest.raises(ValueError, match="found 1; allowed is 2 or more"):
        plan(addresses=1)
    with pytest.raises(ValueError, match="payload_bytes: found 5"):
        plan(payload_bytes=5)
