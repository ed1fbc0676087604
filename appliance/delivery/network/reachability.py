"""Whether the way to the collector is open again: one connect at a time, while the device knows that the outside is gone.

A probe is answered by an accepted or a refused connection; either way packets pass. It must never be used against a
collector that is known to be reachable (its back-off protects it), and never say anything on the connection.
"""

import errno
import socket
from typing import Final

from firmware.model.failures import Failure

EVERY_S: Final = 3.0
"""From probe to probe. Newer kernels repeat a SYN each second meanwhile: 60 bytes a second, 5.2 MB a day at most."""
RESOLVE_EVERY_S: Final = 60.0
"""A name that could not be resolved blocks for seconds, and is asked for no more often."""
_SILENT: Final = frozenset({Failure.TIMEOUT, Failure.HOST_UNREACHABLE, Failure.NETWORK_UNREACHABLE})
_ANSWERS: Final = frozenset({0, errno.ECONNREFUSED, errno.ECONNRESET})


def is_silence(failure: str, operation: str) -> bool:
    """Return whether a try failed because nothing came back at all."""
    return operation == "connect" and failure in _SILENT


class ReachabilityProbe:
    """Where the probes go: the collector's address, resolved once and remembered."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.port = port
        self._found: tuple[socket.AddressFamily, tuple[str | int | bytes, ...]] | None = None
        self._asked: float | None = None
        self._socket: socket.socket | None = None

    def send(self, now: float) -> socket.socket | None:
        """Send a SYN, in place of an earlier one; return the socket to wait on for writing, None: there is none."""
        self.cancel()
        if self._found is None and not self._resolve(now):
            return None
        assert self._found is not None
        family, address = self._found
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        code = sock.connect_ex(address)
        if code not in _ANSWERS | {errno.EINPROGRESS}:
            sock.close()
            return None
        self._socket = sock
        return sock

    def is_answered(self) -> bool:
        """Return of a socket that is ready whether the other side spoke; the probe is over."""
        sock = self._socket
        if sock is None:
            return False
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.cancel()
        return code in _ANSWERS

    def cancel(self) -> None:
        """Take an unanswered probe back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _resolve(self, now: float) -> bool:
        if self._asked is not None and now - self._asked < RESOLVE_EVERY_S:
            return False
        self._asked = now
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self.port, type=socket.SOCK_STREAM)[0]
        except OSError:
            return False
        self._found = (family, address)
        return True
