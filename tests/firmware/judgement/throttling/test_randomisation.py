"""The randomisation test is exact, spends what it says, and counts what the lots could have been."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.throttling.randomisation import (
    LOOKS,
    MOST,
    false_alarms,
    is_futile,
    is_significant,
    median_ranks,
    share_as_large,
    spent,
)

sizes = st.floats(-3, 3).map(lambda one: round(one, 4))


@given(st.lists(sizes, min_size=1, max_size=9))
def test_the_share_is_that_of_all_ways_in_which_the_lots_could_have_fallen(found: list[float]) -> None:
    held = [max(-MOST, min(MOST, one)) for one in found]
    ways = [
        sum(sign * abs(one) for sign, one in zip(signs, held, strict=True))
        for signs in product((1, -1), repeat=len(held))
    ]
    as_large = sum(one >= sum(held) - 1e-9 for one in ways)
    assert share_as_large(found) == Fraction(as_large, len(ways))


@given(st.lists(sizes, min_size=1, max_size=9))
def test_the_shares_of_all_ways_never_say_small_more_often_than_they_may(found: list[float]) -> None:
    """A p value: of all ways, the share with p at most a is at most a, whatever the sizes are."""
    shares = [
        share_as_large([sign * one for sign, one in zip(signs, found, strict=True)])
        for signs in product((1, -1), repeat=len(found))
    ]
    for may in (Fraction(1, 256), Fraction(1, 64), Fraction(1, 16), Fraction(1, 4)):
        assert Fraction(sum(one <= may for one in shares), len(shares)) <= may


def says_slower(signs: Sequence[int], sizes: Sequence[float], most: int) -> bool:
    found: list[float] = []
    for sign, size in zip(signs, sizes, strict=True):
        found.append(sign * size)
        if is_significant(found):
            return True
        if is_futile(found, most):
            return False
    return False


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_sequence_of_looks_spends_no_more_than_it_says(seed: int) -> None:
    """Every way of sixteen lots is gone through, with sizes of a kind, stops and all; a stop decides for all that follow."""
    lot = Random(seed)
    sizes = [lot.choice((0.1, 0.5, 0.8, 3.0)) * lot.random() for _ in range(16)] if seed else [1.0] * 16

    def share(found: list[float]) -> Fraction:
        if is_significant(found):
            return Fraction(1)
        if len(found) == 16 or is_futile(found, 16):
            return Fraction(0)
        size = sizes[len(found)]
        return (share([*found, size]) + share([*found, -size])) / 2

    assert 0 <= share([]) <= spent()


def test_what_is_spent_is_computed() -> None:
    assert spent() == Fraction(1, 256) + Fraction(2, 1024)
    assert false_alarms() == 3 * Fraction(6, 1024) ** 2
    assert false_alarms() < Fraction(2, 10_000)


def test_fewer_than_eight_blocks_never_say_slower() -> None:
    for blocks in range(8):
        assert not is_significant([5.0] * blocks)
    assert is_significant([5.0] * 8)
    assert min(LOOKS) >= 5


def test_eight_blocks_of_which_one_is_the_other_way_are_not_enough_and_sixteen_may_be() -> None:
    assert not is_significant([1.0] * 7 + [-0.5])
    assert not is_futile([1.0] * 7 + [-0.5], 16)
    assert is_futile([1.0] * 7 + [-0.5], 8)
    assert is_significant([1.0] * 7 + [-0.5] + [1.0] * 4 + [1.0] * 4)


def test_one_stalled_run_does_not_own_the_mean() -> None:
    assert share_as_large([0.7] * 15 + [-4.0]) == share_as_large([0.7] * 15 + [-log(2)])


@given(st.integers(6, 16))
def test_blocks_that_show_nothing_end_the_test_early(most: int) -> None:
    assert is_futile([0.0, 0.1, -0.2], most)
    assert not is_futile([0.7, 0.7, 0.7], 16)


@pytest.mark.parametrize("count", range(1, 33))
def test_the_ranks_hold_the_median_as_often_as_they_say(count: int) -> None:
    """Each value is above the median with one half, so the interval misses where fewer than enough are on a side."""
    ranks = median_ranks(count)
    if count < 6:
        assert ranks is None
        return
    assert ranks is not None
    low, high = ranks
    missed = (
        sum(1 for signs in range(2 ** min(count, 12)) if not low < signs.bit_count() < high + 1)
        if count <= 12
        else 0
    )
    assert missed / 2 ** min(count, 12) <= 0.05
