"""The account of bytes: what measuring cost in the last 24 hours, and what it may still cost. Pure.

A measurement is paid for before it starts, at the most it may cost, and settled after it at what it did cost. So
no 24 hours ever cost more than the budget, as long as nothing costs more than was reserved for it; what does is
booked whole, and what comes later waits. Times are CLOCK_BOOTTIME in ns and come as arguments.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
BUCKET_NS: Final = 600 * NS
"""Spending is kept by ten minutes; a bucket counts until its end is a day old, so the account errs upwards."""


class Budget:
    """An account of `bytes_per_day` over any 24 hours, begun with what was `spent` before, as `ages` gave it."""

    def __init__(self, bytes_per_day: int, *, now_ns: int = 0, spent: Iterable[tuple[int, int]] = ()) -> None:
        self.bytes_per_day = bytes_per_day
        self._buckets: deque[tuple[int, int]] = deque()
        self._reserved: dict[str, int] = {}
        for age_ns, count in sorted(spent, reverse=True):
            self._book(now_ns - age_ns, count)

    def reserve(self, name: str, count: int, now_ns: int) -> bool:
        """Set `count` bytes aside for what `name` is about to start; False, and nothing kept, if they are not there."""
        if self.spent(now_ns) + count > self.bytes_per_day:
            return False
        self._reserved[name] = self._reserved.get(name, 0) + count
        return True

    def settle(self, name: str, count: int, now_ns: int) -> None:
        """Book what `name` cost in the end in place of what was reserved for it."""
        self._reserved.pop(name, None)
        self._book(now_ns, count)

    def spent(self, now_ns: int) -> int:
        """Return what was spent in the last 24 hours, and is reserved."""
        self._forget(now_ns)
        return sum(count for _, count in self._buckets) + sum(self._reserved.values())

    def sustains(self, count: int, bytes_per_day: float, now_ns: int) -> bool:
        """Say whether, `count` bytes more spent now, `bytes_per_day` can be spent evenly from now on, for good.

        This keeps a long emergency from using up by noon what the calm rounds need until midnight: what is spent
        beyond them may only come from what they leave over.
        """
        standing = self.spent(now_ns) + count
        for start_ns, booked in self._buckets:
            # Until this bucket is a day old it counts beside what is spent evenly in the meantime.
            days_left = max(0, start_ns + BUCKET_NS + DAY_NS - now_ns) / DAY_NS
            if standing + bytes_per_day * days_left > self.bytes_per_day:
                return False
            standing -= booked
        # The account keeps up to a bucket more than a day.
        return standing + bytes_per_day * (1 + 2 * BUCKET_NS / DAY_NS) <= self.bytes_per_day

    def ages(self, now_ns: int) -> list[tuple[int, int]]:
        """Return the account as (age in ns, bytes), to be kept over a restart; what is reserved counts as spent."""
        self._forget(now_ns)
        kept = [(now_ns - start_ns, count) for start_ns, count in self._buckets]
        return [*kept, *((0, count) for count in self._reserved.values())]

    def _book(self, when_ns: int, count: int) -> None:
        start_ns = when_ns - when_ns % BUCKET_NS
        if self._buckets and self._buckets[-1][0] >= start_ns:
            start_ns, booked = self._buckets.pop()
            count += booked
        self._buckets.append((start_ns, count))

    def _forget(self, now_ns: int) -> None:
        while self._buckets and self._buckets[0][0] + BUCKET_NS + DAY_NS <= now_ns:
            self._buckets.popleft()


def wire_bytes(payload_bytes: int) -> int:
    """Return about what a measurement cost on the wire, both ways, whose payload is known.

    An upper figure: 1/8 for the headers of full packets, and 500 bytes for a handshake, its answers and its end,
    or for the SYNs that nobody answered.
    """
    return payload_bytes + payload_bytes // 8 + 500
