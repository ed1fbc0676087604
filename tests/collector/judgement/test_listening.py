"""A silence in which the collector itself was not there to hear is not its devices': by itself, and through a real store."""

from pathlib import Path

import pytest

from collector.judgement.listening import DEAF_NS, Listening
from collector.judgement.outside import BACK_S
from collector.judgement.thread import AssessmentKeeper
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.scopes import ScopeQueries
from collector.store.vantage_streaks import NS
from tests.collector.judgement.filling import fill
from tests.collector.page.stories import SEEN, vantage

EVERY_NS = 30 * NS
BEGAN = Listening(utc_ns=0, awake_ns=0, linked_ns=0)


def test_who_judges_every_half_minute_was_there_all_the_while() -> None:
    one = BEGAN
    for at_ns in range(EVERY_NS, 100 * EVERY_NS, EVERY_NS):
        one = one.at(at_ns, at_ns, is_linked=True)
    assert one.deaf_ns is None


@pytest.mark.parametrize("stepped_ns", [-3600 * NS, -DEAF_NS - 1, DEAF_NS + 1, 3600 * NS])
def test_a_clock_that_was_set_or_a_host_that_slept(stepped_ns: int) -> None:
    then = BEGAN.at(EVERY_NS + stepped_ns, EVERY_NS, is_linked=True)
    assert then.deaf_ns == EVERY_NS + stepped_ns
    assert then.at(then.utc_ns + EVERY_NS, 2 * EVERY_NS, is_linked=True).deaf_ns == then.deaf_ns


@pytest.mark.parametrize(("away_ns", "is_deaf"), [(EVERY_NS, False), (DEAF_NS + 1, True), (-NS, True)])
def test_a_collector_that_was_started_anew(away_ns: int, *, is_deaf: bool) -> None:
    before = Listening(utc_ns=0, awake_ns=None, linked_ns=0)
    assert before.at(away_ns, 99 * NS, is_linked=False).deaf_ns == (away_ns if is_deaf else None)


def test_a_broker_that_is_out_of_reach_for_longer_than_it_takes_to_connect() -> None:
    one, deaf = BEGAN, []
    for at_ns in range(EVERY_NS, 10 * EVERY_NS, EVERY_NS):
        one = one.at(at_ns, at_ns, is_linked=at_ns > 7 * EVERY_NS)
        deaf.append(one.deaf_ns)
    assert deaf[:4] == [None] * 4
    assert deaf[4:] == [5 * EVERY_NS, 6 * EVERY_NS, 7 * EVERY_NS, 7 * EVERY_NS, 7 * EVERY_NS]


@pytest.mark.parametrize("how", ["away", "asleep", "unlinked"])
def test_devices_that_were_silent_while_nobody_listened_are_not_cut_off(tmp_path: Path, how: str) -> None:
    """The collector was gone for 20 minutes, and its line is well; they come back within five more. If not, they are silent."""
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    end_ns = fill(store)
    store.close()
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)

    def judged(after_s: float, *, awake_s: float | None = None, is_linked: bool = True) -> str:
        now_ns = end_ns + round(after_s * NS)
        awake_ns = None if awake_s is None else round(awake_s * NS)
        keeper.judge(now_ns, awake_ns=awake_ns, is_linked=is_linked)
        (holding,) = ScopeQueries(queries).holding()
        return holding.assessment.verdict

    vantage(path, end_ns - NS, SEEN)
    assert judged(0, awake_s=0) == "ok"
    if how == "unlinked":
        for at_s in range(30, 1200, 30):
            judged(at_s, awake_s=at_s, is_linked=False)
    if how == "away":
        keeper.close()
        keeper = AssessmentKeeper(path, queries)
    awake_s = 30 if how == "asleep" else 1200
    for after_s in (1205, 1235, 1480):
        vantage(path, end_ns + (after_s - 2) * NS, SEEN)
        assert judged(after_s, awake_s=awake_s + after_s - 1205) == "inconclusive"
    # It is started once more, soon: that it was away before is not forgotten.
    keeper.close()
    keeper = AssessmentKeeper(path, queries)
    vantage(path, end_ns + 1500 * NS, SEEN)
    assert judged(1510) == "inconclusive"
    for after_s in range(1540, 1900, 30):
        judged(after_s)
    vantage(path, end_ns + round(1205 + BACK_S + 10) * NS, SEEN)
    assert judged(1205 + BACK_S + 20) == "total_shutdown"
    keeper.close()
    queries.close()
