"""A transfer's time line: what of its course is kept, in how many points."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.protocols.byte_line import EVERY_NS, ByteLine

MS = 1_000_000
STEPS = st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 900 * MS)), min_size=1, max_size=400)


def line_of(
    steps: list[tuple[int, int]], expected: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return what was told, (bytes, ns), and what was kept of it."""
    line: ByteLine[int] = ByteLine(expected)
    total, at_ns, told = 0, 0, []
    for size, pause_ns in steps:
        total, at_ns = total + size, at_ns + pause_ns
        line.add(total, at_ns, at_ns)
        told.append((total, at_ns))
    line.finish()
    return told, line.points


def test_a_steady_flow_has_a_point_for_every_8_kib() -> None:
    _, kept = line_of([(1024, MS)] * 64, 64 * 1024)
    assert [size for size, _ in kept] == [1024, *(1024 + 8192 * number for number in range(1, 8)), 64 * 1024]
    assert all(at_ns == size // 1024 * MS for size, at_ns in kept)


def test_a_slow_flow_has_a_point_every_tenth_of_a_second() -> None:
    _, kept = line_of([(100, 50 * MS)] * 40, 10**6)
    assert [at_ns // MS for _, at_ns in kept] == [50, *range(150, 2000, 100), 2000]


def test_a_pause_stays_a_pause() -> None:
    _, kept = line_of([(5000, MS), (1000, MS), (5000, 3000 * MS)], 10**6)
    assert kept == [(5000, MS), (6000, 2 * MS), (6000, 3002 * MS), (11000, 3002 * MS)]


@given(steps=STEPS, expected=st.integers(1, 16 * 2**20))
def test_what_is_kept_was_so_never_falls_and_ends_where_it_ended(
    steps: list[tuple[int, int]], expected: int
) -> None:
    told, kept = line_of(steps, expected)
    assert kept == sorted(kept)
    sizes = {size for size, _ in told}
    assert {size for size, _ in kept} <= sizes
    if told[-1][0]:
        assert kept[-1][0] == told[-1][0]
        assert kept[-1][1] == next(at_ns for size, at_ns in told if size == told[-1][0])


@given(steps=STEPS)
def test_twenty_seconds_make_a_bounded_number(steps: list[tuple[int, int]]) -> None:
    told, kept = line_of(steps, told_bytes := sum(size for size, _ in steps))
    assert len(kept) <= 3 + told_bytes // max(8192, told_bytes // 96) + 2 * (told[-1][1] // EVERY_NS + 1)
