"""The whole collector as a process: ready, delivered to, ended, killed, started again."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
from dataclasses import replace
from pathlib import Path

import pytest

from collector.broker.child import Broker, BrokerKind
from firmware.wire.messages import Batch, Tombstone, encode_batch
from tests.collector.process import CollectorProcess, wait_until_gone
from tests.collector.scripted_device import DEVICE, WAIT_S, ScriptedDevice, batch_of
from tests.needs import program
from tests.waiting import until


def stored(data: Path) -> list[int]:
    with sqlite3.connect(data / "collector.sqlite3") as connection:
        rows = connection.execute("SELECT seq FROM record ORDER BY seq").fetchall()
    connection.close()
    return [seq for (seq,) in rows]


@pytest.mark.parametrize("kind", list(BrokerKind))
def test_it_takes_in_serves_ends_and_goes_on_where_it_was(tmp_path: Path, kind: BrokerKind) -> None:
    if kind is BrokerKind.MOSQUITTO:
        program("mosquitto")
    data = tmp_path / "data"
    with CollectorProcess(data, "--broker", kind) as collector:
        with ScriptedDevice(collector.host, collector.port) as device:
            assert device.send(1, 2, 3).upto == 3
        assert DEVICE.encode() in collector.get("")
        assert collector.end(signal.SIGTERM) == 0
        wait_until_gone(collector.facts["broker_pid"])
    assert not (data / "collector.json").exists()
    assert stored(data) == [1, 2, 3]
    with CollectorProcess(data, "--broker", kind) as collector:
        with ScriptedDevice(collector.host, collector.port) as device:
            assert device.hello(4, 5).upto == 3
            assert device.send(4, 5).upto == 5
        assert collector.end(signal.SIGINT) == 0
    assert stored(data) == [1, 2, 3, 4, 5]


def test_what_is_acknowledged_is_stored_when_it_is_told_to_end_in_the_middle(tmp_path: Path) -> None:
    program("mosquitto")
    data = tmp_path / "data"
    with CollectorProcess(data) as collector, ScriptedDevice(collector.host, collector.port) as device:
        for seq in range(1, 400):
            device.publish_unawaited("live", encode_batch(batch_of([seq])))
        first = device.ack()
        assert collector.end() == 0
        acknowledged = max([first.upto, *(ack.upto for ack in device.acks_so_far())])
    assert stored(data)[:acknowledged] == list(range(1, acknowledged + 1))


def test_killed_it_takes_its_broker_with_it_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    program("mosquitto")
    data = tmp_path / "data"
    with CollectorProcess(data) as collector:
        with ScriptedDevice(collector.host, collector.port) as device:
            upto = device.send(*range(1, 50)).upto
            collector.end(signal.SIGKILL)
        wait_until_gone(collector.facts["broker_pid"])
    assert stored(data) == list(range(1, upto + 1))
    with (
        CollectorProcess(data) as collector,
        ScriptedDevice(collector.host, collector.port) as device,
    ):
        assert device.hello(1, 50).upto == 49


def rename(data: Path, table: str, name: str) -> None:
    with sqlite3.connect(data / "collector.sqlite3") as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")
    connection.close()


def test_its_health_says_when_nothing_can_be_stored_and_when_it_can_again(tmp_path: Path) -> None:
    program("mosquitto")
    data = tmp_path / "data"
    with CollectorProcess(data) as collector, ScriptedDevice(collector.host, collector.port) as device:
        assert device.send(1).upto == 1
        assert json.loads(collector.get("healthz"))["status"] == "ok"
        rename(data, "tombstone", "gone")
        device.publish_unawaited("live", encode_batch(given_up(2)))
        fault = until(lambda: trouble(collector), "said that nothing can be stored")
        assert fault.startswith("503 ")
        assert "nothing is acknowledged" in fault
        assert "tombstone" in fault
        rename(data, "gone", "tombstone")
        until(lambda: device.send(3).upto >= 1, "answered again")
        # The answer is on its way before the next look at the store has been told.
        until(lambda: not trouble(collector), "said that all is well again")


def trouble(collector: CollectorProcess) -> str:
    """Return what its health says is wrong, nothing where all is well."""
    try:
        collector.get("healthz")
    except urllib.error.HTTPError as error:
        return f"{error.code} {json.loads(error.read())['error']['message']}"
    return ""


def given_up(seq: int) -> Batch:
    told = Tombstone(low=seq, high=seq, count=1, reason="no room")
    return replace(batch_of([seq + 100]), tombstones=(told,))


DIES_BEFORE_ITS_ACK = """
import os, signal, sys, threading
from pathlib import Path
from collector.receive.inbox import Inbox
from collector.receive.ingest import IngestThread
from collector.store.database import Store
from collector.receive.mqtt.subscriber import Subscriber
inbox = Inbox(max_messages=100, max_bytes=1 << 20)
subscriber = Subscriber("127.0.0.1", int(sys.argv[2]), inbox, on_state=lambda state, _: print(state, flush=True))
ingest = IngestThread(Store.open(Path(sys.argv[1])), inbox, lambda answer: os.kill(os.getpid(), signal.SIGKILL))
subscriber.start()
ingest.start()
threading.Event().wait()
"""


def test_killed_between_commit_and_ack_the_resent_batch_is_answered_and_stored_once(
    tmp_path: Path, mosquitto: Broker
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    arguments = [str(data / "collector.sqlite3"), str(mosquitto.port)]
    with ScriptedDevice(mosquitto.host, mosquitto.port) as device:
        with subprocess.Popen(
            [sys.executable, "-c", DIES_BEFORE_ITS_ACK, *arguments], stdout=subprocess.PIPE, text=True
        ) as dying:
            assert dying.stdout is not None
            assert any(line.strip() == "connected" for line in dying.stdout)
            device.publish("live", encode_batch(batch_of([1, 2, 3])))
            assert dying.wait(WAIT_S) == -signal.SIGKILL
        assert stored(data) == [1, 2, 3]
        assert device.no_ack_so_far()
        with CollectorProcess(data, "--broker", f"{mosquitto.host}:{mosquitto.port}"):
            assert device.send(1, 2, 3).upto == 3
            assert device.hello(4, 3).upto == 3
    assert stored(data) == [1, 2, 3]


def test_the_page_goes_on_while_the_broker_is_killed_and_comes_back(tmp_path: Path) -> None:
    program("mosquitto")
    with CollectorProcess(tmp_path / "data") as collector:
        os.kill(collector.facts["broker_pid"], signal.SIGKILL)

        def listens_again() -> bool:
            assert collector.get("")  # all the while
            return collector.errors.count("listening at the broker") >= 2

        until(listens_again, lambda: f"listening again: {collector.errors}")
        assert "mosquitto ended (signal 9); starting it again" in collector.errors
        with ScriptedDevice(collector.host, collector.port) as device:
            assert device.send(1).upto == 1


def test_without_a_broker_there_it_says_so_and_serves_the_page(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: refused
        port = nobody.getsockname()[1]
        with CollectorProcess(tmp_path / "data", "--broker", f"127.0.0.1:{port}") as collector:
            assert collector.get("")
            until(lambda: f"broker 127.0.0.1:{port}" in collector.errors, "said which broker")
            assert "refused" in collector.errors
            assert collector.end() == 0


def test_taking_in_nothing_it_serves_the_page(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path / "data", "--broker", "none") as collector:
        assert (collector.host, collector.port) == ("", 0)
        assert collector.get("")
        assert collector.end() == 0


def test_it_tells_the_service_manager_when_it_is_ready_and_when_it_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        where = str(tmp_path / "notify")
        manager.bind(where)
        manager.settimeout(WAIT_S)
        with CollectorProcess(
            tmp_path / "data", "--broker", "none", environment={"NOTIFY_SOCKET": where}
        ) as collector:
            assert manager.recv(100) == b"READY=1"
            collector.end()
            assert manager.recv(100) == b"STOPPING=1"


def test_the_ready_file_says_where_everything_is(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path / "data") as collector:
        facts = json.loads((tmp_path / "data" / "collector.json").read_text())
        assert facts["v"] == 1
        assert facts["pid"] == collector.process.pid
        assert facts["page_url"].startswith("http://127.0.0.1:")
        assert facts["broker_host"] == "127.0.0.1"
        assert Path(f"/proc/{facts['broker_pid']}").exists()
