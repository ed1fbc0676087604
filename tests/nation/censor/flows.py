"""What is remembered of each flow: who opened it, what was seen in it, what rules have made of it. Pure.

A flow is known by its two ends, its ports and its protocol, from either side. This file must never grow without
end: flows that are silent or too many are forgotten.
"""

from dataclasses import dataclass, field
from typing import Final

from tests.nation.censor.model import Rule
from tests.nation.censor.packets import ACK, ICMP, ICMP6, RST, SYN, TCP, UDP, Packet

MOST: Final = 65536
_IDLE_NS: Final = {TCP: 3600 * 10**9, UDP: 180 * 10**9}
_OTHER_IDLE_NS: Final = 60 * 10**9
_WELL_KNOWN: Final = 1024
_GIVEN_OUT: Final = 32768
_ECHO_REPLIES: Final = (0, 129)
_HALF: Final = 1 << 31
_WRAP: Final = 1 << 32


@dataclass(slots=True, eq=False)
class Flow:
    """One flow. The opener is who began it; `up` says that the opener is inside.

    `candidates` are the rules that may concern it, as of `generation`. `edge` and `due` hold, for up and for
    down, how far its TCP stream was forwarded and when the last packet leaves.
    """

    opener: bytes
    responder: bytes
    opener_port: int
    port: int
    proto: int
    up: bool
    first_ns: int
    last_ns: int
    sequence: int = 0
    generation: int = -1
    candidates: tuple[Rule, ...] = ()
    sni: str | None = None
    host: str | None = None
    qname: str | None = None
    marks: set[str] = field(default_factory=set)
    done: dict[str, int] = field(default_factory=dict)
    noted: set[tuple[str, str]] = field(default_factory=set)
    edge: dict[bool, int] = field(default_factory=dict)
    due: dict[bool, int] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)
    lots: dict[str, bool] = field(default_factory=dict)
    stream: bytearray | None = None
    stream_next: int = 0
    carried: int = 0
    """Bytes of data that its opener sent."""

    def is_opener(self, packet: Packet) -> bool:
        """Return whether the flow's opener sent this packet."""
        return packet.up == self.up

    def forwarded(self, packet: Packet, due_ns: int) -> None:
        """Note that the packet goes on, at `due_ns`."""
        self.due[packet.up] = max(due_ns, self.due.get(packet.up, 0))
        if packet.proto == TCP and not packet.flags & RST:
            end = (packet.sequence + packet.spent) % _WRAP
            self.edge[packet.up] = later(self.edge.get(packet.up, end), end)


def later(one: int, other: int) -> int:
    """Return the later of two sequence numbers, which wrap around."""
    return other if (other - one) % _WRAP < _HALF else one


def quick_key(frame: bytes) -> bytes | None:
    """Return the key of a plain TCP or UDP packet, and None for everything that needs a longer look.

    A TCP packet that opens a flow needs one too.
    """
    head = frame[12:15]
    if head == b"\x08\x00E":
        proto = frame[23]
        if (
            ((proto == TCP and not frame[47] & SYN) or proto == UDP)
            and not frame[20] & 0x3F
            and not frame[21]
        ):
            return frame[26:38] + frame[23:24]
    elif head[:2] == b"\x86\xdd" and ((frame[20] == TCP and not frame[67] & SYN) or frame[20] == UDP):
        return frame[22:58] + frame[20:21]
    return None


class FlowTable:
    """All flows that are remembered."""

    def __init__(self) -> None:
        self._flows: dict[bytes, Flow] = {}

    def __len__(self) -> int:
        return len(self._flows) // 2

    def get(self, key: bytes) -> Flow | None:
        """Return the flow of `quick_key`, None for a new one."""
        return self._flows.get(key)

    def of(self, packet: Packet, now_ns: int) -> Flow:
        """Return the packet's flow, a new one where it opens one."""
        key, turned = _keys(packet)
        flow = self._flows.get(key)
        opens = packet.proto == TCP and packet.flags & (SYN | ACK) == SYN
        if flow is None or (opens and packet.sequence != flow.sequence):
            flow = _new(packet, now_ns)
            if len(self._flows) >= 2 * MOST:
                self._forget_oldest()
            self._flows[key] = self._flows[turned] = flow
        flow.last_ns = now_ns
        return flow

    def sweep(self, now_ns: int) -> None:
        """Forget the flows that have been silent for long."""
        old = [
            key
            for key, flow in self._flows.items()
            if now_ns - flow.last_ns > _IDLE_NS.get(flow.proto, _OTHER_IDLE_NS)
        ]
        for key in old:
            del self._flows[key]

    def all(self) -> set[Flow]:
        """Return every flow."""
        return set(self._flows.values())

    def _forget_oldest(self) -> None:
        flows = sorted(self.all(), key=lambda flow: flow.last_ns)
        kept = set(flows[len(flows) // 2 :])
        self._flows = {key: flow for key, flow in self._flows.items() if flow in kept}


def _keys(packet: Packet) -> tuple[bytes, bytes]:
    near, far = packet.sport.to_bytes(2, "big"), packet.dport.to_bytes(2, "big")
    proto = bytes((packet.proto,))
    return (
        packet.source + packet.target + near + far + proto,
        packet.target + packet.source + far + near + proto,
    )


def _new(packet: Packet, now_ns: int) -> Flow:
    answered = _is_answer(packet)
    ends = (packet.target, packet.source) if answered else (packet.source, packet.target)
    ports = (packet.dport, packet.sport) if answered else (packet.sport, packet.dport)
    return Flow(
        opener=ends[0],
        responder=ends[1],
        opener_port=ports[0],
        port=ports[1],
        proto=packet.proto,
        up=packet.up != answered,
        first_ns=now_ns,
        last_ns=now_ns,
        sequence=packet.sequence,
    )


def _is_answer(packet: Packet) -> bool:
    """Return whether a flow's first packet that was seen goes to its opener: it may have begun before anybody looked.

    Without a SYN the ports tell: a service has a well-known one, or at least none of those given out in passing.
    """
    if packet.proto == TCP and packet.flags & SYN:
        return bool(packet.flags & ACK)
    if packet.proto in (ICMP, ICMP6):
        return packet.kind in _ECHO_REPLIES
    for limit in (_WELL_KNOWN, _GIVEN_OUT) if packet.proto == TCP else (_WELL_KNOWN,):
        if (packet.sport < limit) != (packet.dport < limit):
            return packet.sport < limit
    return False
