"""What a sender's own packets tell of each segment: when it was sent, whether it was lost, how long its answer took. Pure.

    headers that were seen (sent, received) ──▶ SenderTrace

A segment is lost where its bytes were sent again and the receiver did not say (by a D-SACK, RFC 2883) that it had got them
twice. Packets that the kernel hands to the network card uncut are cut here, into segments of the connection's size. Sequence numbers
wrap; what is here counts from the first byte. This file must never look at a clock or a socket.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSeen:
    """What is kept of a packet: its direction, and what its TCP header says. `sacks` are edges as they stand there."""

    at_ns: int
    is_sent: bool
    sequence: int
    acknowledged: int
    payload_bytes: int
    sacks: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True, kw_only=True)
class SentSegment:
    """One transmission of a segment. `rtt_s` is None where nothing tells it: it was lost, sent again, or not answered."""

    at_s: float
    start: int
    payload_bytes: int
    lost: bool = False
    rtt_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderTrace:
    """What was sent, in its order, and how many bytes the receiver had said to have by when (holes not counted)."""

    segments: tuple[SentSegment, ...]
    delivered: tuple[tuple[float, int], ...]


def trace_of(seen: Iterable[HeaderSeen], segment_bytes: int) -> SenderTrace:
    """Return what packets in the order of their times tell; segments have `segment_bytes` at most."""
    reading = _Reading(segment_bytes=max(1, segment_bytes))
    for one in seen:
        if one.is_sent:
            reading.send(one)
        else:
            reading.receive(one)
    return SenderTrace(segments=tuple(reading.sent), delivered=tuple(reading.delivered))


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What was read so far. `firsts` are the segments as sent first, `latest` the last transmission of each, by place."""

    segment_bytes: int
    base: int | None = None
    began_ns: int = 0
    sent: list[SentSegment] = field(default_factory=list)
    delivered: list[tuple[float, int]] = field(default_factory=list)
    firsts: list[SentSegment] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    latest: list[SentSegment] = field(default_factory=list)
    before: dict[int, list[SentSegment]] = field(default_factory=dict)
    """By place, the transmissions before the latest."""
    arrived: list[bool] = field(default_factory=list)
    answered: int = 0
    """How many places, from the first on, have all arrived."""
    total: int = 0
    least_s: float = float("inf")

    def send(self, one: HeaderSeen) -> None:
        """Take what was sent."""
        if not one.payload_bytes:
            return
        if self.base is None:
            self.base, self.began_ns = one.sequence, one.at_ns
        start = self._offset(one.sequence)
        if start < 0:
            return  # a keep-alive, or from before the first that was seen
        for at in range(start, start + one.payload_bytes, self.segment_bytes):
            size = min(self.segment_bytes, start + one.payload_bytes - at)
            segment = SentSegment(at_s=self._at(one), start=at, payload_bytes=size)
            self.sent.append(segment)
            if at >= self._end():
                self.starts.append(at)
                self.firsts.append(segment)
                self.latest.append(segment)
                self.arrived.append(False)
            else:
                self._send_again(segment)

    def receive(self, one: HeaderSeen) -> None:
        """Take an acknowledgement."""
        if self.base is None:
            return
        upto = self._offset(one.acknowledged)
        if upto > self._end():
            return
        sacks = [(self._offset(low), self._offset(high)) for low, high in one.sacks]
        if sacks and _is_duplicate(sacks, upto):
            for place in self._places(*sacks.pop(0)):
                self._was_there(place)
        before, newest = self.total, -1
        while self.answered < len(self.firsts) and self._ends(self.answered) <= upto:
            newest = self._arrive(self.answered, newest)
            self.answered += 1
        for low, high in sacks:
            for place in self._places(low, high):
                newest = self._arrive(place, newest)
        if newest >= 0:
            self._answer(newest, self._at(one))
        if self.total > before:
            self.delivered.append((self._at(one), self.total))

    def _send_again(self, segment: SentSegment) -> None:
        """Take a retransmission: the transmissions before it of what it holds count as lost, until a D-SACK says otherwise."""
        for place in self._places(segment.start, segment.start + segment.payload_bytes, whole=False):
            if self.arrived[place]:
                continue  # acknowledged already: it was sent for nothing
            self.latest[place].lost = True
            self.before.setdefault(place, []).append(self.latest[place])
            self.latest[place] = segment

    def _answer(self, place: int, at_s: float) -> None:
        """Note how long the answer to the newest took. What was sent again may be answered for its first time: then it is too short."""
        segment = self.latest[place]
        took_s = at_s - segment.at_s
        if segment is self.firsts[place]:
            self.least_s = min(self.least_s, took_s)
        elif took_s < self.least_s:
            return
        segment.rtt_s = took_s

    def _arrive(self, place: int, newest: int) -> int:
        """Note that a place arrived; return the newest place of which that is news."""
        if self.arrived[place]:
            return newest
        self.arrived[place] = True
        self.total += self.firsts[place].payload_bytes
        return max(newest, place)

    def _was_there(self, place: int) -> None:
        """Take back one loss of a place: the receiver got it twice."""
        if earlier := self.before.get(place):
            earlier.pop().lost = False

    def _places(self, low: int, high: int, *, whole: bool = True) -> Iterator[int]:
        """Yield the places that lie in a range of bytes; with `whole` off also those of which half or more does."""
        for place in range(max(0, bisect_right(self.starts, low) - 1), len(self.starts)):
            start, end = self.starts[place], self._ends(place)
            if start >= high:
                return
            inside = min(end, high) - max(start, low)
            if inside >= end - start or (not whole and 2 * inside >= end - start):
                yield place

    def _ends(self, place: int) -> int:
        return self.starts[place] + self.firsts[place].payload_bytes

    def _end(self) -> int:
        return self._ends(len(self.firsts) - 1) if self.firsts else 0

    def _offset(self, sequence: int) -> int:
        """Return how far a number is from the first byte, taken as near to what was sent last as can be."""
        assert self.base is not None
        near = self._end()
        away = (sequence - self.base - near) % _WRAP
        return near + (away - _WRAP if away >= _WRAP // 2 else away)

    def _at(self, one: HeaderSeen) -> float:
        return (one.at_ns - self.began_ns) / 1e9


def _is_duplicate(sacks: list[tuple[int, int]], upto: int) -> bool:
    """Return whether the first block is a D-SACK: below what is acknowledged, or inside of the second."""
    low, high = sacks[0]
    return high <= upto or (len(sacks) > 1 and sacks[1][0] <= low and high <= sacks[1][1])
