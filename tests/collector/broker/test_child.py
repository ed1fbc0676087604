"""The broker child: there when it says so, restarted when killed, gone when the collector is."""

import importlib.util
import os
import queue
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from collector.broker import child as module
from collector.broker.child import Broker, BrokerKind, answers, choose_kind, mosquitto_configuration
from collector.errors import BrokerError, PortTakenError
from tests.collector.process import wait_until_gone
from tests.collector.scripted_device import WAIT_S
from tests.needs import program
from tests.waiting import until

PARENT = """
import sys, threading
from pathlib import Path
from collector.broker.child import Broker, BrokerKind
broker = Broker(BrokerKind(sys.argv[1]), Path(sys.argv[2]))
broker.start()
print(broker.pid, flush=True)
threading.Event().wait()
"""


def test_it_listens_on_the_loopback_only(broker: Broker) -> None:
    assert answers("127.0.0.1", broker.port)
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{broker.port:04X}")
    ]
    assert listening == [f"0100007F:{broker.port:04X}"]


def test_killed_it_comes_back_on_the_same_port_and_says_so(tmp_path: Path) -> None:
    program("mosquitto")
    said: queue.Queue[str] = queue.Queue()
    broker = Broker(BrokerKind.MOSQUITTO, tmp_path / "broker", on_restart=said.put)
    broker.start()
    for _ in range(2):
        pid, port = broker.pid, broker.port
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert "signal 9" in said.get(timeout=WAIT_S)
        until(lambda: broker.pid not in {pid, None} and answers(broker.host, port), "back on the same port")  # noqa: B023
    broker.stop()
    assert not answers("127.0.0.1", broker.port)


@pytest.mark.parametrize("kind", list(BrokerKind))
def test_it_ends_when_its_parent_is_killed(kind: BrokerKind, tmp_path: Path) -> None:
    if kind is BrokerKind.MOSQUITTO:
        program("mosquitto")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, kind, str(tmp_path / "broker")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    wait_until_gone(pid)


def test_a_guard_whose_parent_is_gone_starts_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "collector.guard", "1", sys.executable, "-c", "print('started')"],
        capture_output=True,
        check=False,
    )
    assert done.stdout == b""


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    program("mosquitto")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} for the broker"):
            Broker(BrokerKind.MOSQUITTO, tmp_path / "broker", port=port).start()


def test_a_broker_that_does_not_start_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("mosquitto")
    monkeypatch.setattr(module, "mosquitto_configuration", lambda *_args, **_options: "listner 1\n")
    broker = Broker(BrokerKind.MOSQUITTO, tmp_path / "broker")
    with pytest.raises(BrokerError, match=r"mosquitto did not start.*listner"):
        broker.start()
    broker.stop()


def test_stopping_what_never_started_is_harmless(tmp_path: Path) -> None:
    Broker(BrokerKind.MOSQUITTO, tmp_path / "broker").stop()


def test_nothing_answers_where_no_broker_is() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        assert not answers("127.0.0.1", deaf.getsockname()[1])


@pytest.mark.parametrize(
    ("wanted", "mosquitto", "amqtt", "chosen"),
    [
        ("auto", True, True, BrokerKind.MOSQUITTO),
        ("auto", True, False, BrokerKind.MOSQUITTO),
        ("auto", False, True, BrokerKind.AMQTT),
        ("amqtt", True, True, BrokerKind.AMQTT),
        ("mosquitto", True, True, BrokerKind.MOSQUITTO),
        ("auto", False, False, "install mosquitto, or pip install"),
        ("mosquitto", False, True, "--broker amqtt"),
        ("amqtt", True, False, r"tidegauge\[embedded\]"),
    ],
)
def test_which_broker_is_started(
    wanted: str,
    *,
    mosquitto: bool,
    amqtt: bool,
    chosen: BrokerKind | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "find_mosquitto", lambda: "/usr/sbin/mosquitto" if mosquitto else None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object() if amqtt else None)
    if isinstance(chosen, BrokerKind):
        assert choose_kind(wanted) is chosen
    else:
        with pytest.raises(BrokerError, match=chosen):
            choose_kind(wanted)


def test_the_configuration_keeps_nothing_and_bounds_everything() -> None:
    lines = mosquitto_configuration(1883, as_root=False).splitlines()
    assert lines[0] == "listener 1883 127.0.0.1"
    assert {"persistence false", "max_packet_size 65536", "max_queued_messages 10000"} < set(lines)
    assert "user root" not in lines
    assert "user root" in mosquitto_configuration(1883, as_root=True)
