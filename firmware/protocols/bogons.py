"""Addresses that cannot be the true answer for a public name, and names that are not public. Pure.

A censor's resolver often answers with such an address; Iran's block page stands at 10.10.34.34 to .36, and at
d0::11 over IPv6. Sources: IANA special-purpose address registries, RFC 6761 and its registry of special-use
names, OONI `netxlite` bogon list. This file must never judge by reputation: only by what is reserved.
"""

import socket
from typing import Final

_RESERVED_IPV4: Final = (
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
_GLOBAL_UNICAST_IPV6: Final = "2000::/3"
_RESERVED_IPV6: Final = ("2001::/32", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "3fff::/20")
_NAT64: Final = "64:ff9b::/96"
_SIX_TO_FOUR: Final = "2002::/16"

_IPV4_BITS: Final = 32

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
    """Return whether a literal address is private, loopback or otherwise reserved. Raises ValueError for no address."""
    bare = address.partition("%")[0]
    number, bits = _number(bare)
    if bits == _IPV4_BITS:
        return any(_within(number, bits, network) for network in _RESERVED_IPV4)
    if _within(number, bits, _NAT64):
        return is_bogon(_ipv4(number))
    if _within(number, bits, _SIX_TO_FOUR):
        return is_bogon(_ipv4(number >> 80))
    reserved = any(_within(number, bits, network) for network in _RESERVED_IPV6)
    return reserved or not _within(number, bits, _GLOBAL_UNICAST_IPV6)


def _number(address: str) -> tuple[int, int]:
    """Return an address as a number and how many bits it has. Raises ValueError for no address."""
    family, bits = (socket.AF_INET6, 128) if ":" in address else (socket.AF_INET, _IPV4_BITS)
    try:
        return int.from_bytes(socket.inet_pton(family, address), "big"), bits
    except OSError as error:
        raise ValueError(f"{address!r} is no address") from error


def _within(number: int, bits: int, network: str) -> bool:
    base, _, length = network.partition("/")
    shift = bits - int(length)
    return number >> shift == _number(base)[0] >> shift


def _ipv4(number: int) -> str:
    return socket.inet_ntop(socket.AF_INET, (number & 0xFFFFFFFF).to_bytes(4, "big"))


def is_special_use_name(name: str) -> bool:
    """Return whether a name has no place in the public DNS, so that any address may be its true answer.

    That is a name of one label, and one under `localhost`, `local`, `test`, `home.arpa` and the like.
    """
    labels = name.lower().removesuffix(".")
    return "." not in labels or any(
        labels == special or labels.endswith("." + special) for special in _SPECIAL_USE_NAMES
    )
