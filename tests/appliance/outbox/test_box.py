"""The outbox on real SQLite: seqs without a gap, rows that leave only when they may, and every kind of bad disk."""

import dataclasses
import json
import os
import re
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.outbox.box import ROUNDS_KEPT, AckImpossibleError, Outbox
from appliance.storage.errors import (
    OutboxBusyError,
    OutboxError,
    OutboxForeignError,
    OutboxFullError,
    OutboxReadOnlyError,
    OutboxTooNewError,
)
from appliance.storage.file import connect
from appliance.storage.tables import migrations
from firmware.model.record import Outcome, Record, RecordIdentity, Verdict, from_json, to_json
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack, Reject
from tests.appliance import namespaces
from tests.firmware.records import tcp_record
from tests.waiting import LIMIT_S

DEVICE = "a1b2c3d4e5f6g7h8"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox.open(path, device=DEVICE) as opened:
        yield opened


def records(first: int, last: int) -> list[Record]:
    return [tcp_record(number) for number in range(first, last + 1)]


def waiting(outbox: Outbox) -> list[int]:
    return [row.seq for row in outbox.oldest(100_000)]


def ack(outbox: Outbox, upto: int = 0, *ranges: tuple[int, int], rejects: tuple[Reject, ...] = ()) -> Ack:
    return Ack(
        epoch=outbox.epoch,
        upto=upto,
        ranges=SeqRanges(ranges),
        rejects=rejects,
        incarnation=outbox.incarnation,
    )


# storing


def test_seqs_run_from_one_without_a_gap(outbox: Outbox) -> None:
    assert re.fullmatch("[0-9a-f]{16}", outbox.epoch)
    first = outbox.append(records(1, 3))
    second = outbox.append(records(4, 4))
    assert [*first, *second] == [
        RecordIdentity(device=DEVICE, epoch=outbox.epoch, seq=seq) for seq in (1, 2, 3, 4)
    ]


def test_a_seq_is_never_used_again(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(records(1, 5))
        assert outbox.acknowledge(ack(outbox, 5)) == 5
        epoch = outbox.epoch
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.append(records(6, 6)) == [RecordIdentity(device=DEVICE, epoch=epoch, seq=6)]


def test_a_record_comes_back_as_it_was(outbox: Outbox) -> None:
    record = tcp_record(1, failure="generic_timeout_error")
    outbox.append([record])
    assert from_json(json.loads(outbox.oldest(1)[0].body)) == record


def test_an_empty_bunch_is_nothing(outbox: Outbox) -> None:
    assert outbox.append([]) == []
    assert outbox.counts().produced == 0


def test_half_a_character_from_the_network_can_be_stored_and_sent(outbox: Outbox) -> None:
    record = dataclasses.replace(tcp_record(1), outcome=Outcome(detail={"title": "\ud800 broken"}))
    outbox.append([record])
    assert '"title":"? broken"' in outbox.oldest(1)[0].body


def test_a_commit_is_flushed_to_the_disk(path: Path, outbox: Outbox) -> None:
    # What a power cut needs; the cut itself is tried in a virtual machine.
    connection = connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_an_append_that_fails_midway_stores_nothing(outbox: Outbox) -> None:
    outbox.append(records(1, 2))
    broken = dataclasses.replace(tcp_record(4), round_id=2**70)
    with pytest.raises(OverflowError):
        outbox.append([tcp_record(3), dataclasses.replace(broken, test="ladder")])
    assert waiting(outbox) == [1, 2]
    assert outbox.append(records(3, 3))[0].seq == 3


# reading


def test_newest_and_oldest_read_a_range_in_their_order(outbox: Outbox) -> None:
    outbox.append(records(1, 20))
    assert [row.seq for row in outbox.newest(3)] == [20, 19, 18]
    assert [row.seq for row in outbox.newest(3, below=10)] == [9, 8, 7]
    assert [row.seq for row in outbox.newest(9, below=10, above=7)] == [9, 8]
    assert [row.seq for row in outbox.oldest(2)] == [1, 2]
    assert [row.seq for row in outbox.oldest(9, above=4, below=7)] == [5, 6]


def test_reading_stops_at_its_bound_of_bytes(outbox: Outbox) -> None:
    outbox.append(records(1, 20))
    size = len(outbox.oldest(1)[0].body)
    assert len(outbox.newest(20, max_bytes=3 * size)) in {3, 4}
    assert len(outbox.newest(20, max_bytes=0)) == 1


def test_what_the_sender_asks_costs_no_scan(path: Path, outbox: Outbox) -> None:
    """Every statement the sender repeats is a primary-key search: its cost does not grow with the backlog."""
    asked: list[str] = []
    outbox._handle.connection.set_trace_callback(asked.append)
    outbox.append(records(1, 5))
    outbox.newest(2, below=5, above=1)
    outbox.oldest(2, above=1, below=5)
    outbox.counts()
    outbox.hello(software="", country="")
    outbox.acknowledge(ack(outbox, 2, (4, 4), rejects=(Reject(seq=3, reason="no"),)))
    outbox._handle.connection.set_trace_callback(None)
    statements = [sql for sql in asked if sql.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}]
    assert len(statements) >= 10
    connection = connect(path)
    for sql in statements:
        plan = " / ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
        # One row an epoch, and one an incarnation the collector has not heard of: neither grows with the backlog.
        few = plan.replace("SCAN state", "").replace("SCAN run", "")
        assert "SCAN" not in few, f"{sql}: {plan}"
    connection.close()


def test_reading_holds_no_more_than_it_was_asked_for(outbox: Outbox) -> None:
    outbox.append(records(1, 5000))
    tracemalloc.start()
    outbox.newest(10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


# leaving


def test_rows_leave_only_on_the_collector_s_word(outbox: Outbox) -> None:
    outbox.append(records(1, 10))
    assert outbox.acknowledge(ack(outbox, 3, (5, 6), (9, 9))) == 6
    assert waiting(outbox) == [4, 7, 8, 10]
    counts = outbox.counts()
    assert (counts.produced, counts.waiting, counts.acknowledged, counts.quarantined) == (10, 4, 6, 0)


def test_an_ack_again_changes_nothing(outbox: Outbox) -> None:
    outbox.append(records(1, 10))
    again = ack(outbox, 3, (5, 6), rejects=(Reject(seq=8, reason="no"),))
    outbox.acknowledge(again)
    before = outbox.counts()
    assert outbox.acknowledge(again) == 0
    assert outbox.counts() == before


def test_an_ack_of_another_epoch_changes_nothing(outbox: Outbox) -> None:
    outbox.append(records(1, 3))
    assert outbox.acknowledge(Ack(epoch="0123456789abcdef", upto=3)) == 0
    assert waiting(outbox) == [1, 2, 3]


@pytest.mark.parametrize("incarnation", ["", "0123456789abcdef"])
def test_an_ack_that_answers_no_incarnation_of_this_card_changes_nothing(
    outbox: Outbox, incarnation: str
) -> None:
    outbox.append(records(1, 3))
    assert outbox.acknowledge(Ack(epoch=outbox.epoch, upto=3, incarnation=incarnation)) == 0
    assert outbox.acknowledge(Ack(epoch=outbox.epoch, upto=0, conflict=1, incarnation=incarnation)) == 0
    assert waiting(outbox) == [1, 2, 3]
    assert not outbox.past()


def test_an_ack_to_an_earlier_incarnation_counts_as_far_as_it_got(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(records(1, 3))
        earlier = outbox.incarnation
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(records(4, 5))
        assert outbox.acknowledge(Ack(epoch=outbox.epoch, upto=4, incarnation=earlier)) == 0
        assert outbox.acknowledge(Ack(epoch=outbox.epoch, upto=3, incarnation=earlier)) == 3
        assert waiting(outbox) == [4, 5]


@pytest.mark.parametrize("spans", [(4,), (0, (2, 4)), (2**62,)])
def test_an_ack_of_what_was_never_made_changes_nothing_and_is_told(
    outbox: Outbox, spans: tuple[int | tuple[int, int], ...]
) -> None:
    outbox.append(records(1, 3))
    with pytest.raises(AckImpossibleError, match="copied or restored"):
        outbox.acknowledge(ack(outbox, *spans))  # type: ignore[arg-type]
    assert waiting(outbox) == [1, 2, 3]


def test_a_reject_is_kept_with_its_reason(path: Path, outbox: Outbox) -> None:
    outbox.append(records(1, 3))
    # Covered and rejected in one ack: it was not stored, so it counts as rejected.
    assert outbox.acknowledge(ack(outbox, 3, rejects=(Reject(seq=2, reason="x" * 5000),))) == 3
    counts = outbox.counts()
    assert (counts.waiting, counts.acknowledged, counts.quarantined) == (0, 2, 1)
    connection = connect(path)
    ((seq, reason, said_by),) = connection.execute("SELECT seq, reason, said_by FROM quarantine").fetchall()
    connection.close()
    assert (seq, reason, said_by) == (2, "x" * 500, "collector")


def test_a_reject_of_nothing_changes_nothing(outbox: Outbox) -> None:
    outbox.append(records(1, 1))
    assert outbox.acknowledge(ack(outbox, 0, rejects=(Reject(seq=-(10**30), reason="no"),))) == 0
    with pytest.raises(AckImpossibleError):
        outbox.acknowledge(ack(outbox, 0, rejects=(Reject(seq=10**30, reason="no"),)))
    assert waiting(outbox) == [1]


def test_the_device_may_set_a_record_aside_itself(outbox: Outbox) -> None:
    outbox.append(records(1, 2))
    assert outbox.quarantine(1, "too large")
    assert not outbox.quarantine(1, "too large")
    assert waiting(outbox) == [2]
    assert outbox.counts().quarantined == 1


def test_hello_says_what_is_held(outbox: Outbox) -> None:
    def span() -> tuple[int, int, int]:
        hello = outbox.hello(software="s", country="ir")
        assert (hello.device, hello.epoch, hello.software, hello.country) == (DEVICE, outbox.epoch, "s", "ir")
        return hello.low, hello.high, hello.waiting

    assert span() == (1, 0, 0)
    outbox.append(records(1, 6))
    assert span() == (1, 6, 6)
    outbox.acknowledge(ack(outbox, 2, (4, 4)))
    assert span() == (3, 6, 3)
    outbox.acknowledge(ack(outbox, 6))
    assert span() == (7, 6, 0)


def ladder(round_id: int) -> Record:
    verdict = Verdict(verdict="ok", rule_id="r1")
    return dataclasses.replace(tcp_record(round_id), test="ladder", verdict=verdict)


def test_the_last_rounds_stay_after_they_were_acknowledged(outbox: Outbox) -> None:
    for number in range(1, ROUNDS_KEPT + 11):
        outbox.append([tcp_record(number), ladder(number)])
    outbox.acknowledge(ack(outbox, outbox.counts().produced))
    assert [record.round_id for record in outbox.recent_rounds(3)] == [70, 69, 68]
    assert to_json(outbox.recent_rounds(1)[0]) == to_json(ladder(70))
    assert len(outbox.recent_rounds(1000)) == ROUNDS_KEPT


def test_a_revised_round_is_among_the_last_once_and_in_its_place(outbox: Outbox) -> None:
    outbox.append([ladder(1), ladder(2)])
    outbox.append([dataclasses.replace(ladder(1), verdict=Verdict(verdict="inconclusive", rule_id="r2"))])
    found = outbox.recent_rounds(10)
    assert [(one.round_id, one.verdict.verdict) for one in found if one.verdict] == [
        (2, "ok"),
        (1, "inconclusive"),
    ]
    assert [one.round_id for one in outbox.recent_rounds(1)] == [2]


# two threads, and a third party


def test_the_sender_s_thread_reads_and_acknowledges_while_the_daemon_appends(outbox: Outbox) -> None:
    faults: list[BaseException] = []
    produced = threading.Event()

    def send() -> None:
        try:
            with outbox.clone() as mine:
                while mine.counts().waiting or not produced.is_set():
                    for row in mine.newest(7):
                        mine.acknowledge(ack(mine, 0, (row.seq, row.seq)))
        except BaseException as fault:  # noqa: BLE001 - told by the test
            faults.append(fault)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        for number in range(1, 301):
            outbox.append([tcp_record(number)])
    finally:
        produced.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert not faults
    counts = outbox.counts()
    assert (counts.produced, counts.acknowledged, counts.waiting) == (300, 300, 0)


def test_one_thread_s_connection_is_refused_to_another(outbox: Outbox) -> None:
    caught: list[BaseException] = []

    def misuse() -> None:
        try:
            outbox.counts()
        except sqlite3.ProgrammingError as error:
            caught.append(error)

    thread = threading.Thread(target=misuse)
    thread.start()
    thread.join()
    assert caught


def test_another_process_may_look_and_not_write(path: Path, outbox: Outbox) -> None:
    outbox.append([ladder(1)])
    with Outbox.open_read_only(path) as seen:
        assert seen.counts() == outbox.counts()
        assert seen.recent_rounds(1)[0].round_id == 1
        with pytest.raises(OutboxReadOnlyError):
            seen.append(records(1, 1))


def test_looking_where_nothing_is_makes_nothing(path: Path) -> None:
    with pytest.raises(OutboxError):
        Outbox.open_read_only(path)
    assert not path.exists()


def test_looking_at_a_database_that_is_only_just_being_made(path: Path) -> None:
    connect(path).close()
    with pytest.raises(OutboxError, match="not made yet"):
        Outbox.open_read_only(path)
    connection = connect(path)
    migrations.apply(connection)
    connection.close()
    with pytest.raises(OutboxError, match="not made yet"):
        Outbox.open_read_only(path)


def test_a_database_held_by_somebody_else_is_told(
    path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox._handle.connection.execute("PRAGMA busy_timeout = 10")
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxBusyError):
        outbox.append(records(1, 2))
    other.execute("ROLLBACK")
    other.close()
    assert outbox.counts().unstored == 0, "the caller still has them"
    outbox.append(records(3, 3), given_up=2)
    assert waiting(outbox) == [1]
    assert outbox.counts().unstored == 2


# opening what is there


def test_the_schema_is_what_the_migrations_say(path: Path, outbox: Outbox) -> None:
    connection = connect(path)
    assert migrations.applied(connection) == migrations.NAMES
    connection.close()


def test_a_database_of_a_newer_version_is_refused_by_name(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(records(1, 1))
    connection = connect(path)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('outbox', 'm999_comet', '')"
    )
    connection.close()
    with pytest.raises(OutboxTooNewError, match=r"'m999_comet'.*Upgrade tidegauge"):
        Outbox.open(path, device=DEVICE)
    with pytest.raises(OutboxTooNewError, match=r"'m999_comet'.*Upgrade tidegauge"):
        Outbox.open_read_only(path)
    assert path.exists()


def test_another_device_s_outbox_is_refused(path: Path) -> None:
    Outbox.open(path, device=DEVICE).close()
    with pytest.raises(OutboxForeignError, match=f"device {DEVICE}, but device.json says zzzzzzzzzzzzzzzz"):
        Outbox.open(path, device="z" * 16)


def zero_header(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-6000])


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for offset in range(4096, len(content) - 4096, 4096):
        content[offset : offset + 64] = b"\xa5" * 64
    path.write_bytes(content)


def lose_counters(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE state SET produced = 2")
    connection.commit()
    connection.close()


def lose_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE waiting")
    connection.commit()
    connection.close()


def misspell_a_migration(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE _sqlite_migrations SET name = 'm002_epoahs' WHERE name = 'm002_epochs'")
    connection.commit()
    connection.close()


def misspell_the_device(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE state SET device = ?", ("q" + DEVICE[1:],))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [zero_header, cut_short, scribble, lose_counters, lose_table, misspell_a_migration, misspell_the_device],
)
def test_a_damaged_database_is_set_aside_whole_and_a_new_epoch_begins(
    path: Path, damage: Callable[[Path], None]
) -> None:
    with Outbox.open(path, device=DEVICE, utc_ns=lambda: 1_763_700_000_000_000_000) as outbox:
        outbox.append(records(1, 200))
        epoch = outbox.epoch
    damage(path)
    damaged = path.read_bytes()
    with Outbox.open(path, device=DEVICE, utc_ns=lambda: 1_763_700_000_000_000_000) as outbox:
        assert outbox.quarantined_file == path.with_name("outbox.damaged-20251121T044000Z.sqlite3")
        assert outbox.quarantined_file.read_bytes() == damaged
        assert outbox.epoch != epoch
        assert outbox.append(records(1, 1))[0].seq == 1
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.quarantined_file is None


@pytest.mark.parametrize("newest", [False, True])
def test_who_only_looks_passes_over_what_is_spoilt(path: Path, newest: bool) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(records(1, 9))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE waiting SET body = 'q' || substr(body, 2) WHERE seq NOT IN (4, 8)")
    connection.commit()
    connection.close()
    with Outbox.open_read_only(path) as outbox:
        read = outbox.newest if newest else outbox.oldest
        assert [row.seq for row in read(2)] == ([8] if newest else [4])
        assert [row.seq for row in read(100)] == ([8, 4] if newest else [4, 8])
        assert outbox.counts().waiting == 9
    with Outbox.open(path, device=DEVICE) as outbox:
        assert [row.seq for row in (outbox.newest if newest else outbox.oldest)(2)] == (
            [8] if newest else [4]
        )
        assert outbox.counts().quarantined >= 1


def test_damage_twice_in_one_second_loses_neither(path: Path) -> None:
    for _ in range(2):
        path.write_bytes(b"not a database at all" * 100)
        Outbox.open(path, device=DEVICE, utc_ns=lambda: 0).close()
    assert len(list(path.parent.glob("outbox.damaged-*"))) == 2


def test_of_many_damaged_ones_the_last_are_kept(path: Path) -> None:
    for second in range(5):
        path.write_bytes(b"not a database at all" * 100)
        os.utime(path, (second, second))
        Outbox.open(path, device=DEVICE, utc_ns=lambda at=second: at * 10**9).close()  # type: ignore[misc]
    assert sorted(one.name for one in path.parent.glob("outbox.damaged-*")) == [
        "outbox.damaged-19700101T000003Z.sqlite3",
        "outbox.damaged-19700101T000004Z.sqlite3",
    ]


def test_a_first_start_cut_short_begins_again(path: Path) -> None:
    connection = connect(path)
    migrations.apply(connection)
    connection.close()
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.quarantined_file is None
        assert outbox.append(records(1, 1))[0].seq == 1


# disks


FILL = """
import sys, pathlib
from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxFullError
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record
directory = pathlib.Path(sys.argv[1])
outbox = Outbox.open(directory / "outbox.sqlite3", device="a1b2c3d4e5f6g7h8")
stored = 0
try:
    while True:
        outbox.append([tcp_record(n) for n in range(20)])
        stored += 20
except OutboxFullError as error:
    print(error)
for given_up in (20, 40):
    try:
        outbox.append([tcp_record(n) for n in range(20)], given_up=given_up)
    except OutboxFullError as error:
        print(outbox.counts().unstored)
counts = outbox.counts()
assert counts.produced == counts.waiting == stored, counts
assert [row.seq for row in outbox.oldest(10**6)] == list(range(1, stored + 1))
(directory / "reserve").unlink()
print(outbox.append([tcp_record(0)], given_up=60)[0].seq - stored, outbox.counts().unstored)
outbox.close()
outbox = Outbox.open(directory / "outbox.sqlite3", device="a1b2c3d4e5f6g7h8")
print(outbox.quarantined_file, outbox.counts().unstored, outbox.acknowledge(Ack(epoch=outbox.epoch, upto=stored, incarnation=outbox.incarnation)) == stored)
outbox.close()
"""


def test_a_full_disk_is_told_counted_and_survived(tmp_path: Path) -> None:
    said = namespaces.run(
        FILL,
        mounts='mount -t tmpfs -o size=3m tmpfs "$DIR"; head -c 1500000 /dev/zero > "$DIR/reserve"',
        directory=tmp_path,
    )
    full, first, second, after, reopened = said.splitlines()
    assert "outbox.sqlite3: the disk is full" in full
    assert first == second == "0", "nothing is counted but with what is stored"
    assert after == "1 60"
    assert reopened == "None 60 True"


RECOVER_ON_A_FULL_DISK = """
import sys, pathlib
from appliance.outbox.box import Outbox
from appliance.storage.quota import Quota
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record
path = pathlib.Path(sys.argv[1]) / "outbox.sqlite3"
quota = Quota(path=path)
with Outbox.open(path, device="a1b2c3d4e5f6g7h8", quota=quota) as outbox:
    while path.stat().st_size < 8_000_000:
        outbox.append([tcp_record(n) for n in range(100)])
    outbox.acknowledge(Ack(epoch=outbox.epoch, upto=100, incarnation=outbox.incarnation))
    epoch, made = outbox.epoch, outbox.counts().produced
with path.open("r+b") as file:
    file.write(bytes(100))
aside = path.with_name("outbox.damaged-19700101T000000Z.sqlite3")
aside.write_bytes(bytes(1_000_000))
with Outbox.open(path, device="a1b2c3d4e5f6g7h8", quota=quota) as outbox:
    assert "full" in outbox.recovered.fault, outbox.recovered
    assert not aside.exists()
    (ended,) = outbox.past()
    assert ended.epoch == epoch
    waiting = [row.seq for row in ended.oldest(10**6)]
    given_up = sum(one.count for one in ended.tombstones(10**6))
    counts = outbox.counts()
    assert waiting and given_up, (len(waiting), given_up)
    # What was delivered before nobody can tell any more from what was lost: all that is not here is told of.
    assert len(waiting) == counts.waiting == outbox.recovered.saved, counts
    assert len(waiting) + given_up == made, counts
    assert outbox.append([tcp_record(0)])[0].seq == 1
    assert outbox.quarantined_file.exists()
    # The next time there is no space the damaged one goes, before any record does.
    try:
        while outbox.quarantined_file.exists():
            outbox.append([tcp_record(n) for n in range(100)])
    except Exception as error:
        raise SystemExit(f"{error!r}")
    assert not outbox.tombstones(1)
print("accounted for")
"""


def test_a_damaged_database_on_a_disk_too_full_for_another_is_healed_in_part(tmp_path: Path) -> None:
    said = namespaces.run(
        RECOVER_ON_A_FULL_DISK, mounts='mount -t tmpfs -o size=14m tmpfs "$DIR"', directory=tmp_path
    )
    assert said == "accounted for\n"


def test_a_full_error_is_an_outbox_error() -> None:
    assert issubclass(OutboxFullError, OutboxError)
