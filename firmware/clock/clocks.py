"""What time it is, on both clocks, and how far to trust it.

`ClockTracker` is pure: sync points in, readings out. The hands below it read the two clocks, the boot id and
what systemd-timesyncd last did. It must never ask adjtimex: a hardened unit gets a zeroed answer that reads as
synchronised, or is killed for asking.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from firmware.clock.moment import now
from firmware.clock.retiming import DRIFT, Believed, SyncPoint, believed
from firmware.model.record import ClockQuality, ClockReading
from firmware.net.files import modified_ns, read_text

__all__ = ["DRIFT", "ClockTracker", "SyncPoint", "now", "read_boot_id", "read_timesync", "timesync_point"]

SYNCHRONISED_FOR_NS: Final = 3 * 2048 * 1_000_000_000
"""A sync point this old has missed three of timesyncd's longest polls (PollIntervalMaxSec, 2048 s): holdover."""

TIMESYNC_ERROR_NS: Final = 500_000_000
"""timesyncd slews what is under 0.4 s (NTP_MAX_ADJUST) instead of stepping, so just after it the clock may be
that far off; the rest is for the way to its server."""

_boottime_ns: Final = attrgetter("boottime_ns")
_TIMESYNC_FLAG: Final = "run/systemd/timesync/synchronized"
_BOOT_ID: Final = "proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class ClockTracker:
    """The sync points of one boot, in any order."""

    points: tuple[SyncPoint, ...] = ()
    _ordered: tuple[SyncPoint, ...] = field(init=False, repr=False, compare=False)
    _believed: dict[int, Believed] = field(init=False, repr=False, compare=False, default_factory=dict)
    """What is believed of the first so many of `_ordered`, once it was asked for: the points never change."""

    def __post_init__(self) -> None:
        """Order the points."""
        object.__setattr__(self, "_ordered", tuple(sorted(set(self.points))))

    def with_point(self, point: SyncPoint) -> "ClockTracker":
        """Return a tracker that knows `point` too."""
        return self if point in self.points else ClockTracker((*self.points, point))

    def reading(self, *, boottime_ns: int, utc_ns: int) -> ClockReading:
        """Judge a wall-clock reading `utc_ns` taken at `boottime_ns` by the points of this boot.

        The error is the farthest that the true time can be from it by them (`firmware.clock.retiming`): so one wrong server
        among several neither hides an error nor makes one. Only points up to then count: what came later re-times
        records, not readings.
        """
        count = bisect_right(self._ordered, boottime_ns, key=_boottime_ns)
        if not count:
            return ClockReading(
                boottime_ns=boottime_ns, utc_ns=utc_ns, quality=ClockQuality.UNSYNCHRONISED, error_ns=None
            )
        if count not in self._believed:
            self._believed[count] = believed(self._ordered[:count])
        bounds = self._believed[count].at(boottime_ns)
        assert bounds is not None
        error_ns = max(abs(utc_ns - bounds.low_ns), abs(utc_ns - bounds.high_ns))
        age_ns = boottime_ns - self._ordered[count - 1].boottime_ns
        fresh = age_ns <= SYNCHRONISED_FOR_NS
        return ClockReading(
            boottime_ns=boottime_ns,
            utc_ns=utc_ns,
            quality=ClockQuality.SYNCHRONISED if fresh else ClockQuality.HOLDOVER,
            error_ns=error_ns,
        )


def timesync_point(*, synchronised_utc_ns: int, boottime_ns: int, utc_ns: int) -> SyncPoint | None:
    """Return the point of timesyncd's last adjustment, which it marks by touching a file at `synchronised_utc_ns`.

    None for a mark in the future or before the boot: the clock was stepped since, or the file is from elsewhere.
    """
    elapsed_ns = utc_ns - synchronised_utc_ns
    if not 0 <= elapsed_ns <= boottime_ns:
        return None
    return SyncPoint(
        boottime_ns=boottime_ns - elapsed_ns, utc_ns=synchronised_utc_ns, error_ns=TIMESYNC_ERROR_NS
    )


def read_boot_id(root: str = "") -> str:
    """Return the kernel's random id of this boot, "" where it cannot be read."""
    return read_text(f"{root}/{_BOOT_ID}").strip()


def read_timesync(root: str = "") -> SyncPoint | None:
    """Return when systemd-timesyncd last set this clock, None if it did not in this boot or is not here."""
    boottime, utc = now()
    synchronised_ns = modified_ns(f"{root}/{_TIMESYNC_FLAG}")
    if synchronised_ns is None:
        return None
    return timesync_point(synchronised_utc_ns=synchronised_ns, boottime_ns=boottime, utc_ns=utc)
