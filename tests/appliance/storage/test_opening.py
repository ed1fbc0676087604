"""A large outbox is checked and recovered in a thread of its own: what is measured meanwhile is held, and none of it lost."""

import logging
import time
from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import READY_NS, GroupCommit
from appliance.storage import opening
from appliance.storage.errors import OutboxBusyError, OutboxDamagedError, OutboxForeignError
from firmware.model.record import Record
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
LIMIT_S = 60.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where an outbox with 100 records is, which counts as large."""
    path = tmp_path / "outbox.sqlite3"
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(100)])
    monkeypatch.setattr(opening, "LARGE_BYTES", 1)
    return path


def account(count: int, reason: str) -> Record:
    return tcp_record(count, test="gap", failure="result_lost")


def committed(store: GroupCommit, outbox: Outbox) -> None:
    """Commit what is held as soon as the outbox is ready."""
    until = time.monotonic() + LIMIT_S
    while not store.commit(0):
        assert not store.fault
        assert store.due_ns() == READY_NS
        assert outbox.wait_until_ready(until - time.monotonic())


def test_a_large_one_is_checked_beside_the_measuring(path: Path) -> None:
    with Outbox.open(path, device=DEVICE, patient=True) as outbox:
        with pytest.raises(OutboxBusyError, match="the database is being read through"):
            outbox.counts()
        store = GroupCommit(outbox, account=account)
        store.add(tcp_record(100), 0)
        committed(store, outbox)
        assert outbox.is_open
        assert outbox.recovered is None
        assert [row.seq for row in outbox.oldest(200)] == list(range(1, 102))
        with outbox.clone() as other:
            assert other.counts().waiting == 101


def test_who_is_not_patient_waits_for_it(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.is_open
        assert outbox.counts().waiting == 100


def test_a_large_one_found_damaged_at_start_is_healed_beside_the_measuring(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))
    with Outbox.open(path, device=DEVICE, patient=True) as outbox:
        store = GroupCommit(outbox, account=account)
        store.add(tcp_record(100), 0)
        committed(store, outbox)
        assert outbox.recovered is not None
        assert outbox.recovered.saved == 100
        (ended,) = outbox.past()
        assert len(ended.oldest(200)) == 100
        assert outbox.counts().produced == 100 + 2, "what was held, and the account of the damage"


def test_a_large_one_found_damaged_in_use_is_healed_beside_the_measuring(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        store = GroupCommit(outbox, account=account)
        sender = outbox.clone()
        outbox._handle.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with path.open("r+b") as file:
            file.write(b"not a database" * 10)
        with pytest.raises(OutboxDamagedError):
            outbox.clone()
        store.add(tcp_record(100), 0)
        assert not store.commit(0), "the sender has it open"
        assert "as soon as the sender has let go" in store.fault
        sender.close()
        later_ns = 10**18
        assert not store.commit(later_ns)
        assert store.due_ns() == later_ns + READY_NS
        with pytest.raises(OutboxBusyError, match="is being replaced"):
            outbox.clone()
        assert outbox.wait_until_ready(LIMIT_S)
        assert store.commit(later_ns)
        assert not store.fault
        assert outbox.counts().waiting == 100 + 2
        assert outbox.quarantined_file is not None


def test_another_device_s_is_refused_at_once(path: Path) -> None:
    with pytest.raises(OutboxForeignError):
        Outbox.open(path, device="z" * 16, patient=True)


def test_what_the_thread_meets_is_told_to_who_asks_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path.write_bytes(b"not a database" * 1000)
    in_the_way = path.with_name(path.name + ".new")
    in_the_way.mkdir()
    with Outbox.open(path, device=DEVICE, patient=True) as outbox:
        assert "is being checked; measuring goes on" in caplog.text
        store = GroupCommit(outbox, account=account)
        store.add(tcp_record(1), 0)
        assert outbox.wait_until_ready(LIMIT_S)
        assert not store.commit(0)
        assert "cannot be made beside the damaged one" in store.fault
        in_the_way.rmdir()
        now_ns = store.due_ns()
        assert now_ns is not None
        while not store.commit(now_ns):
            assert outbox.wait_until_ready(LIMIT_S)
        assert not store.fault
