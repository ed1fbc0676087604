"""The table of a traced path: which probe goes next, what each brought, when there is no more to ask. Pure.

A first pass asks every hop once, a few hops ahead of what has answered, so that a near end is not flooded by
probes meant for routers behind it (Linux answers six in a burst, of some errors five, and then one a second). The further
queries follow as a hop answers, or after `RETRY_NS`, so that silent hops are waited for side by side. An answer
that comes after its time-out still counts: a router may take three seconds to say that a host is not there.

Where answers do not tell which probe they are for, the table goes on one probe at a time (`go_single`). This
file must never see a socket or a clock: every time (CLOCK_BOOTTIME, ns) is an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from firmware.model.record import Phase

AHEAD: Final = 3
"""How many first probes may wait for their answers at once."""
FRESH_NS: Final = 500_000_000
"""A first probe that has waited this long no longer holds up those behind it."""
RETRY_NS: Final = 300_000_000
"""When a hop that has not answered is asked again."""
SPACING_NS: Final = 50_000_000
"""How long after a hop's probe its next one goes at the earliest."""
LOOP_SIGHTINGS: Final = 3
"""A router seen at this many places of a path, with others between, is a loop."""


class HopKind(StrEnum):
    """What an answer says of the path."""

    PASSED = "passed"
    """A router on the way: TTL exceeded."""
    REACHED = "reached"
    """The target's own answer."""
    ENDED = "ended"
    """Somebody says that it goes no further: unreachable, prohibited, too big."""


class End(StrEnum):
    """Why a trace ended."""

    REACHED = "reached"
    UNREACHABLE = "unreachable"
    LOOP = "loop"
    GAP_LIMIT = "gap_limit"
    MAX_HOPS = "max_hops"
    DEADLINE = "deadline"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class HopReply:
    """What one probe brought. `ttl` is the answer's own as it arrived, `mtu` what a too-big error says (0: nothing).

    `rtt` is None where it cannot be known; `failure` is the word of an ICMP error, None for the target's own answer; `icmp` its type and code.
    """

    address: str
    kind: HopKind
    rtt: Phase | None
    ttl: int | None = None
    failure: str | None = None
    icmp: tuple[int, int] | None = None
    mtu: int = 0
    kernel_arrival: bool = False
    """Of a time whose class is `user`: only the sending is this process's, the arrival has the kernel's stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far to go: hops at most, queries a hop, silent hops in a row to give up after, the time-out of a probe."""

    max_hops: int
    queries: int
    gap: int
    timeout_ns: int


@dataclass(slots=True)
class Slot:
    """One probe of one hop: when it went (None: not yet), when it had waited enough, its answer."""

    sent_ns: int | None = None
    expired: bool = False
    answer: HopReply | None = None

    @property
    def tried(self) -> bool:
        """Whether it need not be sent (again)."""
        return self.sent_ns is not None or self.answer is not None

    @property
    def in_flight(self) -> bool:
        """Whether an answer may still be waited for."""
        return self.sent_ns is not None and not self.expired and self.answer is None


@dataclass(slots=True)
class HopTable:
    """The path so far: a row of slots for each hop, hop 1 first. `single` allows one probe in flight."""

    limits: Limits
    single: bool = False
    rows: list[list[Slot]] = field(default_factory=list)
    _not_before_ns: int = 0

    def __post_init__(self) -> None:
        self.rows = [[Slot() for _ in range(self.limits.queries)] for _ in range(self.limits.max_hops)]

    def ceiling(self) -> int:
        """Return the last hop worth asking, from what has answered."""
        ends = [hop for hop, slots in self._hops() if any(_ends(slot) for slot in slots)]
        loop = self.loop_at()
        heard = max((hop for hop, slots in self._hops() if any(slot.answer for slot in slots)), default=0)
        near = [*ends[:1], *([] if loop is None else [loop])]
        return min(self.limits.max_hops, heard + self.limits.gap, *near)

    def loop_at(self) -> int | None:
        """Return the hop at which a router was met for the third time with others between, None without a loop."""
        sightings: dict[str, list[int]] = {}
        heard = [(hop, _passed_by(slots)) for hop, slots in self._hops()]
        before: frozenset[str] = frozenset()
        for hop, addresses in heard:
            for address in addresses - before:
                sightings.setdefault(address, []).append(hop)
                if len(sightings[address]) == LOOP_SIGHTINGS:
                    return hop
            before = addresses or before
        return None

    def next_probe(self, now_ns: int) -> tuple[int, int] | None:
        """Return the hop and query to send now, None while none may go."""
        if now_ns < self._not_before_ns:
            return None
        flying = [slot for _, slots in self._asked() for slot in slots if slot.in_flight]
        if self.single and flying:
            return None
        ahead = sum(
            slots[0].in_flight and not _older(slots[0], FRESH_NS, now_ns) for _, slots in self._asked()
        )
        for query in range(self.limits.queries):
            for hop, slots in self._asked():
                if not slots[query].tried and self._may_go(slots, query, ahead, now_ns):
                    return hop, query
        return None

    def sent(self, hop: int, query: int, now_ns: int) -> None:
        """Note that a probe went."""
        self.rows[hop - 1][query].sent_ns = now_ns

    def answered(self, hop: int, query: int, answer: HopReply) -> None:
        """Note what a probe brought; the first answer counts."""
        slot = self.rows[hop - 1][query]
        slot.answer = slot.answer or answer

    def expire(self, now_ns: int) -> None:
        """Let go of the probes that have waited for the time-out."""
        for _, slots in self._hops():
            for slot in slots:
                slot.expired |= _older(slot, self.limits.timeout_ns, now_ns)

    def wake_ns(self, now_ns: int) -> int:
        """Return when there is something to do at the latest, without an answer."""
        moments = [now_ns + SPACING_NS]
        for _, slots in self._asked():
            moments += [
                slot.sent_ns + self.limits.timeout_ns for slot in slots if slot.in_flight and slot.sent_ns
            ]
        return max(min(moments), self._not_before_ns)

    def go_single(self, now_ns: int) -> None:
        """Ask again, one at a time, what is in flight: its answers cannot be told apart. First let them come."""
        self.single = True
        self._not_before_ns = now_ns + self.limits.timeout_ns
        for _, slots in self._hops():
            for slot in slots:
                if slot.in_flight:
                    slot.sent_ns = None

    def only_flying(self) -> tuple[int, int] | None:
        """Return the one probe in flight, None where there are none or more than one."""
        flying = [
            (hop, query) for hop, slots in self._hops() for query, slot in enumerate(slots) if slot.in_flight
        ]
        return flying[0] if len(flying) == 1 else None

    def done(self) -> bool:
        """Return whether every probe worth sending was sent and has its answer or its time-out."""
        return all(
            slot.answer is not None or (slot.sent_ns is not None and slot.expired)
            for _, slots in self._asked()
            for slot in slots
        )

    def end(self) -> tuple[End, int]:
        """Return why there is no more to ask, and the hop where that is."""
        ceiling = self.ceiling()
        if not self.done():
            return End.DEADLINE, ceiling
        kinds = {slot.answer.kind for slot in self.rows[ceiling - 1] if slot.answer is not None}
        if HopKind.REACHED in kinds:
            return End.REACHED, ceiling
        if HopKind.ENDED in kinds:
            return End.UNREACHABLE, ceiling
        if self.loop_at() is not None:
            return End.LOOP, ceiling
        return (End.MAX_HOPS if ceiling == self.limits.max_hops else End.GAP_LIMIT), ceiling

    def answers(self) -> Iterator[HopReply]:
        """Yield every answer of a hop that counts, in the order of the path."""
        for _, slots in self._asked():
            yield from (slot.answer for slot in slots if slot.answer is not None)

    def kept(self) -> list[tuple[int, list[Slot]]]:
        """Return the hops to tell of: those asked, up to the ceiling."""
        return [(hop, slots) for hop, slots in self._asked() if any(slot.tried for slot in slots)]

    def _may_go(self, slots: list[Slot], query: int, ahead: int, now_ns: int) -> bool:
        if query == 0:
            return ahead < AHEAD
        before = slots[query - 1]
        waited_ns = SPACING_NS if before.answer is not None else RETRY_NS
        return before.sent_ns is not None and now_ns >= before.sent_ns + waited_ns

    def _hops(self) -> Iterator[tuple[int, list[Slot]]]:
        yield from enumerate(self.rows, start=1)

    def _asked(self) -> Iterator[tuple[int, list[Slot]]]:
        yield from enumerate(self.rows[: self.ceiling()], start=1)


def _ends(slot: Slot) -> bool:
    return slot.answer is not None and slot.answer.kind is not HopKind.PASSED


def _passed_by(slots: list[Slot]) -> frozenset[str]:
    return frozenset(
        slot.answer.address
        for slot in slots
        if slot.answer is not None and slot.answer.kind is HopKind.PASSED
    )


def _older(slot: Slot, age_ns: int, now_ns: int) -> bool:
    return slot.sent_ns is not None and slot.answer is None and now_ns >= slot.sent_ns + age_ns
