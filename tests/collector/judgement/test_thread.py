"""The log of scope verdicts through a real store: changes once, revisions beside what was said, never instead."""

from pathlib import Path

from collector.judgement.thread import AssessmentKeeper
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.scopes import Change, ScopeQueries
from collector.store.vantage_streaks import NS
from collector.vantage.log import UNREACHABLE
from tests.collector.judgement.filling import fill
from tests.collector.page import invented
from tests.collector.page.stories import BEGAN_S, NETWORKS, SEEN, abroad_cut_from, devices, vantage


def changes(queries: Queries) -> tuple[Change, ...]:
    return ScopeQueries(queries).changes("zz")


def test_a_cut_seen_as_silence_is_said_once_and_borne_out_by_what_arrives_later(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    cut_ns = (BEGAN_S + 480) * NS
    made = devices(weather=abroad_cut_from(cut_ns))
    for device in made:
        device.measure_places(BEGAN_S, BEGAN_S + 480)
        invented.deliver(store, device, cut_ns)
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)
    keeper.judge(cut_ns)
    vantage(path, cut_ns + 1100 * NS, SEEN)
    for later in (1140, 1170, 1200):
        keeper.judge(cut_ns + later * NS)
    newest, oldest = changes(queries)
    assert oldest.assessment.verdict == "ok"
    assert oldest.until_ns == newest.assessment.said_ns
    assert (newest.assessment.verdict, newest.assessment.rule_id) == (
        "total_shutdown",
        "networks-lost-together",
    )
    assert newest.assessment.said_ns == cut_ns + 1140 * NS
    assert newest.assessment.since_ns is not None
    assert newest.assessment.since_error_ns is not None
    assert abs(newest.assessment.since_ns - cut_ns) <= newest.assessment.since_error_ns
    # The way is free again, and the rounds of the cut arrive, which say that the country inside went on.
    for device in made:
        device.measure_places(BEGAN_S + 480, BEGAN_S + 2400)
        invented.deliver(store, device, cut_ns + 2000 * NS)
    keeper.judge(cut_ns + 2001 * NS)
    keeper.judge(cut_ns + 2031 * NS)
    now, before, first = changes(queries)
    assert before.assessment == newest.assessment
    (revised,) = before.revisions
    assert (revised.verdict, revised.rule_id) == ("international_cut", "abroad-lost-together")
    assert revised.said_ns == cut_ns + 2001 * NS
    assert revised.since_ns is not None
    assert revised.since_error_ns is not None
    assert abs(revised.since_ns - cut_ns) <= revised.since_error_ns <= 61 * NS
    assert not first.revisions
    assert now.assessment.verdict == "international_cut"
    keeper.close()
    queries.close()
    store.close()


def test_the_vantage_is_asked_while_devices_are_overdue_until_it_has_looked(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    end_ns = fill(store) - 115 * NS
    vantage(path, end_ns, SEEN)
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)
    asked = {after_s: keeper.judge(end_ns + after_s * NS) for after_s in (0, 240, 300, 540, 700, 730)}
    assert asked == {0: False, 240: False, 300: True, 540: True, 700: True, 730: True}
    vantage(path, end_ns + 740 * NS, SEEN)
    assert not keeper.judge(end_ns + 750 * NS)
    assert changes(queries)[0].assessment.verdict == "total_shutdown"
    assert {one.assessment.verdict for one in changes(queries)} == {"ok", "inconclusive", "total_shutdown"}
    keeper.close()
    queries.close()
    store.close()


def test_silence_of_the_collector_itself_is_revised_to_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    made = devices()
    end_ns = (BEGAN_S + 1200) * NS
    for device in made:
        device.measure_places(BEGAN_S, BEGAN_S + 1200)
        invented.deliver(store, device, end_ns)
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)
    vantage(path, end_ns + 1100 * NS, UNREACHABLE)
    keeper.judge(end_ns + 1140 * NS)
    for device in made:
        device.measure_places(BEGAN_S + 1200, BEGAN_S + 2400)
        invented.deliver(store, device, end_ns + 1201 * NS)
    keeper.judge(end_ns + 1202 * NS)
    said = changes(queries)
    assert [one.assessment.verdict for one in said] == ["collector_fault"] * len(said)
    assert said[0].assessment.rule_id == "devices-were-well"
    assert [one.verdict for one in said[-1].revisions] == ["ok"]
    keeper.close()
    queries.close()
    store.close()


def test_an_ordinary_evening_on_which_one_device_drops_says_nothing_bad(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)
    made = devices()
    for at_s in range(BEGAN_S, BEGAN_S + 3600, 120):
        for number, device in enumerate(made):
            if number == 3 and at_s >= BEGAN_S + 600:
                continue
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 5 + number) * NS)
        vantage(path, at_s * NS, SEEN)
        keeper.judge((at_s + 60) * NS)
    said = changes(queries)
    assert {one.assessment.verdict for one in said} <= {"ok", "inconclusive"}
    assert said[0].assessment.verdict == "ok"
    (holding,) = ScopeQueries(queries).holding()
    assert holding.judged_ns == (BEGAN_S + 3480 + 60) * NS
    assert holding.basis["silent"] == 1
    assert len(made) == 2 * len(NETWORKS)
    keeper.close()
    queries.close()
    store.close()


def test_a_store_filled_before_the_log_was(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    now_ns = fill(store)
    store.close()
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)
    keeper.judge(now_ns)
    keeper.judge(now_ns + 30 * NS)
    (only,) = changes(queries)
    assert (only.assessment.verdict, only.until_ns, only.revisions) == ("ok", None, ())
    keeper.close()
    queries.close()
