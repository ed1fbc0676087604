"""The host's network as it is read from real interfaces, in namespaces where they are ours to make."""

from typing import Any

import pytest

from firmware.net.host import read_host, uplink_towards
from tests import namespaces
from tests.waiting import until

pytestmark = pytest.mark.namespace


def carriers() -> dict[str, bool]:
    return {one.name: one.carrier for one in read_host().interfaces if one.name.startswith("eth")}


def reads_a_wired_host() -> dict[str, Any]:
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="10.0.0.2/24 fd01::2/64", far="10.0.0.1/24 fd01::1/64")
    namespaces.wire("eth1", router, near="10.9.0.2/24", far="10.9.0.1/24", far_interface="eth1")
    namespaces.ip("link set eth1 down", node=router)
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.ip("route add default via fd01::1")
    namespaces.write_file("/etc/resolv.conf", "nameserver 127.0.0.53\n")
    # The kernel passes a carrier's loss on with up to a second's delay (net/core/link_watch.c).
    until(lambda: not carriers()["eth1"], "eth1 without a carrier")
    namespaces.await_link_local("eth0")
    host = read_host()
    return {
        "carrier": carriers(),
        "up": {one.name: one.up for one in host.interfaces if one.name.startswith("eth")},
        "kinds": {one.name: one.kind for one in host.interfaces if one.name in ("lo", "eth0")},
        "addresses": sorted(
            f"{one.interface} {one.address}" for one in host.addresses if one.scope == "private"
        ),
        "link_local": {one.family for one in host.addresses if one.scope == "link_local"} == {6},
        "gateways": host.gateways(),
        "uplink": host.uplink(),
        "towards": [uplink_towards(host, one) for one in ("198.51.100.1", "2001:db8::1", "127.0.0.1")],
        "resolvers": [host.resolvers, host.resolver_config.loopback],
    }


def reads_many_addresses() -> int:
    for number in range(1, 101):
        namespaces.ip(f"addr add 10.1.0.{number}/32 dev lo")
    return len([one for one in read_host().addresses if one.scope == "private"])


def reads_nothing() -> list[Any]:
    host = read_host()
    return [host.routes, host.uplink(), uplink_towards(host, "198.51.100.1"), host.gateways()]


def test_a_wired_host() -> None:
    assert namespaces.call(reads_a_wired_host) == {
        "carrier": {"eth0": True, "eth1": False},
        "up": {"eth0": True, "eth1": True},
        "kinds": {"lo": "loopback", "eth0": "ethernet"},
        "addresses": ["eth0 10.0.0.2", "eth0 fd01::2", "eth1 10.9.0.2"],
        "link_local": True,
        "gateways": ["10.0.0.1", "fd01::1"],
        "uplink": "ethernet",
        "towards": ["ethernet", "ethernet", "other"],
        "resolvers": [["127.0.0.53"], True],
    }


def test_more_addresses_than_the_first_room_holds() -> None:
    assert namespaces.call(reads_many_addresses) == 100


def test_a_host_without_a_network() -> None:
    assert namespaces.call(reads_nothing) == [[], "", "", []]
