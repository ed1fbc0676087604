"""Opens the sockets that the collector and the measurement server serve on, and says what is wrong where it cannot."""

import socket

from collector.errors import CollectorError, PortTakenError


def listen(host: str, port: int, what: str) -> socket.socket:
    """Return a socket that listens there, for `what`. Raises `PortTakenError` or `CollectorError`."""
    return _bound(host, port, what, socket.SOCK_STREAM)


def take_datagrams(host: str, port: int, what: str) -> socket.socket:
    """Return a UDP socket that is bound there, for `what`. Raises `PortTakenError` or `CollectorError`."""
    return _bound(host, port, what, socket.SOCK_DGRAM)


def _bound(host: str, port: int, what: str, kind: socket.SocketKind) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise CollectorError(f"{what} cannot be served on {host} ({error.strerror})") from error
    try:
        if kind is socket.SOCK_STREAM:
            # A datagram socket with it could share its port with a program that takes what is sent to us.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if kind is socket.SOCK_STREAM:
            sock.listen(128)
    except OSError as error:
        sock.close()
        raise PortTakenError(
            f"port {port} for {what} cannot be had on {host} ({error.strerror}): "
            "choose another with --port, or 0 for any that is free"
        ) from error
    return sock
