"""The kernel's filter (classic BPF) that lets the headers of one TCP flow through, each way, and nothing else. Pure.

It is attached before a socket is bound, so that no other packet is ever seen. What it returns is how much of a packet is copied: the IP and TCP
headers to the byte, so that no payload is ever copied. Sent packets count as they leave and received ones as they come in: on the loopback each is both.
"""

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

IPAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

# linux/filter.h, linux/bpf_common.h
_LD_W: Final = 0x20
_LD_H: Final = 0x28
_LD_B: Final = 0x30
_LD_H_X: Final = 0x48
_LD_B_X: Final = 0x50
_LDX_HEADER: Final = 0xB1
"""X becomes four times the lower half of a byte: the length of an IPv4 header."""
_LDX: Final = 0x01
_JEQ: Final = 0x15
_JSET: Final = 0x45
_AND: Final = 0x54
_SHIFT: Final = 0x74
_ADD_X: Final = 0x0C
_RETURN: Final = 0x06
_RETURN_A: Final = 0x16
_ETHERTYPE: Final = 0xFFFFF000
_PACKET_TYPE: Final = 0xFFFFF004
_OUTGOING: Final = 4
"""PACKET_OUTGOING (linux/if_packet.h)."""
_TCP: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEnds:
    """The two ends of a TCP connection."""

    local: IPAddress
    local_port: int
    peer: IPAddress
    peer_port: int


@dataclass(slots=True)
class _Program:
    """Instructions with labels to jump to, forward only."""

    steps: list[tuple[int, int, str, str]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def do(self, code: int, value: int) -> None:
        self.steps.append((code, value, "", ""))

    def unless(self, value: int, label: str) -> None:
        """Go to `label` where A is not `value`."""
        self.steps.append((_JEQ, value, "", label))

    def where(self, code: int, value: int, label: str) -> None:
        """Go to `label` where the comparison holds."""
        self.steps.append((code, value, label, ""))

    def label(self, name: str) -> None:
        self.labels[name] = len(self.steps)

    def assembled(self) -> bytes:
        def far(at: int, label: str) -> int:
            return self.labels[label] - at - 1 if label else 0

        return b"".join(
            struct.pack("=HBBI", code, far(at, true), far(at, false), value)
            for at, (code, value, true, false) in enumerate(self.steps)
        )


def flow_filter(ends: FlowEnds) -> bytes:
    """Return the instructions (`struct sock_filter`) for a socket without link-layer headers."""
    program = _Program()
    program.do(_LD_W, _ETHERTYPE)
    if ends.local.version == 4:
        program.unless(0x0800, "nothing")
        program.do(_LD_B, 9)
        program.unless(_TCP, "nothing")
        program.do(_LD_H, 6)
        program.where(_JSET, 0x3FFF, "nothing")  # a fragment
        program.do(_LDX_HEADER, 0)
        source, target = 12, 16
    else:
        program.unless(0x86DD, "nothing")
        program.do(_LD_B, 6)
        program.unless(_TCP, "nothing")
        program.do(_LDX, 40)
        source, target = 8, 24
    there = ((source, ends.local), (target, ends.peer))
    _same(program, there, (ends.local_port, ends.peer_port), "received")
    program.do(_LD_W, _PACKET_TYPE)
    program.where(_JEQ, _OUTGOING, "headers")
    program.label("received")
    back = ((source, ends.peer), (target, ends.local))
    _same(program, back, (ends.peer_port, ends.local_port), "nothing")
    program.do(_LD_W, _PACKET_TYPE)
    program.where(_JEQ, _OUTGOING, "nothing")
    program.label("headers")
    program.do(_LD_B_X, 12)
    program.do(_AND, 0xF0)
    program.do(_SHIFT, 2)
    program.do(_ADD_X, 0)
    program.do(_RETURN_A, 0)
    program.label("nothing")
    program.do(_RETURN, 0)
    return program.assembled()


def _same(
    program: _Program, addresses: tuple[tuple[int, IPAddress], ...], ports: tuple[int, int], otherwise: str
) -> None:
    """Go to `otherwise` unless a packet has these addresses and ports."""
    for at, address in addresses:
        for part, (word,) in enumerate(struct.iter_unpack("!I", address.packed)):
            program.do(_LD_W, at + 4 * part)
            program.unless(word, otherwise)
    for at, port in zip((0, 2), ports, strict=True):
        program.do(_LD_H_X, at)
        program.unless(port, otherwise)
