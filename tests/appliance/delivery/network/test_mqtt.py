"""One MQTT connection against servers that misbehave on the wire; with a real broker it is tried in test_sync."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.delivery.messages.received import Received
from appliance.delivery.network.link import Connected, ConnectionEvent, Disconnected, SyncSettings
from appliance.delivery.network.mqtt import MqttLink
from appliance.transports import Endpoint, Transport
from tests.provisioning.identities import Provisioned

DEVICE = "a1b2c3d4e5f6g7h8"
ACCEPTED = b"\x20\x02\x00\x00"
PONG = b"\xd0\x00"
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture
def wake_fd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def plain(host: str, port: int) -> MqttLink:
    endpoint = Endpoint(transport=Transport.MQTT, host=host, port=port)
    return MqttLink(SyncSettings(host=host), endpoint, device=DEVICE)


def until(link: MqttLink, kind: type[ConnectionEvent], wake_fd: int) -> ConnectionEvent:
    for _ in range(1000):
        for event in link.step(0.1, wake_fd=wake_fd):
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


def test_what_is_published_after_the_connection_broke_is_not_kept(wake_fd: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        link = plain("127.0.0.1", port)
        assert link.open() == []
        peer, _ = server.accept()
        peer.recv(1024)
        peer.sendall(ACCEPTED)
        until(link, Connected, wake_fd)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # a reset
        mids = [link.publish("live", b"x" * 1000) for _ in range(3)]
        assert mids[-1] == 0
        lost = until(link, Disconnected, wake_fd)
        assert isinstance(lost, Disconnected)
        assert lost.reason == f"the connection to broker 127.0.0.1:{port} was lost"
        assert link.publish("live", b"x") == 0
        link.close()
        link.close()


def test_publishing_before_the_broker_accepted_sends_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = plain("127.0.0.1", server.getsockname()[1])
        assert link.open() == []
        assert link.publish("live", b"x") == 0
        link.close()


@pytest.mark.parametrize(
    ("host", "words", "failure"),
    [
        ("127.0.0.1", "broker 127.0.0.1:1 refused the connection", "connect: connection_refused"),
        # No resolver is asked for a label this long.
        ("x" * 70 + ".example", "its name cannot be resolved", "resolve: unknown_failure"),
        ("::1", "broker [::1]:1 ", "connect: "),
    ],
)
def test_why_it_could_not_connect_is_said(host: str, words: str, failure: str) -> None:
    link = plain(host, 1)
    (event,) = link.open()
    link.close()
    assert isinstance(event, Disconnected)
    assert words in event.reason
    assert f"{event.operation}: {event.failure}".startswith(failure)


def test_a_wake_up_ends_the_wait(wake_fd: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = plain("127.0.0.1", server.getsockname()[1])
        link.open()
        os.eventfd_write(wake_fd, 1)
        assert link.step(3600, wake_fd=wake_fd) == []
        with pytest.raises(BlockingIOError):
            os.eventfd_read(wake_fd)
        link.close()


def test_what_a_websocket_has_in_hand_is_read_without_another_packet(tmp_path: Path, wake_fd: int) -> None:
    """Three messages in one TLS record: the first wakes us, and no poll tells of the others."""
    world = Provisioned(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "broker" / "certificate.pem", tmp_path / "broker" / "key.pem")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(world.device(DEVICE) / "trust.pem")
    name = f"p1/dn/{DEVICE}/ack".encode()
    news = b"\x30" + bytes([2 + len(name) + 4, 0, len(name)]) + name + b"news"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with serving.wrap_socket(accepted, server_side=True) as peer:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    piece = peer.recv(4096)
                    assert piece, "it went before it had asked"
                    asked += piece
                key = asked.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
                accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest())
                peer.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                    + accept
                    + b"\r\n\r\n"
                    + framed(ACCEPTED)
                )
                peer.recv(4096)
                peer.sendall(framed(PONG) + framed(PONG) + framed(news))
                while peer.recv(4096):
                    pass

        serving_thread = threading.Thread(target=serve)
        serving_thread.start()
        endpoint = Endpoint(
            transport=Transport.WSS, host="localhost", port=listener.getsockname()[1], path="/mqtt"
        )
        link = MqttLink(SyncSettings(host="localhost"), endpoint, device=DEVICE, tls=trusting)
        assert link.open() == []
        assert until(link, Received, wake_fd) == Received(b"news")
        link.close()
        serving_thread.join(30)


def framed(packet: bytes) -> bytes:
    """Return an MQTT packet as a server's WebSocket frame."""
    return b"\x82" + bytes([len(packet)]) + packet
