"""Pages of a list, looked at beside the rounds: judged by the rounds on either side, and shown where results are shown."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.scopes import Assessment, Change
from collector.store.second_looks import SecondLook
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS, Key, Sample
from collector.vantage.surroundings import BesideRounds, Surroundings, said_at
from firmware.judgement.site.evidence import SiteView, Stand, VantageSource
from firmware.judgement.site.refusal import NOT_REFUSED
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject
from firmware.model.plan import PlannedTarget
from firmware.model.record import Record, Rung
from firmware.ooni.explain import explain
from firmware.ooni.read import Document
from tests.collector.page import invented
from tests.collector.page.conftest import serving
from tests.firmware.listed_page import ADDRESS, page

BEGAN_S = 1_795_000_000
BOOTED_NS = (BEGAN_S - 90_000) * NS
DEVICE = "k3v9q2m7x1c8n5p4"
NAME = "list/2"
GETS_IT = SiteView(
    source=VantageSource.COLLECTOR, addresses=(ADDRESS,), connects={f"{ADDRESS}:80": None}, status=200
)


def seen_at(at_s: int, failure: str | None = Failure.TIMEOUT) -> Record:
    """Return a look at the list's page at a time: its connect timed out, or it came."""
    made = page(at_s * NS - BOOTED_NS, failure)
    return replace(made, start=replace(made.start, utc_ns=at_s * NS, error_ns=NS // 100))


def rounds(looks_s: Sequence[int], dark_s: tuple[int, int] = (0, 0)) -> invented.Device:
    """Return a device that measures a round every three minutes around each look, silent beyond its router in between."""

    def weather(target: PlannedTarget, at_ns: int) -> str | None:
        far = target.rung in (Rung.RESOLVER, Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)
        return Failure.TIMEOUT if far and dark_s[0] <= at_ns // NS < dark_s[1] else None

    device = invented.Device(id=DEVICE, epoch="9f1c04d27ab35e68", weather=weather, booted_utc_ns=BOOTED_NS)
    for look_s in looks_s:
        device.one_round((look_s - 90) * NS)
        device.records.append(replace(seen_at(look_s), boot_id=device.boot_id))
        device.one_round((look_s + 90) * NS)
    return device


LOOKS_S = (BEGAN_S - 21_600, BEGAN_S)


def fill(store: Store, device: invented.Device) -> int:
    invented.deliver(store, device, (BEGAN_S + 200) * NS)
    return (BEGAN_S + 230) * NS


def look_outside(database: Path) -> None:
    """Let the vantage get the page, before and after each look at it."""
    key = Key(test="http", target="http://www.example.org/", target_name=NAME)
    log = VantageLog.open(database)
    for look_s in LOOKS_S:
        for at_s in (look_s - 300, look_s + 150):
            sample = Sample(key=key, utc_ns=at_s * NS, failure=None, failed_operation=None, view=GETS_IT)
            log.add([sample], every_s=600)
        second = SecondLook(stand=Stand.SECOND, country="zz", key=key, utc_ns=(look_s - 200) * NS)
        log.add([], every_s=600, second=[second])
    log.close()


@contextmanager
def pages_of(folder: Path, device: invented.Device) -> Iterator[BesideRounds]:
    database = folder / "collector.sqlite3"
    store = Store.open(database)
    fill(store, device)
    store.close()
    look_outside(database)
    queries = Queries(database)
    try:
        (one,) = Surroundings(queries).beside(DEVICE, 10)
        yield one
    finally:
        queries.close()


def said(one: BesideRounds) -> tuple[str, str]:
    return one.judgement.verdict.verdict, one.judgement.verdict.rule_id


def test_a_page_that_fails_twice_between_well_rounds_and_not_outside_is_blocked(tmp_path: Path) -> None:
    with pages_of(tmp_path, rounds(LOOKS_S)) as one:
        assert said(one) == ("blocked_tcp", NOT_REFUSED)
        assert one.found.around.verdict == "ok"
        assert one.row.start.utc_ns == BEGAN_S * NS


@pytest.mark.parametrize("dark_s", [(BEGAN_S - 100, BEGAN_S), (BEGAN_S + 60, BEGAN_S + 300)])
def test_where_the_round_before_or_after_was_dark_it_is_not(tmp_path: Path, dark_s: tuple[int, int]) -> None:
    with pages_of(tmp_path, rounds(LOOKS_S, dark_s)) as one:
        assert said(one) == ("inconclusive", "round-not-well")
        assert one.found.around.verdict == "isp_or_wider_outage"


def test_where_the_round_after_has_not_come_it_is_not_known_yet(tmp_path: Path) -> None:
    device = rounds(LOOKS_S)
    last = max(number for number, one in enumerate(device.records) if one.target_name == NAME)
    del device.records[last + 1 :]
    with pages_of(tmp_path, device) as one:
        assert said(one) == ("inconclusive", "round-unknown")


def test_a_first_failure_is_seen_once(tmp_path: Path) -> None:
    with pages_of(tmp_path, rounds(LOOKS_S[1:])) as one:
        assert said(one) == ("inconclusive", "seen-once")


def test_the_page_and_the_api_show_them(tmp_path: Path) -> None:
    device, theirs = rounds(LOOKS_S), "theirs.csv 2026-11-01 0123456789ab"
    *_, last = device.records
    detail: JsonObject = {**last.outcome.detail, "fingerprints": [theirs]}
    device.records[-1] = replace(last, outcome=replace(last.outcome, detail=detail))
    with serving(tmp_path, lambda store: fill(store, device)) as served:
        look_outside(served.database)
        url = f"{served.url}/api/v1/devices/{DEVICE}/pages"
        with urllib.request.urlopen(url, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        (one,) = told["pages"]
        assert (one["verdict"], one["rule_id"], one["target_name"]) == (
            "blocked_tcp",
            NOT_REFUSED,
            NAME,
        )
        assert (one["round_verdict"], one["round_rule_id"]) == ("ok", "controls-reached")
        assert one["vantage"]["status"] == 200
        with urllib.request.urlopen(f"{served.url}/device/{DEVICE}", timeout=30) as answer:
            html = answer.read().decode()
        assert "Pages, looked at beside the rounds" in html
        assert NOT_REFUSED in html
        with urllib.request.urlopen(f"{served.url}/api/v1/devices/{DEVICE}/targets", timeout=30) as answer:
            targets = json.load(answer)
        assert (targets["fingerprint_lists"], targets["device_fingerprint_lists"]) == ([], [theirs])
        assert f"this collector goes by none, the device went by {theirs}." in html
        assert NAME not in {target["target_name"] for target in targets["targets"]}


def test_the_api_s_lines_carry_them_where_asked_and_are_explained_alike(tmp_path: Path) -> None:
    with serving(tmp_path, lambda store: fill(store, rounds(LOOKS_S))) as served:
        look_outside(served.database)
        told = {}
        for asked in ("", "&surroundings=true"):
            url = f"{served.url}/api/v1/records?device={DEVICE}&format=ndjson{asked}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                lines = [json.loads(line) for line in answer.read().splitlines()]
            (*_, last) = [line for line in lines if line["record"]["target_name"] == NAME]
            assert ("round" in last, "control" in last) == (bool(asked), bool(asked))
            found = explain(Document(line=1, value=last))
            told[asked] = (found.verdict.verdict, found.verdict.rule_id)
    assert told == {
        "": ("inconclusive", "round-unknown"),
        "&surroundings=true": ("blocked_tcp", NOT_REFUSED),
    }


def assessed(ident: int, verdict: str, *, said_s: int, since_s: int | None = None) -> Assessment:
    return Assessment(
        id=ident,
        country="zz",
        said_ns=said_s * NS,
        since_ns=None if since_s is None else since_s * NS,
        verdict=verdict,
        rule_id=verdict,
        evidence=(),
    )


def test_a_country_s_word_of_a_moment_is_the_one_that_held_then_as_it_is_said_by_now() -> None:
    later = Change(
        assessment=assessed(2, "total_shutdown", said_s=500, since_s=300), until_ns=None, revisions=()
    )
    first = Change(
        assessment=assessed(1, "ok", said_s=100),
        until_ns=500 * NS,
        revisions=(assessed(3, "isp_outage", said_s=900),),
    )
    changes = (later, first)
    told = {at_s: said_at(changes, at_s * NS) for at_s in (99, 100, 299, 300, 600)}
    assert [None if one is None else one.verdict for one in told.values()] == [
        None,
        "isp_outage",
        "isp_outage",
        "total_shutdown",
        "total_shutdown",
    ]
