"""What may change in the made country, by its word in a scenario: one literal map, a function each.

A change acts on the country and the namespaces it is given, and on nothing else. What has to be undone at the end
goes onto the scene's stack.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tests import namespaces
from tests.nation import interceptors
from tests.nation.atlas import BY_NAME, site_of
from tests.nation.country import Country
from tests.nation.resolver import Lie
from tests.nation.tunnel import tunnel
from tests.nation.wiring import Home

Given: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a change may touch: the country, its homes (the first is the device's), and a stack for the end."""

    country: Country
    homes: tuple[Home, ...]
    stack: ExitStack


def _site(scene: Scene, given: Given) -> None:
    scene.country.become(given["name"], given["fault"], given.get("location", ""))


def _lie(scene: Scene, given: Given) -> None:
    resolver = scene.country.resolvers[given["at"]]
    lie = Lie(
        name=given["name"],
        rcode=given.get("rcode", "NOERROR"),
        addresses=tuple(given.get("addresses", ())),
        silent=given.get("silent", False),
    )
    resolver.lies = (*resolver.lies, lie)


def _forget(scene: Scene, given: Given) -> None:
    scene.country.resolvers[given["at"]].forget()


def _hiccups(scene: Scene, given: Given) -> None:
    scene.country.resolvers[given["at"]].dropped = given["share"]


def _unplug(scene: Scene, given: Given) -> None:
    namespaces.ip("link set lan down", node="router1")


def _plug_in(scene: Scene, given: Given) -> None:
    namespaces.ip("link set lan up", node="router1")


def _no_address(scene: Scene, given: Given) -> None:
    namespaces.ip("addr flush dev eth0")


def _router_dead(scene: Scene, given: Given) -> None:
    # Something still holds the cable's carrier up, as a switch does.
    namespaces.ip("addr flush dev lan", node="router1")


def _no_forwarding(scene: Scene, given: Given) -> None:
    with namespaces.inside(given["at"]):
        namespaces.sysctl("net.ipv4.ip_forward", 0)
        namespaces.sysctl("net.ipv6.conf.all.forwarding", 0)


def _six_broken(scene: Scene, given: Given) -> None:
    # The router goes on announcing IPv6, and nothing of it gets anywhere.
    namespaces.ip(f"-6 rule add pref 90 iif d-{scene.homes[0].router} blackhole", node=scene.homes[0].access)


def _portal(scene: Scene, given: Given) -> None:
    scene.stack.enter_context(interceptors.sign_in("router1", "lan"))


def _proxy(scene: Scene, given: Given) -> None:
    at = given["at"]
    if "name" in given:
        own, true = BY_NAME[at].address(80), site_of(given["name"]).addresses[0]
        scene.stack.enter_context(interceptors.proxy_at(at, own, true))
    else:
        links = [f"d-{home.router}" for home in scene.homes if home.access == at]
        scene.stack.enter_context(interceptors.proxy(at, links))


def _nat64(scene: Scene, given: Given) -> None:
    scene.stack.enter_context(interceptors.nat64(given["at"]))


def _vpn(scene: Scene, given: Given) -> None:
    exit_address = BY_NAME["world"].address(1)
    scene.stack.enter_context(tunnel("world", exit_address, via=f"{scene.homes[0].four}.1"))


def _vantage_gone(scene: Scene, given: Given) -> None:
    # The collector still takes in what devices send: only what it asks itself gets nowhere.
    for rule in ("ipproto udp dport 53", "ipproto tcp dport 443", "ipproto tcp dport 80"):
        for family in ("", "-6 "):
            namespaces.ip(f"{family}rule add pref 50 {rule} blackhole", node="centre")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of change: the keys it takes, and what does it."""

    keys: frozenset[str]
    do: Callable[[Scene, Given], None]


CHANGES: Final[Mapping[str, Kind]] = {
    "site": Kind(keys=frozenset({"name", "fault", "location"}), do=_site),
    "lie": Kind(keys=frozenset({"at", "name", "rcode", "addresses", "silent"}), do=_lie),
    "forget": Kind(keys=frozenset({"at"}), do=_forget),
    "hiccups": Kind(keys=frozenset({"at", "share"}), do=_hiccups),
    "unplug": Kind(keys=frozenset(), do=_unplug),
    "plug_in": Kind(keys=frozenset(), do=_plug_in),
    "no_address": Kind(keys=frozenset(), do=_no_address),
    "router_dead": Kind(keys=frozenset(), do=_router_dead),
    "no_forwarding": Kind(keys=frozenset({"at"}), do=_no_forwarding),
    "six_broken": Kind(keys=frozenset(), do=_six_broken),
    "portal": Kind(keys=frozenset(), do=_portal),
    "proxy": Kind(keys=frozenset({"at", "name"}), do=_proxy),
    "nat64": Kind(keys=frozenset({"at"}), do=_nat64),
    "vantage_gone": Kind(keys=frozenset(), do=_vantage_gone),
    "vpn": Kind(keys=frozenset(), do=_vpn),
}
"""All kinds, by their word."""
