"""What the kernel says of a socket's connection, by the names of `firmware.net.tcp_info`. It must never open a socket."""

import socket
from collections.abc import Mapping
from typing import Final, Protocol

from firmware.net.kernel import TCP_INFO_BYTES
from firmware.net.tcp_info import parse

_TCP_CONGESTION: Final = 13


class HasOptions(Protocol):
    """What can be asked for a socket's options: a socket, or asyncio's view of one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return an option's bytes."""


def of(sock: HasOptions) -> Mapping[str, int]:
    """Return what the kernel says of a connection now. Raises `OSError` where it is closed."""
    return parse(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES))


def congestion_control(sock: HasOptions) -> str:
    """Return which congestion control the connection's sender goes by. Raises `OSError` where it is closed."""
    return sock.getsockopt(socket.IPPROTO_TCP, _TCP_CONGESTION, 16).rstrip(b"\0").decode("ascii", "replace")
