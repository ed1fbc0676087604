"""One device's UDP session: what of a datagram counts, what is answered, and when a flow may begin. Pure, with the time as an argument.

It must never answer with more bytes than it was sent, nor let a flow go to an address that has not shown that it receives what
is sent there: whoever forges a victim's address, even with a datagram that was recorded, gets nothing for it. Nothing is counted or
answered twice: numbers that came before are dropped, within the last `WINDOW` of their kind.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from firmware.wire.measurement_udp import (
    COOKIE_BYTES,
    LEAST_ASKED_BYTES,
    MAX_BYTES,
    DatagramKind,
    SessionDatagram,
    least_bytes,
    read,
    write,
)

Address: TypeAlias = tuple[str, int]
"""Host and port, as the kernel says them."""

WINDOW: Final = 1024
COOKIE_S: Final = 30
"""How long a cookie counts: this, up to twice this."""
STALE_S: Final = 2.0
"""A flow whose receiver is not heard for so long ends."""
_NS: Final = 1_000_000_000


@dataclass(slots=True)
class _Seen:
    """Which numbers have come: all up to `highest`, by one bit each for the last `WINDOW`."""

    highest: int = -1
    bits: int = 0

    def is_new(self, number: int) -> bool:
        """Return whether `number` comes for the first time, and take note of it; one too old to tell does not."""
        ahead = number - self.highest
        if ahead > 0:
            self.bits = ((self.bits << min(ahead, WINDOW)) | 1) & ((1 << WINDOW) - 1)
            self.highest = number
            return True
        if -ahead >= WINDOW or self.bits >> -ahead & 1:
            return False
        self.bits |= 1 << -ahead
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOrder:
    """A flow that was asked for by who receives at `address`: `count_bytes` in datagrams of `size`, at `rate` bytes/s."""

    address: Address
    number: int
    count_bytes: int
    size: int
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What follows of a datagram: one datagram to where it came from, a flow, both or nothing."""

    answer: bytes | None = None
    flow: FlowOrder | None = None


NOTHING: Final = Reaction()


@dataclass(slots=True, kw_only=True)
class UdpSession:
    """A session of `device`, with at most `max_bytes` in both directions together."""

    device: str
    nonce: str
    name: bytes
    key: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    """The server's, for cookies."""
    max_bytes: int
    max_rate: int
    ends_s: float
    bytes_in: int = 0
    bytes_out: int = 0
    echoes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    flow: int = 0
    """The flow that goes on, or went last; a flow's number is higher than every one before."""
    flow_got: int = 0
    flow_sent: int = 0
    flow_heard_s: float = 0.0
    flow_address: Address = ("", 0)
    flow_ended: bool = True
    _echoes: _Seen = field(default_factory=_Seen)
    _asks: _Seen = field(default_factory=_Seen)
    _sents: _Seen = field(default_factory=_Seen)
    _gots: _Seen = field(default_factory=_Seen)

    @property
    def spent(self) -> int:
        """How many bytes it took so far, both ways."""
        return self.bytes_in + self.bytes_out

    def take(self, data: bytes, address: Address, *, came_ns: int, now_ns: int, now_s: float) -> Reaction:
        """Take a datagram; `came_ns` and `now_ns` are UTC, `now_s` is monotonic."""
        datagram = read(data, self.key)
        if datagram is None or now_s >= self.ends_s or self.spent + 2 * datagram.size > self.max_bytes:
            return NOTHING
        reaction = self._react(datagram, address, came_ns=came_ns, now_ns=now_ns, now_s=now_s)
        if reaction is None:
            return NOTHING
        self.bytes_in += datagram.size
        self.bytes_out += len(reaction.answer or b"")
        return reaction

    def data(self, order: FlowOrder, number: int, *, now_ns: int, now_s: float) -> bytes | None:
        """Return the next datagram of a flow, None where it has ended."""
        left = self.max_bytes - self.spent
        is_heard = now_s - self.flow_heard_s <= STALE_S
        if (
            self.flow_ended
            or order.number != self.flow
            or not is_heard
            or order.size > left
            or now_s >= self.ends_s
        ):
            if order.number == self.flow:
                self.flow_ended = True
            return None
        self.bytes_out += order.size
        self.flow_sent += 1
        return write(self.name, self.key, DatagramKind.DATA, order.number, number, now_ns, size=order.size)

    def _react(
        self, datagram: SessionDatagram, address: Address, *, came_ns: int, now_ns: int, now_s: float
    ) -> Reaction | None:
        """Return what follows; None where it does not count."""
        match datagram.kind, datagram.values:
            case DatagramKind.ECHO, (int(number),) if self._is_asked(datagram, self._echoes, number):
                self.echoes += 1
                return self._answer(datagram, DatagramKind.ECHOED, number, self.echoes, came_ns, now_ns)
            case DatagramKind.ASK, (int(number),) if self._is_asked(datagram, self._asks, number):
                highest = max(self._sents.highest, 0)
                told = (number, self.sent, self.sent_bytes, highest, self.first_ns, self.last_ns)
                return self._answer(datagram, DatagramKind.TOLD, *told)
            case DatagramKind.CONFIRM, () if datagram.size >= LEAST_ASKED_BYTES:
                return self._answer(datagram, DatagramKind.ADDRESS, self._cookie(address, now_s, ago=0))
            case DatagramKind.SENT, (int(number),) if self._sents.is_new(number):
                self.sent += 1
                self.sent_bytes += datagram.size
                self.first_ns = self.first_ns or came_ns
                self.last_ns = came_ns
                return NOTHING
            case DatagramKind.GOT, (int(number), int(got), int(count), int(ends)) if (
                number == self.flow and address == self.flow_address and self._gots.is_new(got)
            ):
                self.flow_got = max(self.flow_got, count)
                self.flow_heard_s = now_s
                self.flow_ended = self.flow_ended or ends == 1
                return NOTHING
            case DatagramKind.FLOW, (bytes(cookie), int(number), int(count), int(size), int(rate)):
                return self._begin(cookie, address, now_s, (number, count, size, rate))
            case _:
                return None

    def _begin(
        self, cookie: bytes, address: Address, now_s: float, asked: tuple[int, int, int, int]
    ) -> Reaction | None:
        number, count, size, rate = asked
        proven = any(hmac.compare_digest(cookie, self._cookie(address, now_s, ago=ago)) for ago in (0, 1))
        if not proven or number <= self.flow or not self.flow_ended:
            return None
        if not least_bytes(DatagramKind.DATA) <= size <= MAX_BYTES or rate < 1 or count < size:
            return None
        self.flow, self.flow_got, self.flow_sent = number, 0, 0
        self.flow_address, self._gots = address, _Seen()
        self.flow_heard_s, self.flow_ended = now_s, False
        order = FlowOrder(
            address=address, number=number, count_bytes=count, size=size, rate=min(rate, self.max_rate)
        )
        return Reaction(flow=order)

    def _is_asked(self, datagram: SessionDatagram, seen: _Seen, number: int) -> bool:
        return datagram.size >= LEAST_ASKED_BYTES and seen.is_new(number)

    def _answer(self, asked: SessionDatagram, kind: DatagramKind, *values: int | bytes) -> Reaction:
        return Reaction(answer=write(self.name, self.key, kind, *values, size=asked.size))

    def _cookie(self, address: Address, now_s: float, *, ago: int) -> bytes:
        """Return what shows that one receives at `address`: of the present span of time, or of the one before."""
        span = int(now_s // COOKIE_S) - ago
        text = f"{span} {address[0]} {address[1]} ".encode() + self.name
        return hashlib.blake2s(text, digest_size=COOKIE_BYTES, key=self.secret).digest()
