"""What a line does to packets in time: token bucket, queue, delay, loss, bursts, order. Pure, time as an argument.

Each object is one direction of one rule. Lots come from a seeded generator, so a run can be repeated. This file
must never look into a packet: a length and a time are all it knows.
"""

import random
from dataclasses import dataclass, field

from tests.nation.censor.carriage import Impair, Throttle


@dataclass(slots=True)
class Bucket:
    """A policer: what is above the rate is dropped."""

    rate_bit_s: int
    burst_bytes: int
    tokens: float = field(init=False)
    at_ns: int | None = None

    def __post_init__(self) -> None:
        self.tokens = self.burst_bytes

    def pass_at(self, length: int, now_ns: int) -> int | None:
        """Return when a packet of `length` bytes leaves: now, or never (None)."""
        if self.at_ns is not None and now_ns > self.at_ns:
            gained = (now_ns - self.at_ns) * self.rate_bit_s / 8e9
            self.tokens = min(self.burst_bytes, self.tokens + gained)
        self.at_ns = max(now_ns, self.at_ns or now_ns)
        if self.tokens < length:
            return None
        self.tokens -= length
        return now_ns


@dataclass(slots=True)
class Queue:
    """A shaper: what is above the rate waits, as long as the queue has room."""

    rate_bit_s: int
    burst_bytes: int
    limit_bytes: int
    free_ns: int | None = None

    def pass_at(self, length: int, now_ns: int) -> int | None:
        """Return when a packet of `length` bytes leaves; None when the queue is full."""
        spare_ns = self._ns(self.burst_bytes)
        free_ns = now_ns - spare_ns if self.free_ns is None else max(self.free_ns, now_ns - spare_ns)
        if free_ns - now_ns > self._ns(self.limit_bytes):
            return None
        self.free_ns = free_ns + self._ns(length)
        return max(now_ns, self.free_ns)

    def _ns(self, length: int) -> int:
        return round(length * 8e9 / self.rate_bit_s)


def throttled(how: Throttle) -> Bucket | Queue:
    """Return the policer or shaper that a rule describes."""
    if how.how == "police":
        return Bucket(how.rate_bit_s, how.burst_bytes)
    return Queue(how.rate_bit_s, how.burst_bytes, how.limit_bytes)


class Line:
    """An impaired line, one direction."""

    def __init__(self, how: Impair, *, up: bool) -> None:
        self._how = how
        self._lots = random.Random(how.seed * 2 + up)
        self._bad = False
        self._last_ns = 0

    def pass_at(self, now_ns: int) -> list[int]:
        """Return when the packet leaves, twice for a duplicate, never (empty) for a loss."""
        how, lots = self._how, self._lots
        if how.burst_begin:
            self._bad = lots.random() >= how.burst_end if self._bad else lots.random() < how.burst_begin
        loss = how.burst_loss if self._bad else how.loss
        if loss and lots.random() < loss:
            return []
        delay_ms = how.delay_ms
        if how.jitter_ms:
            delay_ms = max(0.0, delay_ms + lots.uniform(-how.jitter_ms, how.jitter_ms))
        due_ns = now_ns + round(delay_ms * 1e6)
        if how.reorder and lots.random() < how.reorder:
            due_ns += round(how.reorder_ms * 1e6)
        else:
            due_ns = self._last_ns = max(due_ns, self._last_ns)
        twice = how.duplicate and lots.random() < how.duplicate
        return [due_ns, due_ns] if twice else [due_ns]
