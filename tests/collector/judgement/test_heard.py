"""Of which devices anything is heard: what is a sign of life and what is none, and what it is a sign of. Through a real store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collector.judgement.events import Events
from collector.judgement.gather import CountryAssessment, Scopes
from collector.store.arrivals import BatchArrived, HelloArrived
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.vantage_streaks import NS
from firmware.model.jsontypes import JsonValue
from firmware.model.record import ClockQuality, Verdict
from firmware.wire.messages import Transition
from tests.collector.judgement.filling import fill
from tests.collector.page import invented
from tests.collector.page.stories import BEGAN_S, SEEN, Placed, devices, vantage

MEASURED_S = BEGAN_S + 1200
HOURS_S = 36_000
STANDS = Transition(
    since_utc_ns=BEGAN_S * NS, error_ns=0, quality=ClockQuality.SYNCHRONISED, verdict="ok", rule_id="some"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collector.sqlite3"


def judged(path: Path, at_s: float, events: Events = ()) -> CountryAssessment:
    """Judge at a moment, at which the collector's own line was just seen to be well."""
    vantage(path, round((at_s - 10) * NS), SEEN)
    queries = Queries(path)
    try:
        (scope,) = Scopes(queries).now(round(at_s * NS), dict.fromkeys(["zz"], events))
        return scope
    finally:
        queries.close()


def states(scope: CountryAssessment) -> set[str]:
    return {str(one.state) for one in scope.devices}


def greet(store: Store, greeting: Sequence[Placed], at_s: float) -> None:
    store.commit(
        [
            HelloArrived(hello=replace(one.hello(), headline=(STANDS,)), received_ns=round(at_s * NS))
            for one in greeting
        ]
    )


def measured(store: Store, *, word: str = "") -> list[Placed]:
    """Let devices measure for twenty minutes, with a word of their own or what the rules make of it."""
    placed = devices()
    for device in placed:
        device.measure_places(BEGAN_S, MEASURED_S)
        if word:
            said = Verdict(verdict=word, rule_id="r")
            device.records = [
                replace(one, verdict=said) if one.test == "ladder" else one for one in device.records
            ]
        invented.deliver(store, device, MEASURED_S * NS)
    return placed


def test_devices_that_measure_nothing_and_say_so_are_not_silent(path: Path) -> None:
    """Their bytes of the day are spent: no rounds come, but the records of those they left out do."""
    store = Store.open(path)
    placed = measured(store)
    for at_s in range(MEASURED_S + 300, MEASURED_S + 3_300, 300):
        for device in placed:
            device.miss(at_s * NS)
            invented.deliver(store, device, at_s * NS)
    store.close()
    now = judged(path, MEASURED_S + 3_300)
    queries = Queries(path)
    then = Scopes(queries).reconciled("zz", (MEASURED_S + 2_800) * NS, now.outside, ())
    queries.close()
    assert then is not None
    for scope in (now, then):
        assert (scope.verdict.verdict, scope.events, states(scope)) == ("inconclusive", (), {"unclear"})
    assert (
        judged(path, MEASURED_S + 4_800).verdict.verdict == "total_shutdown"
    )  # nothing came for half an hour


@pytest.mark.parametrize("word", ["allowlisted", "protocol_filtering", "international_cut"])
def test_what_devices_said_hours_ago_is_not_so_of_a_country_now(path: Path, word: str) -> None:
    store = Store.open(path)
    for device in measured(store, word=word):
        device.miss((MEASURED_S + HOURS_S) * NS)
        invented.deliver(store, device, (MEASURED_S + HOURS_S) * NS)
    store.close()
    assert judged(path, MEASURED_S + HOURS_S + 60).verdict.verdict == "inconclusive"


class TestGreetings:
    """A greeting says that a device has power and a line, as long as it is fresh, and no more."""

    def test_devices_that_can_only_greet_are_not_silent(self, path: Path) -> None:
        store = Store.open(path)
        placed = measured(store)
        at_s = MEASURED_S + 1_800
        greet(store, placed, at_s - 60)
        store.close()
        assert states(judged(path, at_s)) == {"unclear"}

    def test_a_greeting_now_and_then_breaks_no_shutdown_up(self, path: Path) -> None:
        store = Store.open(path)
        placed = measured(store)
        for number, device in enumerate(placed):
            greet(store, [device], MEASURED_S + 1_200 + 400 * number)
        store.close()
        assert judged(path, MEASURED_S + HOURS_S).verdict.verdict == "total_shutdown"

    def test_one_of_a_clock_that_ran_ahead_is_none(self, path: Path) -> None:
        store = Store.open(path)
        greet(store, measured(store), MEASURED_S + 30 * 86_400)
        store.close()
        assert judged(path, MEASURED_S + HOURS_S).verdict.verdict == "total_shutdown"

    def test_that_of_a_copied_card_is_none(self, path: Path) -> None:
        store = Store.open(path)
        placed = measured(store)
        for letter, at_s in (("a", MEASURED_S), ("b", MEASURED_S + HOURS_S - 30)):
            store.commit(
                [
                    HelloArrived(
                        hello=replace(one.hello(), headline=(STANDS,), incarnations=((16 * letter, 1),)),
                        received_ns=at_s * NS,
                    )
                    for one in placed
                ]
            )
        store.close()
        assert judged(path, MEASURED_S + HOURS_S).verdict.verdict == "total_shutdown"


def test_what_is_delivered_again_is_no_sign_of_life(path: Path) -> None:
    store, placed = Store.open(path), devices()
    for device in placed:
        device.measure_places(BEGAN_S, MEASURED_S)
    sent = [one for device in placed for one in device.arrivals(MEASURED_S * NS)]
    store.commit(sent)
    at_s = MEASURED_S + HOURS_S
    store.commit(
        [replace(one, received_ns=(at_s - 60) * NS) for one in sent if isinstance(one, BatchArrived)]
    )
    store.close()
    assert judged(path, at_s).verdict.verdict == "total_shutdown"


@pytest.mark.parametrize("period_s", [120, 180, 360])
def test_rounds_that_are_on_their_way_are_no_silence_at_any_pace(path: Path, period_s: int) -> None:
    """They come four minutes late: a device waits for up to five between its tries."""
    store, placed = Store.open(path), devices()
    for number, device in enumerate(placed):
        for turn in range(8):
            at_s = BEGAN_S + turn * period_s + number * 7
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 26) * NS)
    store.close()
    last_s = BEGAN_S + 7 * period_s + 49 + 26
    assert judged(path, last_s + period_s + 240).verdict.verdict != "total_shutdown"
    assert judged(path, last_s + 4 * max(period_s, 180)).verdict.verdict == "total_shutdown"


class TestEpochs:
    """A device that begins anew is the same device."""

    def test_one_that_greets_in_a_new_epoch_and_is_gone_does_not_vanish(self, path: Path) -> None:
        store = Store.open(path)
        fill(store)
        at_s = BEGAN_S + 2_400
        greet(store, [replace(one, epoch=f"{9:016x}") for one in devices()[:6]], at_s - 1_100)
        store.close()
        scope = judged(path, at_s)
        assert (len(scope.devices), scope.verdict.verdict) == (8, "total_shutdown")

    def test_an_ended_epoch_that_speaks_of_itself_is_nothing_new(self, path: Path) -> None:
        store = Store.open(path)
        now_s = fill(store) // NS
        for device in devices(began_s=BEGAN_S - 90_000):
            device.epoch = f"{7:016x}"
            device.measure_places(BEGAN_S - 90_000, BEGAN_S - 89_000)
            store.commit(
                [
                    HelloArrived(hello=replace(device.hello(), past=True), received_ns=now_s * NS),
                    *(one for one in device.arrivals(now_s * NS) if isinstance(one, BatchArrived)),
                ]
            )
        store.close()
        assert judged(path, now_s + 10).verdict.verdict == "ok"


def test_the_past_of_devices_without_power_goes_by_when_their_records_were_made(path: Path) -> None:
    """They came back with a clock that stood as long as they were off, and was set right later."""
    store, off_s = Store.open(path), 14_400
    for device in devices():
        device.measure_places(BEGAN_S, MEASURED_S)
        invented.deliver(store, device, MEASURED_S * NS)
        before, back_s = len(device.records), MEASURED_S + off_s
        device.boot_id, device.booted_utc_ns = "5a1c1d2e-6f52-4b2f-9a3e-0d0a1c1d2e40", (back_s - 30) * NS
        device.quality, device.error_ns = ClockQuality.UNSYNCHRONISED, None
        for turn in range(20):
            device.miss((back_s + 600 + 300 * turn) * NS)
        device.records[before:] = [
            replace(one, start=replace(one.start, utc_ns=one.start.utc_ns - off_s * NS))
            for one in device.records[before:]
        ]
        device.quality, device.error_ns = ClockQuality.SYNCHRONISED, 4_000_000
        device.measure_places(back_s + 7_200, back_s + 7_321)
        last = device.records[-1]
        points: list[JsonValue] = [[last.start.boottime_ns, last.start.utc_ns, 4_000_000]]
        detail = {**last.outcome.detail, "sync_points": points}
        device.records[-1] = replace(last, outcome=replace(last.outcome, detail=detail))
        invented.deliver(store, device, (back_s + 7_500) * NS)
    store.close()
    known = judged(path, MEASURED_S + off_s + 7_510).outside
    queries = Queries(path)
    then = Scopes(queries).reconciled("zz", (MEASURED_S + 3_000) * NS, known, ())
    queries.close()
    assert then is not None
    assert states(then) == {"silent"}
