"""What the vantage found of one target, kept as streaks: samples that say the same are one row. Pure.

A streak is one finding about one target that stayed the same from its first sample to its last; it ends with a change,
with a gap in the sampling, or after a day.
"""

from dataclasses import dataclass, replace
from typing import Final

from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.vantage_json import MAX_ADDRESSES

NS: Final = 1_000_000_000
_MS: Final = 1_000_000
STREAK_LONGEST_NS: Final = 24 * 3600 * NS
SAMPLES_MISSED: Final = 3
"""A streak ends when this many samples in a row did not come."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """Which target: as records name it."""

    test: str
    target: str
    target_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one target by the vantage."""

    key: Key
    utc_ns: int
    failure: str | None
    failed_operation: str | None
    view: SiteView


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageStreak:
    """The same finding from `first_utc_ns` to `last_utc_ns`, `samples` times. The view's `age_s` is 0.

    `later_ms` is when each sample but the first was taken, in ms after the first; of streaks kept before that was, it is
    empty.
    """

    key: Key
    first_utc_ns: int
    last_utc_ns: int
    samples: int
    failure: str | None
    failed_operation: str | None
    view: SiteView
    later_ms: tuple[int, ...] = ()

    def looks_by(self, utc_ns: int) -> tuple[int, ...]:
        """Return when it was sampled by `utc_ns`, by which it had begun, oldest first: rather too early, and too few."""
        if len(self.later_ms) == self.samples - 1:
            later = (self.first_utc_ns + ms * _MS for ms in self.later_ms)
            looks = (self.first_utc_ns, *(one for one in later if one + _MS <= utc_ns))
            return (*looks[:-1], self.last_utc_ns) if self.last_utc_ns <= utc_ns else looks
        if self.last_utc_ns <= utc_ns:
            return (self.last_utc_ns,)
        between_ns = (self.last_utc_ns - self.first_utc_ns) // max(1, self.samples - 1)
        return (max(self.first_utc_ns, utc_ns - between_ns),)


def continued(streak: VantageStreak | None, sample: Sample, *, every_s: float) -> VantageStreak:
    """Return the streak that `sample` continues, or the one it begins (its `first_utc_ns` is then the sample's own)."""
    if streak is None or not _belongs(streak, sample, every_s):
        return VantageStreak(
            key=sample.key,
            first_utc_ns=sample.utc_ns,
            last_utc_ns=sample.utc_ns,
            samples=1,
            failure=sample.failure,
            failed_operation=sample.failed_operation,
            view=sample.view,
        )
    addresses = dict.fromkeys((*streak.view.addresses, *sample.view.addresses))
    view = replace(
        sample.view,
        addresses=tuple(addresses)[-MAX_ADDRESSES:],
        connects=_newest({**streak.view.connects, **sample.view.connects}),
        handshakes=_newest({**streak.view.handshakes, **sample.view.handshakes}),
    )
    is_whole = len(streak.later_ms) == streak.samples - 1
    later_ms = (*streak.later_ms, (sample.utc_ns - streak.first_utc_ns) // _MS) if is_whole else ()
    return replace(
        streak, last_utc_ns=sample.utc_ns, samples=streak.samples + 1, view=view, later_ms=later_ms
    )


def _belongs(streak: VantageStreak, sample: Sample, every_s: float) -> bool:
    gap_ns = sample.utc_ns - streak.last_utc_ns
    return (
        0 < gap_ns <= SAMPLES_MISSED * every_s * NS
        and sample.utc_ns - streak.first_utc_ns < STREAK_LONGEST_NS
        and _finding(streak.failure, streak.failed_operation, streak.view)
        == _finding(sample.failure, sample.failed_operation, sample.view)
    )


def _finding(failure: str | None, operation: str | None, view: SiteView) -> tuple[object, ...]:
    """Return what makes two samples the same finding: not the addresses, which large sites change all the time."""
    return (failure, operation, view.reachable, view.dns_failure, view.http_failure, view.status)


def _newest(places: dict[str, str | None]) -> dict[str, str | None]:
    return dict(list(places.items())[-MAX_ADDRESSES:])
