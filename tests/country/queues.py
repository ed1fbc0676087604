"""One direction of a line as a queue: packets of all flows wait for each other, and what finds no room is dropped.

First in, first out, as a home's router and a provider's shaper have it without active management; a shaper's burst as a
token bucket's (tc-tbf(8)). What somebody else in the home sends besides fills it as one TCP flow's sawtooth does
(`Cross`). Pure, with the time as an argument. This file must never know why a packet is sent, and must never draw a lot.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_MOST: Final = 512
"""So many packets of a queue are known; when there are more, the older half of them is forgotten."""
_SEGMENT_BYTES: Final = 1_500
_FAR_S: Final = 0.04
"""The round trip beyond the line of who fills it."""
_BETA: Final = 0.7
_C: Final = 0.4
"""Of CUBIC: to what a loss cuts the window, and how fast it grows back, in segments per s³ (RFC 9438, 4.1 and 4.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cross:
    """From `since_s` to `until_s` somebody else in the home sends as much as a direction takes; a line has it `up` or down.

    Its end is when the last of it has left the queue.
    """

    since_s: float
    until_s: float
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sawtooth:
    """How long a packet waits behind one CUBIC flow that fills a queue, through one period of it, in s.

    The queue is full until the sender knows of a loss, a round trip later; it empties while the sender, whose window is
    seven tenths now, waits for what is under way; then the window grows as the cube of time, to the loss again.
    """

    rtt_s: float
    """The round trip while nothing waits."""
    full_wait_s: float
    """The wait in a full queue."""
    segment_s: float
    """What one segment of that flow takes to leave."""
    full_s: float
    """Until then the queue is full."""
    drained_s: float
    """Until then it empties."""
    period_s: float

    def wait_s(self, since_s: float) -> float:
        """Return the wait at a time after its beginning. It never falls faster than time goes by: no packet overtakes."""
        at_s = since_s % self.period_s
        if at_s < self.full_s:
            # What leaves makes room, and the next segment of that flow comes when there is room for the whole of it.
            return max(0.0, self.full_wait_s - at_s % self.segment_s)
        if at_s < self.drained_s:
            return max(0.0, self.full_wait_s - self.segment_s - (at_s - self.full_s))
        grown = (at_s - self.drained_s) / (self.period_s - self.drained_s)
        window_s = (self.rtt_s + self.full_wait_s) * (1 - (1 - _BETA) * (1 - grown) ** 3)
        return max(0.0, window_s - self.rtt_s - self.segment_s)


def sawtooth(*, rate_kbit: float, buffer_bytes: float, rtt_s: float) -> Sawtooth:
    """Return what one flow makes of a queue, on a line whose own round trip is `rtt_s`."""
    segment_s = _SEGMENT_BYTES / (125 * rate_kbit)
    full_wait_s = buffer_bytes / (125 * rate_kbit)
    round_trip_s = rtt_s + _FAR_S + full_wait_s
    # Whole segments, so that the wait is continuous where it begins to fall.
    full_s = segment_s * math.ceil(round_trip_s / segment_s)
    drained_s = full_s + min(full_wait_s, (1 - _BETA) * round_trip_s)
    grows_s = (round_trip_s / segment_s * (1 - _BETA) / _C) ** (1 / 3)
    return Sawtooth(
        rtt_s=rtt_s + _FAR_S,
        full_wait_s=full_wait_s,
        segment_s=segment_s,
        full_s=full_s,
        drained_s=drained_s,
        period_s=drained_s + grows_s,
    )


@dataclass(slots=True, kw_only=True)
class Queue:
    """One direction: its rate, the bytes that may wait, and the bytes that pass at once after a silence.

    Packets need not be told in the order of their times, since what comes back is computed ahead: one that is told late
    waits for all that came before it, and whoever comes after it waits for it, but those who were told when they leave.
    """

    rate_kbit: float
    buffer_bytes: float
    burst_bytes: int = 0
    crosses: Sequence[Cross] = ()
    sawtooth: Sawtooth | None = None
    _per_s: float = field(init=False)
    _spare_s: float = field(init=False)
    _comes_s: list[float] = field(default_factory=list)
    """When the packets that are known come to their turn or to the end of the queue, in order; what each takes; when it has left."""
    _takes_s: list[float] = field(default_factory=list)
    _left_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Work out the bytes of a second, and how long the burst takes."""
        self._per_s = 125.0 * self.rate_kbit
        self._spare_s = self.burst_bytes / self._per_s

    def leaves_s(self, size: int, now_s: float) -> float | None:
        """Return when the last bit of a packet that comes now has left; None where it finds no room, and is dropped."""
        comes, takes, left = self._comes_s, self._takes_s, self._left_s
        per_s, spare_s = self._per_s, self._spare_s
        takes_s = size / per_s
        comes_s = now_s + self._behind_s(now_s) if self.crosses else now_s
        place = bisect_right(comes, comes_s)
        begins_s = max(comes_s, left[place - 1]) if place else comes_s
        waits_s = begins_s - spare_s - now_s
        if waits_s > 0 and waits_s * per_s + size > self.buffer_bytes:
            return None
        left_s = begins_s + takes_s
        comes.insert(place, comes_s)
        takes.insert(place, takes_s)
        left.insert(place, left_s)
        place, free_s, count = place + 1, left_s, len(left)
        while place < count and comes[place] < free_s:
            left[place] = free_s = free_s + takes[place]
            place += 1
        if count > _MOST:
            for known in (comes, takes, left):
                del known[: _MOST // 2]
        return max(now_s, left_s - spare_s)

    def _behind_s(self, now_s: float) -> float:
        """Return how long a packet waits for what somebody else sends."""
        place = bisect_right(self.crosses, now_s, key=_since_s) - 1
        if place < 0 or self.sawtooth is None:
            return 0.0
        cross = self.crosses[place]
        return max(0.0, min(self.sawtooth.wait_s(now_s - cross.since_s), cross.until_s - now_s))


def _since_s(cross: Cross) -> float:
    return cross.since_s
