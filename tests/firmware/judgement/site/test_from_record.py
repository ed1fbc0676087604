"""Records as evidence about a page: from what the measurements really write, and from whatever a device may send."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.site.evidence import VantageSource
from firmware.judgement.site.from_record import TESTS, evidence_of, vantage_of
from firmware.judgement.site.verdict import judge
from firmware.measurements import MEASUREMENTS
from firmware.model.failures import Failure
from firmware.model.record import ClockQuality, ClockReading, Outcome, Record, Rung, Zone
from firmware.net.host_view import Host, Resolvers
from tests.firmware.records import json_values
from tests.probing import probe
from tests.servers.dns import DnsServer, reply, zone
from tests.servers.http import Request, http, page, redirect
from tests.servers.tcp import TcpServer, reset_after_first_bytes
from tests.servers.tls import Authority, over_tls

NAME = "www.example.test"


def record_of(test: str, target: str, outcome: Outcome) -> Record:
    return Record(
        boot_id="b",
        test=test,
        test_version="0.1.0",
        target=target,
        zone=Zone.INTERNATIONAL,
        rung=Rung.PLATFORMS,
        slot_boottime_ns=0,
        start=ClockReading(boottime_ns=0, utc_ns=0, quality=ClockQuality.UNSYNCHRONISED),
        runtime_ns=1,
        outcome=outcome,
    )


def measured(test: str, target: str, system: DnsServer, **options: Any) -> Record:
    """Measure on loopback and return the record."""
    host = Host(resolver_config=Resolvers(addresses=(system.place,)))
    return record_of(test, target, probe(MEASUREMENTS[test].parse(target, options).measure, host=host))


def test_a_page_and_its_redirect() -> None:
    def respond(request: Request) -> Any:
        return redirect("/there") if request.target == "/" else page(b"<title>Here</title>", Server="nginx")

    with DnsServer(zone({NAME: ("127.0.0.1",)})) as resolver, TcpServer(http(respond)) as server:
        target = f"http://{NAME}:{server.port}/"
        record = measured("web_connectivity", target, resolver, resolver=resolver.place, window_ms=0)
    evidence = evidence_of(record)
    assert evidence is not None
    assert (evidence.url, evidence.failure) == (target, None)
    first, _, other, _, *_ = evidence.lookups
    assert (first.hostname, first.resolver, first.engine, first.addresses) == (
        NAME,
        "@isp",
        "udp",
        ("127.0.0.1",),
    )
    assert other.resolver == "127.0.0.1"
    assert [(one.address, one.port, one.failure) for one in evidence.connects] == [
        ("127.0.0.1", server.port, None)
    ] * 2
    one, two = evidence.requests
    assert (one.status, two.status, two.title) == (302, 200, "Here")
    assert two.body == b"<title>Here</title>"
    assert ("Server", "nginx") in two.headers
    assert two.progress
    vantage = vantage_of([record], age_s=7)
    assert vantage is not None
    assert (vantage.source, vantage.age_s, vantage.dns_failure) == (VantageSource.COLLECTOR, 7, None)
    assert vantage.addresses == ("127.0.0.1",)
    assert vantage.connects == {f"127.0.0.1:{server.port}": None}
    assert (vantage.status, vantage.title, vantage.body_length) == (200, "Here", 19)


def test_a_reset_handshake_and_its_control() -> None:
    with DnsServer(zone({NAME: ("127.0.0.1",)})) as resolver, TcpServer(reset_after_first_bytes) as server:
        target = f"https://{NAME}:{server.port}/"
        record = measured("web_connectivity", target, resolver, resolver="none", window_ms=0)
    evidence = evidence_of(record)
    assert evidence is not None
    assert (evidence.failure, evidence.failed_operation) == (Failure.CONNECTION_RESET, "tls_handshake")
    page_one, control_one = evidence.handshakes
    assert (page_one.server_name, page_one.is_control, page_one.failure) == (NAME, False, "connection_reset")
    assert (control_one.server_name, control_one.is_control) == ("example.com", True)
    assert (page_one.bytes_read, page_one.port) == (0, server.port)
    vantage = vantage_of([record])
    assert vantage is not None
    assert vantage.handshakes == {f"127.0.0.1:{server.port}": "connection_reset"}
    assert (vantage.saw_http, vantage.http_failure) == (True, "connection_reset")


@pytest.mark.parametrize("test", ["tls", "web_connectivity"])
def test_a_site_that_proved_itself_is_ok_though_no_page_was_asked_for(
    test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    well = over_tls(authority.server_context(NAME))
    with DnsServer(zone({NAME: ("127.0.0.1",)})) as resolver, TcpServer(well) as server:
        record = (
            measured("tls", f"{NAME}:{server.port}", resolver)
            if test == "tls"
            else measured(test, f"https://{NAME}:{server.port}/", resolver, resolver="none", fetch=False)
        )
    evidence = evidence_of(record)
    assert evidence is not None
    judged = judge(evidence, None)
    assert (judged.verdict.verdict, judged.verdict.rule_id) == ("ok", "site-proven")
    failed = judge(replace(evidence, handshakes=(), failure="connection_reset"), None)
    assert failed.verdict.verdict == "inconclusive"


@pytest.mark.parametrize("test", ["tls", "tcp", "http"])
def test_a_refused_connection_by_every_test(test: str) -> None:
    with TcpServer(reset_after_first_bytes) as server:
        port = server.port
    with DnsServer(zone({NAME: ("127.0.0.1",)})) as resolver:
        target = f"http://{NAME}:{port}/" if test == "http" else f"{NAME}:{port}"
        record = measured(test, target, resolver)
    evidence = evidence_of(record)
    assert evidence is not None
    assert [(one.address, one.port, one.failure) for one in evidence.connects] == [
        ("127.0.0.1", port, "connection_refused")
    ]
    assert (evidence.handshakes, evidence.requests) == ((), ())


def test_a_race_of_answers() -> None:
    def races(query: Any, _transport: str) -> Any:
        yield reply(query, "10.10.34.34")
        yield 0.05
        yield reply(query, "93.184.216.34")

    with DnsServer(races) as resolver:
        record = measured("dns", "www.example.com", resolver, window_ms=500)
    evidence = evidence_of(record)
    assert evidence is not None
    (lookup,) = evidence.lookups
    assert (lookup.addresses, lookup.late) == (("10.10.34.34",), ("93.184.216.34",))
    assert lookup.failure == Failure.DNS_BOGON


@pytest.mark.parametrize("location", ["/", "http://"], ids=["for ever", "nowhere"])
def test_a_vantage_whose_redirects_led_nowhere_says_so_too(location: str) -> None:
    with (
        DnsServer(zone({NAME: ("127.0.0.1",)})) as resolver,
        TcpServer(http(lambda _r: redirect(location))) as server,
    ):
        target = f"http://{NAME}:{server.port}/"
        record = measured("web_connectivity", target, resolver, resolver=resolver.place, window_ms=0)
    assert record.outcome.failure is not None
    vantage = vantage_of([record])
    assert vantage is not None
    assert vantage.http_failure == record.outcome.failure


def test_a_vantage_of_several_records_says_what_each_adds() -> None:
    with (
        DnsServer(zone({NAME: ("127.0.0.1",)})) as resolver,
        TcpServer(http(lambda _r: page(b"x"))) as server,
    ):
        named = measured("dns", NAME, resolver)
        fetched = measured("http", f"http://127.0.0.1:{server.port}/", resolver)
    vantage = vantage_of([named, fetched])
    assert vantage is not None
    assert (vantage.saw_dns, vantage.saw_http, vantage.status) == (True, True, 200)
    assert vantage.addresses == ("127.0.0.1",)
    assert vantage_of([]) is None


@pytest.mark.parametrize(
    ("failure", "operation"),
    [
        (Failure.MISSED_SLOT, "start"),
        (Failure.WORKER_DIED, None),
        ("unknown_failure: ValueError: x", "measure"),
    ],
)
def test_what_was_not_measured_is_no_evidence(failure: str, operation: str | None) -> None:
    outcome = Outcome(failure=failure, failed_operation=operation)
    assert evidence_of(record_of("web_connectivity", "https://www.example.org/", outcome)) is None
    assert evidence_of(record_of("ping", "192.0.2.1", Outcome())) is None


KEYS = st.sampled_from(
    [
        "queries",
        "answers",
        "answers",
        "tcp_connect",
        "tls_handshakes",
        "requests",
        "tls",
        "flights",
        "headers",
        "read_timing",
        "address",
        "port",
        "failure",
        "status",
        "title",
        "body_start",
        "query_type",
        "type",
        "value",
        "transport",
        "earlier",
        "query_name",
        "asked",
    ]
)
details = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(
    test=st.sampled_from(sorted(TESTS)), detail=st.dictionaries(KEYS, details, max_size=8), target=st.text()
)
def test_nothing_a_device_sends_raises(test: str, detail: dict[str, Any], target: str) -> None:
    record = record_of(test, target, Outcome(detail=detail))
    assert evidence_of(record) is not None
    assert evidence_of(replace(record, outcome=Outcome(failure=Failure.TIMEOUT, detail=detail))) is not None
