"""The far end: TCP, TLS with a certificate of its own authority, HTTP, NTP and DNS. A process of its own.

ICMP echo is the kernel's. `python -m tests.bench.timing.responder FOLDER ADDRESS…` writes its authority's
certificate into FOLDER, says the file's path, and ends with its standard input. It keeps the delay line's
priority, where that is allowed.
"""

import asyncio
import struct
import sys
import time
from pathlib import Path
from typing import Final, cast

import dns.message
import dns.rrset

from firmware.protocols.ntp_wire import ntp_timestamp
from tests.bench.timing.delay_line import hurry
from tests.servers.tls import Authority

TCP_PORT: Final = 7
TLS_PORT: Final = 443
LONG_TLS_PORT: Final = 8443
"""Where the certificate is as long as a busy site's: the first flight is three segments, not one."""

NTP_PORT: Final = 123
DNS_PORT: Final = 53
SERVER_NAME: Final = "server.test"
_OTHER_NAMES: Final = tuple(f"a-name-of-usual-length-{number}.{SERVER_NAME}" for number in range(60))
_PAGE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_NTP: Final = struct.Struct(">BBbbII4sQQQQ")


class Ntp(asyncio.DatagramProtocol):
    """Answers NTP with this machine's own time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(
            "asyncio.DatagramTransport", transport
        )  # Python 3.11's own is no instance of it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        now = ntp_timestamp(time.time_ns())
        origin = int.from_bytes(data[40:48], "big")
        reply = _NTP.pack(4 << 3 | 4, 1, 0, -20, 0, 0, b"TEST", now, origin, now, now)
        self._transport.sendto(reply, addr)


class Dns(Ntp):
    """Answers DNS with an address."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "9.9.9.9"))
        self._transport.sendto(reply.to_wire(), addr)


async def serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request for a page, or none, and close."""
    try:
        if await reader.readuntil(b"\r\n\r\n"):
            writer.write(_PAGE)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def serve(folder: Path, addresses: list[str]) -> None:
    """Serve until the standard input ends."""
    authority = Authority(folder)
    short = authority.server_context(SERVER_NAME, *addresses)
    long = authority.server_context(SERVER_NAME, *_OTHER_NAMES)
    loop = asyncio.get_running_loop()
    await asyncio.start_server(serve_page, "0.0.0.0", TLS_PORT, ssl=short, backlog=1024)
    await asyncio.start_server(serve_page, "0.0.0.0", LONG_TLS_PORT, ssl=long, backlog=1024)
    await asyncio.start_server(serve_page, "0.0.0.0", TCP_PORT, backlog=1024)
    for address in addresses:  # bound to each, so that answers come from where the questions went
        await loop.create_datagram_endpoint(Ntp, local_addr=(address, NTP_PORT))
        await loop.create_datagram_endpoint(Dns, local_addr=(address, DNS_PORT))
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    print(authority.trusted, flush=True)
    await ended.wait()


if __name__ == "__main__":
    hurry()
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2:]))
