"""The time line of TCP_INFO: bounded, evenly spread, its first and last point always there."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collector.measurement.timeline import FIRST_EVERY_US, MOST_POINTS, NAMES, TimeLine


def sampled(lasts_us: int, late_us: int = 0) -> TimeLine:
    """Return what is kept of a connection of that length, looked at `late_us` after each due time, and at its end."""
    line, now_us = TimeLine(), 0
    while now_us < lasts_us:
        line.add(now_us, {"BytesAcked": now_us})
        now_us = line.due_us + late_us
    line.add(lasts_us, {"BytesAcked": lasts_us})
    return line


@given(
    lasts_us=st.integers(min_value=1, max_value=3600 * 1_000_000),
    late_us=st.integers(min_value=0, max_value=50_000),
)
def test_any_length_has_at_most_so_many_points_between_its_first_and_its_last(
    lasts_us: int, late_us: int
) -> None:
    line = sampled(lasts_us, late_us)
    times = [point[0] for point in line.points]
    assert (times[0], times[-1]) == (0, lasts_us)
    assert len(times) <= MOST_POINTS
    assert all(one is not None and other is not None and one < other for one, other in pairwise(times))


@given(lasts_us=st.integers(min_value=10 * 1_000_000, max_value=3600 * 1_000_000))
def test_a_long_one_is_evenly_covered_with_at_least_half_of_the_room(lasts_us: int) -> None:
    line = sampled(lasts_us)
    times = [point[0] or 0 for point in line.points]
    gaps = [other - one for one, other in pairwise(times[:-1])]
    assert len(times) > MOST_POINTS // 2
    assert set(gaps) == {line.every_us}


def test_a_short_one_keeps_every_point() -> None:
    line = sampled(10 * FIRST_EVERY_US)
    assert [point[0] for point in line.points] == [n * FIRST_EVERY_US for n in range(11)]


def test_what_a_kernel_does_not_have_is_null_and_stands_under_its_name() -> None:
    line = TimeLine()
    line.add(5, {"RTT": 7, "PMTU": 1500})
    told = line.to_json()
    assert told["names"] == ["elapsed_us", *NAMES]
    assert told["points"] == [[5, *(7 if name == "RTT" else None for name in NAMES)]]
    assert TimeLine().to_json() == {}
