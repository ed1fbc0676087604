"""The vantage's log in a real database: what is appended is found by its time, and what is old goes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.vantage_log import DAY_NS, Gap, VantageLog, VantageQueries
from collector.store.vantage_streaks import NS, Key, Sample
from collector.vantage.log import nearest
from firmware.judgement.site.evidence import SiteView, VantageSource
from firmware.model.statement import Statement, prose, stated

KEY = Key(test="web_connectivity", target="https://www.example.org/", target_name="example")
WELL = SiteView(
    source=VantageSource.COLLECTOR,
    addresses=("192.0.2.1",),
    connects={"192.0.2.1:443": None},
    headers=(("Server", "nginx"),),
    status=200,
    title="Here",
    body_length=9,
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "collector.sqlite3"
    Store.open(path).close()
    return path


@pytest.fixture
def vantage_log(database: Path) -> Iterator[VantageLog]:
    made = VantageLog.open(database)
    yield made
    made.close()


@pytest.fixture
def queries(database: Path) -> Iterator[VantageQueries]:
    made = Queries(database)
    yield VantageQueries(made)
    made.close()


def sample(at_s: int, view: SiteView = WELL, failure: str | None = None, key: Key = KEY) -> Sample:
    return Sample(key=key, utc_ns=at_s * NS, failure=failure, failed_operation=None, view=view)


def test_a_view_comes_back_as_it_was(vantage_log: VantageLog, queries: VantageQueries) -> None:
    vantage_log.add([sample(10)], every_s=600)
    vantage_log.add([sample(610)], every_s=600)
    (streak,) = queries.around(KEY, 300 * NS)
    assert streak.later_ms == (600_000,)
    assert (streak.view, streak.samples, streak.first_utc_ns, streak.last_utc_ns) == (
        WELL,
        2,
        10 * NS,
        610 * NS,
    )
    assert queries.around(replace(KEY, target_name="other"), 0) == ()


def test_the_streaks_around_a_moment_hold_the_nearest(
    vantage_log: VantageLog, queries: VantageQueries
) -> None:
    views = {
        at: replace(WELL, status=status) for at, status in ((0, 200), (600, 503), (1200, 200), (9000, 404))
    }
    for at, view in views.items():
        vantage_log.add([sample(at, view)], every_s=600)
    for at in (-5, 0, 550, 650, 1199, 5000, 8000, 9000, 20_000):
        found = nearest(queries.around(KEY, at * NS), at * NS)
        assert found is not None
        assert found.status == views[min(views, key=lambda one: abs(one - at))].status


def test_a_clock_that_was_set_back_changes_no_streak(
    vantage_log: VantageLog, queries: VantageQueries
) -> None:
    vantage_log.add([sample(600)], every_s=600)
    vantage_log.add([sample(500, replace(WELL, status=500))], every_s=600)
    (streak,) = queries.last()
    assert (streak.view.status, streak.samples) == (200, 1)


def test_after_a_clock_that_ran_years_ahead_what_is_seen_is_kept_and_nothing_later_than_now_counts(
    vantage_log: VantageLog, queries: VantageQueries
) -> None:
    gone = replace(WELL, reachable=False)
    vantage_log.add([sample(9_000_000)], every_s=600)
    for at_s in (600, 1200):
        vantage_log.add([sample(at_s, gone)], every_s=600)
    (streak,) = queries.last(until_utc_ns=1300 * NS)
    assert (streak.view, streak.first_utc_ns, streak.samples) == (gone, 600 * NS, 2)
    assert queries.own_line(since_utc_ns=0, until_utc_ns=1300 * NS) == (None, 1200 * NS)


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        (
            stated("sweep-unanswered", unanswered=1, tried=2),
            '["sweep-unanswered",{"unanswered":1,"tried":2}]',
        ),
        (prose("the vantage did not run"), "the vantage did not run"),
        (prose("[it failed"), "[it failed"),
    ],
)
def test_why_there_is_a_gap_is_kept_as_data_or_as_older_software_wrote_it(
    vantage_log: VantageLog, queries: VantageQueries, reason: Statement, kept: str
) -> None:
    vantage_log.note_gap(Gap(from_utc_ns=0, to_utc_ns=DAY_NS, reason=reason))
    assert vantage_log._connection.execute("SELECT reason FROM control_gap").fetchall() == [(kept,)]
    assert [gap.reason for gap in queries.gaps()] == [reason]


def test_old_streaks_and_those_past_the_bound_go(vantage_log: VantageLog, queries: VantageQueries) -> None:
    day_s = DAY_NS // NS
    vantage_log.add(
        [sample(day * day_s, key=replace(KEY, target_name=f"t{day}")) for day in range(1, 11)], every_s=600
    )
    gap = Gap(from_utc_ns=0, to_utc_ns=DAY_NS, reason=stated("vantage-not-running"))
    vantage_log.note_gap(gap)
    assert queries.gaps() == (gap,)
    vantage_log.thin(now_utc_ns=10 * DAY_NS, days=5)
    assert {streak.key.target_name for streak in queries.last()} == {f"t{day}" for day in range(5, 11)}
    assert queries.gaps() == ()
    vantage_log.thin(now_utc_ns=10 * DAY_NS, days=5, most=2)
    assert {streak.key.target_name for streak in queries.last()} == {"t9", "t10"}
    assert vantage_log.last_utc_ns() == 10 * DAY_NS
