"""What one device said over time, asked of a real store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.measuring.schedule import ROUND
from collector.receive.record_rows import to_row
from collector.store.arrivals import BatchArrived
from collector.store.database import Store
from collector.store.history import MISSED_TARGET, DeviceHistory
from collector.store.queries import Queries
from firmware.judgement.ladder import RungProgress
from firmware.judgement.round.from_records import REVISES
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Record, Rung, Verdict, to_json
from firmware.model.statement import Statement, prose, stated
from tests.collector.page import invented
from tests.collector.page.invented import NS_PER_S, Device, clear, cut_from, dark_from, deliver, utc

_NOW = utc(15, 18)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Lend an open store."""
    opened = Store.open(tmp_path / "collector.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def history(store: Store, tmp_path: Path) -> Iterator[DeviceHistory]:
    """Lend the questions of that store."""
    queries = Queries(tmp_path / "collector.sqlite3")
    yield DeviceHistory(queries)
    queries.close()


def _device(epoch: str = "9f1c04d27ab35e68", weather: invented.Weather = clear) -> Device:
    return Device(id="k3v9q2m7x1c8n5p4", epoch=epoch, weather=weather, booted_utc_ns=utc(15, 4))


def test_a_device_without_a_round_has_no_past(store: Store, history: DeviceHistory) -> None:
    deliver(store, _device(), _NOW)
    found = history.rounds(_device().id, 10)
    assert (found.rounds, found.missed, found.before) == ((), (), None)
    assert history.verdict_streak(_device().id) is None
    assert history.verdict_streak("nobodyheardofit0") is None


def test_the_ladder_is_the_one_the_device_concluded_from(store: Store, history: DeviceHistory) -> None:
    device = _device(weather=cut_from(utc(15, 10)))
    device.measure(utc(15, 10), utc(15, 10, 1))
    # Its measurements are lost, its conclusion arrived.
    deliver(store, device, _NOW, lost=range(1, len(device.records)))
    found = history.rounds(device.id, 10).rounds[0].ladder
    assert found.rung(Rung.DOMESTIC).state is RungProgress.REACHED
    international = found.rung(Rung.INTERNATIONAL)
    assert (international.reached, international.tried) == (0, 5)
    assert "library: connect: generic_timeout_error" in international.failures


def test_without_a_kept_ladder_the_measurements_are_counted(store: Store, history: DeviceHistory) -> None:
    device = _device(weather=cut_from(utc(15, 10)))
    device.measure(utc(15, 10), utc(15, 10, 1))
    device.records[-1] = replace(device.records[-1], outcome=Outcome(detail={"ladder": {"form": "another"}}))
    deliver(store, device, _NOW)
    found = history.rounds(device.id, 10).rounds[0].ladder
    assert (found.rung(Rung.DOMESTIC).reached, found.rung(Rung.PLATFORMS).tried) == (4, 3)
    assert found.rung(Rung.INTERNATIONAL).state is RungProgress.FAILED


def test_rounds_come_oldest_first_and_lead_on_to_those_before(store: Store, history: DeviceHistory) -> None:
    device = _device()
    device.measure(utc(15, 10), utc(15, 11))
    deliver(store, device, _NOW)
    newest = history.rounds(device.id, 5)
    starts = [one.row.start_utc_ns for one in newest.rounds]
    assert starts == sorted(starts)
    assert starts[-1] == utc(15, 10, 55)
    assert newest.before is not None
    older = history.rounds(device.id, 100, until=(newest.before.epoch, newest.before.seq))
    assert len(older.rounds) == 7
    assert older.rounds[-1].row == newest.before
    assert older.before is None
    assert history.rounds(device.id, 5, until=("0" * 16, 1)).rounds == ()


def test_rounds_run_on_into_the_epoch_before(store: Store, history: DeviceHistory) -> None:
    first, second = _device("1" * 16), _device("0" * 16)
    first.measure(utc(15, 10), utc(15, 10, 10))
    second.measure(utc(15, 12), utc(15, 12, 10))
    deliver(store, first, _NOW - NS_PER_S)
    deliver(store, second, _NOW)
    found = history.rounds(first.id, 3)
    assert [one.row.epoch[0] for one in found.rounds] == ["1", "0", "0"]
    assert found.before is not None
    assert found.before.epoch == "1" * 16
    streak = history.verdict_streak(first.id)
    assert streak is not None
    assert (streak.rounds, streak.first.start_utc_ns, streak.before) == (4, utc(15, 10), None)


def test_missed_rounds_are_found_among_those_shown(store: Store, history: DeviceHistory) -> None:
    device = _device()
    device.miss(utc(15, 9), count=7)
    device.one_round(utc(15, 10))
    device.miss(utc(15, 10, 5), count=3)
    device.one_round(utc(15, 11))
    deliver(store, device, _NOW)
    missed = history.rounds(device.id, 10).missed
    assert [(one.count, one.start_utc_ns) for one in missed] == [(3, utc(15, 10, 5))]
    assert missed[0].reason == stated("stalled")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("the device was asleep", prose("the device was asleep")),
        ("stalled", prose("stalled")),
        (["sea-monster", {"teeth": 9}], stated("sea-monster", teeth=9)),
        (7, prose("missed_slot")),
        (["", {}], prose("missed_slot")),
    ],
)
def test_why_a_round_was_missed_is_read_however_it_was_written(
    store: Store, history: DeviceHistory, written: JsonValue, read: Statement
) -> None:
    device = _device()
    device.one_round(utc(15, 10))
    device.miss(utc(15, 10, 5))
    outcome = device.records[-1].outcome
    device.records[-1] = replace(
        device.records[-1], outcome=replace(outcome, detail={**outcome.detail, "reason": written})
    )
    device.one_round(utc(15, 11))
    deliver(store, device, _NOW)
    assert [one.reason for one in history.rounds(device.id, 10).missed] == [read]


def test_devices_call_a_missed_round_what_the_collector_looks_for() -> None:
    assert MISSED_TARGET == ROUND


def test_since_when_a_verdict_holds_and_what_came_before(store: Store, history: DeviceHistory) -> None:
    device = _device(weather=dark_from(utc(15, 12), utc(15, 13)))
    device.measure(utc(15, 11), utc(15, 12, 30))
    deliver(store, device, _NOW)
    streak = history.verdict_streak(device.id)
    assert streak is not None
    assert streak.first.verdict == "isp_or_wider_outage"
    assert streak.first.start_utc_ns == utc(15, 12)
    assert streak.before is not None
    assert (streak.before.verdict, streak.before.start_utc_ns) == ("ok", utc(15, 11, 55))

    device.measure(utc(15, 13), utc(15, 13, 6))
    deliver(store, device, _NOW)
    again = history.verdict_streak(device.id)
    assert again is not None
    assert (again.first.verdict, again.before and again.before.verdict) == ("ok", "isp_or_wider_outage")


def _revised(conclusion: Record, word: str) -> Record:
    """Return what a device writes when something that it had taken to be silent answered six seconds later."""
    return replace(
        conclusion,
        runtime_ns=conclusion.runtime_ns + 6 * NS_PER_S,
        outcome=replace(
            conclusion.outcome, detail={**conclusion.outcome.detail, REVISES: conclusion.round_id}
        ),
        verdict=Verdict(verdict=word, rule_id="mixed-evidence"),
    )


def test_a_revised_round_stands_once_in_its_place_and_as_it_was_last_said(
    store: Store, history: DeviceHistory, tmp_path: Path
) -> None:
    device = _device(weather=cut_from(utc(15, 12)))
    device.measure(utc(15, 11), utc(15, 12, 2))
    concluded = [one for one in device.records if one.test == "ladder"]
    # The revision of the round before the last comes after the last one.
    device.records.append(_revised(concluded[-2], "inconclusive"))
    deliver(store, device, _NOW)
    found = history.rounds(device.id, 40)
    assert [one.row.round_id for one in found.rounds] == [one.round_id for one in concluded]
    words = [one.row.verdict for one in found.rounds]
    before = [one.verdict.verdict for one in concluded if one.verdict is not None]
    assert words == [*before[:-2], "inconclusive", before[-1]]
    queries = Queries(tmp_path / "collector.sqlite3")
    assert [one.last_round.verdict for one in queries.devices() if one.last_round] == [before[-1]]
    queries.close()


def test_a_verdict_that_was_taken_back_ends_no_streak(store: Store, history: DeviceHistory) -> None:
    device = _device(weather=cut_from(utc(15, 12)))
    device.measure(utc(15, 11), utc(15, 12, 0) + NS_PER_S)
    concluded = [one for one in device.records if one.test == "ladder"]
    said = [one.verdict.verdict for one in concluded if one.verdict is not None]
    assert said[-1] == "international_cut"
    device.records += [_revised(concluded[-1], "inconclusive"), _revised(concluded[-1], "ok")]
    deliver(store, device, _NOW)
    streak = history.verdict_streak(device.id)
    assert streak is not None
    assert (streak.rounds, streak.before, streak.first.verdict) == (len(concluded), None, "ok")


def test_a_round_without_a_verdict_ends_a_streak(store: Store, history: DeviceHistory) -> None:
    device = _device()
    device.measure(utc(15, 10), utc(15, 10, 16))
    rounds = [index for index, record in enumerate(device.records) if record.test == "ladder"]
    device.records[rounds[1]] = replace(device.records[rounds[1]], verdict=None)
    deliver(store, device, _NOW)
    streak = history.verdict_streak(device.id)
    assert streak is not None
    assert (streak.rounds, streak.before and streak.before.verdict) == (2, None)
    assert streak.before is not None


def test_the_last_records_are_the_last_that_arrived(store: Store, history: DeviceHistory) -> None:
    device = _device()
    device.one_round(utc(15, 10))
    deliver(store, device, _NOW, lost=(3,))
    late = BatchArrived(
        device=device.id,
        epoch=device.epoch,
        received_ns=_NOW,
        topic="",
        rows=(to_row(3, to_json(device.records[2])),),
    )
    store.commit([late])
    assert [row.seq for row in history.last_records(device.id, 3)] == [3, 17, 16]
