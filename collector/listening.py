"""Opens the sockets that the collector serves on, and says what is wrong where it cannot."""

import socket

from collector.errors import CollectorError, PortTakenError


def listen(host: str, port: int, what: str) -> socket.socket:
    """Return a socket that listens there, for `what`. Raises `PortTakenError` or `CollectorError`."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise CollectorError(f"{what} cannot be served on {host} ({error.strerror})") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise PortTakenError(
            f"port {port} for {what} cannot be had on {host} ({error.strerror}): "
            "choose another with --port, or 0 for any that is free"
        ) from error
    return sock
