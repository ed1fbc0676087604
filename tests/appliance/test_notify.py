"""The service manager is told over a real datagram socket, by path and abstract, and never holds the device up."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.notify import Heartbeat, Notifier, watchdog_ns

SECOND = 1_000_000_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[tuple[socket.socket, str]]":
    address = str(tmp_path / "notify") if request.param == "path" else f"@tidegauge-{secrets.token_hex(8)}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with listener:
        listener.settimeout(30)
        listener.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        yield listener, address


def test_every_message_arrives_as_systemd_wants_it(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    with Notifier.from_environment({"NOTIFY_SOCKET": address}) as notifier:
        assert notifier.ready("measuring")
        assert notifier.status("round 2: ok")
        assert notifier.alive()
        assert notifier.stopping("asked to")
    assert listener.recv(4096) == b"READY=1\nSTATUS=measuring"
    assert listener.recv(4096) == b"STATUS=round 2: ok"
    assert listener.recv(4096) == b"WATCHDOG=1"
    assert listener.recv(4096) == b"STOPPING=1\nSTATUS=asked to"


def test_a_line_break_in_a_status_is_no_second_assignment(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    with Notifier(address) as notifier:
        notifier.status("first\nWATCHDOG=trigger\r\nlast " + "x" * 500)
    said = listener.recv(4096)
    assert said.startswith(b"STATUS=first WATCHDOG=trigger last xxx")
    assert b"\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative/path"])
def test_without_a_manager_nothing_is_sent_and_nothing_fails(address: str | None) -> None:
    with Notifier(address) as notifier:
        assert not notifier.ready("measuring")
        assert not notifier.alive()


def test_a_manager_that_has_gone_stops_nothing(tmp_path: Path) -> None:
    with Notifier(str(tmp_path / "nobody")) as notifier:
        assert not notifier.alive()


def test_a_manager_that_does_not_read_holds_nothing_up(manager: tuple[socket.socket, str]) -> None:
    _, address = manager
    with Notifier(address) as notifier:
        taken = [notifier.alive() for _ in range(10_000)]
    assert taken[0]
    assert not taken[-1]


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.close()
    notifier.close()
    assert not notifier.alive()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30 * SECOND),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30 * SECOND),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_the_watchdogs_time_is_read_only_when_it_is_ours(
    environment: dict[str, str], expected: int | None
) -> None:
    assert watchdog_ns(environment, pid=77) == expected


def test_no_watchdog_no_beat() -> None:
    heartbeat = Heartbeat(watchdog_ns=None, patience_ns=SECOND, progressed_ns=0)
    assert heartbeat.next_due_ns is None
    assert not heartbeat.beat(10 * SECOND)


def test_a_device_that_does_not_advance_is_left_to_the_watchdog() -> None:
    heartbeat = Heartbeat(watchdog_ns=10 * SECOND, patience_ns=60 * SECOND, progressed_ns=0)
    assert heartbeat.beat(0)
    assert not heartbeat.beat(SECOND)
    assert heartbeat.beat(60 * SECOND)
    assert not heartbeat.beat(66 * SECOND)
    assert heartbeat.next_due_ns == 71 * SECOND
    heartbeat.progress(70 * SECOND)
    assert heartbeat.beat(71 * SECOND)


@given(
    watchdog_s=st.integers(1, 600),
    patience_s=st.integers(1, 600),
    looks=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=100),
)
def test_the_watchdog_hears_of_every_advance_and_of_nothing_else(
    watchdog_s: int, patience_s: int, looks: list[tuple[int, bool]]
) -> None:
    heartbeat = Heartbeat(watchdog_ns=watchdog_s * SECOND, patience_ns=patience_s * SECOND, progressed_ns=0)
    now_ns, progressed_ns = 0, 0
    told_ns: int | None = None
    for step_s, advanced in looks:
        now_ns += step_s * SECOND
        if advanced:
            heartbeat.progress(now_ns)
            progressed_ns = now_ns
        beat = heartbeat.beat(now_ns)
        if beat:
            assert now_ns - progressed_ns <= patience_s * SECOND
            assert told_ns is None or now_ns - told_ns >= watchdog_s * SECOND // 2
            told_ns = now_ns
        elif told_ns is not None and now_ns - progressed_ns <= patience_s * SECOND:
            assert heartbeat.told_ns is not None
            assert now_ns - heartbeat.told_ns < watchdog_s * SECOND // 2 + 1
