"""The vantage's log: samples become streaks, gaps stay gaps, and a record finds what was seen nearest its time."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.store.vantage_streaks import (
    NS,
    SAMPLES_MISSED,
    STREAK_LONGEST_NS,
    Key,
    Sample,
    VantageStreak,
    continued,
)
from collector.vantage.log import (
    CHANGED,
    JOIN_WINDOW_S,
    UNREACHABLE,
    age_s,
    joined,
    nearest,
    sample_of,
)
from collector.vantage.own_line import OwnLine, Proof, is_connected
from collector.vantage.targets import VantageTarget
from firmware.judgement.site.evidence import Looked, SiteView, VantageSource
from firmware.model.failures import Failure
from firmware.model.record import ClockQuality, ClockReading, Outcome, Record, Zone

KEY = Key(test="web_connectivity", target="https://www.example.org/", target_name="example")
EVERY_S = 600
WELL = SiteView(source=VantageSource.COLLECTOR, status=200, addresses=("192.0.2.1",))
DOWN = SiteView(source=VantageSource.COLLECTOR, http_failure="connection_refused")


def sample(at_s: float, view: SiteView = WELL, failure: str | None = None) -> Sample:
    return Sample(key=KEY, utc_ns=round(at_s * NS), failure=failure, failed_operation=None, view=view)


def streaks_of(samples: list[Sample]) -> list[VantageStreak]:
    streaks: list[VantageStreak] = []
    for one in samples:
        streak = continued(streaks[-1] if streaks else None, one, every_s=EVERY_S)
        if streaks and streak.first_utc_ns == streaks[-1].first_utc_ns:
            streaks.pop()
        streaks.append(streak)
    return streaks


def record_of(key: Key, outcome: Outcome, at_s: float = 0) -> Record:
    return Record(
        boot_id="b",
        test=key.test,
        test_version="0.1.0",
        target=key.target,
        target_name=key.target_name,
        zone=Zone.INTERNATIONAL,
        slot_boottime_ns=0,
        start=ClockReading(boottime_ns=0, utc_ns=round(at_s * NS), quality=ClockQuality.UNSYNCHRONISED),
        runtime_ns=1,
        outcome=outcome,
    )


def test_what_stays_the_same_is_one_streak_and_a_change_begins_another() -> None:
    streaks = streaks_of([sample(0), sample(600), sample(1200, DOWN, "connection_refused"), sample(1800)])
    assert [(streak.first_utc_ns // NS, streak.last_utc_ns // NS, streak.samples) for streak in streaks] == [
        (0, 600, 2),
        (1200, 1200, 1),
        (1800, 1800, 1),
    ]


def test_addresses_that_change_all_the_time_are_one_finding_and_all_kept() -> None:
    (streak,) = streaks_of([sample(0), sample(600, replace(WELL, addresses=("192.0.2.2",)))])
    assert streak.view.addresses == ("192.0.2.1", "192.0.2.2")


def test_a_gap_and_a_day_end_a_streak() -> None:
    gap_s = EVERY_S * SAMPLES_MISSED + 1
    assert len(streaks_of([sample(0), sample(gap_s)])) == 2
    assert len(streaks_of([sample(0), sample(gap_s - 1)])) == 1
    day = [sample(at) for at in range(0, STREAK_LONGEST_NS // NS + 1200, 600)]
    assert len(streaks_of(day)) == 2


@given(st.lists(st.tuples(st.integers(1, 5000), st.sampled_from([WELL, DOWN, UNREACHABLE])), max_size=40))
def test_streaks_hold_every_sample_once_and_in_order(steps: list[tuple[int, SiteView]]) -> None:
    at, samples = 0, []
    for step, view in steps:
        at += step
        samples.append(sample(at, view))
    streaks = streaks_of(samples)
    assert sum(streak.samples for streak in streaks) == len(samples)
    assert all(one.last_utc_ns < two.first_utc_ns for one, two in itertools.pairwise(streaks))
    for one in samples:
        found = nearest(streaks, one.utc_ns)
        assert found is not None
        assert (found.status, found.reachable) == (one.view.status, one.view.reachable)


def test_the_nearest_in_time_says_how_far_it_is() -> None:
    streaks = streaks_of([sample(0), sample(600), sample(4000, DOWN, "connection_refused")])
    for at_s, status, age in (
        (-50, 200, 50),
        (0, 200, 0),
        (300, 200, 300),
        (700, 200, 100),
        (3900, None, 100),
    ):
        found = nearest(streaks, at_s * NS)
        assert found is not None
        assert (found.status, found.age_s) == (status, age)
    assert age_s(streaks[0], 310 * NS) <= 300


def test_weeks_later_it_is_still_there_and_far_off_it_is_none() -> None:
    streaks = streaks_of([sample(0), sample(600)])
    assert nearest(streaks, round((600 + JOIN_WINDOW_S) * NS)) is not None
    assert nearest(streaks, round((601 + JOIN_WINDOW_S) * NS)) is None
    assert nearest([], 0) is None


@pytest.mark.parametrize(("reached", "connected"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_vantage_is_connected_when_two_unrelated_neutral_networks_answer(
    reached: int, connected: bool
) -> None:
    keys = [
        Key(test="tls", target=f"c{number}.example.org:443", target_name=f"c{number}") for number in range(3)
    ]
    targets = [VantageTarget(key=key, neutral_network=f"AS{number}") for number, key in enumerate(keys)]
    records = [
        record_of(
            key,
            Outcome() if number < reached else Outcome(failure=Failure.TIMEOUT, failed_operation="connect"),
        )
        for number, key in enumerate(keys)
    ]
    assert is_connected(targets, records) is connected
    assert not is_connected([], records)


def test_a_vantage_that_is_not_connected_says_only_that() -> None:
    down = record_of(KEY, Outcome(failure=Failure.TIMEOUT, failed_operation="connect"), at_s=5)
    kept = sample_of(down, OwnLine(is_connected=False))
    assert kept is not None
    assert (kept.view, kept.failure, kept.utc_ns) == (UNREACHABLE, None, 5 * NS)
    missed = record_of(KEY, Outcome(failure=Failure.MISSED_SLOT, failed_operation="start"))
    assert sample_of(missed, OwnLine(is_connected=True)) is None


def test_a_failure_is_its_targets_where_the_line_was_seen_well_after_it() -> None:
    down = record_of(KEY, Outcome(failure=Failure.TIMEOUT, failed_operation="connect"), at_s=5)
    after = Proof(began_ns=NS, ended_ns=2 * NS, is_reference=True)
    told = sample_of(down, OwnLine(is_connected=True, proofs=(after,)))
    assert told is not None
    assert (told.failure, told.view.reachable) == (Failure.TIMEOUT, True)
    assert sample_of(down, OwnLine(is_connected=True)) is None
    gone = sample_of(down, OwnLine(is_connected=True, is_dead=True))
    assert gone is not None
    assert (gone.failure, gone.view) == (None, UNREACHABLE)


def test_a_streak_knows_when_it_was_sampled_and_one_from_before_guesses_too_early() -> None:
    """Sweeps every ten minutes, and looks in between where a device lost the page."""
    taken_s = [0, 600, 630, 660, 1200]
    (streak,) = streaks_of([sample(at) for at in taken_s])
    assert [one // NS for one in streak.looks_by(700 * NS)] == [0, 600, 630, 660]
    assert [one // NS for one in streak.looks_by(2000 * NS)] == taken_s
    old = replace(streak, later_ms=())
    (guessed_ns,) = old.looks_by(700 * NS)
    assert guessed_ns <= 660 * NS


def test_a_moment_is_told_how_long_before_it_the_looks_were() -> None:
    (streak,) = streaks_of([sample(at) for at in (0, 600, 630, 660, 1200)])
    view, why = joined([streak], 700 * NS, 700 * NS, 700 * NS)
    assert why is None
    assert view is not None
    assert (view.looked, view.before_s, view.earlier_s) == (Looked.AROUND, 40.0, (30.0, 60.0, 660.0))
    assert [view.looks_since(ago_s) for ago_s in (39.0, 40.0, 100.0, 1e6)] == [0, 1, 3, 4]
    went = streaks_of([sample(0), sample(600), sample(1200, DOWN, "connection_refused")])
    view, why = joined(went, 700 * NS, 700 * NS, 700 * NS)
    assert (None if view is None else view.looked, why) == (Looked.CHANGED, CHANGED)
