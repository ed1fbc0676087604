"""Re-timing: the true time lies inside what is stated, whatever was wrong with the clocks, and no wider than it must."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.clock.retiming import COMPARED, DRIFT, FLOOR_UTC_NS, Boot, SyncPoint, Timeline, believed

S = 1_000_000_000
NOON_NS = 1_790_000_000 * S
DAY = 86_400 * S


def point(at_s: int, *, off_s: float = 0.0, error_s: float = 0.01) -> SyncPoint:
    return SyncPoint(
        boottime_ns=at_s * S, utc_ns=NOON_NS + round((at_s + off_s) * S), error_ns=round(error_s * S)
    )


def test_a_point_bounds_its_whole_boot_by_the_drift() -> None:
    for at_s in (0, 100, 2_000_000):
        bounds = believed([point(1000)]).at(at_s * S)
        assert bounds is not None
        assert abs(bounds.utc_ns - (NOON_NS + at_s * S)) <= 1
        assert abs(bounds.error_ns - (0.01 + DRIFT * abs(at_s - 1000)) * S) <= 2


def test_points_before_and_after_bound_better_than_either() -> None:
    two = believed([point(0), point(100_000)]).at(50_000 * S)
    one = believed([point(0)]).at(50_000 * S)
    assert two is not None
    assert one is not None
    assert two.error_ns <= one.error_ns


def test_a_burst_of_gross_lies_is_outvoted() -> None:
    points = [point(3600 * hour, off_s=-86_400 * 30 if 10 <= hour < 16 else 0) for hour in range(30)]
    bounds = believed(points).at(13 * 3600 * S)
    assert bounds is not None
    assert bounds.low_ns <= NOON_NS + 13 * 3600 * S <= bounds.high_ns
    assert bounds.error_ns < 3 * S


def test_where_nobody_has_a_majority_every_word_is_held() -> None:
    found = believed([point(0), point(10, off_s=5000)])
    assert not found.is_majority
    bounds = found.at(10 * S)
    assert bounds is not None
    assert bounds.low_ns <= NOON_NS + 10 * S
    assert bounds.high_ns >= NOON_NS + 5010 * S


POINTS = st.lists(
    st.builds(
        SyncPoint,
        boottime_ns=st.integers(0, 50_000),
        utc_ns=st.integers(0, 50_100),
        error_ns=st.one_of(st.integers(0, 9), st.integers(20_000, 60_000)),
    ),
    max_size=12,
)


@given(POINTS)
def test_believed_are_those_that_not_most_others_contradict(points: list[SyncPoint]) -> None:
    ordered = sorted(set(points))
    assert len(ordered) <= COMPARED

    def contradict(one: SyncPoint, other: SyncPoint) -> bool:
        apart = abs(one.boottime_ns - other.boottime_ns)
        off = abs((one.utc_ns - one.boottime_ns) - (other.utc_ns - other.boottime_ns))
        return off > one.error_ns + other.error_ns + -(-apart // 10_000)

    kept = [one for one in ordered if 2 * sum(contradict(one, two) for two in ordered) <= len(ordered) - 1]
    found = believed(points)
    assert found.is_majority == (not ordered or 2 * len(kept) > len(ordered))
    assert list(found.points) == (kept if found.is_majority else ordered)


@given(POINTS, st.integers(0, 60_000))
def test_the_nearest_point_is_the_nearest(points: list[SyncPoint], at: int) -> None:
    found = believed(points)
    assert found.distance_ns(at) == min((abs(one.boottime_ns - at) for one in found.points), default=None)


def boots(*, synced_last: bool = True) -> list[Boot]:
    return [
        Boot(boot_id="a", last_ns=3600 * S, points=(point(10),), latest_start_ns=NOON_NS + 30 * DAY),
        Boot(boot_id="b", last_ns=600 * S, latest_start_ns=NOON_NS + 30 * DAY, previous="a"),
        Boot(
            boot_id="c",
            last_ns=60 * S,
            points=(SyncPoint(boottime_ns=0, utc_ns=NOON_NS + 5000 * S, error_ns=S),) if synced_last else (),
            latest_start_ns=NOON_NS + 30 * DAY,
            previous="b",
        ),
    ]


def test_a_boot_that_never_synced_lies_between_its_neighbours() -> None:
    bounds = Timeline.of(boots()).at("b", 100 * S)
    assert bounds is not None
    # After the hour that the first boot lasted, and 500 s of its own before the third one began.
    assert abs(bounds.low_ns - (NOON_NS + 3700 * S)) < S
    assert abs(bounds.high_ns - (NOON_NS + 4500 * S)) < 2 * S


def test_the_last_boot_is_bounded_by_when_it_arrived() -> None:
    bounds = Timeline.of(boots(synced_last=False)).at("c", 60 * S)
    assert bounds is not None
    assert NOON_NS + 29 * DAY < bounds.high_ns < NOON_NS + 31 * DAY
    assert bounds.low_ns > NOON_NS + 4000 * S


def test_a_point_from_after_its_own_arrival_is_not_believed() -> None:
    told = [
        Boot(boot_id="a", last_ns=60 * S, points=(point(0, off_s=86_400 * 900),), latest_start_ns=NOON_NS)
    ]
    bounds = Timeline.of(told).at("a", 0)
    assert bounds is not None
    assert bounds.high_ns <= NOON_NS + 10 * S
    assert bounds.low_ns == FLOOR_UTC_NS


def test_boots_that_contradict_each_other_bound_nobody() -> None:
    told = [
        Boot(boot_id="a", last_ns=60 * S, points=(point(0, off_s=86_400 * 9),)),
        Boot(boot_id="b", last_ns=60 * S, previous="a"),
        Boot(boot_id="c", last_ns=60 * S, points=(point(0),), previous="b"),
    ]
    timeline = Timeline.of(told)
    for name in "abc":
        bounds = timeline.at(name, 0)
        assert bounds is not None
        assert bounds.low_ns <= NOON_NS <= NOON_NS + 9 * DAY <= bounds.high_ns
    assert timeline.distance_ns("a", 0) is None


def test_a_circle_of_claims_ends() -> None:
    told = [Boot(boot_id=one, last_ns=S, previous=before) for one, before in ("ab", "bc", "ca")]
    assert Timeline.of(told).at("a", 0) is not None
    assert Timeline.of(told).at("nobody", 0) is None


def test_a_thousand_boots_are_placed_without_recursion() -> None:
    told = [Boot(boot_id=str(n), last_ns=S, previous=str(n - 1)) for n in range(3000)]
    bounds = Timeline.of(reversed(told)).at("2999", 0)
    assert bounds is not None
    assert bounds.low_ns > FLOOR_UTC_NS + 2990 * S
