"""A set of sequence numbers as sorted, disjoint ranges: what was stored, acknowledged, or is missing.

Pure. Used by the device (what was acknowledged) and the collector (what is here, and the gaps). Its size is
that of its gaps, never that of its members.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeqRanges:
    """Inclusive ranges `(low, high)`, ascending, with at least one number missing between two of them."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, seqs: Iterable[int]) -> "SeqRanges":
        """Return the set of `seqs`, in any order, repeats allowed."""
        merged: list[tuple[int, int]] = []
        for seq in sorted(set(seqs)):
            if merged and merged[-1][1] + 1 == seq:
                merged[-1] = (merged[-1][0], seq)
            else:
                merged.append((seq, seq))
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
        result = self
        for low, high in other.ranges:
            result = result.add(low, high)
        return result

    def gaps(self, low: int, high: int) -> "SeqRanges":
        """Return what is missing from `low` to `high`."""
        missing: list[tuple[int, int]] = []
        cursor = low
        for first, last in self.ranges:
            if last < cursor:
                continue
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
