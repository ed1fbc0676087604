"""Servers' halves beside devices' records in one real database: joined by device and nonce, and what is missing told."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from collector.store.covered import COVERED
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.server_halves import (
    ASKED_EVERY_NS,
    HAS_NONCE,
    NONCE,
    HalfFilter,
    HalfQueries,
    HalfStore,
    half_to_json,
)
from firmware.model import server_half
from tests.collector.halves_of import LOG, SERVER, account_of, nonce_of, signed_half
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import DEVICE, EPOCH

OTHER = "wxyz0123efgh4567"


@contextmanager
def stores(folder: Path) -> Iterator[tuple[Store, HalfStore, HalfQueries]]:
    """Return both writing ends and the reading end of one database."""
    path = folder / "collector.sqlite3"
    with closing(Store.open(path)) as store, closing(HalfStore.open(path)) as halves:
        queries = Queries(path)
        with closing(queries):
            yield store, halves, HalfQueries(queries)


def test_a_half_and_a_record_are_of_one_test_by_device_and_nonce(tmp_path: Path) -> None:
    with stores(tmp_path) as (store, halves, asked):
        halves.add(
            SERVER,
            account_of(4),
            [
                signed_half(1),
                signed_half(2),
                signed_half(3, nonce=nonce_of(1)),
                signed_half(4, device=OTHER, nonce=nonce_of(6)),
            ],
            received_ns=5,
        )
        store.commit(
            [
                arrived([10], detail={"nonce": nonce_of(1)}),
                arrived([11]),
                arrived([12], detail={"nonce": nonce_of(6)}),  # the other device's, as if it were ours
                arrived([13], detail={"other": nonce_of(2)}),
                arrived([14], detail={"nonce": 7}),
            ]
        )
        found = {one.number: one.record for one in asked.halves(HalfFilter())}
        assert found == {1: (EPOCH, 10), 2: None, 3: (EPOCH, 10), 4: None}
        assert [one.number for one in asked.of_test(DEVICE, nonce_of(1))] == [1, 3]
        assert asked.of_test(DEVICE, nonce_of(6)) == ()
        with_record = [one.number for one in asked.halves(HalfFilter(has_record=True))]
        without = [one.number for one in asked.halves(HalfFilter(has_record=False))]
        assert (with_record, without) == ([1, 3], [2, 4])


def test_records_whose_half_is_not_here_are_told_until_it_comes(tmp_path: Path) -> None:
    with stores(tmp_path) as (store, halves, asked):
        store.commit([arrived([n], detail={"nonce": nonce_of(n)}) for n in (1, 2, 3)])
        store.commit([arrived([4]), arrived([1], device=OTHER, detail={"nonce": nonce_of(2)})])
        halves.add(SERVER, account_of(1), [signed_half(1, nonce=nonce_of(2))], received_ns=5)
        told = [(row.device, row.seq, nonce) for row, nonce in asked.records_without()]
        assert told == [(DEVICE, 1, nonce_of(1)), (DEVICE, 3, nonce_of(3)), (OTHER, 1, nonce_of(2))]
        assert [row.device for row, _ in asked.records_without(device=OTHER)] == [OTHER]
        first = asked.records_without(limit=1)
        assert [row.seq for row, _ in asked.records_without(after=first[0][0].id, limit=1)] == [3]
        halves.add(SERVER, account_of(3), [signed_half(2, nonce=nonce_of(1)), signed_half(3)], received_ns=6)
        assert [row.device for row, _ in asked.records_without()] == [OTHER]


def test_a_half_that_comes_again_is_stored_once_and_as_it_came_first(tmp_path: Path) -> None:
    with stores(tmp_path) as (_, halves, asked):
        first, changed = signed_half(1), signed_half(1, reason="something else")
        halves.add(SERVER, account_of(1), [first], received_ns=5)
        halves.add(SERVER, account_of(2), [changed, signed_half(2)], received_ns=6)
        found = asked.halves(HalfFilter())
        assert [(one.number, one.received_ns) for one in found] == [(1, 5), (2, 6)]
        assert found[0].data == first.data


def test_up_to_where_each_log_was_collected_is_known(tmp_path: Path) -> None:
    with stores(tmp_path) as (_, halves, asked):
        assert halves.collected(SERVER) == ("", 0)
        halves.add(SERVER, account_of(9, evicted=1), [signed_half(2), signed_half(4)], received_ns=5)
        assert halves.collected(SERVER) == (LOG, 4)
        assert halves.collected("another") == ("", 0)
        new = "0" * 16
        halves.add(SERVER, account_of(1, epoch=new), [signed_half(1, epoch=new)], received_ns=6)
        assert halves.collected(SERVER) == (new, 1)
        by_log = {one.epoch: one for one in asked.logs()}
        assert (by_log[LOG].upto, by_log[LOG].stored, by_log[LOG].last, by_log[LOG].evicted) == (4, 2, 9, 1)
        assert (by_log[new].upto, by_log[new].stored, by_log[new].last) == (1, 1, 1)


def test_the_chain_has_every_half_and_does_not_grow_where_nothing_is_new(tmp_path: Path) -> None:
    with stores(tmp_path) as (_, halves, _asked):
        halves.add(SERVER, account_of(1), [signed_half(1)], received_ns=5)
        with closing(sqlite3.connect(tmp_path / "collector.sqlite3")) as connection:

            def entries() -> list[str]:
                rows = connection.execute("SELECT content FROM chain WHERE kind = 'halves'").fetchall()
                return [content for (content,) in rows]

            assert json.dumps(["server_half", DEVICE, 1], separators=(",", ":")) in entries()[0]
            halves.add(SERVER, account_of(1), [], received_ns=5 + ASKED_EVERY_NS - 1)
            assert len(entries()) == 1
            halves.add(SERVER, account_of(1), [], received_ns=5 + ASKED_EVERY_NS)
            halves.add(SERVER, account_of(2), [], received_ns=6 + ASKED_EVERY_NS)
            assert len(entries()) == 3
    assert next(one for one in COVERED if one.table == "server_half").is_fixed


def test_the_join_is_found_by_an_index(tmp_path: Path) -> None:
    with stores(tmp_path), closing(sqlite3.connect(tmp_path / "collector.sqlite3")) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT seq FROM record WHERE {HAS_NONCE} AND device = ? AND {NONCE} = ?",
            ("a", "b"),
        ).fetchall()
        assert "USING INDEX record_of_nonce (device=? AND" in str(plan)


def test_a_half_for_machines_has_who_signed_it_and_what_was_said(tmp_path: Path) -> None:
    with stores(tmp_path) as (_, halves, asked):
        one = signed_half(1, reason="so")
        halves.add(SERVER, account_of(1), [one], received_ns=5)
        told = half_to_json(asked.halves(HalfFilter())[0])
    assert server_half.from_json(told["half"]) == one.half
    assert (told["server"], told["epoch"], told["number"]) == (SERVER, LOG, 1)
    assert told["key_id"] == one.data[4:12].hex()
