"""As much of MQTT 3.1.1 as a simulated device needs, in bytes; a sender that keeps no rule either. No client library."""

import socket
import ssl
from typing import Final

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
QOS1: Final = 0x02


def packet(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """Return a packet; `length` may lie about it (OASIS MQTT 3.1.1, section 2.2)."""
    left, size = len(body) if length is None else length, b""
    while True:
        left, low = divmod(left, 128)
        size += bytes([low | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + size + body


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def connect(client_id: str, *, keepalive_s: int = 300) -> bytes:
    return packet(CONNECT, text("MQTT") + b"\x04\x02" + keepalive_s.to_bytes(2, "big") + text(client_id))


def subscribe(topic: str) -> bytes:
    return packet(SUBSCRIBE, b"\x00\x01" + text(topic) + b"\x00")


def publish(topic: str, payload: bytes, *, number: int = 0) -> bytes:
    """Return a message, with QoS 1 where it has a `number`."""
    if number:
        return packet(PUBLISH | QOS1, text(topic) + number.to_bytes(2, "big") + payload)
    return packet(PUBLISH, text(topic) + payload)


class Parser:
    """Makes packets, as (kind, body), of the bytes that come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self._buffer += data
        packets: list[tuple[int, bytes]] = []
        while (end := self._end()) is not None:
            start, stop = end
            packets.append((self._buffer[0], bytes(self._buffer[start:stop])))
            del self._buffer[:stop]
        return packets

    def _end(self) -> tuple[int, int] | None:
        length = 0
        for at in range(4):
            if at + 1 >= len(self._buffer):
                return None
            byte = self._buffer[at + 1]
            length |= (byte & 0x7F) << 7 * at
            if not byte & 0x80:
                stop = at + 2 + length
                return (at + 2, stop) if len(self._buffer) >= stop else None
        raise ValueError("a length of more than four bytes")


def message_of(kind: int, body: bytes) -> tuple[str, bytes] | None:
    """Return topic and payload of a PUBLISH, None for anything else."""
    if kind & 0xF0 != PUBLISH:
        return None
    size = int.from_bytes(body[:2], "big")
    after = 2 + size + (2 if kind & 0x06 else 0)
    return body[2 : 2 + size].decode(), body[after:]


def over_tls(port: int, context: ssl.SSLContext, client_id: str, *, limit_s: float = 30.0) -> ssl.SSLSocket:
    """Return a connection that a broker at localhost has let in."""
    sock = context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=limit_s), server_hostname="localhost"
    )
    sock.sendall(connect(client_id))
    assert sock.recv(4) == b"\x20\x02\x00\x00"
    return sock
