"""A name that an answer leads on to (CNAME) is known by a list: in a record of ours, in what is exported of it, in OONI's files.

Fifteen rows at least of OONI's list of DNS answers are names.
"""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from dns import message, rrset

from firmware.judgement.fingerprints.load import COLUMNS, parse
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.site.verdict import judge
from firmware.measurements import MEASUREMENTS
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Record, Verdict
from firmware.model.verdict_words import VerdictWord
from firmware.net.host_view import Host, Resolvers
from firmware.ooni.explain import explain
from firmware.ooni.read import Document
from firmware.ooni.write import Origin, measurement_of
from tests.firmware.ooni.conditions import CONDITIONS
from tests.firmware.records import tcp_record
from tests.probing import probe
from tests.servers.dns import Answers, DnsServer

NAME, PAGE, ADDRESS = "www.example.com", "blocked.example", "93.184.216.34"
KNOWN = parse(",".join(COLUMNS) + f"\nooni.xx_41,isp,,dns,full,{PAGE},5,XX,ooni,,Matches the CNAME\n")


def leads_on(query: message.Message, _transport: str) -> Answers:
    answer = message.make_response(query, recursion_available=True)
    answer.answer.append(rrset.from_text(query.question[0].name, 60, "IN", "CNAME", "Blocked.EXAMPLE."))
    answer.answer.append(rrset.from_text("Blocked.EXAMPLE.", 60, "IN", "A", ADDRESS))
    yield answer.to_wire()


def known_by(verdict: Verdict) -> list[JsonValue]:
    """Return the rows that a verdict names in its evidence."""
    return [one.parameters["name"] for one in verdict.evidence if one.code == "fingerprint"]


@pytest.fixture(scope="module")
def record() -> Record:
    """Return the record of a lookup, by the host's own resolver, that led on to the page's name."""
    with DnsServer(leads_on) as resolver:
        host = Host(resolver_config=Resolvers(addresses=(resolver.place,)))
        outcome = probe(MEASUREMENTS["dns"].parse(NAME, {}).measure, host=host)
    return replace(tcp_record(1, test="dns"), target=NAME, outcome=outcome)


def test_in_a_record_of_ours(record: Record) -> None:
    evidence = evidence_of(record)
    assert evidence is not None
    assert [one.addresses for one in evidence.lookups] == [(ADDRESS,)]
    said = judge(evidence, None, fingerprints=KNOWN).verdict
    assert known_by(said) == ["ooni.xx_41"]
    assert (said.verdict, said.rule_id) == (VerdictWord.BLOCKED_DNS, "known-false-answer")
    assert known_by(judge(evidence, None).verdict) == []


def test_in_what_is_exported_of_it(record: Record) -> None:
    measurement = measurement_of(record, Origin(), fingerprints=KNOWN)
    assert measurement is not None
    assert known_by(explain(Document(line=1, value=measurement), KNOWN).verdict) == ["ooni.xx_41"]


@pytest.mark.parametrize("name", [PAGE, "Blocked.Example."])
def test_in_a_file_of_ooni_s(name: str) -> None:
    value = cast("Any", json.loads((CONDITIONS / "success_http.json").read_bytes()))
    assert known_by(explain(Document(line=1, value=value), KNOWN).verdict) == []
    answers = value["test_keys"]["queries"][0]["answers"]
    answers.insert(0, {"answer_type": "CNAME", "hostname": name, "ttl": None})
    assert known_by(explain(Document(line=1, value=value), KNOWN).verdict) == ["ooni.xx_41"]
