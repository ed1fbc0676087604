"""The measurement `dns`: which resolver is asked, and what the record may say of it."""

from typing import Any, cast

import dns.message
import pytest

from firmware.measurements.dns import Dns
from firmware.model.failures import Failure
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.host_view import Host, Resolvers
from tests.probing import NOWHERE, probe
from tests.servers.dns import Answers, DnsServer, reply, zone

ZONE = zone({"www.example.org": ("93.184.216.34", "2606:2800:220:1::1")})


def refusing(query: dns.message.Message, transport: str) -> Answers:
    yield reply(query, rcode="REFUSED")


def measured(host: Host = NOWHERE, **options: OptionValue) -> Outcome:
    return probe(Dns.parse("www.example.org", options).measure, host=host)


def configured(*servers: DnsServer) -> Host:
    return Host(resolver_config=Resolvers(addresses=tuple(server.place for server in servers)))


def detail(outcome: Outcome) -> dict[str, Any]:
    return cast("dict[str, Any]", outcome.detail)


def test_a_given_resolver_is_asked_and_no_other() -> None:
    with DnsServer(ZONE) as given, DnsServer(ZONE) as other:
        outcome = measured(configured(other), resolver=given.place, window_ms=0)
        assert len(given.queries) == 1
        assert other.queries == []
    assert outcome.failure is None
    assert (detail(outcome)["resolver"], detail(outcome)["asked"]) == ("127.0.0.1", "127.0.0.1")
    assert set(outcome.phases) == {"resolve"}
    assert outcome.bytes_up > 0
    assert outcome.bytes_down == detail(outcome)["answers"][0]["bytes"]


def test_the_systems_resolvers_are_asked_in_order_and_not_named() -> None:
    with DnsServer(refusing) as first, DnsServer(ZONE) as second:
        outcome = measured(configured(first, second), window_ms=0)
    assert outcome.failure is None
    found = detail(outcome)
    assert (found["asked"], found["resolver"]) == ("@system", "@isp")
    assert [earlier["failure"] for earlier in found["earlier"]] == [Failure.DNS_REFUSED]


def test_the_first_resolver_alone() -> None:
    with DnsServer(refusing) as first, DnsServer(ZONE) as second:
        outcome = measured(configured(first, second), resolver="@isp", window_ms=0)
        assert second.queries == []
    assert (outcome.failure, outcome.failed_operation) == (Failure.DNS_REFUSED, "resolve")
    assert detail(outcome)["asked"] == "@isp"


@pytest.mark.parametrize("resolver", ["@system", "@isp"])
def test_no_resolver(resolver: str) -> None:
    outcome = measured(resolver=resolver)
    assert (outcome.failure, outcome.failed_operation) == (Failure.NO_RESOLVER, "resolve")


@pytest.mark.parametrize(("record_type", "failure"), [("AAAA", None), ("SOA", Failure.DNS_NO_ANSWER)])
def test_other_types(record_type: str, failure: str | None) -> None:
    with DnsServer(ZONE) as server:
        outcome = measured(resolver=server.place, type=record_type, window_ms=0)
        assert server.queries == [("www.example.org.", record_type, "udp")]
    assert outcome.failure == failure


def test_a_number_of_attempts_for_a_given_resolver() -> None:
    with DnsServer(lambda query, transport: []) as server:
        outcome = measured(resolver=server.place, attempts=3, timeout_ms=50)
    assert (outcome.failure, detail(outcome)["queries_sent"]) == (Failure.TIMEOUT, 3)
