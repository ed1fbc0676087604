"""What the kernel's tables and resolv.conf say, from captured text, and that no text breaks a parser."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.net.host_parsers import (
    IFREQ_BYTES,
    choose_resolvers,
    interface_kind,
    parse_if_inet6,
    parse_ifconf,
    parse_ipv6_route,
    parse_resolv_conf,
    parse_route,
)
from firmware.net.host_view import DefaultRoute, InterfaceAddress, Resolvers

ROUTE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
wwan0\t00000000\t00000000\t0001\t0\t0\t700\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
*\t00000000\t00000000\t0201\t0\t0\t9999\t00000000\t0\t0\t0
"""

IPV6_ROUTE = """fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""

IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000005 02 40 00 80     eth0
fe80000000000000021122fffe334455 02 40 20 80     eth0
fd000000000000000000000000000006 02 40 00 40     eth0
fd000000000000000000000000000007 02 40 00 08     eth0
"""


@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="the captured text is of a little-endian machine")
def test_ipv4_default_routes() -> None:
    assert parse_route(ROUTE) == (
        DefaultRoute(interface="eth0", family=4, gateway="192.168.0.1", metric=100),
        DefaultRoute(interface="wlan0", family=4, gateway="192.168.2.1", metric=600),
        DefaultRoute(interface="wwan0", family=4, gateway=None, metric=700),
    )


def test_ipv6_default_routes_without_the_kernels_own_reject_route() -> None:
    assert parse_ipv6_route(IPV6_ROUTE) == (
        DefaultRoute(interface="eth0", family=6, gateway="fe80::1", metric=1024),
    )


def test_ipv6_addresses_that_are_usable() -> None:
    assert parse_if_inet6(IF_INET6) == (
        InterfaceAddress(interface="lo", family=6, address="::1", scope="loopback"),
        InterfaceAddress(interface="eth0", family=6, address="2001:db8::5", scope="global"),
        InterfaceAddress(interface="eth0", family=6, address="fe80::211:22ff:fe33:4455", scope="link_local"),
    )


def ifreq(name: str, address: str) -> bytes:
    sockaddr = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(address))
    return (name.encode().ljust(16, b"\0") + sockaddr).ljust(IFREQ_BYTES, b"\0")


def test_ipv4_addresses_with_their_labels_cut_off() -> None:
    raw = ifreq("lo", "127.0.0.1") + ifreq("eth0", "192.168.0.9") + ifreq("eth0:1", "100.64.0.9")
    assert parse_ifconf(raw) == (
        InterfaceAddress(interface="lo", family=4, address="127.0.0.1", scope="loopback"),
        InterfaceAddress(interface="eth0", family=4, address="192.168.0.9", scope="private"),
        InterfaceAddress(interface="eth0", family=4, address="100.64.0.9", scope="cgnat"),
    )
    assert parse_ifconf(raw[:-1])[-1].address == "192.168.0.9"


def test_resolv_conf() -> None:
    text = """# comment
nameserver 192.0.2.53
nameserver fe80::1%eth0
 nameserver   2001:db8::53
nameserver not-an-address
options edns0
nameserver 192.0.2.54
"""
    assert parse_resolv_conf(text) == ("192.0.2.53", "fe80::1%eth0", "2001:db8::53")
    assert parse_resolv_conf("") == ()


@pytest.mark.parametrize(
    ("configured", "behind", "chosen"),
    [
        ((), (), Resolvers()),
        (("9.9.9.9",), ("8.8.8.8",), Resolvers(addresses=("9.9.9.9",))),
        (("127.0.0.53",), ("9.9.9.9",), Resolvers(addresses=("9.9.9.9",), stub=True)),
        (("127.0.0.53",), (), Resolvers(addresses=("127.0.0.53",), loopback=True)),
        (("127.0.0.1", "::1"), (), Resolvers(addresses=("127.0.0.1", "::1"), loopback=True)),
        (("127.0.0.1", "9.9.9.9"), (), Resolvers(addresses=("127.0.0.1", "9.9.9.9"))),
    ],
)
def test_which_resolvers_count(
    configured: tuple[str, ...], behind: tuple[str, ...], chosen: Resolvers
) -> None:
    assert choose_resolvers(configured, behind) == chosen


@pytest.mark.parametrize(
    ("name", "hardware", "wireless", "device_type", "kind"),
    [
        ("eth0", 1, False, "", "ethernet"),
        ("wlan0", 1, True, "wlan", "wifi"),
        ("wlan0", 1, False, "wlan", "wifi"),
        ("wwan0", 65534, False, "wwan", "mobile"),
        ("rmnet0", 519, False, "", "mobile"),
        ("ppp0", 512, False, "", "other"),
        ("wg0", 65534, False, "wireguard", "tunnel"),
        ("tun0", 65534, False, "", "tunnel"),
    ],
)
def test_kinds(name: str, hardware: int, wireless: bool, device_type: str, kind: str) -> None:
    assert interface_kind(name, hardware_type=hardware, wireless=wireless, device_type=device_type) == kind


@given(st.text(alphabet="nameserver 0123456789abcdef:.%\t\n#", max_size=200))
def test_no_resolv_conf_breaks_it(text: str) -> None:
    assert len(parse_resolv_conf(text)) <= 3
