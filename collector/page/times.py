"""Times and durations as a reader wants them: UTC, to the second, with an error that is never understated. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

from firmware.language.translator import Translator
from firmware.model.record import ClockQuality

Clock: TypeAlias = Callable[[], int]
"""The collector's own clock: UTC in ns since 1970."""

NS_PER_S: Final = 1_000_000_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


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
    def date(self) -> date:
        """The day, UTC."""
        return _at(self.ns).date()


def by_device(ns: int, quality: str, error_ns: int | None, translator: Translator) -> Moment:
    """Return a moment by a device's clock, with how sure it is."""
    return Moment(ns=ns, error=error_words(quality, error_ns, translator))


def error_words(quality: str, error_ns: int | None, translator: Translator) -> str:
    """Return how sure a device's time is: `± 4 s`, or that its error is unknown."""
    if error_ns is None:
        return translator.say("page.error_unknown")
    error = error_bound(error_ns, translator)
    if quality == ClockQuality.UNSYNCHRONISED:
        return translator.say("page.error_unsynchronised", error=error)
    if quality == ClockQuality.HOLDOVER:
        return translator.say("page.error_holdover", error=error)
    return translator.say("page.error_within", error=error)


def error_bound(error_ns: int, translator: Translator) -> str:
    """Return an error's size, rounded up, and never below the 1 s that showing whole seconds costs."""
    seconds = max(1, _up(abs(error_ns), NS_PER_S))
    if seconds < 2 * _MINUTE_S:
        return translator.unit("s", seconds)
    if seconds < 2 * _HOUR_S:
        return translator.unit("min", _up(seconds, _MINUTE_S))
    if seconds < 2 * _DAY_S:
        return translator.unit("h", _up(seconds, _HOUR_S))
    return translator.unit("d", _up(seconds, _DAY_S))


def duration(ns: int, translator: Translator) -> str:
    """Return a duration in its two largest units: `45 s`, `12 min`, `2 h 11 min`, `3 d 4 h`."""
    seconds = max(0, ns) // NS_PER_S
    if seconds < _MINUTE_S:
        return translator.unit("s", seconds)
    if seconds < _HOUR_S:
        return translator.unit("min", seconds // _MINUTE_S)
    if seconds < _DAY_S:
        large, small = translator.unit("h", seconds // _HOUR_S), seconds % _HOUR_S // _MINUTE_S
        return f"{large} {translator.unit('min', small)}" if small else large
    large, small = translator.unit("d", seconds // _DAY_S), seconds % _DAY_S // _HOUR_S
    return f"{large} {translator.unit('h', small)}" if small else large


def took(ns: int, translator: Translator) -> str:
    """Return how long a measurement took: `3.1 ms`, `214 ms`, `20.0 s`."""
    milliseconds = ns / 1e6
    if milliseconds < 1000:
        return translator.unit("ms", milliseconds, places=1 if milliseconds < 10 else 0)
    return translator.unit("s", milliseconds / 1000, places=1)


def iso_ns(ns: int) -> str:
    """Return a moment for machines, to the nanosecond: `2026-11-15T16:32:07.123456789Z`."""
    return f"{_at(ns):%Y-%m-%dT%H:%M:%S}.{ns % NS_PER_S:09}Z"


def _at(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS_PER_S, tz=UTC)


def _up(value: int, unit: int) -> int:
    return -(-value // unit)
