"""Records on their way to the disk: committed together, held while it refuses, counted when they must go."""

from pathlib import Path

import pytest

from appliance.outbox import group_commit
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import COMMIT_NS, RETRY_NS, GroupCommit
from appliance.storage.errors import OutboxDamagedError
from appliance.storage.file import connect
from firmware.model.record import Record
from tests.firmware.records import tcp_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def account(count: int, reason: str) -> Record:
    return tcp_record(count, test="gap", failure=f"unknown_failure: {bool(reason)}")


def test_records_wait_for_each_other_and_no_longer(path: Path) -> None:
    with Outbox.open(path, device="a" * 16) as outbox:
        store = GroupCommit(outbox, account=account)
        assert store.due_ns() is None
        store.add(tcp_record(1), 10)
        store.add(tcp_record(2), 20)
        assert not store.is_due(10 + COMMIT_NS - 1)
        assert store.is_due(10 + COMMIT_NS)
        assert store.commit(10 + COMMIT_NS)
        assert store.due_ns() is None
        assert not store.commit(0), "nothing is held any more"
        assert outbox.counts().produced == 2


def test_what_the_disk_refuses_is_held_and_stored_later(path: Path) -> None:
    with Outbox.open(path, device="a" * 16) as outbox:
        outbox._handle.connection.execute("PRAGMA busy_timeout = 10")
        store = GroupCommit(outbox, account=account)
        other = connect(path)
        other.execute("BEGIN IMMEDIATE")
        store.add(tcp_record(1), 0)
        assert not store.commit(5)
        assert "outbox.sqlite3" in store.fault
        assert store.due_ns() == 5 + RETRY_NS
        other.execute("ROLLBACK")
        other.close()
        store.add(tcp_record(2), 6)
        assert store.commit(5 + RETRY_NS)
        assert store.fault == ""
        assert (outbox.counts().produced, outbox.counts().unstored) == (2, 0)


def test_past_the_bound_the_oldest_go_and_are_accounted_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_HELD", 3)
    with Outbox.open(path, device="a" * 16) as outbox:
        outbox._handle.connection.execute("PRAGMA busy_timeout = 10")
        store = GroupCommit(outbox, account=account)
        other = connect(path)
        other.execute("BEGIN IMMEDIATE")
        for number in range(5):
            store.add(tcp_record(number), 0)
            assert not store.commit(0)
        other.execute("ROLLBACK")
        other.close()
        assert store.commit(0)
        counts = outbox.counts()
        assert (counts.produced, counts.unstored) == (4, 2), "three that were held, and the account of two"
        assert '"test":"gap"' in outbox.oldest(1)[0].body


def test_healing_that_failed_is_tried_again(path: Path) -> None:
    with Outbox.open(path, device="a" * 16) as outbox:
        store = GroupCommit(outbox, account=account)
        store.add(tcp_record(1), 0)
        assert store.commit(0)
        outbox._handle.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        path.write_bytes(b"not a database" * 1000)
        with pytest.raises(OutboxDamagedError):
            outbox.clone()
        in_the_way = path.with_name(path.name + ".new")
        in_the_way.mkdir()
        store.add(tcp_record(2), 0)
        now_ns = 0
        for _ in range(2):
            assert not store.commit(now_ns)
            assert "cannot be made beside the damaged one" in store.fault
            due_ns = store.due_ns()
            assert due_ns is not None
            assert due_ns > now_ns
            now_ns = due_ns
        in_the_way.rmdir()
        assert store.commit(now_ns), store.fault
        assert store.fault == ""
        assert outbox.quarantined_file is not None
        assert [row.seq for row in outbox.oldest(10)] == [1, 2], (
            "the account of the damage, and what was held"
        )
