"""A TCP server on loopback whose behaviour is one function: what to do with one accepted connection.

For everything that speaks over TCP, well or badly: behaviours that misbehave are here too. Threads, so that a
test's own loop is left alone; leaving the `with` block closes every connection and ends every thread.
"""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self, TypeAlias

Behaviour: TypeAlias = Callable[[socket.socket], None]
"""What to do with a connection. An OSError ends it quietly: the other side went, or the server closed."""

_LINGER_RESET = struct.pack("ii", 1, 0)


class TcpServer:
    """Listens on `address`, a port of its own, and runs `behaviour` for each connection in a thread."""

    def __init__(self, behaviour: Behaviour, *, address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self.address: str = self._listener.getsockname()[0]
        """The address it listens on."""
        self.port: int = self._listener.getsockname()[1]
        """The port it listens on."""
        self._behaviour = behaviour
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, name="accept")]
        self.connections = 0
        """How many connections were accepted so far."""

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def stop_listening(self) -> None:
        """Refuse connections from now on; those that are open go on."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()

    def __exit__(self, *_: object) -> None:
        self.stop_listening()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as every real server does
            self.connections += 1
            with self._lock:
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), name="serve")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._behaviour(connection)
        with self._lock:
            self._open.discard(connection)


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    connection.close()


def reset_after_first_bytes(connection: socket.socket) -> None:
    """Wait for the client's first bytes, then reset, as a censor does that dislikes a server name."""
    connection.recv(65536)
    reset(connection)


def close_after_first_bytes(connection: socket.socket) -> None:
    """Wait for the client's first bytes, then end in an orderly way."""
    connection.recv(65536)


def stay_silent(connection: socket.socket) -> None:
    """Take everything and answer nothing, until the client goes."""
    while connection.recv(65536):
        pass


def say(data: bytes) -> Behaviour:
    """Return a behaviour: take the client's first bytes, send `data`, end in an orderly way."""

    def behaviour(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        drain(connection)

    return behaviour


def drain(connection: socket.socket, *, timeout_s: float = 5.0) -> None:
    """Read until the client goes, so that what it still sends draws no reset."""
    while select.select([connection], [], [], timeout_s)[0] and connection.recv(65536):
        pass
