"""The intake over real sockets: what is taken is answered after the commit, and nothing makes it hold or read too much."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse

import pytest

from collector.messages import Delivery, OutgoingMessage
from collector.receive.http import app as intake_app
from collector.receive.http.app import MAX_BODY_BYTES, RETRY_AFTER_S, make_app
from collector.receive.http.server import Intake
from collector.receive.inbox import PER_DEVICE, Inbox
from firmware.wire import bundle as wire_bundle
from tests.waiting import LIMIT_S

DEVICE = "a1b2c3d4e5f6g7h8"
PATH = f"/p1/up/{DEVICE}/live"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(max_messages=100, max_bytes=10**6)


@pytest.fixture
def port(inbox: Inbox) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    intake = Intake(make_app(inbox), listener, identity=None)
    intake.start()
    try:
        yield listener.getsockname()[1]
    finally:
        intake.stop()
        inbox.close()
        listener.close()


@pytest.fixture
def answered(inbox: Inbox) -> Iterator[list[Delivery]]:
    """Answer each message as ingest does, in a thread of its own, and tell what came."""
    came: list[Delivery] = []

    def answer() -> None:
        while taken := inbox.take(10):
            for one in taken:
                came.append(one)
                assert one.reply is not None
                one.reply(
                    (OutgoingMessage(topic=f"p1/dn/{DEVICE}/ack", payload=b"ack of %d" % len(one.payload)),)
                )

    thread = threading.Thread(target=answer)
    thread.start()
    yield came
    inbox.close()
    thread.join(LIMIT_S)


@pytest.fixture
def ask(port: int) -> Iterator[Callable[..., HTTPResponse]]:
    connections: list[HTTPConnection] = []

    def asked(path: str, body: bytes = b"", method: str = "POST") -> HTTPResponse:
        connections.append(HTTPConnection("127.0.0.1", port, timeout=LIMIT_S))
        connections[-1].request(method, path, body=body)
        return connections[-1].getresponse()

    yield asked
    for connection in connections:
        connection.close()


def read_all(sock: socket.socket) -> bytes:
    """Return all that comes until the other side closes (or resets, which it may where we had more to say)."""
    found = b""
    try:
        while part := sock.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def test_one_of_ours_is_here(ask: Callable[..., HTTPResponse]) -> None:
    assert ask("/p1/", method="GET").status == 204


def test_what_is_taken_is_answered_with_what_ingest_says(
    ask: Callable[..., HTTPResponse], answered: list[Delivery]
) -> None:
    for body in (b"one", b"x" * MAX_BODY_BYTES):
        said = ask(PATH, body)
        assert said.status == 200
        (message,) = wire_bundle.decode(said.read()).messages
        assert (message.leaf, message.payload) == ("ack", b"ack of %d" % len(body))
    assert [one.topic for one in answered] == [PATH[1:]] * 2


@pytest.mark.parametrize("path", ["/p1/up/SHORT/live", f"/p1/up/{DEVICE}/../x", f"/p1/up/{DEVICE}/LIVE!"])
def test_a_place_that_is_none_is_named(ask: Callable[..., HTTPResponse], path: str) -> None:
    assert ask(path, b"x").status == 404


@pytest.mark.parametrize("told", ["104857600", "99999999999999999999", str(MAX_BODY_BYTES + 1)])
def test_of_what_says_that_it_is_too_large_nothing_is_read(port: int, inbox: Inbox, told: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as sock:
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {told}\r\n\r\n".encode())
        said = read_all(sock)  # not one byte of the body was sent, and it is answered and closed
    assert said.startswith(b"HTTP/1.1 413 ")
    assert str(MAX_BODY_BYTES).encode() in said
    assert inbox.fill == 0


def test_of_what_turns_out_too_large_no_more_is_read(port: int, inbox: Inbox) -> None:
    part = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as sock:
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 100 * 1024 * 1024:
                sock.sendall(part)
                sent += len(part)
    # What fits in the buffers of two sockets, and not the 100 MB.
    assert sent < 50 * 1024 * 1024
    assert inbox.fill == 0


def test_what_comes_too_slowly_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_app, "BODY_S", 0.1)
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as sock:
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc".encode())
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_where_too_much_waits_it_says_when_to_come_again(
    ask: Callable[..., HTTPResponse], inbox: Inbox
) -> None:
    inbox.put(Delivery(topic="p1/up/b/live", payload=bytes(10**6), received_ns=0))
    said = ask(PATH, b"x")
    assert said.status == 503
    assert said.headers["Retry-After"] == str(RETRY_AFTER_S)


def test_where_nobody_stores_in_time_it_says_to_come_again(
    ask: Callable[..., HTTPResponse], inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_app, "ANSWER_S", 0.1)
    assert ask(PATH, b"x").status == 503
    (held,) = inbox.take(1)
    assert held.payload == b"x"
    assert held.reply is not None
    held.reply(())  # what is answered too late is answered to nobody, and hurts nobody
    assert ask("/p1/", method="GET").status == 204


def test_a_device_that_floods_is_told_to_come_again(ask: Callable[..., HTTPResponse], inbox: Inbox) -> None:
    for number in range(PER_DEVICE):
        inbox.put(Delivery(topic=f"p1/up/{DEVICE}/live", payload=b"x", received_ns=number))
    assert ask(PATH, b"x").status == 503


def test_its_reference_is_not_served(ask: Callable[..., HTTPResponse]) -> None:
    for path in ("/docs", "/openapi.json", "/redoc"):
        said = ask(path, method="GET")
        assert said.status == 404
        assert json.loads(said.read()) == {"detail": "Not Found"}
