"""The back-off grows to its bound, and is spread over its whole length."""

import random

from hypothesis import given
from hypothesis import strategies as st

from firmware.net import backoff


@given(st.integers(1, 10**9), st.floats(0.01, 10), st.floats(1, 1000))
def test_no_wait_is_longer_than_its_bound(failures: int, base_s: float, cap_s: float) -> None:
    longest = backoff.delay_s(failures, lambda: 1.0, base_s=base_s, cap_s=cap_s)
    assert longest <= cap_s
    assert longest in (cap_s, base_s * 2.0 ** min(failures - 1, 16))
    assert backoff.delay_s(failures, lambda: 0.0, base_s=base_s, cap_s=cap_s) == 0


def test_the_bound_doubles_from_its_base() -> None:
    bounds = [backoff.delay_s(n, lambda: 1.0, base_s=0.5, cap_s=10) for n in range(1, 8)]
    assert bounds == [0.5, 1, 2, 4, 8, 10, 10]


@given(st.integers(1, 60))
def test_the_wait_is_spread_over_its_whole_length(failures: int) -> None:
    chance = random.Random(failures)
    waits = [backoff.delay_s(failures, chance.random, base_s=1, cap_s=300) for _ in range(200)]
    longest = backoff.delay_s(failures, lambda: 1.0, base_s=1, cap_s=300)
    assert min(waits) < 0.2 * longest
    assert max(waits) > 0.8 * longest
