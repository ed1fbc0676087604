"""A bad card, end to end: no room, a damaged database, a copied card; sender, broker and collector as they are run."""

import contextlib
import json
import queue
import shutil
import threading
import time
from pathlib import Path
from urllib.error import HTTPError

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.events import Event
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage.errors import OutboxError
from appliance.transports import Ports
from firmware.model.record import Record
from firmware.wire.messages import MAX_ENDED
from tests.collector.process import CollectorProcess
from tests.firmware.records import tcp_record
from tests.mosquitto import Mosquitto, broker  # noqa: F401 - a fixture
from tests.waiting import LIMIT_S, until

DEVICE = "a1b2c3d4e5f6g7h8"


def account(count: int, reason: str) -> Record:
    return tcp_record(0, test="gap", failure="result_lost")


def sender(outbox: Outbox, port: int) -> Sync:
    events: queue.Queue[Event] = queue.Queue()
    return Sync(
        SyncSettings(host="127.0.0.1", ports=Ports(mqtt=port)),
        outbox,
        software="tidegauge test",
        country="xx",
        notify=events.put,
        random=lambda: 0.0,
    )


def deliver(outbox: Outbox, port: int) -> None:
    """Let a sender bring all of it, every epoch, away."""
    sync = sender(outbox, port)
    sync.start()
    until(
        lambda: not (outbox.counts().waiting or outbox.tombstones(1) or outbox.past()),
        lambda: f"delivered: {outbox.counts()}",
    )
    assert sync.stop(timeout_s=LIMIT_S)


def completeness(collector: CollectorProcess) -> dict[str, int]:
    found = json.loads(collector.get(f"api/v1/devices/{DEVICE}/completeness"))
    return {key: found[key] for key in ("produced", "stored", "tombstoned", "missing")}


def test_all_is_accounted_for_whatever_the_card_did(
    tmp_path: Path,
    broker: Mosquitto,  # noqa: F811
) -> None:
    path = tmp_path / "card" / "outbox.sqlite3"
    path.parent.mkdir()
    with CollectorProcess(tmp_path / "collector", "--broker", f"127.0.0.1:{broker.port}") as collector:
        with Outbox.open(path, device=DEVICE) as outbox:
            outbox.append([tcp_record(number) for number in range(1, 401)])
            assert outbox.evict(100) == 100
            assert outbox.quarantine(outbox.oldest(1)[0].seq, "too large to send")
            deliver(outbox, broker.port)
        assert completeness(collector) == {"produced": 400, "stored": 299, "tombstoned": 101, "missing": 0}

        # Damaged while a device is using it: the header, which nothing survives in SQLite's own eyes.
        with Outbox.open(path, device=DEVICE) as outbox:
            outbox.append([tcp_record(number) for number in range(401, 501)])
        path.write_bytes(bytes(100) + path.read_bytes()[100:])
        with Outbox.open(path, device=DEVICE) as outbox:
            assert outbox.recovered is not None
            assert (outbox.recovered.saved, outbox.recovered.lost) == (100, 0)
            store = GroupCommit(outbox, account=account)
            store.add(tcp_record(501), 0)
            assert store.commit(0)
            deliver(outbox, broker.port)
        # 501, and the record that says that the outbox was damaged.
        assert completeness(collector) == {"produced": 502, "stored": 401, "tombstoned": 101, "missing": 0}

        # Two go on from one card.
        copy = tmp_path / "copy"
        shutil.copytree(path.parent, copy)
        numbers = iter(range(502, 1000))
        for card in (path, copy / path.name, path, copy / path.name):
            with Outbox.open(card, device=DEVICE) as outbox:
                outbox.append([tcp_record(next(numbers)) for _ in range(20)])
                deliver(outbox, broker.port)
        assert completeness(collector) == {"produced": 582, "stored": 481, "tombstoned": 101, "missing": 0}
        lines = collector.get(f"api/v1/records?device={DEVICE}&format=ndjson&limit=1000").splitlines()
        stored = [json.loads(line)["record"]["round_id"] for line in lines]
        assert len(stored) == len(set(stored))


def test_a_device_that_delivered_all_and_went_away_has_no_epoch_left_to_name(
    tmp_path: Path,
    broker: Mosquitto,  # noqa: F811
) -> None:
    path = tmp_path / "outbox.sqlite3"
    epochs = MAX_ENDED + 3
    for number in range(1, epochs + 1):
        with Outbox.open(path, device=DEVICE) as outbox:
            outbox.append([tcp_record(number)])
        path.write_bytes(bytes(100) + path.read_bytes()[100:])
    with (
        CollectorProcess(tmp_path / "collector", "--broker", f"127.0.0.1:{broker.port}") as collector,
        Outbox.open(path, device=DEVICE) as outbox,
    ):
        assert outbox.hello(software="", country="").ended_beyond == 3
        sync = sender(outbox, broker.port)
        sync.start()
        said: dict[str, int] = {}

        def is_whole() -> bool:
            with contextlib.suppress(HTTPError):  # 404 until its first hello
                said.update(json.loads(collector.get(f"api/v1/devices/{DEVICE}/completeness")))
            return said.get("stored", 0) >= epochs and not said["missing"] and not said["unnamed_epochs"]

        # One connection, which nothing ends.
        until(is_whole, lambda: f"whole: {said}")
        assert sync.stop(timeout_s=LIMIT_S)


def test_a_database_damaged_in_use_is_replaced_while_the_sender_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    with Outbox.open(path, device=DEVICE) as outbox:
        store = GroupCommit(outbox, account=account)
        for number in range(1, 200):
            store.add(tcp_record(number), 0)
        assert store.commit(0)
        let_go = threading.Event()
        looking = threading.Event()

        def send() -> None:
            with outbox.clone() as mine:
                mine.newest(10)
                looking.set()
                while not let_go.is_set():
                    try:
                        mine.counts()
                    except OutboxError:
                        return  # as the sender does: it ends its session and opens the outbox again later
                    time.sleep(0.01)

        thread = threading.Thread(target=send)
        thread.start()
        assert looking.wait(LIMIT_S)
        outbox._shared.damaged = True
        store.add(tcp_record(200), 0)
        until(lambda: store.commit(time.monotonic_ns()), lambda: f"stored: {store.fault}")
        let_go.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
        assert outbox.recovered is not None
        assert outbox.recovered.saved == 199
        with outbox.clone() as anew:
            assert anew.epoch == outbox.epoch
            # 200, and the account of the damage; the 199 wait in the epoch they were made in.
            assert anew.counts().waiting == 201
            assert [len(box.oldest(1000)) for box in anew.past()] == [199]
