"""Sequence ranges behave as a set of numbers would, at the cost of its gaps only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.seqs import SeqRanges

numbers = st.sets(st.integers(1, 60))


def members(ranges: SeqRanges) -> set[int]:
    return {seq for low, high in ranges for seq in range(low, high + 1)}


@given(numbers)
def test_of_holds_just_its_members_in_least_ranges(seqs: set[int]) -> None:
    ranges = SeqRanges.of(seqs)
    assert members(ranges) == seqs
    assert len(ranges) == len(seqs)
    assert all(high + 1 < low for (_, high), (low, _) in zip(ranges, list(ranges)[1:], strict=False))


@given(numbers, st.integers(1, 60), st.integers(0, 20))
def test_add_is_union_with_a_run(seqs: set[int], low: int, extra: int) -> None:
    ranges = SeqRanges.of(seqs).add(low, low + extra)
    assert ranges == SeqRanges.of(seqs | set(range(low, low + extra + 1)))


@given(numbers, numbers)
def test_union(left: set[int], right: set[int]) -> None:
    assert SeqRanges.of(left).union(SeqRanges.of(right)) == SeqRanges.of(left | right)


@given(numbers, numbers)
def test_minus(left: set[int], right: set[int]) -> None:
    assert SeqRanges.of(left).minus(SeqRanges.of(right)) == SeqRanges.of(left - right)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9))))
def test_over_is_the_set_of_all_ranges(found: list[tuple[int, int]]) -> None:
    ranges = [(low, low + extra) for low, extra in found]
    assert SeqRanges.over(ranges) == SeqRanges.of(seq for low, high in ranges for seq in range(low, high + 1))


@given(numbers, st.integers(1, 60), st.integers(0, 60))
def test_gaps_are_what_is_missing(seqs: set[int], low: int, extra: int) -> None:
    window = set(range(low, low + extra + 1))
    assert members(SeqRanges.of(seqs).gaps(low, low + extra)) == window - seqs


@given(numbers)
def test_prefix_and_membership(seqs: set[int]) -> None:
    ranges = SeqRanges.of(seqs)
    end = ranges.prefix_end()
    assert set(range(1, end + 1)) <= seqs
    assert end + 1 not in seqs
    assert all((seq in ranges) == (seq in seqs) for seq in range(62))


def test_it_is_written_as_people_write_it() -> None:
    assert str(SeqRanges.of([*range(1, 4212), 4213])) == "1–4,211, 4,213"


def test_a_range_that_runs_downwards_is_refused() -> None:
    with pytest.raises(ValueError, match="runs upwards"):
        SeqRanges().add(2, 1)
