"""Our records as OONI measurements: every step there, nothing of the host's, and read again the same evidence."""

import re
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.site.evidence import (
    Connect,
    HandshakeEvidence,
    Lookup,
    Request,
    SiteView,
    VantageSource,
    WebEvidence,
)
from firmware.judgement.site.from_record import evidence_of as evidence_of_record
from firmware.model.failures import Failure
from firmware.model.record import Record
from firmware.ooni.evidence import evidence_of, vantage_of
from firmware.ooni.parse import parse
from firmware.ooni.steps import Details, steps_of
from firmware.ooni.write import Origin, measurement_of
from tests.firmware.records import records, tcp_record

ORIGIN = Origin(country="ir", architecture="aarch64")
KEYS = {
    "annotations",
    "data_format_version",
    "extensions",
    "input",
    "measurement_start_time",
    "probe_asn",
    "probe_cc",
    "probe_ip",
    "probe_network_name",
    "report_id",
    "resolver_asn",
    "resolver_ip",
    "resolver_network_name",
    "software_name",
    "software_version",
    "test_keys",
    "test_name",
    "test_runtime",
    "test_start_time",
    "test_version",
}

addresses = st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.9", "2001:db8::5"])
hosts = st.sampled_from(["www.example.org", "example.com", "cdn.example.net"])
urls = st.builds(lambda scheme, host: f"{scheme}://{host}/", st.sampled_from(["http", "https"]), hosts)
words = st.none() | st.sampled_from([*map(str, Failure), "unknown_failure: something"])
times = st.none() | st.integers(0, 30_000_000_000)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
evidences = st.builds(
    WebEvidence,
    url=urls,
    lookups=st.lists(
        st.builds(
            Lookup,
            hostname=hosts,
            resolver=st.sampled_from(["@isp", "@system", "8.8.8.8"]),
            engine=st.just("udp"),
            query_type=st.sampled_from(["A", "AAAA"]),
            failure=words,
            addresses=st.lists(addresses, max_size=3, unique=True).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    connects=st.lists(
        st.builds(Connect, address=addresses, port=st.sampled_from([80, 443]), failure=words, took_ns=times),
        max_size=4,
    ).map(tuple),
    handshakes=st.lists(
        st.builds(
            HandshakeEvidence,
            address=addresses,
            server_name=hosts,
            failure=words,
            took_ns=times,
            bytes_read=st.none() | st.integers(0, 10_000),
            is_control=st.booleans(),
        ),
        max_size=4,
    ).map(tuple),
    requests=st.lists(
        st.builds(
            Request,
            url=urls,
            address=addresses,
            failure=words,
            status=st.none() | st.integers(100, 599),
            headers=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
            body=texts.map(str.encode),
            body_length=st.integers(0, 10_000),
            body_is_truncated=st.booleans(),
            title=st.none() | texts,
            progress=st.lists(
                st.tuples(st.integers(0, 10_000), st.integers(0, 30_000_000_000)), max_size=3
            ).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    failure=words,
    failed_operation=st.none() | st.sampled_from(["resolve", "connect"]),
)


places = st.sampled_from(["192.0.2.1:443", "192.0.2.2:80", "[2001:db8::5]:443"])
vantages = st.builds(
    SiteView,
    source=st.just(VantageSource.COLLECTOR),
    age_s=st.floats(0, 86_400).map(lambda age: round(age, 3)),
    dns_failure=words,
    addresses=st.lists(addresses, min_size=1, max_size=3, unique=True).map(tuple),
    asns=st.dictionaries(addresses, st.integers(1, 2**32 - 1), max_size=3),
    connects=st.dictionaries(places, words, max_size=3),
    handshakes=st.dictionaries(places, words, max_size=3),
    http_failure=words,
    status=st.none() | st.integers(100, 599),
    headers=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    body_length=st.none() | st.integers(0, 10_000),
    title=st.none() | texts.filter(bool),
)


def page_record(**detail: Any) -> Record:
    record = tcp_record(7, test="web_connectivity")
    return replace(record, target="https://www.example.org/", outcome=replace(record.outcome, detail=detail))


def written(record: Record, vantage: SiteView | None = None) -> dict[str, Any]:
    measurement = measurement_of(record, ORIGIN, vantage)
    assert measurement is not None
    return cast("dict[str, Any]", measurement)


def test_the_envelope_has_every_key_and_tells_nothing_of_the_host() -> None:
    told = written(page_record())
    assert set(told) == KEYS
    assert (told["probe_asn"], told["probe_cc"], told["probe_ip"]) == ("AS0", "IR", "127.0.0.1")
    assert (told["test_name"], told["data_format_version"]) == ("web_connectivity", "0.2.0")
    for key in ("measurement_start_time", "test_start_time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told[key])
    assert told["annotations"]["network_type"] == "wired_ethernet"
    assert all(isinstance(value, str) for value in told["annotations"].values())


def test_a_country_that_is_not_known_is_zz() -> None:
    told = measurement_of(page_record(), Origin())
    assert told is not None
    assert told["probe_cc"] == "ZZ"


@pytest.mark.parametrize(
    ("test", "name", "input_"),
    [
        ("web_connectivity", "web_connectivity", "198.51.100.7:443"),
        ("http", "web_connectivity", "198.51.100.7:443"),
        ("tls", "urlgetter", "tlshandshake://198.51.100.7:443"),
        ("tcp", "urlgetter", "tcpconnect://198.51.100.7:443"),
        ("dns", "urlgetter", "dnslookup://198.51.100.7:443"),
    ],
)
def test_each_test_goes_by_the_name_that_ooni_knows(test: str, name: str, input_: str) -> None:
    told = written(tcp_record(1, test=test))
    assert (told["test_name"], told["input"]) == (name, input_)


@pytest.mark.parametrize("test", ["ping", "traceroute", "ladder", "gap", "ntp"])
def test_what_ooni_has_no_like_of_is_left_out(test: str) -> None:
    assert measurement_of(tcp_record(1, test=test), ORIGIN) is None


def test_a_failed_lookup_without_a_vantage_is_not_called_accessible() -> None:
    record = page_record()
    outcome = replace(record.outcome, failure="dns_nxdomain_error", failed_operation="resolve")
    told = written(replace(record, outcome=outcome))["test_keys"]
    assert (told["blocking"], told["accessible"]) == (None, None)
    assert told["dns_experiment_failure"] is None  # no lookup is in the record
    assert told["x_failure"] == "dns_nxdomain_error"


def test_a_word_of_ours_goes_behind_the_open_end_and_comes_back() -> None:
    record = page_record(tcp_connect=[{"address": "192.0.2.1", "port": 443, "failure": "no_gateway"}])
    told = written(record)
    assert told["test_keys"]["tcp_connect"][0]["status"]["failure"] == "unknown_failure: no_gateway"
    assert evidence_of(parse(cast("Any", told))).connects[0].failure == "no_gateway"


def test_a_label_in_an_address_s_place_is_scrubbed() -> None:
    told = written(page_record(tcp_connect=[{"address": "@near", "port": 443, "failure": None}]))
    assert told["test_keys"]["tcp_connect"][0]["ip"] == "[scrubbed]"


def test_a_vantage_stands_as_the_test_helper_and_comes_back() -> None:
    vantage = SiteView(
        source=VantageSource.COLLECTOR,
        addresses=("192.0.2.1",),
        asns={"192.0.2.1": 64500},
        connects={"192.0.2.1:443": None},
        handshakes={"192.0.2.1:443": "connection_reset"},
        status=200,
        headers=(("Server", "here"),),
        body_length=120,
        title="Here",
    )
    assert vantage_of(parse(cast("Any", written(page_record(), vantage)))) == vantage


def test_a_vantage_that_was_not_reached_says_so() -> None:
    vantage = SiteView(source=VantageSource.COLLECTOR, reachable=False)
    back = vantage_of(parse(cast("Any", written(page_record(), vantage))))
    assert back is not None
    assert not back.reachable


@given(evidences)
def test_evidence_written_and_read_again_is_the_same(evidence: WebEvidence) -> None:
    keys = {**steps_of(evidence, Details()), "x_failure": evidence.failure}
    keys["x_failed_operation"] = evidence.failed_operation
    back = evidence_of(
        parse({"test_name": "web_connectivity", "input": evidence.url, "test_keys": cast("Any", keys)})
    )
    assert [replace(one, engine="udp") for one in back.lookups] == [*evidence.lookups]
    assert back.connects == evidence.connects
    assert sorted(map(repr, back.handshakes)) == sorted(map(repr, evidence.handshakes))
    assert back.requests == evidence.requests
    assert (back.failure, back.failed_operation) == (evidence.failure, evidence.failed_operation)


@given(vantages)
def test_a_vantage_written_and_read_again_is_the_same(vantage: SiteView) -> None:
    back = vantage_of(parse(cast("Any", written(page_record(), vantage))))
    assert back is not None
    assert replace(back, age_s=round(back.age_s, 3)) == vantage


@given(records)
def test_any_record_is_written_or_left_out(record: Record) -> None:
    for test in ("web_connectivity", "http", "tls", "tcp", "dns"):
        one = replace(record, test=test)
        measurement = measurement_of(one, ORIGIN)
        assert (measurement is None) == (evidence_of_record(one) is None)
        if measurement is not None:
            parse(measurement)
