"""What was rejected is told again, since the ack that said so may have been lost, until a hello shows that it was heard."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.store.arrivals import Accounted, HelloArrived
from collector.store.database import Store
from collector.store.rejects import TOLD_AGAIN
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import OTHER, hello_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "collector.sqlite3")
    yield made
    made.close()


def hello(store: Store, low: int, high: int) -> Accounted:
    (said,) = store.commit([HelloArrived(hello=hello_of(low, high), received_ns=1)])
    assert said is not None
    return said


def batch(store: Store, *seqs: int, rejected: tuple[int, ...] = ()) -> Accounted:
    (said,) = store.commit([arrived(seqs, rejected=rejected)])
    assert said is not None
    return said


def test_answers_name_a_reject_until_the_device_has_set_it_aside(store: Store) -> None:
    batch(store, 1, 2, rejected=(3,))
    for said in (batch(store, 4, 5), hello(store, 3, 5), batch(store, 6)):
        assert [(one.seq, one.reason) for one in said.rejects] == [(3, "no good")]
    assert hello(store, 7, 6).rejects == ()
    assert batch(store, 7).rejects == ()


def test_a_later_reject_is_named_alone(store: Store) -> None:
    batch(store, 1, rejected=(2,))
    hello(store, 3, 3)
    assert [one.seq for one in batch(store, 3, rejected=(4,)).rejects] == [4]


def test_nobody_else_is_told(store: Store) -> None:
    batch(store, 1, rejected=(2,))
    (said,) = store.commit([arrived([1], device=OTHER)])
    assert said is not None
    assert said.rejects == ()


def test_there_is_a_bound(store: Store) -> None:
    batch(store, rejected=tuple(range(1, 2 * TOLD_AGAIN)))
    said = hello(store, 1, 1000)
    assert [one.seq for one in said.rejects] == list(range(1, TOLD_AGAIN + 1))


def test_what_was_heard_long_ago_costs_no_answer_anything(store: Store) -> None:
    """Counted in the database's own steps: a device with many rejects behind it must not slow down every answer."""
    steps: list[int] = []

    def cost(seq: int) -> int:
        steps.clear()
        batch(store, seq)
        return len(steps)

    store._connection.set_progress_handler(lambda: steps.append(1), 100)
    batch(store, 1)
    hello(store, 100_000, 100_000)
    before = cost(100_000)
    for first in range(2, 20_000, 2000):
        batch(store, rejected=tuple(range(first, first + 2000, 2)))
    hello(store, 100_001, 100_001)
    assert cost(100_001) <= before + 20
