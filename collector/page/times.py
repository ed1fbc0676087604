"""Times and durations as a reader wants them: UTC, to the second, with an error that is never understated. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from collector.page import texts
from firmware.model.record import ClockQuality

Clock: TypeAlias = Callable[[], int]
"""The collector's own clock: UTC in ns since 1970."""

NS_PER_S: Final = 1_000_000_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment by one clock. `error` says how sure it is in words, "" for the collector's own clock."""

    ns: int
    error: str = ""

    @property
    def iso(self) -> str:
        """The moment for machines, to the second: `2026-11-15T16:32:07Z`."""
        return f"{_at(self.ns):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def clock(self) -> str:
        """`16:32:07`."""
        return f"{_at(self.ns):%H:%M:%S}"

    @property
    def minute(self) -> str:
        """`16:32`."""
        return f"{_at(self.ns):%H:%M}"

    @property
    def day(self) -> str:
        """`15 Nov 2026`."""
        at = _at(self.ns)
        return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"

    @property
    def short_day(self) -> str:
        """`15 Nov`."""
        at = _at(self.ns)
        return f"{at.day} {_MONTHS[at.month - 1]}"


def by_device(ns: int, quality: str, error_ns: int | None) -> Moment:
    """Return a moment by a device's clock, with how sure it is."""
    return Moment(ns=ns, error=error_words(quality, error_ns))


def error_words(quality: str, error_ns: int | None) -> str:
    """Return how sure a device's time is: `± 4 s`, or that its error is unknown."""
    if error_ns is None:
        return texts.plain("error_unknown")
    if quality == ClockQuality.UNSYNCHRONISED:
        return texts.plain("error_unsynchronised", error=error_bound(error_ns))
    key = "error_holdover" if quality == ClockQuality.HOLDOVER else "error_within"
    return texts.plain(key, error=error_bound(error_ns))


def error_bound(error_ns: int) -> str:
    """Return an error's size, rounded up, and never below the 1 s that showing whole seconds costs."""
    seconds = max(1, _up(abs(error_ns), NS_PER_S))
    if seconds < 2 * _MINUTE_S:
        return f"{seconds} s"
    if seconds < 2 * _HOUR_S:
        return f"{_up(seconds, _MINUTE_S)} min"
    if seconds < 2 * _DAY_S:
        return f"{_up(seconds, _HOUR_S)} h"
    return f"{texts.number(_up(seconds, _DAY_S))} d"


def duration(ns: int) -> str:
    """Return a duration in its two largest units: `45 s`, `12 min`, `2 h 11 min`, `3 d 4 h`."""
    seconds = max(0, ns) // NS_PER_S
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min"
    if seconds < _DAY_S:
        minutes = seconds % _HOUR_S // _MINUTE_S
        return f"{seconds // _HOUR_S} h" + (f" {minutes} min" if minutes else "")
    hours = seconds % _DAY_S // _HOUR_S
    return f"{texts.number(seconds // _DAY_S)} d" + (f" {hours} h" if hours else "")


def took(ns: int) -> str:
    """Return how long a measurement took: `3.1 ms`, `214 ms`, `20.0 s`."""
    milliseconds = ns / 1e6
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def iso_ns(ns: int) -> str:
    """Return a moment for machines, to the nanosecond: `2026-11-15T16:32:07.123456789Z`."""
    return f"{_at(ns):%Y-%m-%dT%H:%M:%S}.{ns % NS_PER_S:09}Z"


def _at(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS_PER_S, tz=UTC)


def _up(value: int, unit: int) -> int:
    return -(-value // unit)
