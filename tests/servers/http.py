"""An HTTP/1.1 server's behaviour, byte by byte, so that it can be as slow, odd or broken as the real ones are."""

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from tests.servers.tcp import Behaviour, drain

Pieces: TypeAlias = "Iterable[bytes | float]"
"""Bytes to send in order; a float is a pause in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]


Respond: TypeAlias = Callable[[Request], Pieces]


def http(respond: Respond) -> Behaviour:
    """Return a behaviour that answers every request of a connection with what `respond` makes of it."""

    def behaviour(connection: socket.socket) -> None:
        while (request := _read(connection)) is not None:
            for piece in respond(request):
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    connection.sendall(piece)

    return behaviour


def once(respond: Respond) -> Behaviour:
    """Return a behaviour that answers one request and then ends the connection in an orderly way."""

    def behaviour(connection: socket.socket) -> None:
        request = _read(connection)
        if request is not None:
            for piece in respond(request):
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        drain(connection)

    return behaviour


def page(
    body: bytes = b"", *, status: int = 200, content_type: str = "text/html", **headers: str
) -> tuple[bytes, ...]:
    """Return a whole response; a header's name is written with underscores for hyphens."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines.extend(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
    return ("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body,)


def redirect(location: str, *, status: int = 302) -> tuple[bytes, ...]:
    """Return a redirect."""
    return page(status=status, content_type="", Location=location)


def chunked(*pieces: bytes) -> tuple[bytes, ...]:
    """Return a response in chunks, one a piece."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n"
    return (head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n")


def _read(connection: socket.socket) -> Request | None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            return None
        head += data
    first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(
        method=method, target=target, headers={name.lower(): value for name, value in headers.items()}
    )
