"""A device that fell into other hands fills neither memory nor disk with epochs, boots and sync points; others go on."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from collector.errors import StoreError
from collector.store.arrivals import Accounted, HelloArrived
from collector.store.bounds import FULL_PAUSE_S, MAX_OF
from collector.store.database import Store
from collector.store.queries import Queries
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Hello
from tests import namespaces, small_disk
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import DEVICE, OTHER, hello_of

FULL = Accounted(upto=0, ranges=SeqRanges(), pause_s=FULL_PAUSE_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collector.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store.open(path)
    yield made
    made.close()


def count(store: Store, table: str, device: str = DEVICE) -> int:
    found = store._connection.execute(f"SELECT count(*) FROM {table} WHERE device = ?", (device,))
    return int(found.fetchone()[0])


def said(hello: Hello) -> HelloArrived:
    return HelloArrived(hello=hello, received_ns=1, came=b"hello")


def test_past_so_many_epochs_a_device_waits_and_keeps_what_it_has(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(MAX_OF, "epoch", 3)
    caplog.set_level(logging.WARNING)
    names = [f"{number:016x}" for number in range(1, 6)]
    answers = store.commit([said(hello_of(1, 9, epoch=name)) for name in names])
    assert [answer == FULL for answer in answers] == [False, False, False, True, True]
    assert store.commit([arrived([1], epoch=names[4]), arrived([1], epoch=names[2])]) == (
        FULL,
        Accounted(upto=1, ranges=SeqRanges()),
    )
    assert [count(store, table) for table in ("epoch", "hello", "record")] == [3, 3, 1]
    assert store.commit([arrived([1], device=OTHER)]) == (Accounted(upto=1, ranges=SeqRanges()),)
    assert [record.getMessage() for record in caplog.records] == [
        f"device {DEVICE}: 3 rows in 'epoch', no more are taken; look at it, and revoke it if others have its key"
    ]


def test_ended_epochs_for_which_there_is_no_room_are_counted_as_not_named(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_OF, "epoch", 3)
    ended = tuple((f"{number:016x}", 5) for number in range(1, 4))
    store.commit([said(replace(hello_of(1, 9), ended=ended, ended_beyond=2))])
    assert (count(store, "epoch"), count(store, "hello")) == (1, 1)
    queries = Queries(path)
    assert queries.completeness(DEVICE).unnamed == 5
    queries.close()


def test_past_so_many_boots_and_points_records_are_stored_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_OF, "boot", 2)
    monkeypatch.setitem(MAX_OF, "sync_point", 5)
    for seq in range(1, 6):
        points = {"sync_points": [[seq, 1_790_000_000_000_000_000 + n, 1] for n in range(2)]}
        changes: dict[str, Any] = {"test": "ladder", "boot_id": f"boot {seq}", "detail": points}
        (answer,) = store.commit([arrived([seq], **changes)])
        assert answer == Accounted(upto=seq, ranges=SeqRanges())
    assert [count(store, table) for table in ("record", "boot", "sync_point")] == [5, 2, 4]
    store.commit([arrived([6], boot_id="boot 1")])  # what is known goes on
    assert count(store, "boot") == 2
    store.commit([arrived([1], device=OTHER)])
    assert count(store, "boot", OTHER) == 1


def undoes_on_a_full_disk(folder: str) -> None:
    with small_disk.mounted(Path(folder)) as disk, mock.patch.dict(MAX_OF, {"boot": 2}):
        store = Store.open(disk.path / "collector.sqlite3")
        store.commit([arrived([1], boot_id="boot 1")])
        disk.fill()
        with pytest.raises(StoreError, match="full"):
            store.commit([arrived(range(2, 200), boot_id="boot 2")])
        disk.empty()
        store.commit([arrived([2], boot_id="boot 2")])
        assert count(store, "boot") == 2
        assert store.commit([arrived([2])]) == (Accounted(upto=2, ranges=SeqRanges()),)
        store.close()


@pytest.mark.namespace
def test_what_was_undone_is_not_counted(tmp_path: Path) -> None:
    namespaces.call(undoes_on_a_full_disk, str(tmp_path))
