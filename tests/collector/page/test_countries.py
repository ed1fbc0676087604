"""A country's card: the sentence, since when, on what it rests, what was said before, and how old it all is."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from collector.judgement.scope import SCOPE_RULES
from collector.page import countries
from collector.store.scopes import Assessment, Change, Holding
from collector.store.vantage_streaks import NS
from firmware.model.statement import prose, stated
from tests.collector.page.conftest import Served, serving
from tests.english import ENGLISH

AT_NS = 1_795_000_000 * NS
SAID = Assessment(
    id=1,
    country="ir",
    said_ns=AT_NS,
    verdict="international_cut",
    rule_id="abroad-lost-together",
    evidence=(
        stated("devices", devices=8, well=0, lost=6, unclear=0, silent=2),
        stated("silent-together", silent=2),
    ),
    since_ns=AT_NS - 60 * NS,
    since_error_ns=round(3.2 * NS),
    basis={"devices": 8, "networks": 4, "lost": 8, "well": 0, "silent": 2},
)


def card(said: Assessment = SAID, *, age_s: int = 12, connected: bool | None = True) -> countries.Country:
    holding = Holding(assessment=said, judged_ns=AT_NS, evidence=said.evidence, basis=said.basis)
    change = Change(assessment=said, until_ns=None, revisions=())
    return countries.country(
        holding, [change], AT_NS + age_s * NS, ENGLISH, connected=connected, vantage_s=900
    )


def words(html: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.decode()))


def test_the_sentence_its_time_and_what_it_rests_on() -> None:
    one = card()
    assert (one.name, one.stale, one.judged_ago) == ("Iran", "", "12 s")
    assert one.now.said.sentence == "The international link is cut, the national network works"
    assert one.now.since is not None
    assert one.now.since.error == "± 4 s"
    assert one.rests.startswith(
        "8 devices in 4 networks: 0 well, 8 lost, 2 silent; the silent fell silent together"
    )
    assert one.entries[0].live == one.now
    assert one.evidence == (
        "8 devices: 0 well, 6 lost, 0 unclear, 2 silent",
        "2 of the silent fell silent together",
    )
    assert one.overturned_by == ENGLISH.overturned_by("abroad-lost-together") != ""


def test_what_older_software_said_stands_as_it_was_said() -> None:
    one = card(replace(SAID, evidence=(prose("8 devices: 8 lost"),), overturned_by="A network that is well."))
    assert one.evidence == ("8 devices: 8 lost",)
    assert one.overturned_by == "A network that is well."


def test_silence_is_unknown() -> None:
    silent = replace(
        SAID,
        verdict="inconclusive",
        rule_id="scope-mixed-evidence",
        since_ns=None,
        since_error_ns=None,
        basis={"devices": 8, "networks": 4, "lost": 0, "well": 1, "silent": 7},
    )
    one = card(silent)
    assert (one.now.said.tone, one.now.since) == ("unsure", None)
    assert one.now.said.sentence == "Unknown: 7 of 8 devices are silent"
    assert one.rests.endswith("what is silent is unknown")


def test_a_verdict_that_is_not_made_anew_is_of_the_past() -> None:
    assert card(age_s=299).stale == ""
    assert card(age_s=400).stale == "6 min"


@pytest.mark.parametrize(
    ("connected", "word"), [(True, "Well:"), (False, "does not reach its own"), (None, "Off, or")]
)
def test_the_vantage_says_how_it_is(connected: bool | None, word: str) -> None:
    assert word in card(connected=connected).vantage


@pytest.mark.parametrize("rule", SCOPE_RULES, ids=lambda rule: rule.rule_id)
def test_every_rule_has_a_sentence_of_its_own(rule: object) -> None:
    assert hasattr(rule, "rule_id")
    assert hasattr(rule, "verdict")
    said = replace(
        SAID, verdict=str(rule.verdict), rule_id=rule.rule_id, basis={**SAID.basis, "where": "mci"}
    )
    sentence = card(said).now.said.sentence
    assert "{" not in sentence
    assert sentence != ENGLISH.verdict(said.verdict)


def test_what_was_said_live_stands_beside_what_is_known_now(dark: Served) -> None:
    said = words(dark.get("/").body)
    assert "Devices of no country" in said
    assert "Total shutdown: the networks went dark together" in said
    assert "Reconciled with the records of 4 devices that arrived later" in said
    assert "Confirmed by the records of 8 devices that arrived later" in said
    assert re.search(r"national network works since 16:3[12]:\d\d UTC ± \d+ s", said)
    assert "Vantage outside Well" in said


def test_the_history_as_json(dark: Served) -> None:
    found = json.loads(dark.get("/api/v1/scopes/history?country=zz").body)
    live = [one["live"]["verdict"] for one in found["changes"]]
    assert live[0] == "ok"
    assert not {"regional_shutdown", "isp_outage", "mobile_shutdown"} & set(live)
    cut = next(one for one in found["changes"] if one["live"]["verdict"] == "total_shutdown")
    assert cut["reconciled"][-1]["verdict"] == "international_cut"
    assert cut["reconciled"][-1]["late"] == 8
    assert cut["until"] is not None
    first = cut["live"]["evidence"][0]
    assert (first["code"], set(first["parameters"])) == (
        "devices",
        {"devices", "well", "lost", "unclear", "silent"},
    )
    assert first["sentence"] == ENGLISH.state("evidence", stated("devices", **first["parameters"]))
    assert cut["live"]["overturned_by"] == ENGLISH.overturned_by(cut["live"]["rule_id"])
    assert found["judged"] == {"zz": found["as_of"]}
    assert not json.loads(dark.get("/api/v1/scopes/history?country=ir").body)["changes"]
    since = found["changes"][1]["live"]["said"][:19]
    assert len(json.loads(dark.get(f"/api/v1/scopes/history?since={since}Z").body)["changes"]) == 2
    assert len(json.loads(dark.get("/api/v1/scopes/history?limit=1").body)["changes"]) == 1
    assert dark.get("/api/v1/scopes/history?country=Iran").status == 422


def test_with_a_country_and_its_past_the_page_stays_light(dark: Served) -> None:
    assert dark.get("/", headers={"Accept-Encoding": "gzip"}).transferred <= 50_000


def test_the_rules_of_many_devices_are_explained(evening: Served) -> None:
    about = evening.get("/about").body.decode()
    assert all(f'id="rule-{rule.rule_id}"' in about for rule in SCOPE_RULES)


def test_without_devices_there_is_no_country(tmp_path: Path) -> None:
    with serving(tmp_path, lambda _store: AT_NS) as served:
        assert b'class="country"' not in served.get("/").body
