"""The two ends of the bump in the wire: an AF_PACKET socket on each interface. Thin.

It must never send anything of its own, and never be opened on an interface outside of a test's namespace.
"""

import contextlib
import fcntl
import socket
import struct
from array import array
from pathlib import Path
from typing import Final

from tests.nation.censor.offload import HEADER

_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_VNET_HDR: Final = 15
_PACKET_IGNORE_OUTGOING: Final = 23
_PROMISCUOUS: Final = 1
_ETH_P_ALL: Final = 3
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_BUFFER_BYTES: Final = 16 << 20
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_SIOCETHTOOL: Final = 0x8946
# Receive and transmit checksums, scatter-gather, TCP segmentation, generic segmentation and receive (linux/ethtool.h).
_OFFLOADS: Final = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
BUFFER_BYTES: Final = HEADER.size + 14 + 65535 + 1
"""What the longest frame needs."""


class WireError(OSError):
    """An interface cannot be used. The message says which and why."""


def open_end(interface: str) -> socket.socket:
    """Return a socket that takes every frame arriving at `interface`, each behind its offload header.

    Brings the interface up, takes IPv6 and its offloads off it. Raises `WireError`.
    """
    try:
        _prepare(interface)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
            _enlarge(sock, option)
        sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        membership = struct.pack("=iHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
        sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        sock.bind((interface, _ETH_P_ALL))
    except OSError as error:
        raise WireError(f"interface {interface}: {(error.strerror or str(error)).lower()}") from error
    return sock


def send(sock: socket.socket, data: bytes | memoryview) -> None:
    """Send a frame behind its offload header. What the interface does not take is lost, as on a full or cut line."""
    with contextlib.suppress(OSError):
        sock.send(data)


def take(sock: socket.socket, buffer: memoryview) -> int:
    """Receive one frame into `buffer`; return its length with header, 0 for none waiting."""
    try:
        return sock.recv_into(buffer)
    except OSError:  # nothing there, or the interface is down for now
        return 0


def hurry() -> None:
    """Wake when asked to, not up to 50 µs later: a delay is to be as long as the rule says."""
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")


def _enlarge(sock: socket.socket, option: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    except PermissionError:  # in a user namespace; then as much as everybody may
        plain = socket.SO_SNDBUF if option == _SO_SNDBUFFORCE else socket.SO_RCVBUF
        sock.setsockopt(socket.SOL_SOCKET, plain, _BUFFER_BYTES)


def _prepare(interface: str) -> None:
    with contextlib.suppress(OSError):  # IPv6 may be off altogether
        Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1", encoding="ascii")
    offloads_off(interface)
    name = interface.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", name, 0))
        (flags,) = struct.unpack_from("=H", answer, 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name, flags | _IFF_UP))


def offloads_off(interface: str) -> None:
    """Have the kernel itself fill in checksums and cut packets to size before they leave by `interface`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS:
            value = array("B", struct.pack("=II", command, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):  # a kind of interface without that offload
                fcntl.ioctl(control, _SIOCETHTOOL, request)
