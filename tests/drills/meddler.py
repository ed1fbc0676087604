"""A line between a device and its broker that does to MQTT packets whatever may happen to them, by chance.

Downwards acks are lost, doubled, held back past later ones, and said again long after; PUBACKs are lost, or say no. Upwards
messages are acknowledged and thrown away, as a broker does that forgets, or doubled. Either way the connection breaks now
and then. `counts` says how often each happened. It must never make up a message.
"""

import random
import socket
import threading
from collections import Counter
from contextlib import suppress

from tests.drills import light_mqtt as mqtt

ACKS_KEPT = 50
NO = b"\x97"
"""Quota exceeded (OASIS MQTT 5, section 3.4.2.1): a broker of MQTT 5 says so; one of 3.1.1 has no word for it."""


class Meddler:
    """Listens on `port`, and passes on to the broker. `honest` makes it do nothing but that."""

    def __init__(self, broker_port: int, rng: random.Random) -> None:
        self._broker_port = broker_port
        self._rng = rng
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.counts: Counter[str] = Counter()
        self.honest = False
        self._old: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            _end(sock)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                device, _ = self._listener.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self._broker_port), timeout=5)
                except OSError:
                    device.close()
                    continue
                broker.settimeout(None)
                self._open += [device, broker]
                lock = threading.Lock()
                for source, sink, change in ((device, broker, self._up), (broker, device, self._down)):
                    thread = threading.Thread(
                        target=self._pump, args=(source, sink, change, lock, device), daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source, sink, change, lock, device) -> None:  # type: ignore[no-untyped-def]
        parser, held = mqtt.Parser(), list[bytes]()
        with suppress(OSError, ValueError):
            while data := source.recv(65536):
                for kind, body in parser.feed(data):
                    to_sink, to_device = change(kind, body, held)
                    with lock:
                        if to_device:
                            device.sendall(to_device)
                        sink.sendall(to_sink)
        for sock in (source, sink):
            _end(sock)

    def _chance(self, what: str, share: float) -> bool:
        if self.honest or self._rng.random() >= share:
            return False
        self.counts[what] += 1
        return True

    def _break(self, share: float) -> None:
        if self._chance("connections broken", share):
            raise OSError

    def _up(self, kind: int, body: bytes, _held: list[bytes]) -> tuple[bytes, bytes]:
        """Return what goes on to the broker, and what the device is answered on its behalf."""
        packet = mqtt.packet(kind, body)
        message = mqtt.message_of(kind, body)
        if message is None or not message[0].startswith("p1/up/"):
            return packet, b""
        self._break(0.01)
        if self._chance("messages taken and forgotten", 0.08):
            size = int.from_bytes(body[:2], "big")
            return b"", mqtt.packet(mqtt.PUBACK, body[2 + size : 4 + size])
        if self._chance("messages doubled", 0.08):
            return packet + packet, b""
        return packet, b""

    def _down(self, kind: int, body: bytes, held: list[bytes]) -> tuple[bytes, bytes]:
        packet = mqtt.packet(kind, body)
        if kind & 0xF0 == mqtt.PUBACK:
            if self._chance("PUBACKs lost", 0.03):
                return b"", b""
            if self._chance("PUBACKs that say no", 0.02):
                return mqtt.packet(mqtt.PUBACK, body + NO), b""
            return packet, b""
        message = mqtt.message_of(kind, body)
        if message is None or not message[0].endswith("/ack"):
            return packet, b""
        self._old = [*self._old[-ACKS_KEPT:], packet]
        self._break(0.01)
        if self._chance("acks lost", 0.15):
            return b"", b""
        if self._chance("acks held back past later ones", 0.2):
            held.append(packet)
            return b"", b""
        released, held[:] = b"".join(reversed(held)), []
        if self._chance("acks doubled", 0.1):
            packet += packet
        if self._chance("acks said again long after", 0.1):
            packet += self._rng.choice(self._old)
        return packet + released, b""


def _end(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
