"""What is decided from the host's network, and that its own addresses do not get out."""

import pytest

from firmware.net.host_view import DefaultRoute, Host, Interface, InterfaceAddress, Resolvers, scope_of

HOST = Host(
    interfaces=(
        Interface(name="lo", kind="loopback", up=True, carrier=True),
        Interface(name="eth0", kind="ethernet", up=True, carrier=True),
        Interface(name="wlan0", kind="wifi", up=True, carrier=False),
    ),
    addresses=(
        InterfaceAddress(interface="lo", family=4, address="127.0.0.1", scope="loopback"),
        InterfaceAddress(interface="eth0", family=4, address="192.168.0.9", scope="private"),
        InterfaceAddress(interface="eth0", family=6, address="2001:db8::9", scope="global"),
    ),
    routes=(
        DefaultRoute(interface="wlan0", family=4, gateway="192.168.2.1", metric=600),
        DefaultRoute(interface="eth0", family=4, gateway="192.168.0.1", metric=100),
        DefaultRoute(interface="eth0", family=6, gateway="fe80::1", metric=1024),
    ),
    resolver_config=Resolvers(addresses=("192.168.0.1",)),
)


def test_the_route_with_the_lowest_metric_counts() -> None:
    route = HOST.default_route(4)
    assert route is not None
    assert route.gateway == "192.168.0.1"
    assert HOST.uplink() == "ethernet"
    assert HOST.gateways() == ("192.168.0.1", "fe80::1%eth0")
    assert HOST.resolvers == ("192.168.0.1",)


def test_a_host_with_nothing() -> None:
    assert Host().default_route(4) is None
    assert Host().uplink() == ""
    assert Host().gateways() == ()
    assert Host().label("198.51.100.1") == "198.51.100.1"
    assert Host().uplink_from("198.51.100.1") == ""


def test_a_point_to_point_route_has_no_gateway_and_an_uplink() -> None:
    host = Host(routes=(DefaultRoute(interface="ppp0", family=4, gateway=None, metric=0),))
    assert host.gateways() == ()
    assert host.uplink() == "other"


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("192.168.0.9", "@self"),
        ("2001:db8::9", "@self"),
        ("192.168.0.1", "@gateway"),
        ("fe80::1%eth0", "@gateway"),
        ("fe80::1", "@gateway"),
        ("127.0.0.1", "127.0.0.1"),
        ("198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_hosts_own_become_words(address: str, label: str) -> None:
    assert HOST.label(address) == label


def test_the_uplink_of_a_source_address() -> None:
    assert HOST.uplink_from("2001:db8::9") == "ethernet"
    assert HOST.uplink_from("127.0.0.1") == "other"
    assert HOST.uplink_from("198.51.100.1") == ""


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("127.5.0.1", "loopback"),
        ("::1", "loopback"),
        ("169.254.1.1", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("febf::1", "link_local"),
        ("fec0::1", "global"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.32.0.1", "global"),
        ("192.168.0.1", "private"),
        ("fd12::1", "private"),
        ("100.64.0.1", "cgnat"),
        ("100.127.255.255", "cgnat"),
        ("100.128.0.1", "global"),
        ("8.8.8.8", "global"),
        ("2001:db8::1", "global"),
    ],
)
def test_scopes(address: str, scope: str) -> None:
    assert scope_of(address) == scope
