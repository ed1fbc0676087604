"""How far the clock may be trusted, and that it says so."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from firmware.clock import clocks
from firmware.clock.clocks import SYNCHRONISED_FOR_NS, TIMESYNC_ERROR_NS, ClockTracker, SyncPoint
from firmware.clock.retiming import Believed, believed
from firmware.model.record import ClockQuality

SECOND = 1_000_000_000
POINT = SyncPoint(boottime_ns=100 * SECOND, utc_ns=1_800_000_000 * SECOND, error_ns=5_000_000)


def test_without_a_point_nothing_bounds_the_error() -> None:
    reading = ClockTracker().reading(boottime_ns=5, utc_ns=7)
    assert (reading.boottime_ns, reading.utc_ns) == (5, 7)
    assert reading.quality is ClockQuality.UNSYNCHRONISED
    assert reading.error_ns is None


def test_the_error_grows_by_100_ppm() -> None:
    tracker = ClockTracker().with_point(POINT)
    reading = tracker.reading(
        boottime_ns=POINT.boottime_ns + 1000 * SECOND, utc_ns=POINT.utc_ns + 1000 * SECOND
    )
    assert reading.quality is ClockQuality.SYNCHRONISED
    assert reading.error_ns == 5_000_000 + 100_000_000


def test_a_clock_that_left_the_point_has_that_error_too() -> None:
    tracker = ClockTracker().with_point(POINT)
    reading = tracker.reading(boottime_ns=POINT.boottime_ns, utc_ns=POINT.utc_ns - 3600 * SECOND)
    assert reading.error_ns == 5_000_000 + 3600 * SECOND


def test_an_old_point_is_holdover() -> None:
    tracker = ClockTracker((POINT,))
    late = POINT.boottime_ns + SYNCHRONISED_FOR_NS + 1
    assert tracker.reading(boottime_ns=late, utc_ns=0).quality is ClockQuality.HOLDOVER


def test_a_point_to_come_does_not_count() -> None:
    reading = ClockTracker((POINT,)).reading(boottime_ns=POINT.boottime_ns - 1, utc_ns=POINT.utc_ns)
    assert reading.quality is ClockQuality.UNSYNCHRONISED


def test_one_wrong_server_among_three_neither_hides_an_error_nor_makes_one() -> None:
    right = [
        SyncPoint(boottime_ns=at * SECOND, utc_ns=(1_800_000_000 + at) * SECOND, error_ns=SECOND // 100)
        for at in (100, 200)
    ]
    wrong = SyncPoint(boottime_ns=300 * SECOND, utc_ns=1_900_000_000 * SECOND, error_ns=1)
    tracker = ClockTracker((*right, wrong))
    fine = tracker.reading(boottime_ns=400 * SECOND, utc_ns=1_800_000_400 * SECOND)
    assert fine.error_ns is not None
    assert fine.error_ns < SECOND
    fooled = tracker.reading(boottime_ns=400 * SECOND, utc_ns=1_900_000_100 * SECOND)
    assert fooled.error_ns is not None
    assert fooled.error_ns > 90_000_000 * SECOND
    assert fine.quality is ClockQuality.SYNCHRONISED


def test_timesyncd_marks_a_point_by_touching_a_file(tmp_path: Path) -> None:
    assert clocks.read_timesync(str(tmp_path)) is None
    flag = tmp_path / "run/systemd/timesync/synchronized"
    flag.parent.mkdir(parents=True)
    flag.touch()
    boottime_ns, utc_ns = clocks.now()
    mark_ns = utc_ns - SECOND // 2
    os.utime(flag, ns=(mark_ns, mark_ns))
    point = clocks.read_timesync(str(tmp_path))
    assert point is not None
    assert point.utc_ns == mark_ns
    assert point.error_ns == TIMESYNC_ERROR_NS
    assert abs(point.boottime_ns - (boottime_ns - SECOND // 2)) < SECOND // 4


def test_a_mark_before_the_boot_or_in_the_future_is_none() -> None:
    for mark_ns in (999 * SECOND, 1101 * SECOND):
        assert (
            clocks.timesync_point(synchronised_utc_ns=mark_ns, boottime_ns=50 * SECOND, utc_ns=1100 * SECOND)
            is None
        )


def test_this_boot_has_an_id_and_both_clocks_run(tmp_path: Path) -> None:
    assert len(clocks.read_boot_id()) == 36
    assert clocks.read_boot_id(str(tmp_path)) == ""
    first, second = clocks.now(), clocks.now()
    assert first[0] < second[0]


def test_what_is_believed_is_worked_out_once_for_the_points_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every record of a round asks for a reading, and the points of a boot change once a round."""
    asked: list[int] = []

    def noted(points: Iterable[SyncPoint]) -> Believed:
        given = tuple(points)
        asked.append(len(given))
        return believed(given)

    monkeypatch.setattr(clocks, "believed", noted)
    points = [
        SyncPoint(boottime_ns=at * SECOND, utc_ns=(1_800_000_000 + at) * SECOND, error_ns=SECOND // 100)
        for at in (300, 100, 200)
    ]
    tracker = ClockTracker(tuple(points))
    for at in (150, 400, 160, 500, 600):
        reading = tracker.reading(boottime_ns=at * SECOND, utc_ns=(1_800_000_000 + at) * SECOND)
        assert reading.error_ns is not None
        assert reading.error_ns < SECOND
    assert asked == [1, 3]
