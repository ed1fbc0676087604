"""What may change in the made country, by its word in a scenario: one literal map, for each its keys, a function, and what undoes it.

A change acts on the country and the namespaces it is given, and on nothing else. What has to be undone at the end
goes onto the scene's stack.
"""

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from firmware.settings.load import setting
from tests import namespaces
from tests.nation import interceptors
from tests.nation.atlas import ACCESS, BY_NAME, SITES, site_of
from tests.nation.country import Country
from tests.nation.resolver import Lie
from tests.nation.sites import FAULTS
from tests.nation.tunnel import tunnel
from tests.nation.wiring import Home

_RESOLVERS: Final = (*ACCESS, "pubdns")
_NAMES: Final = tuple(name for site in SITES for name in site.names)
_FORWARDING: Final = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a change may touch: the country, its homes (the first is the device's), and a stack for the end."""

    country: Country
    homes: tuple[Home, ...]
    stack: ExitStack

    def links_of(self, access: str) -> list[str]:
        """Return the interfaces by which homes hang on an access network."""
        return [f"d-{home.router}" for home in self.homes if home.access == access]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Takes no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFault:
    """A site has a fault from now on."""

    name: str = setting("www.page.out", doc="One of the site's names.", choices=_NAMES)
    fault: str = setting("refused", doc="What is the matter with it; tests/nation/sites.py says of each what it is.", choices=tuple(FAULTS))  # fmt: skip
    location: str = setting(
        "", doc="Where the fault redirect sends everybody.", sample="http://www.other.out/"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LieTold:
    """A resolver lies from now on, before its cache."""

    at: str = setting("north", doc="Whose resolver.", choices=_RESOLVERS)
    name: str = setting("*", doc='The name that is lied about, "*" for every name.')
    rcode: str = setting(
        "NOERROR",
        doc="The answer's code.",
        choices=("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"),
    )
    addresses: tuple[str, ...] = setting((), doc="Addresses to answer with.", sample=("10.10.34.34",))
    silent: bool = setting(default=False, doc="Answer nothing at all.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfResolver:
    """A resolver loses its cache."""

    at: str = setting("north", doc="Whose resolver.", choices=_RESOLVERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiccups:
    """A resolver leaves queries unanswered, by lot."""

    at: str = setting("north", doc="Whose resolver.", choices=_RESOLVERS)
    share: float = setting(0.5, doc="The share of queries.", low=0, high=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfNode:
    """A router forwards nothing any more."""

    at: str = setting("router1", doc="Which: router1 is the first home's, or a network.", choices=("router1", *BY_NAME))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A transparent proxy takes its customers' connections; with `name` one that stands at an address of its own."""

    at: str = setting("north", doc="In which network.", choices=tuple(BY_NAME))
    name: str = setting("", doc="The site that it carries connections to.", choices=("", *_NAMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intercept:
    """A box takes its customers' TLS connections and shows a certificate of its own; what is asked gets a block page."""

    at: str = setting("north", doc="In which access network.", choices=ACCESS)
    names: tuple[str, ...] = setting(
        (), doc="The server names it wants; others are carried on untouched. Left out: all.", sample=("*.social.out",)
    )  # fmt: skip
    certificate: str = setting(
        "unknown_authority",
        doc="Its certificate: for the name asked for by an authority nobody trusts, or by the one that all trust "
        "(known) or expired; or for another name (wrong_name).",
        choices=("unknown_authority", "wrong_name", "expired", "known"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nat64:
    """A NAT64 stands in a network."""

    at: str = setting("north", doc="In which network.", choices=tuple(BY_NAME))


def _site(scene: Scene, given: SiteFault) -> None:
    scene.country.become(given.name, given.fault, given.location)


def _site_well(scene: Scene, given: SiteFault) -> None:
    scene.country.become(given.name, "")


def _lie_of(given: LieTold) -> Lie:
    return Lie(name=given.name, rcode=given.rcode, addresses=given.addresses, silent=given.silent)


def _lie(scene: Scene, given: LieTold) -> None:
    resolver = scene.country.resolvers[given.at]
    resolver.lies = (*resolver.lies, _lie_of(given))


def _lie_no_more(scene: Scene, given: LieTold) -> None:
    resolver = scene.country.resolvers[given.at]
    resolver.lies = tuple(one for one in resolver.lies if one != _lie_of(given))


def _forget(scene: Scene, given: OfResolver) -> None:
    scene.country.resolvers[given.at].forget()


def _hiccups(scene: Scene, given: Hiccups) -> None:
    scene.country.resolvers[given.at].dropped = given.share


def _no_hiccups(scene: Scene, given: Hiccups) -> None:
    scene.country.resolvers[given.at].dropped = 0.0


def _unplug(scene: Scene, given: Nothing) -> None:
    namespaces.ip("link set lan down", node="router1")


def _plug_in(scene: Scene, given: Nothing) -> None:
    namespaces.ip("link set lan up", node="router1")
    # Without carrier the kernel took the IPv6 address, which a real router would announce anew.
    namespaces.ip(f"addr replace {scene.homes[0].six}::1/64 dev lan nodad", node="router1")


def _no_address(scene: Scene, given: Nothing) -> None:
    namespaces.ip("addr flush dev eth0")


def _router_dead(scene: Scene, given: Nothing) -> None:
    # Something still holds the cable's carrier up, as a switch does.
    namespaces.ip("addr flush dev lan", node="router1")


def _router_alive(scene: Scene, given: Nothing) -> None:
    home = scene.homes[0]
    namespaces.ip(f"addr add {home.four}.1/24 dev lan", node="router1")
    namespaces.ip(f"addr add {home.six}::1/64 dev lan nodad", node="router1")
    # With its addresses the kernel took the routes that leave from them; the other end of the uplink is the number before.
    for family, source in (("-4", f"{home.four}.1"), ("-6", f"{home.six}::1")):
        shown = namespaces.ip(f"-o {family} addr show dev uplink scope global", node="router1")
        own = ipaddress.ip_interface(shown.split()[3])
        namespaces.ip(f"{family} route replace default via {own.ip - 1} src {source}", node="router1")


def _no_forwarding(scene: Scene, given: OfNode) -> None:
    _forward(given.at, 0)


def _forwarding(scene: Scene, given: OfNode) -> None:
    _forward(given.at, 1)


def _forward(node: str, value: int) -> None:
    with namespaces.inside(node):
        for variable in _FORWARDING:
            namespaces.sysctl(variable, value)


def _six_broken(scene: Scene, given: Nothing) -> None:
    # The router goes on announcing IPv6, and nothing of it gets anywhere.
    home = scene.homes[0]
    namespaces.ip(f"-6 rule add pref 90 iif d-{home.router} blackhole", node=home.access)


def _six_well(scene: Scene, given: Nothing) -> None:
    namespaces.ip("-6 rule del pref 90", node=scene.homes[0].access)


def _portal(scene: Scene, given: Nothing) -> None:
    scene.stack.enter_context(interceptors.sign_in("router1", "lan"))


def _no_portal(scene: Scene, given: Nothing) -> None:
    interceptors.let_by("router1")


def _proxy(scene: Scene, given: Proxy) -> None:
    if given.name:
        own, true = BY_NAME[given.at].address(80), site_of(given.name).addresses[0]
        scene.stack.enter_context(interceptors.proxy_at(given.at, own, true))
    else:
        scene.stack.enter_context(interceptors.proxy(given.at, scene.links_of(given.at)))


def _intercept(scene: Scene, given: Intercept) -> None:
    trust = scene.country.trust
    made = interceptors.intercept(
        given.at,
        scene.links_of(given.at),
        names=given.names,
        context=lambda name: trust.context(
            (name,), "" if given.certificate == "known" else given.certificate
        ),
    )
    scene.stack.enter_context(made)


def _no_box(scene: Scene, given: Proxy | Intercept) -> None:
    interceptors.let_by(given.at)


def _nat64(scene: Scene, given: Nat64) -> None:
    scene.stack.enter_context(interceptors.nat64(given.at))


def _vpn(scene: Scene, given: Nothing) -> None:
    exit_address = BY_NAME["world"].address(1)
    scene.stack.enter_context(tunnel("world", exit_address, via=f"{scene.homes[0].four}.1"))


_OWN_QUESTIONS: Final = ("ipproto udp dport 53", "ipproto tcp dport 443", "ipproto tcp dport 80")


def _vantage_gone(scene: Scene, given: Nothing) -> None:
    # The collector still takes in what devices send: only what it asks itself gets nowhere.
    _vantage("add")


def _vantage_back(scene: Scene, given: Nothing) -> None:
    _vantage("del")


def _vantage(do: str) -> None:
    for rule in _OWN_QUESTIONS:
        for family in ("", "-6 "):
            namespaces.ip(f"{family}rule {do} pref 50 {rule} blackhole", node="centre")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of change: the keys it takes, what does it, and what undoes it (None: nothing does)."""

    form: type
    do: Callable[[Scene, Any], None]
    undo: Callable[[Scene, Any], None] | None = None


CHANGES: Final[Mapping[str, Kind]] = {
    "site": Kind(form=SiteFault, do=_site, undo=_site_well),
    "lie": Kind(form=LieTold, do=_lie, undo=_lie_no_more),
    "forget": Kind(form=OfResolver, do=_forget),
    "hiccups": Kind(form=Hiccups, do=_hiccups, undo=_no_hiccups),
    "unplug": Kind(form=Nothing, do=_unplug, undo=_plug_in),
    "no_address": Kind(form=Nothing, do=_no_address),
    "router_dead": Kind(form=Nothing, do=_router_dead, undo=_router_alive),
    "no_forwarding": Kind(form=OfNode, do=_no_forwarding, undo=_forwarding),
    "six_broken": Kind(form=Nothing, do=_six_broken, undo=_six_well),
    "portal": Kind(form=Nothing, do=_portal, undo=_no_portal),
    "proxy": Kind(form=Proxy, do=_proxy, undo=_no_box),
    "intercept": Kind(form=Intercept, do=_intercept, undo=_no_box),
    "nat64": Kind(form=Nat64, do=_nat64),
    "vantage_gone": Kind(form=Nothing, do=_vantage_gone, undo=_vantage_back),
    "vpn": Kind(form=Nothing, do=_vpn),
}
"""All kinds, by their word."""
