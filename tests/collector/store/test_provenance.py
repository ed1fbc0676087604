"""What is kept of messages as they came: whatever changed the account, once, and linked to its records."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.store.arrivals import HelloArrived
from collector.store.database import Store
from firmware.wire.messages import Tombstone
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import EPOCH, hello_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collector.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store.open(path)
    yield made
    made.close()


def kept(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def test_a_record_names_the_message_that_brought_it(store: Store, path: Path) -> None:
    store.commit([replace(arrived([1, 2]), came=b"first"), replace(arrived([2, 3]), came=b"second")])
    assert kept(
        path, "SELECT seq, CAST(data AS TEXT) FROM record JOIN envelope ON envelope.id = envelope"
    ) == [
        (1, "first"),
        (2, "first"),
        (3, "second"),
    ]
    assert kept(path, "SELECT DISTINCT epoch, leaf FROM envelope") == [(EPOCH, "live")]


def test_what_says_nothing_new_is_not_kept(store: Store, path: Path) -> None:
    given_up = Tombstone(low=5, high=9, count=5, reason="disk full")
    for _ in range(2):
        store.commit([replace(arrived([1, 2]), came=b"records")])
        store.commit([replace(arrived([], tombstones=(given_up,)), came=b"tombstone")])
        store.commit([replace(arrived([], rejected=(3,)), came=b"reject")])
    assert kept(path, "SELECT CAST(data AS TEXT) FROM envelope") == [
        ("records",),
        ("tombstone",),
        ("reject",),
    ]


def test_the_hello_that_named_the_highest_seq_is_kept(store: Store, path: Path) -> None:
    for high in (5, 9, 7):
        came = str(high).encode()
        store.commit([HelloArrived(hello=hello_of(1, high), received_ns=high, came=came)])
    assert kept(path, "SELECT high, CAST(data AS TEXT) FROM hello") == [(9, "9")]
