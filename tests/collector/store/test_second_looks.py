"""Looks from elsewhere in the store: streaks by stand and country, and never a look later than it was."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.store.arrivals import HelloArrived
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.second_looks import SecondLook, SecondQueries
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS, Key
from firmware.judgement.site.evidence import Stand
from firmware.wire.messages import Hello

DEVICE = "k3v9q2m7x1c8n5p4"
KEY = Key(test="tls", target="x.example:443", target_name="x")
BEGAN_S = 1_800_000_000


@dataclass(slots=True, kw_only=True)
class Here:
    """A store with one device of a country, and the log beside it."""

    log: VantageLog
    second: SecondQueries

    def look(
        self, at_s: float, failure: str | None = None, *, stand: Stand = Stand.SECOND, country: str = "ir"
    ) -> None:
        utc_ns = round((BEGAN_S + at_s) * NS)
        look = SecondLook(stand=stand, country=country, key=KEY, utc_ns=utc_ns, failure=failure)
        self.log.add([], every_s=600, second=[look])

    def by(self, at_s: float) -> list[tuple[str, float, str | None]]:
        found = self.second.by(DEVICE, KEY, round((BEGAN_S + at_s) * NS))
        return [(str(one.stand), one.utc_ns / NS - BEGAN_S, one.failure) for one in found]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    path = tmp_path / "collector.sqlite3"
    store, log, queries = Store.open(path), VantageLog.open(path), Queries(path)
    hello = Hello(
        device=DEVICE, epoch="9f1c04d27ab35e68", low=1, high=0, waiting=0, software="t", country="ir"
    )
    store.commit([HelloArrived(hello=hello, received_ns=BEGAN_S * NS)])
    yield Here(log=log, second=SecondQueries(queries))
    for part in (queries, log, store):
        part.close()


def test_of_each_stand_the_last_look_by_then_is_known(here: Here) -> None:
    for at_s in (0, 30, 630):
        here.look(at_s)
    here.look(700, "connection_refused")
    here.look(40, stand=Stand.INSIDE)
    assert here.by(-1) == []
    assert here.by(35) == [("second", 30, None)]
    assert here.by(629) == [("second", 30, None), ("inside", 40, None)]
    assert here.by(650) == [("second", 630, None), ("inside", 40, None)]
    assert here.by(9_000) == [("second", 700, "connection_refused"), ("inside", 40, None)]


def test_a_time_without_looks_is_not_bridged(here: Here) -> None:
    for at_s in (0, 10, 20, 1_800):  # one gap that a streak bears, and one that it does not
        here.look(at_s)
    here.look(9_000)
    assert here.by(1_799) == [("second", 20, None)]
    assert here.by(8_999) == [("second", 1_800, None)]


def test_a_look_that_is_known_or_told_late_changes_nothing(here: Here) -> None:
    here.look(100)
    here.look(100)
    here.look(50, "connection_refused")
    assert here.by(60) == []
    assert here.by(100) == [("second", 100, None)]


def test_another_countrys_looks_are_not_this_ones(here: Here) -> None:
    here.look(0, country="ru")
    assert here.by(10) == []
    assert [one.country for one in here.second.last()] == ["ru"]


def test_what_is_old_is_forgotten(here: Here) -> None:
    here.look(0)
    here.look(86_400 * 5)
    here.log.thin(now_utc_ns=(BEGAN_S + 86_400 * 6) * NS, days=2)
    assert here.by(86_400) == []
    assert len(here.second.last()) == 1
