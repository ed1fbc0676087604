"""Names to addresses: the hosts file, the configured resolvers, and what may be told of them."""

from pathlib import Path

import dns.message
import pytest

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.net.host_view import Host, InterfaceAddress, Resolvers
from firmware.protocols import names
from firmware.protocols.dns_exchange import Question
from firmware.protocols.names import Resolved, lookup, resolve
from firmware.protocols.resolver_files import ResolverOptions, parse_hosts, parse_resolver_options
from tests.probing import probe
from tests.servers.dns import Answers, DnsServer, reply, zone

HOSTS = """
127.0.0.1 localhost  # this machine
10.0.0.7\tnas.lan Nas
fd00::7 nas.lan
not-an-address nas.lan
10.0.0.8 # nobody
"""

ZONE = zone(
    {"both.test": ("127.0.0.5", "::5"), "four.test": ("127.0.0.5",), "bad.example.org": ("10.10.34.34",)}
)


def asking(*servers: DnsServer) -> Host:
    """Return a host whose configured resolvers are `servers`."""
    return Host(resolver_config=Resolvers(addresses=tuple(server.place for server in servers)))


def found(host: str, *servers: DnsServer, families: tuple[int, ...] = (4, 6)) -> Resolved:
    return probe(lambda net: lookup(net, host, families=families), host=asking(*servers))


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("NAS", ("10.0.0.7",)),
        ("nas.lan.", ("10.0.0.7", "fd00::7")),
        ("nobody", ()),
        ("localhost", ("127.0.0.1",)),
    ],
)
def test_the_hosts_file_is_read(name: str, addresses: tuple[str, ...]) -> None:
    assert parse_hosts(HOSTS, name) == addresses


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", ResolverOptions(attempts=2, timeout_s=5)),
        ("options timeout:1 attempts:3 rotate", ResolverOptions(attempts=3, timeout_s=1)),
        ("options timeout:1\noptions timeout:2 # x", ResolverOptions(attempts=2, timeout_s=2)),
        ("options attempts:0 timeout:999", ResolverOptions(attempts=1, timeout_s=30)),
        ("options attempts:x timeout:", ResolverOptions(attempts=2, timeout_s=5)),
    ],
)
def test_resolv_conf_says_how_hard_to_try(text: str, options: ResolverOptions) -> None:
    assert parse_resolver_options(text) == options


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%eth0"])
def test_a_literal_address_asks_nobody(address: str) -> None:
    resolved = found(address)
    assert (resolved.addresses, resolved.source, resolved.queries) == ((address,), "literal", ())


def test_a_literal_of_the_wrong_family() -> None:
    assert found("::1", families=(4,)).failure == Failure.ADDRESS_FAMILY_NOT_SUPPORTED


def test_the_hosts_file_comes_first(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    with DnsServer(zone({"nas.lan": ("127.0.0.9",)})) as server:
        resolved = probe(lambda net: lookup(net, "nas.lan", hosts_file=hosts), host=asking(server))
        assert server.queries == []
    assert (resolved.addresses, resolved.source) == (("10.0.0.7", "fd00::7"), "hosts")


def test_both_families_are_asked_for() -> None:
    with DnsServer(ZONE) as server:
        resolved = found("both.test", server)
        assert sorted(query[1] for query in server.queries) == ["A", "AAAA"]
    assert resolved.addresses == ("127.0.0.5", "::5")
    assert resolved.failure is None
    assert resolved.phase is not None
    assert [query["query_type"] for query in resolved.queries] == ["A", "AAAA"]


def test_one_family_is_enough() -> None:
    with DnsServer(ZONE) as server:
        resolved = found("four.test", server)
    assert resolved.addresses == ("127.0.0.5",)
    assert [query["failure"] for query in resolved.queries] == [None, Failure.DNS_NO_ANSWER]


def test_a_bogon_is_followed_and_told() -> None:
    with DnsServer(ZONE) as server:
        resolved = found("bad.example.org", server)
    assert resolved.addresses == ("10.10.34.34",)
    assert resolved.failure is None
    assert resolved.queries[0]["failure"] == Failure.DNS_BOGON


def test_a_name_that_is_not_there() -> None:
    with DnsServer(ZONE) as server:
        assert found("missing.test", server).failure == Failure.DNS_NXDOMAIN
        with pytest.raises(MeasurementFailedError) as raised:
            probe(lambda net: resolve(net, "missing.test"), host=asking(server))
    assert (raised.value.failure, raised.value.operation) == (Failure.DNS_NXDOMAIN, "resolve")


def test_no_resolver() -> None:
    assert found("four.test").failure == Failure.NO_RESOLVER


def test_the_next_resolver_is_asked_when_the_first_fails() -> None:
    def refusing(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, rcode="SERVFAIL")

    with DnsServer(refusing) as first, DnsServer(ZONE) as second:
        exchanges = probe(
            lambda net: names.ask_system(net, Question(name="four.test", record_type="A"), window_ns=0),
            host=asking(first, second),
        )
    assert [exchange.failure for exchange in exchanges] == [Failure.DNS_SERVFAIL, None]


def test_every_resolver_is_tried_as_often_as_resolv_conf_says(tmp_path: Path) -> None:
    def refusing(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, rcode="REFUSED")

    conf = tmp_path / "resolv.conf"
    conf.write_text("options attempts:3")
    with DnsServer(refusing) as first, DnsServer(refusing) as second:
        exchanges = probe(
            lambda net: names.ask_system(
                net, Question(name="four.test", record_type="A"), window_ns=0, resolv_conf=conf
            ),
            host=asking(first, second),
        )
        assert (len(first.queries), len(second.queries)) == (3, 3)
    assert {exchange.failure for exchange in exchanges} == {Failure.DNS_REFUSED}


OWN = Host(
    addresses=(
        InterfaceAddress(interface="eth0", family=6, address="2a00:1450:4001::99", scope="global"),
        InterfaceAddress(interface="eth0", family=4, address="84.32.1.9", scope="global"),
    )
)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("192.168.1.1", "@isp"),
        ("127.0.0.1", "@isp"),
        ("fe80::1%eth0", "@isp"),
        ("2a00:1450:4001::1", "@isp"),  # the home router's address in the host's own /64
        ("84.32.1.9", "@isp"),
        ("8.8.8.8", "8.8.8.8"),
        ("2001:4860:4860::8888", "2001:4860:4860::8888"),
    ],
)
def test_a_resolver_inside_the_home_is_not_named(address: str, shown: str) -> None:
    assert names.label(OWN, address) == shown
