"""Reads a connection's TCP_INFO into its time line while a transfer runs, and once more when it has ended: the hand of `timeline`.

It holds a descriptor of its own, since asyncio closes its own when the other side does, and the kernel's last word is what
counts then. Until it is closed no FIN and no reset is sent: whoever opens one must close it before the connection is let go.
"""

import asyncio
import contextlib
import socket
import time
from typing import Final

from collector.measurement import tcp_info
from collector.measurement.timeline import TimeLine

_LOOK_S: Final = 0.02
_LOOK_MOST_S: Final = 0.2


class ConnectionSamples:
    """What the kernel says of the connection that `writer` writes to, from now on. `close` it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line = TimeLine()
        self.family = ""
        self.congestion_control = ""
        self.segment_bytes = 0
        self._reader = reader
        self._writer = writer
        self._began_ns = time.monotonic_ns()
        self._sock: socket.socket | None = None
        sock = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is closed already
            self._sock = None if sock is None else sock.dup()
            if self._sock is not None:
                self.family = "ipv6" if self._sock.family == socket.AF_INET6 else "ipv4"
                self.congestion_control = tcp_info.congestion_control(self._sock)

    def close(self) -> None:
        """Read for the last time, and let go."""
        if self._sock is not None:
            self.take()
            self._sock.close()
            self._sock = None

    async def run(self) -> None:
        """Take a point whenever one is due, until cancelled."""
        while True:
            self.take()
            await asyncio.sleep(max(0, self.line.due_us - self._elapsed_us()) / 1e6)

    def take(self) -> None:
        """Take a point now."""
        if (tcp := self._tcp()) is not None:
            self.line.add(self._elapsed_us(), tcp)
            self.segment_bytes = tcp.get("SndMSS", 0)

    @property
    def connection(self) -> socket.socket | None:
        """The connection, None where it is closed here."""
        return self._sock

    @property
    def state(self) -> int | None:
        """How the kernel has the connection now (include/net/tcp_states.h), None where it is closed here."""
        return (self._tcp() or {}).get("State")

    async def settled(self, ends_s: float) -> None:
        """Wait until the other side's kernel has acknowledged all that was written. Raises `OSError`, `TimeoutError` past `ends_s`."""
        before, wait_s = -1, _LOOK_S
        while True:
            tcp = self._tcp() or {}
            waiting, sent = tcp.get("Unacked", 0) + tcp.get("NotsentBytes", 0), tcp.get("BytesSent", 0)
            # Twice the same: asyncio had a turn meanwhile to write what it held.
            if not waiting and sent == before:
                return
            if (error := self._reader.exception()) is not None:
                raise error
            if self._writer.transport.is_closing() and waiting:
                raise ConnectionResetError("closed before all was acknowledged")
            if time.monotonic() > ends_s:
                raise TimeoutError
            before = sent
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LOOK_MOST_S)

    def _tcp(self) -> dict[str, int] | None:
        if self._sock is None:
            return None
        with contextlib.suppress(OSError):
            return dict(tcp_info.of(self._sock))
        return None

    def _elapsed_us(self) -> int:
        return (time.monotonic_ns() - self._began_ns) // 1000
