"""Rounds of a device whose clock was wrong, placed by what arrived before and after them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.store import retiming, timings
from collector.store.answers import RecordFilter
from collector.store.history import MISSED_TARGET, DeviceHistory
from collector.store.queries import Queries
from firmware.clock.retiming import Timeline
from firmware.model.jsontypes import JsonValue
from firmware.model.record import ClockQuality, ClockReading, Outcome, Record, to_json
from firmware.wire.messages import Batch, encode_batch
from tests.drills.exchange import Collector
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
S = 1_000_000_000
NOON_NS = 1_789_990_000 * S


def ladder(boot: str, at_s: int, *, previous: str = "", points: tuple[tuple[int, int], ...] = ()) -> Record:
    """Return a conclusion of a device that thinks it is 1970; `points` are (boottime, seconds after noon)."""
    told: list[JsonValue] = [[at * S, NOON_NS + after * S, S // 100] for at, after in points]
    return replace(
        tcp_record(at_s, test="ladder"),
        boot_id=boot,
        slot_boottime_ns=at_s * S,
        start=ClockReading(boottime_ns=at_s * S, utc_ns=at_s * S, quality=ClockQuality.UNSYNCHRONISED),
        outcome=Outcome(detail={"sync_points": told, "previous_boot_id": previous}),
    )


def ping(boot: str, at_s: int) -> Record:
    """Return a measurement of the same device, of round 7."""
    return replace(ladder(boot, at_s), test="ping", round_id=7, outcome=Outcome())


def took(collector: Collector, told: list[Record], *, first: int = 1, device: str = DEVICE) -> None:
    seqs = tuple(range(first, first + len(told)))
    records = tuple(to_json(one) for one in told)
    batch = Batch(device=device, epoch="0" * 16, seqs=seqs, records=records)
    ack = collector.take(device, "live", encode_batch(batch))
    assert ack is not None
    assert not ack.rejects


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    opened = Collector(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def queries(tmp_path: Path, collector: Collector) -> Iterator[Queries]:
    opened = Queries(tmp_path / "collector.sqlite3")
    yield opened
    opened.close()


def gap(boot: str, at_s: int) -> Record:
    """Return what a device writes of rounds that it did not measure."""
    outcome = Outcome(detail={"count": 2, "reason": "busy"})
    return replace(ladder(boot, at_s), test="gap", target=MISSED_TARGET, target_name="", outcome=outcome)


def test_a_record_is_placed_as_its_round_is_wherever_it_is_asked_for(
    collector: Collector, queries: Queries
) -> None:
    boot = "a" * 36
    took(collector, [ping(boot, 100), replace(ladder(boot, 100), round_id=7), gap(boot, 200)])
    took(collector, [ladder(boot, 1000, points=((900, 900),))], first=4)
    (at_end, row) = queries.rounds(DEVICE, 10)
    assert abs(row.start_utc_ns - (NOON_NS + 100 * S)) < S
    one = queries.record(DEVICE, "0" * 16, 1)
    assert one is not None
    history = DeviceHistory(queries)
    for found in (
        one,
        queries.records(RecordFilter(device=DEVICE)).records[0],
        queries.measurements(row)[0],
        history.last_records(DEVICE, 10)[-1],
    ):
        assert (found.seq, found.test) == (1, "ping")
        assert (found.start.utc_ns, found.start.error_ns) == (row.start_utc_ns, row.clock_error_ns)
        assert found.start.quality is ClockQuality.SYNCHRONISED
        assert found.start_utc_ns == 100 * S  # what the device said stays
    (missed,) = history.rounds(DEVICE, 10).missed
    assert missed.due.error_ns is not None
    assert abs(missed.due.utc_ns - (NOON_NS + 200 * S)) <= missed.due.error_ns
    assert missed.start_utc_ns == 200 * S
    assert at_end.seq == 4


def test_what_arrives_later_places_what_was_asked_for_before(collector: Collector, queries: Queries) -> None:
    boot = "a" * 36
    took(collector, [ping(boot, 100)])
    (before,) = queries.records(RecordFilter()).records
    assert before.start.quality is ClockQuality.UNSYNCHRONISED
    assert before.start.error_ns is not None
    took(collector, [ladder(boot, 1000, points=((900, 900),))], first=2)
    after = queries.records(RecordFilter()).records[0]
    assert after.start.error_ns is not None
    assert abs(after.start.utc_ns - (NOON_NS + 100 * S)) <= after.start.error_ns < S
    assert before.start.error_ns > 300 * 24 * 3600 * S


def test_a_timeline_is_worked_out_once_for_as_long_as_nothing_new_is_known(
    collector: Collector, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot, other = "a" * 36, "b" * 16
    took(collector, [ping(boot, at) for at in range(100, 150)])
    took(collector, [ping(boot, at) for at in range(100, 150)], device=other)
    asked: list[str] = []
    really = timings.timeline

    def timeline(connection: sqlite3.Connection, device: str) -> Timeline:
        asked.append(device)
        return really(connection, device)

    monkeypatch.setattr(timings, "timeline", timeline)
    for _ in range(3):
        assert len(queries.records(RecordFilter(), limit=1000).records) == 100
    assert sorted(asked) == [DEVICE, other]
    took(collector, [ladder(boot, 1000, points=((900, 900),))], first=51)
    queries.records(RecordFilter(), limit=1000)
    assert asked[2:] == [DEVICE]


def test_timelines_are_kept_within_their_bound(
    collector: Collector, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiming, "POINTS_KEPT", 3)
    devices = ["a" * 16, "b" * 16, "c" * 16]
    for device in devices:
        took(collector, [ladder("a" * 36, 1000, points=((900, 900), (950, 950)))], device=device)
        queries.records(RecordFilter(device=device))
    with queries.reading() as connection:
        last = queries.timelines.of(connection, devices[2])
        assert queries.timelines.of(connection, devices[2]) is last
        first = queries.timelines.of(connection, devices[0])
        assert queries.timelines.of(connection, devices[2]) is not last
        assert queries.timelines.of(connection, devices[0]) is not first


def test_rounds_are_placed_by_points_that_came_later_and_by_the_boots_around_them(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    told = [
        ladder("a" * 36, 100),
        ladder("a" * 36, 1000, points=((900, 900),)),
        ladder("b" * 36, 50, previous="a" * 36),
        ladder("c" * 36, 10, previous="b" * 36, points=((10, 3610),)),
    ]
    payload = encode_batch(
        Batch(device=DEVICE, epoch="0" * 16, seqs=(1, 2, 3, 4), records=tuple(to_json(one) for one in told))
    )
    assert collector.take(DEVICE, "live", payload) is not None
    queries = Queries(tmp_path / "collector.sqlite3")
    last, unsynced, second, first = queries.rounds(DEVICE, 10)
    queries.close()
    collector.close()
    for row, after_s in ((first, 100), (second, 1000), (last, 3610)):
        assert abs(row.start_utc_ns - (NOON_NS + after_s * S)) < S
        assert row.clock_quality == ClockQuality.SYNCHRONISED
        assert row.clock_error_ns is not None
        assert row.clock_error_ns < S
    # The boot that never had a point: after the first's last round, before the third began.
    assert unsynced.clock_quality == ClockQuality.UNSYNCHRONISED
    assert unsynced.clock_error_ns is not None
    assert unsynced.start_utc_ns - unsynced.clock_error_ns > NOON_NS + 1049 * S
    assert unsynced.start_utc_ns + unsynced.clock_error_ns < NOON_NS + 3602 * S
