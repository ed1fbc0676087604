"""Records and the vantage of their time: the collector's own verdict on each target of a round."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.second_looks import SecondLook
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS, Key, Sample
from collector.vantage.judging import JudgedTarget, Judging, span
from collector.vantage.log import CHANGED, NO_VANTAGE, UNREACHABLE
from firmware.judgement.fingerprints.lists import bring
from firmware.judgement.site.evidence import SiteView, Stand, VantageSource
from firmware.judgement.site.refusal import MAY_REFUSE, NOT_REFUSED, REFUSES
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.plan import PlannedTarget
from firmware.model.record import ClockQuality, Record, Rung
from tests.collector.page import invented
from tests.collector.page.conftest import serving
from tests.english import ENGLISH

SITE = next(one for one in invented.PLAN.targets if one.rung is Rung.PLATFORMS)
KEY = Key(test=SITE.test, target=SITE.target, target_name=SITE.name)
BEGAN_S = 1_795_000_000
DAY_S = 86_400
FAILING = range(30, 230, 5)
"""While the platform fails in the device's three rounds the vantage looks so often, in s after their beginning."""
DURING_S = 140
"""A moment in the midst of it."""
WELL = SiteView(
    source=VantageSource.COLLECTOR,
    addresses=("93.184.216.34",),
    connects={"93.184.216.34:443": None},
    status=200,
)
DOWN = SiteView(
    source=VantageSource.COLLECTOR,
    addresses=("93.184.216.34",),
    connects={"93.184.216.34:443": "connection_refused"},
    http_failure="connection_refused",
)


def refused(target: PlannedTarget, _at_ns: int) -> str | None:
    """Return the weather in which one platform refuses connections."""
    return Failure.CONNECTION_REFUSED if target.name == SITE.name else None


def _as_measured(record: Record, clock_known: bool) -> Record:
    """Return an invented record with the detail that a real one has, and the clock as it is known."""
    start = record.start
    if not clock_known:
        start = replace(start, quality=ClockQuality.UNSYNCHRONISED, error_ns=None)
    if record.target_name != SITE.name:
        return replace(record, start=start)
    answer: JsonObject = {"transport": "udp", "answers": [{"type": "A", "value": "93.184.216.34", "ttl": 60}]}
    detail: JsonObject = {
        "queries": [
            {
                "resolver": "@isp",
                "engine": "udp",
                "query_name": SITE.target.partition(":")[0],
                "query_type": "A",
                "failure": None,
                "answers": [answer],
            }
        ],
        "tcp_connect": [{"address": "93.184.216.34", "port": 443, "failure": record.outcome.failure}],
    }
    return replace(record, start=start, outcome=replace(record.outcome, detail=detail))


@dataclass(slots=True, kw_only=True)
class Here:
    """A store with one device in it, and the vantage's log beside it."""

    store: Store
    log: VantageLog
    judging: Judging
    device: invented.Device

    def vantage(self, at_s: int, view: SiteView) -> None:
        failure = "connection_refused" if view is DOWN else None
        sample = Sample(key=KEY, utc_ns=at_s * NS, failure=failure, failed_operation=None, view=view)
        self.log.add([sample], every_s=600)

    def second(self, at_s: int, stand: Stand = Stand.SECOND, failure: str | None = None) -> None:
        look = SecondLook(stand=stand, country="zz", key=KEY, utc_ns=at_s * NS, failure=failure)
        self.log.add([], every_s=600, second=[look])

    def deliver(self, received_s: int, *, clock_known: bool = True) -> None:
        self.device.records = [_as_measured(one, clock_known) for one in self.device.records]
        invented.deliver(self.store, self.device, received_s * NS)

    def judged(self) -> JudgedTarget:
        found = self.judging.round(self.device.id)
        assert found is not None
        (one,) = [target for target in found.targets if target.row.target_name == SITE.name]
        return one


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    path = tmp_path / "collector.sqlite3"
    store, log, queries = Store.open(path), VantageLog.open(path), Queries(path)
    device = invented.Device(
        id="k3v9q2m7x1c8n5p4", epoch="9f1c04d27ab35e68", weather=refused, booted_utc_ns=(BEGAN_S - 9000) * NS
    )
    for number in range(3):
        device.one_round((BEGAN_S + 120 * number) * NS)
    yield Here(store=store, log=log, judging=Judging(queries), device=device)
    for part in (queries, log, store):
        part.close()


def said(one: JudgedTarget) -> str:
    return str(one.judgement.verdict.verdict)


def test_down_outside_too_is_down(here: Here) -> None:
    here.vantage(BEGAN_S, DOWN)
    here.vantage(BEGAN_S + 600, DOWN)
    here.deliver(BEGAN_S + 300)
    one = here.judged()
    assert said(one) == "service_down"
    assert one.vantage is not None


@pytest.mark.parametrize("stand", Stand)
def test_well_outside_and_for_one_whom_the_platform_treats_alike_is_blocked(here: Here, stand: Stand) -> None:
    for at_s in (0, *FAILING, 600):
        here.vantage(BEGAN_S + at_s, WELL)
    here.second(BEGAN_S + DURING_S, stand)
    here.deliver(BEGAN_S + 300)
    one = here.judged()
    assert (said(one), one.judgement.verdict.rule_id) == ("blocked_tcp", NOT_REFUSED)


@pytest.mark.parametrize(
    ("at_s", "failure", "rule_id"),
    [
        (None, None, MAY_REFUSE),
        (DURING_S, "connection_refused", REFUSES),
        (-60, None, MAY_REFUSE),  # before it failed
        (290, None, MAY_REFUSE),  # and after
    ],
)
def test_well_outside_alone_may_be_a_platform_that_refuses_the_country(
    here: Here, at_s: int | None, failure: str | None, rule_id: str
) -> None:
    for look_s in (0, *FAILING, 600):
        here.vantage(BEGAN_S + look_s, WELL)
    if at_s is not None:
        here.second(BEGAN_S + at_s, failure=failure)
    here.deliver(BEGAN_S + 300)
    one = here.judged()
    assert (said(one), one.judgement.verdict.rule_id) == ("inconclusive", rule_id)


def test_well_before_and_after_is_not_enough_where_nobody_looked_while_it_failed(here: Here) -> None:
    """A site that was down for everyone for some minutes between two sweeps."""
    here.vantage(BEGAN_S, WELL)
    here.vantage(BEGAN_S + 600, WELL)
    here.deliver(BEGAN_S + 300)
    one = here.judged()
    assert (said(one), one.judgement.verdict.rule_id) == ("inconclusive", "control-not-since")


@pytest.mark.parametrize("view", [None, UNREACHABLE])
def test_without_a_vantage_nobody_is_accused(here: Here, view: SiteView | None) -> None:
    if view is not None:
        here.vantage(BEGAN_S, view)
        here.vantage(BEGAN_S + 600, view)
    here.deliver(BEGAN_S + 300)
    one = here.judged()
    assert said(one) == "inconclusive"
    assert one.why_no_vantage == (None if view is not None else NO_VANTAGE)


def test_a_record_that_arrives_weeks_later_has_the_vantage_of_its_own_time(here: Here) -> None:
    here.vantage(BEGAN_S, DOWN)
    here.vantage(BEGAN_S + 600, DOWN)
    for day in range(1, 22):
        here.vantage(BEGAN_S + day * DAY_S, WELL)
    here.deliver(BEGAN_S + 21 * DAY_S)
    one = here.judged()
    assert said(one) == "service_down"
    assert one.vantage is not None
    assert one.vantage.age_s <= 300


def test_until_the_vantage_has_looked_again_nobody_is_accused(here: Here) -> None:
    here.vantage(BEGAN_S, WELL)
    here.deliver(BEGAN_S + 300)
    one = here.judged()
    assert (said(one), one.judgement.verdict.rule_id) == ("inconclusive", "control-not-since")
    for at_s in (*FAILING, 600):
        here.vantage(BEGAN_S + at_s, WELL)
    here.second(BEGAN_S + DURING_S)
    one = here.judged()
    assert said(one) == "blocked_tcp"


def test_a_site_that_went_down_between_two_looks_is_not_called_blocked(here: Here) -> None:
    here.vantage(BEGAN_S, WELL)
    here.deliver(BEGAN_S + 300)
    here.vantage(BEGAN_S + 600, DOWN)
    one = here.judged()
    assert (said(one), one.why_no_vantage) == ("inconclusive", CHANGED)


def test_a_time_that_is_not_known_is_joined_only_where_the_vantage_found_the_same_all_along(
    here: Here,
) -> None:
    for at in (0, 600, 4000, 6000):
        here.vantage(BEGAN_S + at, DOWN)
    here.deliver(BEGAN_S + 5000, clock_known=False)
    assert said(here.judged()) == "service_down"
    here.vantage(BEGAN_S + 6600, WELL)
    assert said(here.judged()) == "service_down"


def test_a_time_that_is_not_known_is_joined_to_nothing_where_the_vantage_changed_meanwhile(
    here: Here,
) -> None:
    for at, view in ((0, DOWN), (600, DOWN), (1200, WELL), (1800, DOWN), (6000, DOWN)):
        here.vantage(BEGAN_S + at, view)
    here.deliver(BEGAN_S + 5000, clock_known=False)
    one = here.judged()
    assert (said(one), one.why_no_vantage) == ("inconclusive", CHANGED)


def test_a_time_that_a_sync_point_tells_later_is_joined_to_the_vantage_of_that_time(here: Here) -> None:
    for at, view in ((0, DOWN), (600, DOWN), (1200, WELL), (1800, DOWN), (6000, DOWN)):
        here.vantage(BEGAN_S + at, view)
    last = here.device.records[-1]
    assert last.test == "ladder"
    point: JsonValue = [[last.start.boottime_ns, last.start.utc_ns, 10_000_000]]
    told = replace(last.outcome, detail={**last.outcome.detail, "sync_points": point})
    here.device.records[-1] = replace(last, outcome=told)
    here.deliver(BEGAN_S + 5000, clock_known=False)
    one = here.judged()
    assert (said(one), one.why_no_vantage) == ("service_down", None)


def test_a_clock_ahead_of_the_arrival_spans_the_day_before_it(here: Here) -> None:
    record = here.device.records[0]
    ahead = replace(record, start=replace(record.start, error_ns=None))
    received_ns = record.start.utc_ns - 1
    assert span(ahead, received_ns) == (received_ns - DAY_S * NS, received_ns)
    assert span(ahead, record.start.utc_ns + 5) == (record.start.utc_ns, record.start.utc_ns + 5)
    sure = replace(record, start=replace(record.start, error_ns=7))
    assert span(sure, 2**62) == (record.start.utc_ns - 7, record.start.utc_ns + 7)


def test_the_page_and_the_api_show_it(tmp_path: Path) -> None:
    def fill(store: Store) -> int:
        device = invented.Device(
            id="k3v9q2m7x1c8n5p4",
            epoch="9f1c04d27ab35e68",
            weather=refused,
            booted_utc_ns=(BEGAN_S - 9000) * NS,
        )
        for at_s in (BEGAN_S - 120, BEGAN_S):
            device.one_round(at_s * NS)
        invented.deliver(store, device, (BEGAN_S + 60) * NS)
        return (BEGAN_S + 90) * NS

    with serving(tmp_path, fill) as served:
        log = VantageLog.open(served.database)
        for at_s in (BEGAN_S - 60, BEGAN_S + 60):
            sample = Sample(
                key=KEY,
                utc_ns=at_s * NS,
                failure="connection_refused",
                failed_operation="connect",
                view=DOWN,
            )
            log.add([sample], every_s=600)
        log.close()
        with urllib.request.urlopen(
            f"{served.url}/api/v1/devices/k3v9q2m7x1c8n5p4/targets", timeout=30
        ) as answer:
            told = json.load(answer)
        (one,) = [target for target in told["targets"] if target["target_name"] == SITE.name]
        assert (one["verdict"], one["rule_id"]) == ("service_down", "down-outside-too")
        assert one["vantage"]["age_s"] == 35  # from the end of the round
        assert one["no_vantage"] is None
        assert {
            "code": "vantage",
            "parameters": {"source": "collector"},
            "sentence": "vantage: collector looked around that time",
        } in one["evidence"]
        assert one["overturned_by"] == ENGLISH.overturned_by("down-outside-too")
        (other, *_) = [target for target in told["targets"] if target["target_name"] != SITE.name]
        assert other["vantage"] is None
        assert other["no_vantage"] == {
            "code": "did-not-look",
            "parameters": {},
            "sentence": "no vantage looked within a day of this measurement",
        }
        assert told["round"].startswith("9f1c04d27ab35e68:")
        with urllib.request.urlopen(f"{served.url}/api/v1/vantage", timeout=30) as answer:
            vantage = json.load(answer)
        assert [(streak["target_name"], streak["failure"]) for streak in vantage["targets"]] == [
            (SITE.name, "connection_refused")
        ]
        assert vantage["gaps"] == []
        with urllib.request.urlopen(f"{served.url}/device/k3v9q2m7x1c8n5p4", timeout=30) as answer:
            page = answer.read().decode()
        assert "service_down" in page
        assert "down-outside-too" in page


LISTED = (
    "name,scope,other_names,location_found,pattern_type,pattern,confidence_no_fp,expected_countries,source,exp_url,notes\n"
    "mine.1,nat,,dns,full,93.184.216.34,5,XX,somebody,,\n"
)


def test_a_verdict_by_a_list_names_the_list_and_so_does_its_lack(here: Here, tmp_path: Path) -> None:
    """Device and collector may go by different lists: what each went by is said, and a verdict names the list it rests on."""
    file = tmp_path / "mine-2026-11-20.csv"
    file.write_text(LISTED)
    lists = bring([file])
    theirs = "theirs.csv 2026-11-01 0123456789ab"
    *_, last = here.device.records
    detail: JsonObject = {**last.outcome.detail, "fingerprints": [theirs]}
    here.device.records[-1] = replace(last, outcome=replace(last.outcome, detail=detail))
    here.vantage(BEGAN_S, DOWN)
    here.vantage(BEGAN_S + 600, DOWN)
    here.deliver(BEGAN_S + 300)
    assert said(here.judged()) == "service_down"
    with closing(Queries(tmp_path / "collector.sqlite3")) as queries:
        found = Judging(queries, lists.fingerprints).round(here.device.id)
    assert found is not None
    (one,) = [target for target in found.targets if target.row.target_name == SITE.name]
    assert (said(one), one.judgement.verdict.rule_id) == ("blocked_dns", "known-false-answer")
    (match,) = [one for one in one.judgement.verdict.evidence if one.code == "fingerprint-of-list"]
    assert match.parameters == {
        "name": "mine.1",
        "location": "dns",
        "confidence": 5,
        "source": "somebody",
        "list": "mine-2026-11-20.csv",
        "day": "2026-11-20",
        "digest": lists.brought[0].of.digest,
    }
    (sentence,) = ENGLISH.evidence([match])
    assert sentence == (
        "fingerprint mine.1 (dns, confidence 5; source: somebody) of the list mine-2026-11-20.csv of 2026-11-20 "
        f"({lists.brought[0].of.digest}) matches"
    )
    assert found.device_lists == (theirs,)
