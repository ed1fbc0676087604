"""How the routers of a path may be named in a record. Pure.

Kept as they are: every router past the first public one, whatever its address (a block page's 10.10.34.34 in a
country's core is the finding), the first public one itself, and the target. Words stand for the rest, which says
where the host lives and nothing of the network: its own addresses (`@self`), its gateway, which is whatever
answers at the first hop (`@gateway`), routers that share an IPv6 /48 with the host, which is as much as a customer
is given (`@near`), and those with private, shared (RFC 6598) or link-local addresses before the first public hop
(`@private`, `@cgnat`, `@link_local`): the home's second router, the provider's access network. This file must
never let one of these through because it is not sure: a hop that could be the host's own becomes a word.
"""

import socket
from collections.abc import Iterable, Sequence
from typing import Final

from firmware.net.host_view import Host, scope_of

GATEWAY: Final = "@gateway"
NEAR: Final = "@near"
_CUSTOMER_BYTES: Final = 6
"""A customer's IPv6 prefix is a /48 at most (RFC 6177)."""


def path_labels(host: Host, target: str, hops: Iterable[tuple[int, Sequence[str]]]) -> dict[str, str]:
    """Return the name of every address on a path: `hops` are its hops, each with the addresses that answered.

    An address is judged where it first stands, so that a path that turns back names nobody it hid before.
    """
    first: dict[str, int] = {}
    for hop, addresses in hops:
        for address in addresses:
            first[address] = min(hop, first.get(address, hop))
    labels = {address: _word(host, target, hop, address) for address, hop in first.items()}
    public = [
        hop
        for address, hop in first.items()
        if address not in ("", target) and labels[address] == address and scope_of(address) == "global"
    ]
    for address, hop in first.items():
        if labels[address] == address not in ("", target) and hop < min(public, default=hop + 1):
            labels[address] = f"@{scope_of(address)}"
    return labels


def error_label(host: Host, address: str) -> str:
    """Return the name of whoever sent an ICMP error, how far away is not known: a word only for the host's own."""
    own = host.label(address) if address else ""
    return NEAR if address and own == address and _is_near(host, address) else own


def _word(host: Host, target: str, hop: int, address: str) -> str:
    """Return the word for an address that is the host's own whatever comes before it, else the address."""
    own = host.label(address) if address else ""
    if own != address or address in ("", target):
        return own
    if hop == 1:
        return GATEWAY
    return NEAR if _is_near(host, address) else address


def _is_near(host: Host, address: str) -> bool:
    """Return whether `address` is in a public IPv6 network of the host's own."""
    if ":" not in address or scope_of(address) != "global":
        return False
    own = {_prefix(one.address) for one in host.addresses if one.family == 6 and one.scope == "global"}
    return _prefix(address) in own


def _prefix(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:_CUSTOMER_BYTES]
