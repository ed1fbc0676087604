"""The digest chain in a real database: nothing that was received or said can be changed without the audit naming it."""

import json
import logging
import random
import re
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector.audit.chain import audit_chain
from collector.audit.heads import kept_heads
from collector.errors import StoreError
from collector.store import chain
from collector.store.chain import Head, begin, entry_digest
from collector.store.covered import COVERED, row_digest
from collector.store.database import Store
from collector.store.queries import Queries
from firmware.commands.errors import BadInputError
from firmware.wire.messages import encode_batch
from tests import namespaces, small_disk
from tests.collector.audit.tampering import every_tampering, tables, tamper
from tests.collector.audit.world import RECEIVED_NS, A, B, C, World, every_table, records
from tests.collector.scripted_device import batch_of
from tests.drills.exchange import Collector


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> World:
    return every_table(tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def world(untouched: World, tmp_path: Path) -> World:
    """Copy the database; the authority is the same."""
    copied = World.__new__(World)
    copied.__dict__.update(untouched.__dict__)
    copied.data = tmp_path
    copied.path = tmp_path / "collector.sqlite3"
    with closing(sqlite3.connect(untouched.path)) as source, closing(sqlite3.connect(copied.path)) as target:
        source.backup(target)
    return copied


def head_of(world: World) -> Head:
    with closing(sqlite3.connect(world.path)) as connection:
        return chain.head(connection)


def chain_made_anew(world: World) -> None:
    """Do as somebody does who knows how the chain is made: throw it away, and make one over what is there by now."""
    with closing(sqlite3.connect(world.path)) as connection:
        connection.execute("DELETE FROM chain")
        begin(connection, COVERED, RECEIVED_NS)
        connection.commit()


def appended(world: World, content: str) -> None:
    """Append an entry that follows from the last one as it should."""
    with closing(sqlite3.connect(world.path)) as connection:
        last = chain.head(connection)
        number = last.number + 1
        digest = entry_digest(last.digest, number, RECEIVED_NS, "received", content)
        values = (number, RECEIVED_NS, "received", content, digest)
        connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?)", values)
        connection.commit()


def test_every_table_has_rows_and_nothing_is_wrong(untouched: World) -> None:
    done = untouched.audit()
    # One epoch of B is not named yet: that is what its hello says, and no fault.
    assert "NOT all accounted for: 0 not here, 1 epochs not named yet, 0 faults" in done.output, done.output
    assert f"issued and never heard: device {C}" in done.output
    with closing(sqlite3.connect(untouched.path)) as connection:
        for table in tables(untouched.path):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table


def test_what_is_covered_is_every_table_and_column_there_is(untouched: World) -> None:
    """A migration that adds a column or a table must bring it into the chain."""
    there = tables(untouched.path)
    covered = {one.table: sorted(one.columns) for one in COVERED}
    assert {table: sorted(columns) for table, columns in there.items() if table != "record"} == covered


def test_any_change_of_any_row_is_named(untouched: World, tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    missed = []
    for number, what in enumerate(every_tampering(untouched.path)):
        copied = World.__new__(World)
        copied.__dict__.update(untouched.__dict__)
        copied.data = tmp_path / str(number)
        copied.data.mkdir()
        copied.path = copied.data / "collector.sqlite3"
        shutil.copy(untouched.path, copied.path)
        row = tamper(copied.path, what, rng)
        done = copied.audit()
        if not (done.exit_code == 1 and re.search(naming(what.table, row), done.output)):
            missed.append(f"{what}: {done.output}")
    assert not missed, "\n".join(missed)


def naming(table: str, row: dict[str, object]) -> str:
    """Return what a line must have that names a row: table and primary key, or a record's number."""
    if table == "record":
        return rf"FAULT (seq {row['seq']:,}\b|seq \d+–\d+: |record.*order of arrival)"
    (one,) = (one for one in COVERED if one.table == table)
    key = json.dumps([table, row[one.whose], *(row[name] for name in one.columns[: one.key_columns])])
    return rf"FAULT .*{re.escape(key.replace(', ', ','))}"


def test_a_time_of_receipt_changed_in_record_and_message_together(world: World) -> None:
    world.tamper("UPDATE record SET received_ns = received_ns - 3600000000000 WHERE envelope = 1")
    world.tamper("UPDATE envelope SET received_ns = received_ns - 3600000000000 WHERE id = 1")
    done = world.audit()
    assert done.exit_code == 1
    assert re.search(
        rf'FAULT envelope of {A}: 1 row not as the chain has it .*\["envelope","{A}",1\]', done.output
    )


def test_the_chain_made_anew_over_a_change_is_found_by_a_digest_that_was_kept(world: World) -> None:
    kept = head_of(world)
    assert "1 of 1 digest that were kept lie on the chain" in world.audit("--digest", str(kept)).output
    world.tamper("UPDATE scope_said SET verdict = 'normal' WHERE id = 2")
    chain_made_anew(world)
    without = world.audit()
    assert "0 faults" in without.output  # the most that can be had without a digest kept elsewhere
    done = world.audit("--digest", str(kept))
    assert done.exit_code == 1
    assert (
        f"the digest of entry {kept.number} was kept, and the chain ends at 1: its end was cut off"
        in done.output
    )


def test_a_digest_that_does_not_fit_says_from_where_on_the_chain_was_rewritten(world: World) -> None:
    heads = []
    for seq in (20, 21, 22):
        world.take(records(seq, incarnation="5" * 16))
        heads.append(head_of(world))
    with closing(sqlite3.connect(world.path)) as connection:
        connection.execute(
            "UPDATE envelope SET received_ns = received_ns + 1 WHERE id = (SELECT max(id) FROM envelope)"
        )
        last = heads[1]
        for number, at_ns, kind, content in connection.execute(
            "SELECT number, at_ns, kind, content FROM chain WHERE number > ? ORDER BY number", (last.number,)
        ).fetchall():
            digest = entry_digest(last.digest, number, at_ns + 1, kind, content)
            connection.execute(
                "UPDATE chain SET at_ns = ?, digest = ? WHERE number = ?", (at_ns + 1, digest, number)
            )
            last = Head(number=number, digest=digest)
        connection.commit()
    done = world.audit(*(word for one in heads for word in ("--digest", str(one))))
    assert done.exit_code == 1
    assert "2 of 3 digests that were kept lie on the chain" in done.output
    assert (
        f"the digest of entry {heads[2].number} is not the one that was kept:"
        f" what entries {heads[1].number + 1}–{heads[2].number} cover was changed" in done.output
    )


def test_a_history_cut_off_is_found_by_a_digest_that_was_kept(world: World) -> None:
    with closing(sqlite3.connect(world.path)) as connection:
        before = list(connection.iterdump())
    world.take(records(15, incarnation="5" * 16))
    kept = head_of(world)
    world.path.unlink()
    with closing(sqlite3.connect(world.path)) as connection:
        connection.executescript("\n".join(before))
    assert "0 faults" in world.audit().output
    done = world.audit("--digest", str(kept))
    assert (
        f"the digest of entry {kept.number} was kept, and the chain ends at {kept.number - 1}" in done.output
    )


def test_entries_changed_and_entries_gone_are_named_the_first_one_first(world: World) -> None:
    world.tamper("UPDATE chain SET at_ns = at_ns + 1 WHERE number = 3")
    world.tamper("DELETE FROM chain WHERE number = 5")
    faults = [
        line
        for line in world.audit().output.splitlines()
        if "of the digest chain" in line or ("the digest chain" in line and "FAULT" in line)
    ]
    assert "entry 3 of the digest chain is not what was written" in faults[0]
    assert "entry 5 is gone from the digest chain" in faults[1]


@pytest.mark.parametrize("table", ["envelope", "scope_said"])
def test_an_entry_put_behind_the_others_cannot_excuse_a_change(world: World, table: str) -> None:
    """The chain is not made anew, so that every digest that was kept lies on it: what is fixed stays fixed all the same."""
    kept = head_of(world)
    (one,) = (one for one in COVERED if one.table == table)
    column = "received_ns" if table == "envelope" else "said_ns"
    world.tamper(f"UPDATE {table} SET {column} = {column} - 1 WHERE id = 1")
    with closing(sqlite3.connect(world.path)) as connection:
        row = connection.execute(f"SELECT {', '.join(one.columns)} FROM {table} WHERE id = 1").fetchone()
    appended(world, f"{one.key(row)} {row_digest(row)}\n")
    done = world.audit("--digest", str(kept))
    assert done.exit_code == 1
    assert "1 of 1 digest that were kept lie on the chain" in done.output
    assert re.search(
        rf'FAULT entry \d+ changes \["{table}",.*,1\], which entry \d+ has and nothing changes', done.output
    )


def all_gone(world: World, device: str) -> None:
    """Delete every row of a device in all tables there are."""
    with closing(sqlite3.connect(world.path)) as connection:
        for table, columns in tables(world.path).items():
            if "device" in columns:
                connection.execute(f"DELETE FROM {table} WHERE device = ?", (device,))
        connection.execute("DELETE FROM device WHERE id = ?", (device,))
        connection.commit()


def test_a_device_taken_out_of_all_tables_is_named(world: World) -> None:
    all_gone(world, B)
    done = world.audit()
    assert done.exit_code == 1
    assert re.search(
        rf"FAULT device {B}: nothing is left of it, and entries \d+–\d+ of the chain have it", done.output
    )
    assert f"issued and never heard: device {B}" not in done.output
    # The authority is not needed for it.
    assert f"device {B}: nothing is left of it" in world.audit(ca=False).output


def test_a_device_taken_out_of_tables_and_chain_is_named_by_the_authority(world: World) -> None:
    kept = head_of(world)
    all_gone(world, B)
    chain_made_anew(world)
    assert f"issued and never heard: device {B}" in world.audit().output
    done = world.audit("--digest", str(kept))
    assert done.exit_code == 1
    assert (
        f"FAULT device {B}: it was issued, no table knows it, and the chain is not what it was" in done.output
    )


def test_one_device_alone_is_told_of_its_own_rows(world: World) -> None:
    world.tamper("UPDATE device SET software = 'other' WHERE id = ?", A)
    assert f"FAULT device of {A}" in world.audit("--device", A).output
    assert "FAULT" not in world.audit("--device", B).output


def test_digests_are_read_from_any_file(world: World, tmp_path: Path) -> None:
    kept = head_of(world)
    log = tmp_path / "log"
    log.write_text(f"INFO collector.store.chain: digest 1:{'f' * 64}\nINFO digest {kept}\nnothing 12:30\n")
    done = world.audit("--digests", str(log))
    assert "1 of 2 digests that were kept lie on the chain" in done.output
    assert "the digest of entry 1 is not the one that was kept" in done.output
    log.write_text("nothing 12:30")
    assert world.audit("--digests", str(log)).exit_code == 2
    assert world.audit("--digest", "1:abc").exit_code == 2
    with pytest.raises(BadInputError):
        kept_heads((), (tmp_path / "absent",))


def test_what_the_collector_writes_meanwhile_is_no_fault(tmp_path: Path) -> None:
    """Audits run while messages come in, page by page: each compares rows with the entries of the same moment."""
    collector = Collector(tmp_path)
    queries = Queries(tmp_path / "collector.sqlite3")
    ended = threading.Event()

    def audits() -> Iterator[int]:
        while not ended.is_set():
            found = audit_chain(queries)
            assert found.is_whole, found.faults.named
            yield found.head.number
        yield audit_chain(queries).head.number

    heads: list[int] = []
    thread = threading.Thread(target=lambda: heads.extend(audits()))
    thread.start()
    try:
        for seq in range(1, 301):
            # With a gap now and then, so that ranges are merged and deleted again.
            number = seq if seq % 7 else seq + 1000
            collector.take(A, "live", encode_batch(batch_of([number], device=A)))
    finally:
        ended.set()
        thread.join()
    assert heads[-1] == 301
    queries.close()
    collector.close()


def test_a_database_from_before_begins_the_chain_with_what_is_there(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(world.path)) as connection:
        for table in ("chain", "second_run", "server_half", "server_log"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX record_of_nonce")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name >= 'm007'")
        connection.commit()
    assert "written by older software" in world.audit().output
    with caplog.at_level(logging.WARNING):
        Store.open(world.path).close()
    assert "the digest chain begins with the" in caplog.text
    done = world.audit()
    assert re.search(r"the chain began .* with \d+ rows that were there before", done.output)
    assert "0 faults" in done.output
    world.tamper("UPDATE envelope SET received_ns = received_ns + 1 WHERE id = 2")
    assert f"FAULT envelope of {A}: 1 row not as the chain has it (entry 1)" in world.audit().output


def test_a_database_that_lacks_a_table_of_this_software_is_said_to_be_older(world: World) -> None:
    with closing(sqlite3.connect(world.path)) as connection:
        connection.execute("DROP TABLE server_log")
    assert "written by older software" in world.audit().output


def stores_on_a_full_disk(folder: str) -> None:
    with small_disk.mounted(Path(folder)) as disk:
        collector = Collector(disk.path)
        collector.take(A, "live", encode_batch(batch_of([1], device=A)))
        disk.fill()
        with pytest.raises(StoreError, match="full"):
            collector.take(A, "live", encode_batch(batch_of(range(2, 400), device=A)))
        disk.empty()
        collector.take(A, "live", encode_batch(batch_of([2], device=A)))
        queries = Queries(disk.path / "collector.sqlite3")
        found = audit_chain(queries)
        assert found.is_whole, found.faults.named
        assert found.head.number == 3
        queries.close()
        collector.close()


@pytest.mark.namespace
def test_a_transaction_that_came_to_nothing_left_no_entry(tmp_path: Path) -> None:
    namespaces.call(stores_on_a_full_disk, str(tmp_path))


def test_the_log_is_told_the_digest_now_and_then(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector(tmp_path)
    with caplog.at_level(logging.INFO):
        for seq in (1, 2, 3):
            collector.take(A, "live", encode_batch(batch_of([seq], device=A)))
    collector.close()
    told = re.findall(r"digest (\d+):([0-9a-f]{64})", caplog.text)
    with closing(sqlite3.connect(tmp_path / "collector.sqlite3")) as connection:
        assert told == [("2", connection.execute("SELECT digest FROM chain WHERE number = 2").fetchone()[0])]
