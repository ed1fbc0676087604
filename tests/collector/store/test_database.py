"""The store against its promises: durable before answered, each record once, an account that adds up."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils.db import Database

from collector.errors import NewerDatabaseError, StoreError
from collector.store.answers import RecordFilter
from collector.store.arrivals import Accounted, HelloArrived, Refusal, RefusedArrived
from collector.store.database import MAX_ACK_RANGES, PAYLOAD_KEPT_BYTES, REJECTS_KEPT, Store
from collector.store.migrations import MIGRATIONS
from collector.store.queries import Queries
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Tombstone
from tests import namespaces, small_disk
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import DEVICE, EPOCH, OTHER, hello_of

SECOND_EPOCH = "f" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collector.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store.open(path)
    yield made
    made.close()


@pytest.fixture
def queries(path: Path, store: Store) -> Iterator[Queries]:
    made = Queries(path)
    yield made
    made.close()


def commit_one(store: Store, *seqs: int, **options: object) -> Accounted:
    (answer,) = store.commit([arrived(seqs, **options)])  # type: ignore[arg-type]
    assert answer is not None
    return answer


def test_one_transaction_serves_many_devices(store: Store, queries: Queries) -> None:
    answers = store.commit([arrived([1, 2]), arrived([1], device=OTHER), arrived([4])])
    assert [answer.upto if answer else None for answer in answers] == [2, 1, 2]
    # An answer holds for the moment after the commit: the first knows what the third brought.
    assert answers[0] == Accounted(upto=2, ranges=SeqRanges(((4, 4),)))
    assert queries.counts().devices == 2
    assert queries.counts().records == 4


def test_a_duplicate_changes_nothing_and_is_answered_again(store: Store, queries: Queries) -> None:
    first = commit_one(store, 1, 2, 3)
    before = queries.records(RecordFilter())
    assert commit_one(store, 1, 2, 3, target="elsewhere:1") == first
    assert queries.records(RecordFilter()) == before


def test_what_is_answered_survives_a_new_opening(path: Path) -> None:
    store = Store.open(path)
    commit_one(store, 1, 2)
    store.close()
    store = Store.open(path)
    assert commit_one(store, 2) == Accounted(upto=2, ranges=SeqRanges())
    store.close()


def test_the_database_is_durable_by_its_own_settings(path: Path, store: Store) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_epochs_are_accounted_for_apart(store: Store) -> None:
    commit_one(store, 1, 2)
    assert commit_one(store, 5, epoch=SECOND_EPOCH) == Accounted(upto=0, ranges=SeqRanges(((5, 5),)))
    assert commit_one(store, 3).upto == 3


def test_a_hello_is_answered_with_the_lowest_ranges_from_its_low(store: Store) -> None:
    for low in range(10, 10 + 4 * MAX_ACK_RANGES, 4):
        commit_one(store, low)
    (answer,) = store.commit([HelloArrived(hello=hello_of(50, 900), received_ns=1)])
    assert answer is not None
    assert answer.upto == 0
    assert answer.ranges.ranges[0] == (50, 50)
    assert len(answer.ranges.ranges) <= MAX_ACK_RANGES


def test_an_answer_names_what_it_answers_however_many_gaps_there_are(store: Store) -> None:
    for low in range(10, 10 + 4 * MAX_ACK_RANGES, 2):
        commit_one(store, low)
    answer = commit_one(store, 5000, 5001, 6000)
    assert {5000, 5001, 6000} <= {low for low, _ in answer.ranges} | {high for _, high in answer.ranges}
    assert len(answer.ranges.ranges) <= MAX_ACK_RANGES + 2


def test_the_newest_epoch_is_the_one_last_heard_of(store: Store) -> None:
    assert store.newest_epoch(DEVICE) is None
    commit_one(store, 1)
    assert store.newest_epoch(DEVICE) == EPOCH


def test_a_tombstone_over_a_part_of_its_range_acknowledges_none_of_it(store: Store, queries: Queries) -> None:
    part = Tombstone(low=1, high=10, count=4, reason="thinned")
    (answer,) = store.commit([arrived([], tombstones=[part])])
    assert answer == Accounted(upto=0, ranges=SeqRanges())
    whole = Tombstone(low=1, high=10, count=10, reason="disk full")
    assert commit_one(store, 11, tombstones=[whole, whole]).upto == 11
    # A record that arrives after all is a record.
    commit_one(store, 4)
    account = queries.completeness(DEVICE)
    assert (account.stored, account.tombstoned, account.missing) == (2, 9, 0)


def test_rejects_are_answered_kept_once_and_bounded(store: Store, queries: Queries) -> None:
    assert commit_one(store, rejected=[1, 2]).upto == 2
    assert commit_one(store, rejected=[1, 2, 3]).upto == 3
    assert [kept.seq for kept in queries.rejects(DEVICE)] == [3, 2, 1]
    commit_one(store, rejected=range(4, 4 + REJECTS_KEPT))
    kept = queries.rejects(DEVICE, limit=10 * REJECTS_KEPT)
    assert len(kept) == REJECTS_KEPT
    assert kept[0].seq == 3 + REJECTS_KEPT
    row = queries.device(DEVICE)
    assert row is not None
    assert row.rejects == 3 + REJECTS_KEPT


def test_a_refused_payload_is_kept_up_to_its_bound(store: Store, queries: Queries) -> None:
    refusal = Refusal(epoch=None, seq=None, reason="no", payload=b"x" * 100_000)
    refused = RefusedArrived(device="", received_ns=5, topic="spam", refusals=(refusal,))
    assert store.commit([refused]) == (None,)
    (kept,) = queries.rejects()
    assert (kept.device, kept.topic, len(kept.payload)) == ("", "spam", PAYLOAD_KEPT_BYTES)
    assert queries.devices() == ()


def commits_on_a_full_disk(folder: str) -> None:
    with small_disk.mounted(Path(folder)) as disk:
        path = disk.path / "collector.sqlite3"
        store, queries = Store.open(path), Queries(path)
        commit_one(store, 1)
        disk.fill()
        with pytest.raises(StoreError, match="full"):
            store.commit([arrived(range(2, 1000))])
        assert queries.counts().records == 1
        disk.empty()
        assert commit_one(store, *range(2, 1000)).upto == 999
        queries.close()
        store.close()


@pytest.mark.namespace
def test_a_commit_that_fails_stores_nothing(tmp_path: Path) -> None:
    namespaces.call(commits_on_a_full_disk, str(tmp_path))


def test_a_database_of_a_newer_version_is_refused_by_name(path: Path) -> None:
    Store.open(path).close()
    database = Database(str(path))
    database.table("_sqlite_migrations").insert(
        {"migration_set": MIGRATIONS.name, "name": "m999_from_tomorrow", "applied_at": "2030-01-01"}
    )
    database.close()
    with pytest.raises(NewerDatabaseError, match=r"newer version.*m999_from_tomorrow.*upgrade"):
        Store.open(path)


def test_what_is_not_a_database_is_refused_by_name(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=r"collector\.sqlite3: it is damaged"):
        Store.open(path)


def test_a_database_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be"):
        Store.open(tmp_path / "nowhere" / "collector.sqlite3")


steps = st.lists(
    st.tuples(st.sampled_from(["stored", "rejected", "tombstoned"]), st.integers(1, 40), st.integers(0, 12)),
    max_size=25,
)


@settings(max_examples=30)
@given(made=steps)
def test_the_account_adds_up_whatever_comes_in_whatever_order(
    made: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("store") / "collector.sqlite3"
    store = Store.open(path)
    queries = Queries(path)
    sets: dict[str, set[int]] = {"stored": set(), "rejected": set(), "tombstoned": set()}
    for kind, low, more in made:
        span = range(low, low + more + 1)
        sets[kind].update(span)
        answer = commit_one(
            store,
            *(span if kind == "stored" else ()),
            rejected=tuple(span) if kind == "rejected" else (),
            tombstones=[Tombstone(low=low, high=low + more, count=more + 1, reason="x")]
            if kind == "tombstoned"
            else (),
        )
        accounted = set().union(*sets.values())
        upto = next(seq for seq in range(1, 100) if seq not in accounted) - 1
        assert answer.upto == upto
        assert answer.ranges == SeqRanges.of(seq for seq in accounted if seq > upto)
    account = queries.completeness(DEVICE)
    accounted = set().union(*sets.values())
    assert account.stored == len(sets["stored"]) == queries.counts().records
    assert account.tombstoned == len(sets["tombstoned"] - sets["stored"])
    assert account.rejected == len(sets["rejected"] - sets["stored"] - sets["tombstoned"])
    assert account.produced == max(accounted, default=0)
    assert account.missing == account.produced - len(accounted)
    assert {row.seq for row in queries.records(RecordFilter()).records} == sets["stored"]
    queries.close()
    store.close()


def test_a_hello_and_a_batch_cost_the_same_however_many_gaps_there_are(store: Store) -> None:
    """Counted in the database's own steps: a device that leaves gaps everywhere must not slow down what it says next."""
    steps: list[int] = []

    def cost(seq: int) -> int:
        steps.clear()
        incarnations = tuple(
            (f"{start:016x}", start) for start in (seq, seq - 1)
        )  # started anew, as after each power cut
        hello = replace(hello_of(seq, seq), incarnations=incarnations)
        store.commit([HelloArrived(hello=hello, received_ns=1), arrived([seq])])
        return len(steps)

    store._connection.set_progress_handler(lambda: steps.append(1), 100)
    commit_one(store, 1)
    cost(100_000)
    before = cost(100_001)
    for first in range(3, 20_000, 2000):
        commit_one(store, tombstones=[tombstone(seq) for seq in range(first, first + 2000, 2)])
    assert cost(100_002) <= before + 20


def tombstone(seq: int) -> Tombstone:
    return Tombstone(low=seq, high=seq, count=1, reason="space")
