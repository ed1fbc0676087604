"""What one step may take of the log and of the loop's time, however long the backlog is."""

from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.outbox.eviction import free_space
from appliance.outbox.group_commit import GroupCommit
from appliance.storage.file import connect
from appliance.storage.quota import Quota
from appliance.storage.tables import checked
from firmware.model.record import Record
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack, Reject
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
RECORDS = [tcp_record(number) for number in range(5000)]
LOG_BYTES = 3 * 1024 * 1024
"""Half of the reserve, where SQLite begins to take the log in, and one transaction."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def commits(outbox: Outbox) -> list[str]:
    """Return a list to which every commit on this connection is added from now on."""
    seen: list[str] = []
    outbox._handle.connection.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    return seen


def test_an_ack_of_a_whole_backlog_is_taken_in_parts_that_the_log_can_hold(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        for first in range(0, len(RECORDS), 100):
            outbox.append(RECORDS[first : first + 100])
        outbox._handle.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        ack = Ack(
            epoch=outbox.epoch,
            upto=2000,
            ranges=SeqRanges(((2002, 4500), (4502, 4990))),
            rejects=(Reject(seq=7, reason="no"),),
            incarnation=outbox.incarnation,
        )
        assert outbox.acknowledge(ack) == 2000 + 2499 + 489
        assert path.with_name(path.name + "-wal").stat().st_size < LOG_BYTES
        counts = outbox.counts()
        assert (counts.acknowledged, counts.quarantined, counts.waiting) == (4987, 1, 12)
        assert [row.seq for row in outbox.oldest(100)] == [2001, 4501, *range(4991, 5001)]


def test_tombstones_are_settled_with_the_rows_around_them(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(RECORDS)
        outbox.evict(1000)
        assert outbox.acknowledge(Ack(epoch=outbox.epoch, upto=5000, incarnation=outbox.incarnation)) == 4000
        assert outbox.tombstones(10) == []


def test_what_is_kept_is_passed_over_in_few_transactions(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(RECORDS)
        with outbox.transaction() as connection:
            connection.execute("UPDATE waiting SET value = 3")
        seen = commits(outbox)
        assert outbox.evict(100) == 100
        assert len(seen) <= 3


def test_what_is_too_old_goes_in_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_space, "_STEPS", 4)
    with Outbox.open(path, device=DEVICE, quota=Quota(path=path, max_age_s=1)) as outbox:
        outbox.append(RECORDS)
        with outbox.transaction() as connection:
            connection.executemany(
                "INSERT INTO age_mark (ran_s, seq, crc) VALUES (?, ?, ?)",
                [(ran_s, 4900, checked.mark(ran_s, 4900)) for ran_s in (0, 100)],
            )
        gone = [outbox.space.keep_age(now_ns) for now_ns in range(6)]
        assert gone == [1000, 1000, 1000, 1000, 900, 0]


def test_what_was_held_for_long_is_stored_in_parts_and_counted_once(path: Path) -> None:
    counted: list[int] = []

    def account(count: int, reason: str) -> Record:
        counted.append(count)
        return tcp_record(count, test="gap", failure="result_lost")

    with Outbox.open(path, device=DEVICE) as outbox:
        outbox._handle.connection.execute("PRAGMA busy_timeout = 10")
        store = GroupCommit(outbox, account=account)
        other = connect(path)
        other.execute("BEGIN IMMEDIATE")
        for record in (*RECORDS, *RECORDS[:3]):
            store.add(record, 0)
        assert not store.commit(0)
        other.execute("ROLLBACK")
        other.close()
        seen = commits(outbox)
        assert store.commit(0)
        assert len(seen) >= 20
        counts = outbox.counts()
        assert (counts.produced, counts.unstored, store.held) == (len(RECORDS) + 1, 3, 0)
        assert counted[-1] == 3
