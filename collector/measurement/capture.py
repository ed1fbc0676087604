"""The headers of one connection's packets, as this machine's kernel sends and receives them: an AF_PACKET socket and its ring. Thin.

The ring is all there is: the kernel writes into it while the transfer runs, nobody reads meanwhile, and when it is full the kernel
drops the rest. So it costs the same for every flow, and takes no time from what is measured. It needs CAP_NET_RAW. It must never
hold a byte of payload or a packet of another flow: `flow_filter` stands before the socket is bound, and cannot be taken off.
"""

import ctypes
import ipaddress
import mmap
import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

from collector.measurement.capability import net_raw
from collector.measurement.flow_filter import FlowEnds, IPAddress, flow_filter
from collector.measurement.headers import read_headers
from firmware.judgement.throttling.sent_packets import HeaderSeen

FRAMES: Final = 8192
"""How many packets of a flow are kept, both ways together."""
FRAME_BYTES: Final = 256
_BLOCK_BYTES: Final = 1 << 16
RING_BYTES: Final = FRAMES * FRAME_BYTES

_SOL_PACKET: Final = 263
_PACKET_RX_RING: Final = 5
_PACKET_VERSION: Final = 10
_TPACKET_V2: Final = 1
_SO_ATTACH_FILTER: Final = 26
_SO_LOCK_FILTER: Final = 44
_ETH_P_ALL: Final = 3
_TP_STATUS_USER: Final = 1
_OUTGOING: Final = 4
_HEADER: Final = struct.Struct("=IIIHHII")
"""The beginning of `struct tpacket2_hdr`: status, length, length here, two offsets, seconds, nanoseconds."""
_ADDRESS: Final = struct.Struct("=HHiHB")
"""The beginning of `struct sockaddr_ll`, at 32: family, protocol, interface, hardware, type."""
_ADDRESS_AT: Final = 32


@dataclass(slots=True, eq=False)
class FlowCapture:
    """The packets of one flow from now on. `close` it."""

    _sock: socket.socket
    _ring: mmap.mmap

    @classmethod
    def of(cls, connection: socket.socket) -> Self:
        """Begin, for a connected TCP socket. Raises `OSError`: `PermissionError` where CAP_NET_RAW is not had."""
        ends = ends_of(connection)
        with net_raw():
            # No protocol: it hears nothing until it is bound.
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        try:
            _attach(sock, flow_filter(ends))
            sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
            ring = struct.pack("=IIII", _BLOCK_BYTES, RING_BYTES // _BLOCK_BYTES, FRAME_BYTES, FRAMES)
            sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
            mapped = mmap.mmap(sock.fileno(), RING_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
            _bind_everywhere(sock)
        except BaseException:
            sock.close()
            raise
        return cls(sock, mapped)

    def close(self) -> None:
        """Let go of it."""
        self._ring.close()
        self._sock.close()

    def seen(self) -> list[HeaderSeen]:
        """Return what was seen so far, each way on the interface on which it was seen first: a bond shows it again on another."""
        found: list[HeaderSeen] = []
        interfaces: dict[bool, int] = {}
        for at in range(0, RING_BYTES, FRAME_BYTES):
            status, whole, here, _, begins, seconds, nanoseconds = _HEADER.unpack_from(self._ring, at)
            if not status & _TP_STATUS_USER:
                break
            _, _, interface, _, kind = _ADDRESS.unpack_from(self._ring, at + _ADDRESS_AT)
            is_sent = kind == _OUTGOING
            raw = self._ring[at + begins : at + begins + min(here, FRAME_BYTES - begins)]
            at_ns = seconds * 1_000_000_000 + nanoseconds
            one = read_headers(raw, at_ns=at_ns, is_sent=is_sent, whole_bytes=whole)
            if one is not None and interfaces.setdefault(is_sent, interface) == interface:
                found.append(one)
        return found


def ends_of(connection: socket.socket) -> FlowEnds:
    """Return the ends of a connected socket. Raises `OSError` where it is not connected."""
    local, peer = connection.getsockname(), connection.getpeername()
    return FlowEnds(local=_plain(local[0]), local_port=local[1], peer=_plain(peer[0]), peer_port=peer[1])


def _plain(text: str) -> IPAddress:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _attach(sock: socket.socket, instructions: bytes) -> None:
    held = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(held))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)


def _bind_everywhere(sock: socket.socket) -> None:
    """Hear every interface: Python's own `bind` knows only one."""
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)) != 0:
        raise OSError(ctypes.get_errno(), "bind")
