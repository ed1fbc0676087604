"""Buckets, queues, impaired lines and timetables keep what they promise, for any times and lengths."""

from hypothesis import given
from hypothesis import strategies as st

from tests.nation.censor.carriage import Impair
from tests.nation.censor.lines import Bucket, Line, Queue
from tests.nation.censor.timetable import Timetable

_S = 10**9
ARRIVALS = st.lists(st.tuples(st.integers(0, _S), st.integers(40, 1500)), min_size=1, max_size=200)
"""Gaps in ns, and lengths."""


def _times(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    at_ns, made = 0, []
    for gap_ns, length in gaps:
        at_ns += gap_ns
        made.append((at_ns, length))
    return made


@given(ARRIVALS, st.integers(1000, 10**8), st.integers(1500, 10**6))
def test_a_bucket_never_passes_more_than_its_rate_and_burst(
    gaps: list[tuple[int, int]], rate_bit_s: int, burst_bytes: int
) -> None:
    bucket = Bucket(rate_bit_s, burst_bytes)
    passed = [(at_ns, length) for at_ns, length in _times(gaps) if bucket.pass_at(length, at_ns) is not None]
    for first, (begin_ns, _) in enumerate(passed):
        total = 0
        for end_ns, length in passed[first:]:
            total += length
            assert total <= burst_bytes + (end_ns - begin_ns) * rate_bit_s / 8e9 + 1


@given(st.integers(1, 1500))
def test_a_bucket_lets_a_burst_pass_after_silence(length: int) -> None:
    bucket = Bucket(1_000_000, 15_000)
    for start_ns in (0, 3600 * _S):
        assert all(bucket.pass_at(length, start_ns) == start_ns for _ in range(15_000 // length))
        assert bucket.pass_at(15_000, start_ns) is None


@given(ARRIVALS, st.integers(10_000, 10**8), st.integers(1500, 10**5), st.integers(1500, 10**5))
def test_a_queue_keeps_order_rate_and_limit(
    gaps: list[tuple[int, int]], rate_bit_s: int, burst_bytes: int, limit_bytes: int
) -> None:
    queue = Queue(rate_bit_s, burst_bytes, limit_bytes)
    left: list[tuple[int, int]] = []
    for at_ns, length in _times(gaps):
        leaves_ns = queue.pass_at(length, at_ns)
        if leaves_ns is not None:
            assert leaves_ns >= at_ns
            assert leaves_ns - at_ns <= (limit_bytes + length) * 8e9 / rate_bit_s + 2
            assert not left or leaves_ns >= left[-1][0]
            left.append((leaves_ns, length))
    for first, (begin_ns, _) in enumerate(left):
        total = sum(length for at_ns, length in left[first:])
        took_s = (left[-1][0] - begin_ns) / _S
        assert total <= burst_bytes + left[first][1] + took_s * rate_bit_s / 8 + len(left)


@given(ARRIVALS, st.floats(0, 100), st.floats(0, 100), st.integers(0, 9))
def test_jitter_keeps_the_order_and_its_bounds(
    gaps: list[tuple[int, int]], delay_ms: float, jitter_ms: float, seed: int
) -> None:
    line = Line(Impair(delay_ms=delay_ms, jitter_ms=jitter_ms, seed=seed), up=True)
    last_ns = 0
    latest_ns = 0
    for at_ns, _ in _times(gaps):
        (due_ns,) = line.pass_at(at_ns)
        assert due_ns >= max(last_ns, at_ns, at_ns + (delay_ms - jitter_ms) * 1e6 - 1)
        latest_ns = max(latest_ns, at_ns + round((delay_ms + jitter_ms) * 1e6) + 1)
        assert due_ns <= latest_ns
        last_ns = due_ns


@given(st.integers(0, 99), st.booleans())
def test_the_same_seed_draws_the_same_lots(seed: int, up: bool) -> None:
    how = Impair(loss=0.3, jitter_ms=5, reorder=0.1, duplicate=0.1, burst_begin=0.05, seed=seed)
    lines = [Line(how, up=up) for _ in range(2)]
    first, second = ([line.pass_at(n * 10**6) for n in range(200)] for line in lines)
    assert first == second
    assert first != [Line(how, up=not up).pass_at(n * 10**6) for n in range(200)]


def test_nothing_is_lost_or_everything() -> None:
    assert all(Line(Impair(), up=True).pass_at(n) == [n] for n in range(50))
    lost = Line(Impair(loss=1), up=True)
    assert not any(lost.pass_at(n) for n in range(50))


TIMES = st.floats(0, 1000).map(lambda value: round(value, 2))


@st.composite
def timetables(draw: st.DrawFn) -> Timetable:
    """Return a timetable that ends, or not, and begins again, or not."""
    from_s, length_s, pause_s = draw(TIMES), draw(TIMES), draw(TIMES)
    repeats = draw(st.booleans())
    until_s = from_s + length_s + 0.01 if repeats or draw(st.booleans()) else None
    return Timetable(from_s=from_s, until_s=until_s, every_s=(until_s or 0) + pause_s if repeats else None)


@given(timetables(), st.integers(0, 3000 * _S))
def test_a_timetable_changes_only_where_it_says(table: Timetable, at_ns: int) -> None:
    change_ns = table.next_change_ns(at_ns)
    if change_ns is None:
        assert table.every_s is None
        assert table.holds(at_ns) == table.holds(at_ns + 10**15)
        return
    assert change_ns > at_ns
    between = [at_ns, (at_ns + change_ns) // 2, change_ns - 1]
    assert len({table.holds(moment_ns) for moment_ns in between}) == 1
