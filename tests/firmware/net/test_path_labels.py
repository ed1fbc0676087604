"""What a path's record may say of the host's own network: nothing that could not be anybody's."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from firmware.net.host_view import DefaultRoute, Host, InterfaceAddress, scope_of
from firmware.net.path_labels import path_labels

HOST = Host(
    addresses=(
        InterfaceAddress(interface="eth0", family=4, address="192.168.1.7", scope="private"),
        InterfaceAddress(interface="eth0", family=6, address="2001:db8:aa:1::7", scope="global"),
    ),
    routes=(
        DefaultRoute(interface="eth0", family=4, gateway="192.168.1.1", metric=0),
        DefaultRoute(interface="eth0", family=6, gateway="fe80::1", metric=0),
    ),
)


def named(*addresses: str, target: str = "203.0.113.2") -> list[str]:
    labels = path_labels(HOST, target, [(hop, [one]) for hop, one in enumerate(addresses, start=1)])
    return [labels[one] for one in addresses]


def test_words_up_to_the_first_public_router_and_addresses_from_there() -> None:
    assert named("192.168.1.1", "10.0.0.1", "100.64.0.1", "198.51.100.1", "10.10.34.34", "203.0.113.2") == [
        *("@gateway", "@private", "@cgnat", "198.51.100.1", "10.10.34.34", "203.0.113.2")
    ]


def test_the_first_hop_is_the_gateway_whatever_its_address() -> None:
    assert named("198.51.100.1", "198.51.100.2") == ["@gateway", "198.51.100.2"]
    assert named("2001:db8:aa:1::1", target="2001:db8:c::1") == ["@gateway"]


def test_the_hosts_own_ipv6_network_is_near_wherever_it_stands() -> None:
    assert named(
        "fe80::1", "2001:db8:aa:2::1", "2001:db8:b::1", "2001:db8:aa:ff::1", target="2001:db8:c::1"
    ) == [*("@gateway", "@near", "2001:db8:b::1", "@near")]


def test_its_own_errors_are_its_own() -> None:
    assert named("192.168.1.7") == ["@self"]
    assert named("2001:db8:aa:1::7", target="2001:db8:c::1") == ["@self"]


def test_a_router_hidden_once_stays_hidden_where_the_path_turns_back() -> None:
    labels = path_labels(
        HOST, "203.0.113.2", [(2, ["100.64.0.1"]), (3, ["198.51.100.1"]), (4, ["100.64.0.1"])]
    )
    assert labels == {"100.64.0.1": "@cgnat", "198.51.100.1": "198.51.100.1"}


def test_the_target_is_no_secret_and_nobody_is_nobody() -> None:
    assert named("192.168.1.1", "10.9.9.9", target="10.9.9.9") == ["@gateway", "10.9.9.9"]
    assert named("", target="10.9.9.9") == [""]


@given(
    st.lists(
        st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.ip_addresses(network="10.0.0.0/8")),
        max_size=8,
    )
)
def test_no_private_address_stands_before_a_public_one(
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    labels = path_labels(
        HOST, "203.0.113.2", [(hop, [str(one)]) for hop, one in enumerate(addresses, start=1)]
    )
    public_seen = False
    for one in map(str, dict.fromkeys(addresses)):
        if labels[one] != one:
            continue
        assert one != str(addresses[0]) or one == "203.0.113.2"
        public_seen |= scope_of(one) == "global"
        assert public_seen
