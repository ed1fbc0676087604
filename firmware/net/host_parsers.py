"""Parsers of what the kernel and resolv.conf say of a host's network. Pure: text or bytes in, `host_view` out."""

import socket
import struct
from collections.abc import Sequence
from typing import Final

from firmware.net.host_view import DefaultRoute, InterfaceAddress, Resolvers, scope_of

IFREQ_BYTES: Final = 16 + (24 if struct.calcsize("P") == 8 else 16)
"""The size of `struct ifreq` (netdevice(7)): a name and the largest of its union, `struct ifmap`."""

_ARPHRD_ETHER: Final = 1
_ARPHRD_RAWIP: Final = 519
_ARPHRD_TUNNELS: Final = frozenset({65534, 768, 769, 778, 823})
"""NONE (tun, WireGuard), TUNNEL, TUNNEL6, IPGRE, IP6GRE: what leaves by them comes out elsewhere. SIT carries IPv6 only."""
_RTF_UP: Final = 0x1
_RTF_GATEWAY: Final = 0x2
_RTF_REJECT: Final = 0x200
_IFA_F_TENTATIVE: Final = 0x40
_IFA_F_DADFAILED: Final = 0x08
_SYSTEMD_STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
_MAX_RESOLVERS: Final = 3
"""As many as the C library asks (resolv.conf(5), MAXNS)."""


def parse_route(text: str) -> tuple[DefaultRoute, ...]:
    """Read the default routes of /proc/net/route (proc_net(5): addresses in hexadecimal, host byte order)."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[1] != "00000000" or fields[7] != "00000000":
            continue
        flags = int(fields[3], 16)
        if not flags & _RTF_UP or flags & _RTF_REJECT:
            continue
        gateway = socket.inet_ntop(socket.AF_INET, struct.pack("=I", int(fields[2], 16)))
        routes.append(
            DefaultRoute(
                interface=fields[0],
                family=4,
                gateway=gateway if flags & _RTF_GATEWAY else None,
                metric=int(fields[6]),
            )
        )
    return tuple(routes)


def parse_ipv6_route(text: str) -> tuple[DefaultRoute, ...]:
    """Read the default routes of /proc/net/ipv6_route (net/ipv6/route.c: hexadecimal, network byte order)."""
    routes = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10 or int(fields[0], 16) or fields[1] != "00":
            continue
        flags = int(fields[8], 16)
        if not flags & _RTF_UP or flags & _RTF_REJECT or fields[9] == "lo":
            continue
        gateway = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[4]))
        routes.append(
            DefaultRoute(
                interface=fields[9],
                family=6,
                gateway=gateway if flags & _RTF_GATEWAY else None,
                metric=int(fields[5], 16),
            )
        )
    return tuple(routes)


def parse_if_inet6(text: str) -> tuple[InterfaceAddress, ...]:
    """Read /proc/net/if_inet6; addresses still being checked for duplicates, or found to be, are left out."""
    addresses = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 6 or int(fields[4], 16) & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            continue
        text_form = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))
        addresses.append(
            InterfaceAddress(interface=fields[5], family=6, address=text_form, scope=scope_of(text_form))
        )
    return tuple(addresses)


def parse_ifconf(raw: bytes) -> tuple[InterfaceAddress, ...]:
    """Read what SIOCGIFCONF fills in (netdevice(7)): IPv4 addresses with their interface; labels are cut off."""
    addresses = []
    for start in range(0, len(raw) - IFREQ_BYTES + 1, IFREQ_BYTES):
        name = raw[start : start + 16].split(b"\0", 1)[0].decode("ascii", "replace").partition(":")[0]
        text_form = socket.inet_ntop(socket.AF_INET, raw[start + 20 : start + 24])
        addresses.append(
            InterfaceAddress(interface=name, family=4, address=text_form, scope=scope_of(text_form))
        )
    return tuple(addresses)


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """Read the `nameserver` lines of resolv.conf(5); what is no address is left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _scope_known(words[1]):
            found.append(words[1])
    return tuple(found[:_MAX_RESOLVERS])


def choose_resolvers(configured: Sequence[str], behind_stub: Sequence[str]) -> Resolvers:
    """Pass by systemd's stub to the resolvers behind it; keep any other resolver on loopback, and say so."""
    stub = any(address in _SYSTEMD_STUBS for address in configured)
    addresses = tuple(behind_stub if stub and behind_stub else configured)
    loopback = bool(addresses) and all(scope_of(address) == "loopback" for address in addresses)
    return Resolvers(addresses=addresses, stub=stub and bool(behind_stub), loopback=loopback)


def interface_kind(name: str, *, hardware_type: int, wireless: bool, device_type: str) -> str:
    """Name the kind of an interface from ARPHRD_*, /sys's `wireless` folder and uevent's DEVTYPE."""
    if wireless or device_type == "wlan":
        return "wifi"
    if device_type == "wwan" or name.startswith("wwan") or hardware_type == _ARPHRD_RAWIP:
        return "mobile"
    if hardware_type in _ARPHRD_TUNNELS or device_type == "wireguard":
        return "tunnel"
    return "ethernet" if hardware_type == _ARPHRD_ETHER else "other"


def _scope_known(address: str) -> bool:
    try:
        scope_of(address)
    except (OSError, ValueError):
        return False
    return True
