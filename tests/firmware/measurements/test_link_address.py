"""The two lowest rungs, on a host that gets its network piece by piece, and loses it."""

from typing import Any

import pytest

from firmware.measurements.address import Address, failure_of
from firmware.measurements.link import Link, has_link
from firmware.net.host_view import DefaultRoute, Host, Interface
from firmware.net.host_view import InterfaceAddress as OwnAddress
from firmware.net.targets import TargetError
from firmware.worker.single import measure_once
from tests import namespaces
from tests.waiting import until


def look() -> list[Any]:
    link, address = measure_once("link", "@uplink", {}), measure_once("address", "@host", {})
    return [link.outcome.failure, link.uplink, address.outcome.failure]


def piece_by_piece() -> dict[str, Any]:
    found = {"nothing": look()}
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="", far="10.0.0.1/24 fd01::1/64")
    found["carrier"] = look()
    namespaces.ip("addr add 169.254.7.7/16 dev eth0")
    found["link-local"] = look()
    namespaces.ip("addr add 10.0.0.2/24 dev eth0")
    found["address"] = look()
    namespaces.ip("route add default via 10.0.0.1")
    found["route"] = look()
    namespaces.ip("addr flush dev eth0")
    namespaces.ip("addr add fd01::2/64 dev eth0 nodad")
    namespaces.ip("route add default via fd01::1")
    found["ipv6 only"] = look()
    namespaces.ip("link set eth0 down", node=router)
    until(lambda: look()[0] == "link_down", "link_down")
    found["unplugged"] = look()
    return found


@pytest.mark.namespace
def test_a_network_that_comes_and_goes() -> None:
    assert namespaces.call(piece_by_piece) == {
        "nothing": ["link_down", "", "no_address"],
        "carrier": [None, "", "no_address"],
        "link-local": [None, "", "no_address"],
        "address": [None, "", "no_gateway"],
        "route": [None, "ethernet", None],
        "ipv6 only": [None, "ethernet", None],
        "unplugged": ["link_down", "ethernet", None],
    }


def details() -> dict[str, Any]:
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="10.0.0.2/24 100.64.0.2/10 fd01::2/64", far="10.0.0.1/24")
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.await_link_local("eth0")
    namespaces.write_file("/etc/resolv.conf", "nameserver 10.0.0.1\n")
    link, address = measure_once("link", "@uplink", {}), measure_once("address", "@host", {})
    return {"link": link.outcome.detail["uplink"], "address": dict(address.outcome.detail)}


@pytest.mark.namespace
def test_records_count_addresses_and_never_name_them() -> None:
    found = namespaces.call(details)
    assert "10.0.0." not in str(found)
    assert "fd01" not in str(found)
    assert found == {
        "link": "ethernet",
        "address": {
            "ipv4": {
                "addresses": {"cgnat": 1, "private": 1},
                "usable": True,
                "default_route": True,
                "gateway": True,
            },
            "ipv6": {
                "addresses": {"link_local": 1, "private": 1},
                "usable": True,
                "default_route": False,
                "gateway": False,
            },
            "resolvers": 1,
            "clock_stepped": False,
        },
    }


def host(*, carrier: dict[str, bool], routed: tuple[str, ...]) -> Host:
    return Host(
        interfaces=tuple(
            Interface(name=name, kind="ethernet", up=True, carrier=there) for name, there in carrier.items()
        ),
        routes=tuple(DefaultRoute(interface=name, family=4, gateway="10.0.0.1", metric=0) for name in routed),
    )


@pytest.mark.parametrize(
    ("carrier", "routed", "found"),
    [
        ({}, (), False),
        ({"a": True}, (), True),
        ({"a": True, "b": False}, ("b",), False),
        ({"a": True, "b": False}, ("a", "b"), True),
        ({"a": False}, ("a",), False),
    ],
)
def test_the_carrier_of_the_routed_interface_counts(
    carrier: dict[str, bool], routed: tuple[str, ...], found: bool
) -> None:
    assert has_link(host(carrier=carrier, routed=routed)) is found


def test_an_address_and_a_route_must_be_of_one_family() -> None:
    own = OwnAddress(interface="eth0", family=6, address="2001:db8::2", scope="global")
    route = DefaultRoute(interface="eth0", family=4, gateway="10.0.0.1", metric=0)
    assert failure_of(Host(addresses=(own,), routes=(route,))) == "no_gateway"


def test_other_targets_are_refused() -> None:
    with pytest.raises(TargetError, match="allowed is @uplink"):
        Link.parse("eth0", {})
    with pytest.raises(TargetError, match="allowed is @host"):
        Address.parse("", {})
    with pytest.raises(TargetError, match="the options of link are: none"):
        Link.parse("@uplink", {"count": 1})
