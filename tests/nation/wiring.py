"""Builds the made country's networks as namespaces, joined by veth pairs along the tree of `atlas`.

To be used inside `tests.namespaces.call` or `tests.nation.enter`: every packet stays in the namespaces made here.
A link named in `walls` gets a namespace of its own in its middle, with the interfaces `inside` and `outside` and
nothing between them: a censor must stand there, or the link is cut.
"""

import itertools
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from tests import namespaces
from tests.nation.atlas import NETWORKS, Network
from tests.needs import program

HOME: Final = "home"
"""The link between the first home's router and its access network, as `walls` calls it; others' have a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A host's network: its router hangs on `access`, its device is the namespace `node` ("" is the caller's own).

    `families` are those that the router announces; the device has .2 of the home's network.
    """

    number: int
    access: str
    node: str
    families: tuple[int, ...] = (4, 6)
    province: str = ""
    outer: str = ""
    """The address that its router translates its own to; empty: it does not."""

    @property
    def link(self) -> str:
        """Return what `walls` calls the link between its router and its access network."""
        return HOME if self.number == 1 else f"{HOME}{self.number}"

    @property
    def router(self) -> str:
        """Return the name of its router's namespace."""
        return f"router{self.number}"

    @property
    def four(self) -> str:
        """Return the first three numbers of its IPv4 network."""
        return f"192.168.{self.number}"

    @property
    def six(self) -> str:
        """Return the first groups of its IPv6 network."""
        return f"2a04:d{self.number:02}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """Two ends: the `lower` one reaches everything through it, the `upper` one only what is below."""

    number: int
    upper: str
    lower: str
    below: tuple[str, ...]
    source: tuple[str, str]
    wall: str = ""

    @property
    def upper_end(self) -> str:
        return f"d-{self.lower}"[:15]


def build(homes: Iterable[Home], walls: Collection[str]) -> None:
    """Make every network, the homes and the links between them. A wall's namespace is called `wall-LINK`."""
    homes = tuple(homes)
    lower = {network.name: network for network in NETWORKS}
    links = list(_links(homes, walls))
    nodes = [*lower, *(home.router for home in homes), *(home.node for home in homes if home.node)]
    for name in [*nodes, *(link.wall for link in links if link.wall)]:
        namespaces.node(name)
    batches: dict[str, list[str]] = {}
    for link in links:
        _join(link, batches)
    for network in NETWORKS:
        batches.setdefault(network.name, []).extend(_own(network))
    for home in homes:
        _join_home(home, batches)
    for stage in (
        "link add",
        "addr add",
        "link set",
        "route add",
    ):  # each needs those before it, on both ends
        for node, lines in batches.items():
            _run(node, [line for line in lines if line.startswith(stage)])
    for name in (*lower, *(home.router for home in homes)):
        with namespaces.inside(name):
            namespaces.sysctl("net.ipv4.ip_forward", 1)
            namespaces.sysctl("net.ipv6.conf.all.forwarding", 1)
            namespaces.sysctl("net.ipv4.icmp_ratelimit", 0)
            namespaces.sysctl("net.ipv4.icmp_ratemask", 0)  # nor by what all namespaces of a machine share
            namespaces.sysctl("net.ipv6.icmp.ratelimit", 0)


def of_the_country(homes: Iterable[Home]) -> tuple[str, ...]:
    """Return the prefixes that the world takes for the country's: all behind its border, and those of its exit abroad."""
    return (*_below("border", tuple(homes)), *_below("exit", ()))


def _links(homes: tuple[Home, ...], walls: Collection[str]) -> Iterable[_Link]:
    number = itertools.count(1)
    for network in NETWORKS:
        if network.parent:
            yield _Link(
                number=next(number),
                upper=network.parent,
                lower=network.name,
                below=tuple(_below(network.name, homes)),
                source=(network.address(1), network.address(1, 6)),
                wall=f"wall-{network.name}" if network.name in walls else "",
            )
    for home in homes:
        yield _Link(
            number=next(number),
            upper=home.access,
            lower=home.router,
            below=_home_prefixes(home),
            source=(f"{home.four}.1", f"{home.six}::1"),
            wall=f"wall-{home.link}" if home.link in walls else "",
        )


def _below(name: str, homes: tuple[Home, ...]) -> Iterable[str]:
    for network in NETWORKS:
        if network.name == name:
            yield from (network.prefix4, network.prefix6)
        if network.parent == name:
            yield from _below(network.name, homes)
    for home in homes:
        if home.access == name:
            yield from _home_prefixes(home)


def _home_prefixes(home: Home) -> tuple[str, ...]:
    outer = (f"{home.outer}/32",) if home.outer else ()
    return (f"{home.four}.0/24", f"{home.six}::/64", *outer)


def _join(link: _Link, batches: dict[str, list[str]]) -> None:
    """Add a link's lines: the pair, its addresses, the routes at both ends."""
    high, low = f"10.0.{link.number}.0", f"10.0.{link.number}.1"
    high6, low6 = f"fd00:{link.number}::", f"fd00:{link.number}::1"
    upper, lower = batches.setdefault(link.upper, []), batches.setdefault(link.lower, [])
    if link.wall:
        wall = batches.setdefault(link.wall, [])
        upper.append(f"link add {link.upper_end} type veth peer name outside netns {link.wall}")
        lower.append(f"link add uplink type veth peer name inside netns {link.wall}")
        wall += ["link set inside up", "link set outside up"]
    else:
        upper.append(f"link add {link.upper_end} type veth peer name uplink netns {link.lower}")
    upper += [
        f"addr add {high}/31 dev {link.upper_end}",
        f"addr add {high6}/127 dev {link.upper_end} nodad",
        f"link set {link.upper_end} up",
    ]
    upper += [
        f"route add {prefix} via {low6 if ':' in prefix else low} dev {link.upper_end}"
        for prefix in link.below
    ]
    four, six = link.source
    lower += [
        f"addr add {low}/31 dev uplink",
        f"addr add {low6}/127 dev uplink nodad",
        "link set uplink up",
        f"route add default via {high} src {four}",
        f"route add default via {high6} src {six}",
    ]


def _own(network: Network) -> Iterable[str]:
    yield f"addr add {network.address(1)}/32 dev lo"
    yield f"addr add {network.address(1, 6)}/128 dev lo nodad"


def _join_home(home: Home, batches: dict[str, list[str]]) -> None:
    router, device = batches.setdefault(home.router, []), batches.setdefault(home.node, [])
    where = f" netns {home.node}" if home.node else ""
    device_end = "eth0"
    if home.node:
        router.append(f"link add lan type veth peer name {device_end}{where}")
    else:
        device.append(f"link add {device_end} type veth peer name lan netns {home.router}")
    # Every router has both families towards its provider; what it does not announce, the home does not have.
    router += [
        f"addr add {home.four}.1/24 dev lan",
        f"addr add {home.six}::1/64 dev lan nodad",
        "link set lan up",
    ]
    if 4 in home.families:
        device.append(f"addr add {home.four}.2/24 dev {device_end}")
    if 6 in home.families:
        device.append(f"addr add {home.six}::2/64 dev {device_end} nodad")
    device.append(f"link set {device_end} up")
    if 4 in home.families:
        device.append(f"route add default via {home.four}.1")
    if 6 in home.families:
        device.append(f"route add default via {home.six}::1")


def _run(node: str, lines: Collection[str]) -> None:
    """Let one `ip` do many lines: a process for each would take seconds."""
    if not lines:
        return
    words = [program("ip"), *(["-netns", node] if node else []), "-batch", "-"]
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{node or 'the device'}: {done.stderr.strip()}\n{text}")
