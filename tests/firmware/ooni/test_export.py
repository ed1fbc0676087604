"""Lines of a file of records: unchanged to the digit, or as OONI has them, with an account of what was left out."""

import json
from dataclasses import replace

import pytest

from firmware.judgement.site.evidence import SiteView, VantageSource
from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.record import Verdict, to_json
from firmware.model.statement import Statement, prose, stated
from firmware.ooni.explain import explain
from firmware.ooni.export import (
    Format,
    OoniExportResult,
    RecordToExport,
    lines,
    vantage_from_json,
    vantage_to_json,
)
from firmware.ooni.read import Document
from firmware.ooni.write import Origin
from tests.english import ENGLISH
from tests.firmware.records import tcp_record

BODY = json.dumps(to_json(tcp_record(1)))
VANTAGE = SiteView(source=VantageSource.COLLECTOR, age_s=12.5, addresses=("192.0.2.1",), status=200)


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
