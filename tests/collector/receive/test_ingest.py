"""The thread that stores: no ack without a commit, and no message that stops it."""

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from collector.messages import Delivery, OutgoingMessage
from collector.receive import inbox as ingest_inbox
from collector.receive import ingest as ingest_thread
from collector.receive.inbox import MAX_PAUSE_S, SHARE, Inbox
from collector.receive.ingest import IngestThread
from collector.receive.validation import Validation, validate
from collector.store.database import Store
from collector.store.queries import Queries
from firmware.wire.messages import Ack, decode_ack, encode_batch, topic
from tests import namespaces, small_disk
from tests.collector.scripted_device import DEVICE, OTHER, WAIT_S, batch_of
from tests.waiting import until


class Bench:
    """An ingest thread with a real store; messages go in by hand and acks come out."""

    def __init__(self, path: Path) -> None:
        self.inbox = Inbox(max_messages=100, max_bytes=1 << 20)
        self.store = Store.open(path)
        self.queries = Queries(path)
        self.answers: queue.Queue[OutgoingMessage] = queue.Queue()
        self.thread = IngestThread(self.store, self.inbox, self.answers.put)

    def deliver(self, payload: bytes, device: str = DEVICE) -> None:
        self.inbox.put(Delivery(topic=topic(device, "up", "live"), payload=payload, received_ns=1))

    def ack(self) -> Ack:
        return decode_ack(self.answers.get(timeout=WAIT_S).payload)


@contextmanager
def lent(path: Path) -> Iterator[Bench]:
    made = Bench(path)
    yield made
    made.thread.stop()
    made.queries.close()
    made.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with lent(tmp_path / "collector.sqlite3") as made:
        yield made


def test_what_waits_together_is_committed_together_and_answered_apart(bench: Bench) -> None:
    for seq in range(1, SHARE + 1):
        bench.deliver(encode_batch(batch_of([seq])))
    bench.deliver(encode_batch(batch_of([1], device=OTHER)), OTHER)
    bench.thread.start()
    answers = [bench.answers.get(timeout=WAIT_S) for _ in range(SHARE + 1)]
    # One transaction: every answer already knows of all of them.
    assert {decode_ack(answer.payload).upto for answer in answers[:-1]} == {SHARE}
    assert answers[-1].topic == topic(OTHER, "dn", "ack")


def takes_in_on_a_full_disk(folder: str) -> None:
    with (
        small_disk.mounted(Path(folder)) as disk,
        mock.patch.object(ingest_thread, "STORE_RETRY_S", 0.01),
        lent(disk.path / "collector.sqlite3") as bench,
    ):
        disk.fill()
        bench.thread.start()
        bench.deliver(encode_batch(batch_of(range(1, 40))))
        assert "full" in until(lambda: bench.thread.fault, "a fault")
        assert bench.answers.empty()
        assert bench.queries.counts().records == 0
        disk.empty()
        bench.deliver(encode_batch(batch_of(range(1, 40))))
        assert bench.ack().upto == 39
        assert bench.thread.fault is None


@pytest.mark.namespace
def test_when_the_disk_is_full_nothing_is_acknowledged_and_later_it_goes_on(tmp_path: Path) -> None:
    namespaces.call(takes_in_on_a_full_disk, str(tmp_path))


def test_a_message_that_breaks_us_is_kept_and_its_neighbours_are_served(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_on_poison(delivery: Delivery) -> Validation:
        if delivery.payload == b"poison":
            raise ZeroDivisionError
        return validate(delivery)

    monkeypatch.setattr(ingest_thread, "validate", breaks_on_poison)
    bench.deliver(encode_batch(batch_of([1])))
    bench.deliver(b"poison")
    bench.deliver(encode_batch(batch_of([2])))
    bench.thread.start()
    assert [bench.ack().upto, bench.ack().upto] == [1, 2]
    (kept,) = bench.queries.rejects()
    assert (kept.payload, "ZeroDivisionError" in kept.reason) == (b"poison", True)


def test_the_fuller_the_inbox_the_longer_devices_are_asked_to_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_thread, "GROUP", 1)
    monkeypatch.setattr(ingest_inbox, "PER_DEVICE", 100)
    for seq in range(1, 101):
        bench.deliver(encode_batch(batch_of([seq])))
    bench.thread.start()
    pauses = [bench.ack().retry_after_s for _ in range(100)]
    assert pauses[0] == pytest.approx(MAX_PAUSE_S, rel=0.1)
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == 0


def test_a_damaged_batch_of_an_unknown_device_is_not_answered(bench: Bench) -> None:
    bench.deliver(b"damaged", OTHER)
    bench.deliver(encode_batch(batch_of([1])))
    bench.thread.start()
    assert bench.ack().upto == 1
    assert bench.answers.empty()


def test_a_reader_never_sees_half_a_commit(bench: Bench, tmp_path: Path) -> None:
    bench.thread.start()
    bench.deliver(encode_batch(batch_of(range(1, 100))))
    seen: set[int] = set()
    with closing(sqlite3.connect(tmp_path / "collector.sqlite3")) as connection:

        def all_are_there() -> bool:
            seen.add(connection.execute("SELECT count(*) FROM record").fetchone()[0])
            return 99 in seen

        until(all_are_there, lambda: f"all records: {seen}", pause_s=0)
    assert seen <= {0, 99}
    assert bench.ack().upto == 99
