"""One MQTT connection against servers that misbehave on the wire; with a real broker it is tried in test_sync."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from appliance.sync.link import LinkEvent, Lost, Ready, SyncSettings
from appliance.sync.mqtt import MqttLink
from appliance.sync.ways import Transport, Way

DEVICE = "a1b2c3d4e5f6g7h8"
ACCEPTED = b"\x20\x02\x00\x00"


@pytest.fixture
def wake_fd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def plain(host: str, port: int) -> MqttLink:
    way = Way(transport=Transport.MQTT, host=host, port=port)
    return MqttLink(SyncSettings(host=host), way, device=DEVICE)


def until(link: MqttLink, kind: type[LinkEvent], wake_fd: int) -> LinkEvent:
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
        talk, _ = server.accept()
        talk.recv(1024)
        talk.sendall(ACCEPTED)
        until(link, Ready, wake_fd)
        talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.close()  # a reset
        mids = [link.publish("live", b"x" * 1000) for _ in range(3)]
        assert mids[-1] == 0
        lost = until(link, Lost, wake_fd)
        assert isinstance(lost, Lost)
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
    assert isinstance(event, Lost)
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
