"""How complete a device's record is: what was produced, and what became of each of it. Pure.

The invariant: stored + tombstoned + rejected + missing = produced, each seq in exactly one of them; a seq that
was stored counts as stored whatever else was said of it. `produced` is every seq from 1 to the
highest that any message named. This file must never estimate: a figure here is a count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from firmware.model.seqs import SeqRanges

_NONE: Final = SeqRanges()


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCoverage:
    """What the store knows of one epoch: the ranges by kind, and the highest seq the device spoke of."""

    epoch: str
    first_seen_ns: int
    high: int
    stored: SeqRanges = _NONE
    tombstoned: SeqRanges = _NONE
    rejected: SeqRanges = _NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCompleteness:
    """One epoch's account: counts that add up to `produced`, and the seqs nothing is known of."""

    epoch: str
    produced: int
    stored: int
    tombstoned: int
    rejected: int
    missing: int
    gaps: SeqRanges

    @property
    def share(self) -> float:
        """The accounted part of what was produced, 0 to 1; 1 when nothing was produced."""
        return 1.0 if self.produced == 0 else (self.produced - self.missing) / self.produced


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """A device's account over all its epochs, oldest epoch first.

    `unnamed` counts ended epochs that it says it holds records of and has not named yet.
    """

    device: str
    epochs: tuple[EpochCompleteness, ...]
    unnamed: int = 0

    @property
    def is_whole(self) -> bool:
        """Return whether all that the device made is accounted for, as far as it has told."""
        return self.missing == 0 and self.unnamed == 0

    @property
    def produced(self) -> int:
        """How many records the device made, as far as it has told."""
        return sum(epoch.produced for epoch in self.epochs)

    @property
    def stored(self) -> int:
        """How many are here."""
        return sum(epoch.stored for epoch in self.epochs)

    @property
    def tombstoned(self) -> int:
        """How many the device gave up and said so."""
        return sum(epoch.tombstoned for epoch in self.epochs)

    @property
    def rejected(self) -> int:
        """How many arrived and were not accepted."""
        return sum(epoch.rejected for epoch in self.epochs)

    @property
    def missing(self) -> int:
        """How many nothing is known of: still on the device, or lost."""
        return sum(epoch.missing for epoch in self.epochs)

    @property
    def share(self) -> float:
        """The accounted part of what was produced, 0 to 1; 1 when nothing was produced."""
        return 1.0 if self.produced == 0 else (self.produced - self.missing) / self.produced

    @property
    def percent(self) -> str:
        """The share as people write it, never rounded up to 100 %."""
        if self.is_whole:
            return "100 %"
        return f"{min(int(self.share * 1000) / 10, 99.9):.1f} %"

    def __str__(self) -> str:
        """Return it in one line: `seq 1–4,211 all here`, or what is not here, newest epoch last."""
        parts = [describe(epoch) for epoch in self.epochs]
        if self.unnamed:
            parts.append(f"{self.unnamed:,} more epochs on the device, not named yet")
        return "; ".join(parts) or "nothing yet"


def of_epoch(coverage: EpochCoverage) -> EpochCompleteness:
    """Count one epoch."""
    tombstoned = coverage.tombstoned.minus(coverage.stored)
    rejected = coverage.rejected.minus(coverage.stored).minus(tombstoned)
    accounted = coverage.stored.union(tombstoned).union(rejected)
    high = max(coverage.high, accounted.ranges[-1][1] if accounted else 0)
    gaps = accounted.gaps(1, high)
    return EpochCompleteness(
        epoch=coverage.epoch,
        produced=high,
        stored=len(coverage.stored),
        tombstoned=len(tombstoned),
        rejected=len(rejected),
        missing=len(gaps),
        gaps=gaps,
    )


def of_device(device: str, epochs: Sequence[EpochCoverage], *, unnamed: int = 0) -> Completeness:
    """Count all epochs of a device."""
    ordered = sorted(epochs, key=lambda epoch: (epoch.first_seen_ns, epoch.epoch))
    return Completeness(device=device, epochs=tuple(of_epoch(epoch) for epoch in ordered), unnamed=unnamed)


def describe(epoch: EpochCompleteness, *, gaps_shown: int = 3) -> str:
    """Return one epoch in a line; at most `gaps_shown` gaps are named, the rest are counted."""
    if epoch.produced == 0:
        return "nothing yet"
    whole = f"seq 1–{epoch.produced:,}" if epoch.produced > 1 else "seq 1"
    if epoch.stored == epoch.produced:
        return f"{whole} all here"
    parts = [f"{epoch.stored:,} here"]
    if epoch.tombstoned:
        parts.append(f"{epoch.tombstoned:,} given up by the device")
    if epoch.rejected:
        parts.append(f"{epoch.rejected:,} rejected")
    if epoch.missing:
        shown = str(SeqRanges(epoch.gaps.ranges[:gaps_shown]))
        more = len(epoch.gaps.ranges) - gaps_shown
        parts.append(f"{epoch.missing:,} missing ({shown}{f' and {more:,} more gaps' if more > 0 else ''})")
    return f"{whole}: " + ", ".join(parts)
