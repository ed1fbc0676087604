"""Lines of a file of records: unchanged to the digit, or as OONI has them, with an account of what was left out."""

import json
from dataclasses import replace

import pytest

from firmware.judgement.site.evidence import Looked, SecondView, SiteView, Stand, VantageSource
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.round_json import UNKNOWN
from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import Outcome, Record, Verdict, to_json
from firmware.model.statement import Statement, prose, stated
from firmware.ooni.explain import explain
from firmware.ooni.explain import to_json as to_json_line
from firmware.ooni.export import (
    Format,
    OoniExportResult,
    RecordToExport,
    lines,
    vantage_from_json,
    vantage_to_json,
)
from firmware.ooni.read import Document
from firmware.ooni.write import Origin, measurement_of
from tests.english import ENGLISH
from tests.firmware.records import tcp_record
from tests.sureness import every_rule_is

BODY = json.dumps(to_json(tcp_record(1)))
VANTAGE = SiteView(
    source=VantageSource.COLLECTOR,
    age_s=12.5,
    addresses=("192.0.2.1",),
    status=200,
    second=(SecondView(stand=Stand.SECOND, before_s=70.5, failure="connection_refused"),),
)


def stored(body: str = BODY, vantage: SiteView | None = None) -> RecordToExport:
    return RecordToExport(
        device="abcdefghijklmnop", epoch="0123456789abcdef", seq=3, body=body, vantage=vantage
    )


def test_a_record_s_text_is_passed_on_as_it_is() -> None:
    odd = BODY.replace('"cpu_percent": 3.5', '"cpu_percent": 3.50000000000000000001')
    assert odd != BODY
    account = OoniExportResult()
    (line,) = lines([stored(odd)], Format.JSONL, {}, account, ENGLISH)
    assert odd in line
    assert set(json.loads(line)) == {"device", "epoch", "seq", "record"}
    assert (json.loads(line)["seq"], account.lines) == (3, 1)
    assert account.in_words() == "1 record written"


def test_a_verdict_is_said_beside_the_record_which_stays_as_it_is() -> None:
    evidence = (stated("rung", rung="domestic", reached=1, tried=2), prose("as it was said"))
    verdict = Verdict(verdict="ok", rule_id="controls-reached", evidence=evidence)
    body = json.dumps(to_json(replace(tcp_record(1, test="ladder"), verdict=verdict)))
    (line,) = lines([stored(body)], Format.JSONL, {}, OoniExportResult(), ENGLISH)
    assert body in line
    told = json.loads(line)["verdict"]
    assert [(one["code"], one["parameters"], one["sentence"]) for one in told["evidence"]] == [
        ("rung", {"rung": "domestic", "reached": 1, "tried": 2}, "domestic: 1 of 2 reached"),
        ("prose", {"text": "as it was said"}, "as it was said"),
    ]
    assert told["verdict"] == "ok"
    assert told["sentence"] == ENGLISH.verdict("ok")
    assert told["overturned_by"] == ENGLISH.overturned_by("controls-reached")


def test_the_origin_is_its_device_s() -> None:
    origins = {"abcdefghijklmnop": Origin(country="ir")}
    (line,) = lines([stored()], Format.OONI, origins, OoniExportResult(), ENGLISH)
    (other,) = lines([stored()], Format.OONI, {}, OoniExportResult(), ENGLISH)
    assert (json.loads(line)["probe_cc"], json.loads(other)["probe_cc"]) == ("IR", "ZZ")


def test_the_account_says_what_was_left_out() -> None:
    account = OoniExportResult()
    ping, gap = (BODY.replace('"test": "tcp"', f'"test": "{test}"') for test in ("ping", "gap"))
    written = list(lines(map(stored, [ping, BODY, gap, ping]), Format.OONI, {}, account, ENGLISH))
    assert len(written) == 1
    told = "1 record written; left out, since OONI's format has no like of them: 1 gap, 2 ping"
    assert account.in_words() == told


def test_a_vantage_goes_along_with_its_age() -> None:
    (line,) = lines([stored(vantage=VANTAGE)], Format.JSONL, {}, OoniExportResult(), ENGLISH)
    assert vantage_from_json(json.loads(line)["control"]) == VANTAGE
    assert vantage_from_json(vantage_to_json(VANTAGE)) == VANTAGE


def timed_out() -> Record:
    """Return a handshake whose connect timed out at a place that the vantage gets, in a round."""
    connect: JsonObject = {"address": "192.0.2.1", "port": 443, "failure": "generic_timeout_error"}
    outcome = Outcome(
        failure="generic_timeout_error", failed_operation="connect", detail={"tcp_connect": [connect]}
    )
    made = tcp_record(1, test="tls", failure="generic_timeout_error")
    return replace(made, target="192.0.2.1:443", outcome=outcome)


GETS_IT = replace(
    VANTAGE,
    connects={"192.0.2.1:443": None},
    looked=Looked.AROUND,
    before_s=20.0,
    earlier_s=(10.0, 20.0),
    saw_http=False,
    second=(SecondView(stand=Stand.INSIDE, before_s=100.0),),
)
DARK = RoundView(references_reached=False, verdict="isp_or_wider_outage", rule_id="isp-or-wider-outage")
WELL_TWICE = RoundView(
    references_reached=True,
    names_resolve=True,
    repeated=True,
    failing_for_s=300.0,
    verdict="ok",
    rule_id="controls-reached",
)
DARK_COUNTRY = replace(DARK, country_verdict="mobile_shutdown", country_rule_id="mobile-lost-fixed-well")


@pytest.mark.parametrize(
    ("around", "verdict", "rule_id"),
    [
        (DARK, "inconclusive", "round-not-well"),
        (DARK_COUNTRY, "inconclusive", "round-not-well"),
        (UNKNOWN, "inconclusive", "round-unknown"),
        (replace(WELL_TWICE, is_of_its_round=True), "inconclusive", "asked-for-its-round"),
        (replace(WELL_TWICE, repeated=False), "inconclusive", "seen-once"),
        (WELL_TWICE, "blocked_tcp", "connect-stopped-here-alone"),
    ],
)
def test_a_line_is_explained_in_its_round_s_light(around: RoundView, verdict: str, rule_id: str) -> None:
    """By both forms: what one failed connect comes to depends on the round it was made in."""
    body = json.dumps(to_json(timed_out()))
    one = replace(stored(body, GETS_IT), around=around)
    (line,) = lines([one], Format.JSONL, {}, OoniExportResult(), ENGLISH)
    found = explain(Document(line=1, value=json.loads(line)))
    assert (found.verdict.verdict, found.verdict.rule_id) == (verdict, rule_id)
    assert found.around == around
    (line,) = lines([one], Format.OONI, {}, OoniExportResult(), ENGLISH)
    found = explain(Document(line=1, value=json.loads(line)))
    assert found.around == around


@pytest.mark.parametrize(
    ("around", "published"),
    [(DARK, (None, None)), (UNKNOWN, (None, None)), (WELL_TWICE, ("tcp_ip", False))],
)
def test_ooni_s_pair_is_null_where_the_round_was_not_well(
    around: RoundView, published: tuple[str | None, bool | None]
) -> None:
    """Their rule calls each page of a dark line blocked; published is that only where our own verdict says so too."""
    page = replace(timed_out(), test="web_connectivity", target="https://192.0.2.1/")
    view = replace(GETS_IT, saw_http=True)
    one = replace(stored(json.dumps(to_json(page)), view), around=around)
    (line,) = lines([one], Format.OONI, {}, OoniExportResult(), ENGLISH)
    keys = json.loads(line)["test_keys"]
    assert (keys["blocking"], keys["accessible"]) == published
    assert keys["x_round"]["verdict"] == around.verdict
    (line,) = lines([one], Format.JSONL, {}, OoniExportResult(), ENGLISH)
    pair = explain(Document(line=1, value=json.loads(line))).pair
    assert (pair.blocking, pair.accessible) == published


def test_ooni_s_pair_is_null_where_ours_is_not_sure() -> None:
    """The vantage's last look is five hours old: our word has low confidence, and theirs is not published by it."""
    page = replace(timed_out(), test="web_connectivity", target="https://192.0.2.1/")
    view = replace(GETS_IT, saw_http=True, age_s=5 * 3600.0, before_s=5 * 3600.0, earlier_s=())
    around = replace(WELL_TWICE, failing_for_s=6 * 3600.0)
    one = replace(stored(json.dumps(to_json(page)), view), around=around)
    (line,) = lines([one], Format.OONI, {}, OoniExportResult(), ENGLISH)
    found = explain(Document(line=1, value=json.loads(line)))
    assert json.loads(line)["test_keys"]["blocking"] is None
    assert found.pair.blocking is None


@pytest.mark.parametrize(
    ("number", "word", "blocking"), [(0.98, "inconclusive", None), (0.995, "blocked_tcp", "tcp_ip")]
)
def test_what_is_not_sure_enough_is_published_by_nobody(
    number: float, word: str, blocking: str | None
) -> None:
    page = replace(timed_out(), test="web_connectivity", target="https://192.0.2.1/")
    one = replace(stored(json.dumps(to_json(page)), replace(GETS_IT, saw_http=True)), around=WELL_TWICE)
    with every_rule_is(number):
        for form in (Format.OONI, Format.JSONL):
            (line,) = lines([one], form, {}, OoniExportResult(), ENGLISH)
            found = explain(Document(line=1, value=json.loads(line)))
            assert (found.verdict.verdict, found.verdict.rule_id) == (word, "connect-stopped-here-alone")
            assert found.pair.blocking == blocking
            assert to_json_line(found, ENGLISH)["probability"] == (number if blocking else None)


def test_lines_of_older_software_are_read_and_accuse_nobody() -> None:
    """They say nothing of the round, and when the vantage looked only by being there at all."""
    control = vantage_to_json(GETS_IT)
    del control["looked"]
    old: JsonObject = {
        "device": "d",
        "epoch": "e",
        "seq": 3,
        "record": to_json(timed_out()),
        "control": control,
    }
    found = explain(Document(line=1, value=old))
    assert (found.verdict.verdict, found.verdict.rule_id) == ("inconclusive", "round-unknown")
    assert stated("vantage", source="collector") in found.verdict.evidence
    page = replace(timed_out(), test="web_connectivity", target="https://192.0.2.1/")
    written = measurement_of(page, Origin(), replace(GETS_IT, saw_http=True))
    assert written is not None
    keys = written["test_keys"]
    assert isinstance(keys, dict)
    del keys["x_round"], keys["x_country"]
    found = explain(Document(line=1, value=written))
    assert (found.verdict.verdict, found.pair.blocking) == ("inconclusive", None)


def test_a_handshake_pinned_to_an_address_is_the_named_site_s() -> None:
    detail: JsonObject = {"address": "192.0.2.1", "port": 443, "server_name": "www.example.org"}
    shaken = replace(tcp_record(1, test="tls"), target="192.0.2.1:443", outcome=Outcome(detail=detail))
    found = explain(Document(line=1, value=to_json(shaken)))
    assert (found.verdict.verdict, found.verdict.rule_id) == ("ok", "site-proven")


@pytest.mark.parametrize("looked", [7, "sometimes", None])
def test_a_vantage_that_looked_at_no_time_is_refused(looked: object) -> None:
    told = json.loads(json.dumps({**vantage_to_json(VANTAGE), "looked": looked}))
    with pytest.raises(RecordError, match="control: looked: found"):
        vantage_from_json(told)


@pytest.mark.parametrize("age_s", [None, "12", True])
def test_a_vantage_without_an_age_is_refused(age_s: object) -> None:
    told = json.loads(json.dumps({**vantage_to_json(VANTAGE), "age_s": age_s}))
    with pytest.raises(RecordError, match="control: age_s: found"):
        vantage_from_json(told)


@pytest.mark.parametrize(("evidence", "written"), [(prose("so"), "so"), (stated("rung"), ["rung", {}])])
def test_what_the_rules_about_a_page_do_not_know_keeps_its_own_verdict(
    evidence: Statement, written: JsonValue
) -> None:
    verdict = Verdict(verdict="international_cut", rule_id="international-cut", evidence=(evidence,))
    record = {**to_json(tcp_record(1, test="ladder"))}
    record["verdict"] = {
        "verdict": verdict.verdict,
        "rule_id": verdict.rule_id,
        "evidence": [written],
        "overturned_by": "",
    }
    found = explain(Document(line=1, value=record))
    assert (found.verdict, found.recorded) == (verdict, verdict)
