"""The time line of a transfer: how many bytes the receiver had by when, in a bounded number of points. Pure.

A point is kept for every 8 KiB (or a 96th of all, where that is more), and for every 0.1 s in which fewer came. What came
after a longer pause is two points at one moment, so that the pause stays a pause and is not taken for slowness. This file
must never look at a clock.
"""

from typing import Final, Generic, TypeVar

T = TypeVar("T")

EVERY_BYTES: Final = 8 * 1024
EVERY_NS: Final = 100_000_000
_MOST_BY_SIZE: Final = 96


class ByteLine(Generic[T]):
    """The points so far: (bytes, what the caller knows of the moment), neither ever falling."""

    def __init__(self, expected_bytes: int) -> None:
        self.points: list[tuple[int, T]] = []
        self.bytes = 0
        """How many there are by now."""
        self._every = max(EVERY_BYTES, -(-expected_bytes // _MOST_BY_SIZE))
        self._expected = expected_bytes
        self._kept_ns = 0
        self._last: tuple[int, int, T] | None = None

    def add(self, total: int, at_ns: int, moment: T) -> None:
        """Note that there were `total` bytes at `at_ns`, which is the `moment`; fewer or as many as before are nothing new."""
        if total <= self.bytes:
            return
        before, self.bytes = self.bytes, total
        last = self._last
        if last is not None and at_ns - last[1] > EVERY_NS:
            self._keep(*last)
            self.points.append((before, moment))
        self._last = (total, at_ns, moment)
        kept = self.points[-1][0] if self.points else 0
        is_due = total - kept >= self._every or at_ns - self._kept_ns >= EVERY_NS or total >= self._expected
        if not self.points or is_due:
            self._keep(total, at_ns, moment)

    def finish(self) -> None:
        """Keep the last moment at which anything came."""
        if self._last is not None:
            self._keep(*self._last)

    def _keep(self, total: int, at_ns: int, moment: T) -> None:
        if not self.points or self.points[-1][0] < total:
            self.points.append((total, moment))
            self._kept_ns = at_ns
