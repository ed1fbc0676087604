"""A set of sequence numbers as sorted, disjoint ranges: what was stored, acknowledged, or is missing.

Pure. Used by the device (what was acknowledged) and the collector (what is here, and the gaps). Its size is
that of its gaps, never that of its members.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class SeqRanges:
    """Inclusive ranges `(low, high)`, ascending, with at least one number missing between two of them."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, seqs: Iterable[int]) -> "SeqRanges":
        """Return the set of `seqs`, in any order, repeats allowed."""
        members = set(seqs)
        if not members:
            return cls()
        low, high = min(members), max(members)
        if high - low + 1 == len(members):  # nearly always
            return cls(((low, high),))
        merged: list[tuple[int, int]] = []
        for seq in sorted(members):
            if merged and merged[-1][1] + 1 == seq:
                merged[-1] = (merged[-1][0], seq)
            else:
                merged.append((seq, seq))
        return cls(tuple(merged))

    @classmethod
    def over(cls, ranges: Iterable[tuple[int, int]]) -> "SeqRanges":
        """Return the set of what is in any of `ranges`, which may overlap and come in any order."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def add(self, low: int, high: int) -> "SeqRanges":
        """Return the set with every number from `low` to `high` in it."""
        if low > high:
            raise ValueError(f"a range runs upwards: {low}–{high}")
        first = bisect_left(self.ranges, low - 1, key=lambda pair: pair[1])
        last = bisect_right(self.ranges, high + 1, key=lambda pair: pair[0])
        touched = self.ranges[first:last]
        if touched:
            low, high = min(low, touched[0][0]), max(high, touched[-1][1])
        return SeqRanges((*self.ranges[:first], (low, high), *self.ranges[last:]))

    def union(self, other: "SeqRanges") -> "SeqRanges":
        """Return the set of what is in either."""
        return SeqRanges.over((*self.ranges, *other.ranges)) if other.ranges else self

    def minus(self, other: "SeqRanges") -> "SeqRanges":
        """Return the set of what is in this and not in `other`; one pass over both."""
        left: list[tuple[int, int]] = []
        at = 0
        for low, high in self.ranges:
            while at < len(other.ranges) and other.ranges[at][1] < low:
                at += 1
            cursor, look = low, at
            while look < len(other.ranges) and other.ranges[look][0] <= high:
                first, last = other.ranges[look]
                if first > cursor:
                    left.append((cursor, first - 1))
                cursor = last + 1
                look += 1
            if cursor <= high:
                left.append((cursor, high))
        return SeqRanges(tuple(left))

    def below(self, end: int) -> "SeqRanges":
        """Return the set of what is in this and lower than `end`."""
        return SeqRanges(tuple((low, min(high, end - 1)) for low, high in self.ranges if low < end))

    def gaps(self, low: int, high: int) -> "SeqRanges":
        """Return what is missing from `low` to `high`."""
        missing: list[tuple[int, int]] = []
        cursor = low
        for first, last in islice(self.ranges, bisect_left(self.ranges, low, key=lambda pair: pair[1]), None):
            if first > high:
                break
            if first > cursor:
                missing.append((cursor, first - 1))
            cursor = last + 1
        if cursor <= high:
            missing.append((cursor, high))
        return SeqRanges(tuple(missing))

    def prefix_end(self, start: int = 1) -> int:
        """Return the highest number up to which all from `start` are in; `start - 1` if `start` is missing."""
        for low, high in self.ranges:
            if low <= start <= high:
                return high
        return start - 1

    def __contains__(self, seq: object) -> bool:
        if not isinstance(seq, int):
            return False
        index = bisect_left(self.ranges, seq, key=lambda pair: pair[1])
        return index < len(self.ranges) and self.ranges[index][0] <= seq

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.ranges)

    def __len__(self) -> int:
        """Return how many numbers are in the set (not how many ranges)."""
        return sum(high - low + 1 for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __str__(self) -> str:
        """Return it as people write it: `1–4,211, 4,213`."""
        return ", ".join(f"{low:,}" if low == high else f"{low:,}–{high:,}" for low, high in self.ranges)
