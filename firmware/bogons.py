"""Addresses that cannot be the true answer for a public name, and names that are not public. Pure.

A censor's resolver often answers with such an address; Iran's block page stands at 10.10.34.34 to .36, and at
d0::11 over IPv6. Sources: IANA special-purpose address registries, RFC 6761 and its registry of special-use
names, OONI `netxlite` bogon list. This file must never judge by reputation: only by what is reserved.
"""

import ipaddress
from typing import Final

_RESERVED_IPV4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_UNICAST_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_RESERVED_IPV6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/32", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "3fff::/20")
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = ipaddress.IPv6Network("2002::/16")

_SPECIAL_USE_NAMES: Final = (
    "localhost",
    "local",
    "test",
    "invalid",
    "example",
    "onion",
    "alt",
    "internal",
    "home.arpa",
    "lan",  # not reserved, but what most home routers call their own network
)


def is_bogon(address: str) -> bool:
    """Say whether a literal address is private, loopback or otherwise reserved. Raises ValueError for no address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return any(parsed in network for network in _RESERVED_IPV4)
    if parsed in _NAT64:
        return is_bogon(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
    if parsed in _SIX_TO_FOUR:
        return is_bogon(str(ipaddress.IPv4Address(int(parsed) >> 80 & 0xFFFFFFFF)))
    return parsed not in _GLOBAL_UNICAST_IPV6 or any(parsed in network for network in _RESERVED_IPV6)


def is_special_use_name(name: str) -> bool:
    """Say whether a name has no place in the public DNS, so that any address may be its true answer.

    That is a name of one label, and one under `localhost`, `local`, `test`, `home.arpa` and the like.
    """
    labels = name.lower().removesuffix(".")
    return "." not in labels or any(
        labels == special or labels.endswith("." + special) for special in _SPECIAL_USE_NAMES
    )
