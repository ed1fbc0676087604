"""A chain of routers for a test in namespaces: this host — r1 — r2 — … — server, IPv4 and IPv6, forwarding on.

Its links have the kinds of address a real path has: a home's, a provider's shared ones, public ones, and private
ones in the middle of a country's core. Call `chain` in a function that `tests.namespaces.call` runs.
"""

from dataclasses import dataclass
from typing import Final

from tests import namespaces

LINKS: Final = (
    ("192.168.1", "2001:db8:aa:1"),
    ("100.64.7", "2001:db8:aa:2"),
    ("198.51.100", "2001:db8:b:1"),
    ("10.10.34", "fd10:10:34:1"),
    ("203.0.113", "2001:db8:c:1"),
)
"""Each link's IPv4 /24 and IPv6 /64; its end towards this host is .1, the other .2."""


@dataclass(frozen=True)
class Chain:
    """The routers' names in order, the server's name and its addresses."""

    routers: tuple[str, ...]
    server: str
    server4: str
    server6: str


def chain(routers: int = 4, *, limited: bool = False) -> Chain:
    """Make it, of at most four routers. ICMP errors come without a limit unless `limited`, as Linux has them."""
    names = [*(f"r{number}" for number in range(1, routers + 1)), "server"]
    for number, name in enumerate(names):
        namespaces.node(name)
        four, six = LINKS[number]
        namespaces.wire(
            "eth0" if number == 0 else "eth1",
            name,
            near=f"{four}.1/24 {six}::1/64",
            far=f"{four}.2/24 {six}::2/64",
            near_node=names[number - 1] if number else "",
        )
    for number, where in enumerate(["", *names]):
        if number < len(names):
            four, six = LINKS[number]
            namespaces.ip(f"route add default via {four}.2", node=where)
            namespaces.ip(f"route add default via {six}::2", node=where)
        for far_four, far_six in LINKS[: max(0, number - 1)]:
            four, six = LINKS[number - 1]
            namespaces.ip(f"route add {far_four}.0/24 via {four}.1", node=where)
            namespaces.ip(f"route add {far_six}::/64 via {six}::1", node=where)
    for name in names:
        with namespaces.inside(name):
            namespaces.sysctl("net.ipv4.ip_forward", 1)
            namespaces.sysctl("net.ipv6.conf.all.forwarding", 1)
            if not limited:
                namespaces.sysctl("net.ipv4.icmp_ratelimit", 0)
                namespaces.sysctl(
                    "net.ipv4.icmp_ratemask", 0
                )  # nor by what all namespaces of a machine share
                namespaces.sysctl("net.ipv6.icmp.ratelimit", 0)
    four, six = LINKS[len(names) - 1]
    return Chain(tuple(names[:-1]), names[-1], f"{four}.2", f"{six}::2")
