"""Takes connections in, does the TLS handshake and hands each over: bounded in all and per address, TLS 1.3, HTTP/1.1 alone.

Any name in the ClientHello is answered with the one certificate: that is what paired tests need, and who measures checks the
certificate's authority and role. HTTP/2 is never offered. No session is resumed: each handshake is whole, and
none leads to another. This file must never keep or log an address beyond the connection it is of.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

from collector.errors import CollectorError

HANDSHAKE_S: Final = 20.0
ACCEPT_AGAIN_S: Final = 0.1
_UNSENT_BYTES: Final = 128 * 1024
"""How much waits before the kernel's send queue says that it has room: what was sent is near what was written."""
_TCP_NOTSENT_LOWAT: Final = 25
_READ_BYTES: Final = 64 * 1024

Handle: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

log = logging.getLogger(__name__)


def tls_context(identity: Path) -> ssl.SSLContext:
    """Return what connections are served with. Raises `CollectorError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise CollectorError(
            f"{identity}: TLS for the measurement server cannot be set up ({error}); make its files with: "
            "tidegauge provision measurement-server"
        ) from error
    return context


class TlsListener:
    """Serves `sock`, which listens already, until `run` is cancelled. `close_s` is how long the last bytes may take to get through."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        handle: Handle,
        *,
        most: int,
        most_per_address: int,
        close_s: float,
    ) -> None:
        self._sock = sock
        self._context = context
        self._handle = handle
        self._most = most
        self._close_s = close_s
        self._most_per_address = most_per_address
        self._open: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take connections in. Cancelled, it ends those that are open."""
        self._sock.settimeout(0.0)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._sock)
                except OSError as error:
                    log.warning("no connection can be taken in (%s)", error.strerror)
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                    continue
                self._take(connection, group_of(address[0]))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, connection: socket.socket, group: str) -> None:
        if len(self._tasks) >= self._most or self._open[group] >= self._most_per_address:
            connection.close()
            return
        self._open[group] += 1
        task = asyncio.create_task(self._serve(connection))
        self._tasks.add(task)

        def gone(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._open[group] -= 1
            if not self._open[group]:
                del self._open[group]
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("a connection ended by a fault of ours", exc_info=_bare(error))

        task.add_done_callback(gone)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.settimeout(0.0)
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=self._close_s,
            )
        except OSError:
            connection.close()
            return  # no handshake came about: a probe, another protocol, or a network between
        transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._handle(reader, writer)
            transport.set_write_buffer_limits(high=1)  # from here on `drain` waits until nothing is left
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            _cut(transport)
        except BaseException:
            _cut(transport)
            raise


def _cut(transport: asyncio.Transport) -> None:
    """End a connection at once, by a reset: what waits in the kernel would be sent for minutes over a slow line."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if sock is not None:  # it is None once the connection is lost
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def group_of(address: str) -> str:
    """Return what connections are counted by: an IPv4 address, or an IPv6 /64."""
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(ip), 64), strict=False))
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    return address


def _bare(error: BaseException) -> BaseException:
    """Return an exception with the same trace and no words: they might hold what was sent to us."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
