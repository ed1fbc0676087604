"""Who is remembered: those that fell silent together for as long as that lasts, and nobody for ever who fell silent alone."""

from dataclasses import replace
from pathlib import Path

from collector.judgement.changes import events_of
from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.events import FORGOTTEN_S, going_on, remembered
from collector.judgement.thread import AssessmentKeeper
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.scopes import ScopeQueries
from collector.store.vantage_streaks import NS
from tests.collector.judgement.filling import fill
from tests.collector.judgement.scopes import NOW, one
from tests.collector.page import invented
from tests.collector.page.stories import BEGAN_S, SEEN, devices, vantage

DAY_S = 86_400.0


def eight(silent_for_s: float, *, well: int = 0) -> list[DeviceState]:
    """Return eight devices that fell silent together, of which the first `well` are back."""
    return [
        one(number, "tci", DeviceStanding.WELL)
        if number < well
        else one(number, "tci", DeviceStanding.SILENT, since_s=-silent_for_s - number)
        for number in range(8)
    ]


def test_those_that_fell_silent_together_are_remembered_for_as_long_as_it_lasts() -> None:
    (event,) = events = going_on((), eight(600))
    assert len(event) == 8
    for days in (8, 87, 400):
        later = eight(days * DAY_S)
        events = going_on(events, later)
        assert len(remembered(events, later, NOW)) == 8
    # Six come back: the two that are still out are remembered, since a quarter is not back.
    later = eight(87 * DAY_S, well=6)
    assert len(remembered(going_on(events, later), later, NOW)) == 8
    # Seven: it is over, and who is still out is out alone.
    later = eight(87 * DAY_S, well=7)
    assert going_on(events, later) == ()
    assert len(remembered((), later, NOW)) == 7


def test_who_fell_silent_alone_is_forgotten_after_a_week() -> None:
    alone = [one(1, "tci", DeviceStanding.SILENT, since_s=-FORGOTTEN_S), *eight(0, well=8)[2:]]
    assert going_on((), alone) == ()
    assert len(remembered((), alone, NOW)) == 6
    assert len(remembered((), alone, NOW - DAY_S)) == 7


def test_a_device_that_is_retired_is_in_no_event() -> None:
    events = going_on((), eight(600))
    (event,) = going_on(events, eight(700)[2:])
    assert event == {f"d{number}" for number in range(2, 8)}


def test_a_second_wave_joins_the_event_of_those_who_are_still_silent() -> None:
    first = going_on((), eight(3600))
    again = [
        replace(device, since_utc_s=NOW - 600.0) if number < 4 else device
        for number, device in enumerate(eight(3600))
    ]
    assert going_on(first, again) == first


def test_after_87_days_the_country_is_not_well_because_three_of_eight_are_back(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    made = devices()
    for device in made:
        for at_s in range(BEGAN_S, BEGAN_S + 1200, 120):
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 26) * NS)
    began_ns = (BEGAN_S + 1106) * NS
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)

    def judged(after_s: float) -> str:
        now_ns = began_ns + round(after_s * NS)
        vantage(path, now_ns - NS, SEEN)
        keeper.judge(now_ns)
        (holding,) = ScopeQueries(queries).holding()
        return holding.assessment.verdict

    assert judged(900) == "total_shutdown"
    for days in (1, 8, 40, 87):
        assert judged(days * DAY_S) == "total_shutdown"
    # The collector is started anew, which proves nothing for ten minutes, and then three are back.
    keeper.close()
    keeper = AssessmentKeeper(path, queries)
    back_s = round(87 * DAY_S) + 1_200
    assert judged(back_s - 600) == "inconclusive"
    for device in (made[0], made[2], made[4]):
        device.measure_places(began_ns // NS + back_s, began_ns // NS + back_s + 1)
        invented.deliver(store, device, began_ns + (back_s + 26) * NS)
    assert judged(back_s + 60) not in ("ok", "total_shutdown")
    (holding,) = ScopeQueries(queries).holding()
    assert (holding.basis["devices"], holding.basis["well"], holding.basis["lost"]) == (8, 3, 5)
    assert [len(event) for event in events_of(holding.basis)] == [8]
    keeper.close()
    queries.close()
    store.close()


def test_a_device_whose_keys_were_revoked_does_not_count_any_more(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    began_ns = fill(store) - 115 * NS
    store.close()
    queries = Queries(path)
    gone = {device.id: began_ns / NS + 3 * DAY_S for device in devices()[3:]}
    keeper = AssessmentKeeper(path, queries, retired=lambda: gone)
    counts = []
    for after_s in (900.0, 2 * DAY_S, 4 * DAY_S):
        vantage(path, began_ns + round(after_s * NS) - NS, SEEN)
        keeper.judge(began_ns + round(after_s * NS))
        (holding,) = ScopeQueries(queries).holding()
        counts.append(holding.basis["devices"])
    assert counts == [8, 8, 3]
    keeper.close()
    queries.close()
