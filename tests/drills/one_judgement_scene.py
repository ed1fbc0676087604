"""Stories of a device's rounds, drawn from a seed, and what a measurement of each target would have written.

A story is one boot: up to five rounds with gaps of 1 s to 3 h between them, failures on every rung, and looks of a
vantage outside before, after and on both sides of them, or none. Nothing here asks a rule.
"""

import datetime as dt
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from firmware.judgement.site.evidence import MOST_LOOKS, Looked, SiteView, VantageSource
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.plan import Cadence, Network, Plan, PlannedTarget
from firmware.model.record import Outcome, Phase, Rung, Stamp, Zone

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
WINDOW_S: Final = 24 * 3600.0
"""A look further off than this is none."""
MISSED_NS: Final = 3 * 600 * NS
"""Looks further apart do not go on from each other."""
BEGAN_NS: Final = 1_795_000_000 * NS
FALSE_ADDRESS: Final = "130.192.182.17"


def _far(rung: Rung, zone: Zone, number: int, *, asn: int, test: str, target: str) -> PlannedTarget:
    name = f"{rung}-{number}"
    network = Network(asn=asn + number, name=f"{name} networks")
    return PlannedTarget(name=name, rung=rung, zone=zone, test=test, target=target, network=network)


def _near(rung: Rung, test: str, target: str) -> PlannedTarget:
    return PlannedTarget(name=str(rung), rung=rung, zone=Zone.LOCAL, test=test, target=target)


PLAN: Final = Plan(
    file="drawn",
    country="zz",
    name="A drawn country",
    revised=dt.date(2026, 11, 1),
    cadence=Cadence(calm_s=300, transition_s=60, budget_bytes_per_day=10_000_000),
    targets=(
        _near(Rung.LINK, "link", "@default"),
        _near(Rung.ADDRESS, "address", "@default"),
        _near(Rung.GATEWAY, "ping", "@gateway"),
        _near(Rung.RESOLVER, "dns", "anchor.example"),
        *(
            _far(Rung.DOMESTIC, Zone.DOMESTIC, n, asn=64_496, test="tls", target=f"home-{n}.example:443")
            for n in range(3)
        ),
        *(
            _far(Rung.INTERNATIONAL, Zone.INTERNATIONAL, n, asn=64_500, test="tls", target=f"8.8.{n}.8:443")
            for n in range(3)
        ),
        _far(Rung.INTERNATIONAL, Zone.INTERNATIONAL, 3, asn=64_500, test="tls", target="far-3.example:443"),
        *(
            _far(
                Rung.PLATFORMS,
                Zone.INTERNATIONAL,
                n,
                asn=64_506,
                test="web_connectivity",
                target=f"{'http' if n == 3 else 'https'}://www.site-{n}.example/",
            )
            for n in range(4)
        ),
    ),
)
PLATFORMS: Final = tuple(target for target in PLAN.targets if target.rung is Rung.PLATFORMS)


class Fate(StrEnum):
    """What becomes of one measurement."""

    WELL = "well"
    NO_NAME = "no-name"
    NO_ANSWER = "no-answer"
    """To the question for its name."""
    SILENT = "silent"
    SLOW = "slow"
    """It connects after 9 s and is out for longer than a round."""
    LATE = "late"
    """Its connection and its answer come after silence has been called."""
    REFUSED = "refused"
    RESET = "reset"
    """In the handshake."""
    STOPPED = "stopped"
    """In the handshake, where an innocuous name passes."""
    FALSE = "false"
    """Its name leads to a stranger."""
    EXPIRED = "expired"
    CUT_OFF = "cut-off"
    """After the request."""
    OTHER = "other"
    """Another page comes."""
    ODD = "odd"
    """It fails in no way that has a word."""
    MISSED = "missed"


_FAILS: Final[dict[Fate, tuple[str, str]]] = {
    Fate.NO_NAME: (Failure.DNS_NXDOMAIN, "resolve"),
    Fate.NO_ANSWER: (Failure.TIMEOUT, "resolve"),
    Fate.SILENT: (Failure.TIMEOUT, "connect"),
    Fate.REFUSED: (Failure.CONNECTION_REFUSED, "connect"),
    Fate.RESET: (Failure.CONNECTION_RESET, "tls_handshake"),
    Fate.STOPPED: (Failure.CONNECTION_RESET, "tls_handshake"),
    Fate.FALSE: (Failure.SSL_UNKNOWN_AUTHORITY, "tls_handshake"),
    Fate.EXPIRED: (Failure.SSL_INVALID_CERTIFICATE, "tls_handshake"),
    Fate.CUT_OFF: (Failure.CONNECTION_RESET, "http_round_trip"),
    Fate.ODD: ("unknown_failure: odd", "connect"),
    Fate.MISSED: (Failure.MISSED_SLOT, "start"),
}
_FAR_FATES: Final = (
    Fate.SILENT,
    Fate.SLOW,
    Fate.LATE,
    Fate.REFUSED,
    Fate.RESET,
    Fate.NO_NAME,
    Fate.ODD,
    Fate.MISSED,
)
_PAGE_FATES: Final = tuple(Fate)


class Sight(StrEnum):
    """What a vantage outside finds of a page."""

    UP = "up"
    DOWN = "down"
    NAMELESS = "nameless"
    CUT_OFF_ITSELF = "cut-off-itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look of the vantage at one platform."""

    utc_ns: int
    sight: Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRound:
    """A round that begins `gap_ns` after the one before it ended, and what becomes of each target in it."""

    gap_ns: int
    fates: dict[str, Fate]
    uplink: str = "ethernet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One boot, that began at `booted_utc_ns`. `offsets` are looks by platform, as of the last round's end."""

    seed: int
    boot_id: str
    booted_utc_ns: int
    rounds: tuple[DrawnRound, ...]
    offsets: dict[str, tuple[tuple[int, Sight], ...]] = field(default_factory=dict)
    restarted_after: int | None = None
    """After which round the device's program starts anew in the same boot."""


def story(seed: int, number: int) -> Story:
    """Return the story that a seed draws; `number` says when it is, far from all others."""
    chance = random.Random(f"{seed}/{number}")
    pages = {one.name: _page_fate(chance) for one in PLATFORMS}
    rounds = []
    for _ in range(chance.randint(1, 5)):
        rounds.append(
            DrawnRound(
                gap_ns=log_uniform(chance, 1, 3 * 3600),
                fates=_fates(chance, pages),
                uplink="tunnel" if chance.random() < 0.03 else "ethernet",
            )
        )
        pages = {name: fate if chance.random() < 0.8 else _page_fate(chance) for name, fate in pages.items()}
    return Story(
        seed=seed,
        boot_id=f"{chance.getrandbits(32):08x}-6f52-4b2f-9a3e-0d0a1c1d2e3f",
        booted_utc_ns=BEGAN_NS + number * 8 * DAY_NS,
        rounds=tuple(rounds),
        offsets={one.name: _offsets(chance) for one in PLATFORMS},
        restarted_after=chance.randrange(len(rounds)) if chance.random() < 0.3 else None,
    )


def log_uniform(chance: random.Random, low_s: float, high_s: float) -> int:
    """Return a time in ns, short ones as likely as long ones."""
    return round(math.exp(chance.uniform(math.log(low_s), math.log(high_s))) * NS)


def _page_fate(chance: random.Random) -> Fate:
    return chance.choice(_PAGE_FATES) if chance.random() < 0.75 else Fate.WELL


def _fates(chance: random.Random, pages: dict[str, Fate]) -> dict[str, Fate]:
    """Return what becomes of each target: of platforms what `pages` says, but where all of abroad is late."""
    if chance.random() < 0.15:
        abroad = {one.name: Fate.LATE for one in PLAN.targets if one.zone is Zone.INTERNATIONAL}
        some_slow = chance.random() < 0.3
        others = {one.name: Fate.WELL for one in PLAN.targets if one.zone is not Zone.INTERNATIONAL}
        return {
            name: Fate.SLOW if some_slow and chance.random() < 0.2 else Fate.LATE for name in abroad
        } | others
    return _weather(chance) | pages


def _weather(chance: random.Random) -> dict[str, Fate]:
    """Return what becomes of all but the platforms: mostly well, or one rung or another fails, in part or whole."""
    bad: dict[Rung, float] = {}
    match chance.choice(["well", "well", "well", "one", "cut", "dark", "names", "ragged"]):
        case "one":
            bad = {chance.choice(list(Rung)): chance.choice([0.5, 1.0])}
        case "cut":
            bad = {Rung.INTERNATIONAL: 1.0}
        case "dark":
            bad = {Rung.DOMESTIC: 1.0, Rung.INTERNATIONAL: 1.0, Rung.RESOLVER: chance.choice([0.0, 1.0])}
        case "names":
            bad = {Rung.RESOLVER: 1.0, Rung.DOMESTIC: 1.0}
        case "ragged":
            bad = dict.fromkeys(Rung, 0.3)
    same = chance.choice(_FAR_FATES) if chance.random() < 0.7 else None
    return {
        one.name: same or chance.choice(_FAR_FATES) if chance.random() < bad.get(one.rung, 0.0) else Fate.WELL
        for one in PLAN.targets
    }


def _offsets(chance: random.Random) -> tuple[tuple[int, Sight], ...]:
    """Return when the vantage looks at a page, before, after, on both sides, all along, or never; and what it finds."""
    far_s = 30 * 3600
    sight = chance.choices(list(Sight), [6, 3, 1, 1])[0]
    before, after = -log_uniform(chance, 1, far_s), log_uniform(chance, 1, far_s)
    match chance.choice(["absent", "before", "after", "around", "changed", "often"]):
        case "before":
            return ((before, sight),)
        case "after":
            return ((after, sight),)
        case "around":
            return ((before, sight), (after, sight))
        case "changed":
            return ((before, sight), (after, chance.choice(list(Sight))))
        case "often":
            first, last = (chance.randint(-6 * 3600, -1), chance.randint(1, 2 * 3600))
            return tuple((at_s * NS + 7, sight) for at_s in range(first, last, 600))
        case _:
            return ()


def view_of(sight: Sight, target: PlannedTarget) -> SiteView:
    """Return what a vantage that finds `sight` saw of a platform."""
    address, source = address_of(target), VantageSource.COLLECTOR
    match sight:
        case Sight.CUT_OFF_ITSELF:
            return SiteView(source=source, reachable=False, saw_dns=False, saw_http=False)
        case Sight.NAMELESS:
            gone = Failure.DNS_NXDOMAIN
            return SiteView(source=source, dns_failure=gone, http_failure=gone)
        case Sight.DOWN:
            refused = Failure.CONNECTION_REFUSED
            return SiteView(
                source=source,
                addresses=(address,),
                connects={f"{address}:443": refused, f"{address}:80": refused},
                http_failure=refused,
            )
        case Sight.UP:
            return SiteView(
                source=source,
                addresses=(address,),
                connects={f"{address}:443": None, f"{address}:80": None},
                handshakes={f"{address}:443": None},
                status=200,
                headers=(("X-Site", "1"),),
                body_length=9000,
                title="A site of its own",
            )


def failure_of(sight: Sight) -> str | None:
    """Return the failure that the vantage's own record has."""
    return {
        Sight.DOWN: Failure.CONNECTION_REFUSED,
        Sight.NAMELESS: Failure.DNS_NXDOMAIN,
    }.get(sight)


def view_at(looks: Sequence[Look], utc_ns: int, target: PlannedTarget) -> SiteView | None:
    """Return what `looks` make of a moment: what they found, how far off, on which side; None where none stands for it."""
    near = [one for one in looks if abs(one.utc_ns - utc_ns) <= WINDOW_S * NS]
    before = max((one for one in near if one.utc_ns <= utc_ns), key=lambda one: one.utc_ns, default=None)
    after = min((one for one in near if one.utc_ns >= utc_ns), key=lambda one: one.utc_ns, default=None)
    closest = min(
        (one for one in (before, after) if one is not None),
        key=lambda one: abs(one.utc_ns - utc_ns),
        default=None,
    )
    if closest is None:
        return None
    age_s = abs(closest.utc_ns - utc_ns) / NS
    if before is None:
        return replace(view_of(closest.sight, target), age_s=age_s, looked=Looked.AFTER)
    if after is not None and before.sight is not after.sight:
        return replace(view_of(closest.sight, target), age_s=age_s, looked=Looked.CHANGED)
    first, earlier = before, []
    for one in sorted((one for one in looks if one.utc_ns < before.utc_ns), key=lambda one: -one.utc_ns):
        if one.sight is not first.sight or first.utc_ns - one.utc_ns > MISSED_NS:
            break
        first = one
        earlier.append((before.utc_ns - one.utc_ns) / NS)
    return replace(
        view_of(before.sight, target),
        age_s=age_s,
        looked=Looked.BEFORE if after is None else Looked.AROUND,
        before_s=(utc_ns - before.utc_ns) / NS,
        earlier_s=tuple(earlier[:MOST_LOOKS]),
    )


def address_of(target: PlannedTarget) -> str:
    """Return the true address of a platform."""
    return f"93.184.{PLAN.targets.index(target)}.34"


def took_ns(fate: Fate) -> int:
    """Return how long a measurement with this fate takes."""
    if fate in (Fate.SILENT, Fate.NO_ANSWER):
        return 20 * NS
    return {Fate.SLOW: 35 * NS, Fate.LATE: 20 * NS}.get(fate, NS // 5)


def connects_ns(fate: Fate) -> int | None:
    """Return how long after its beginning the worker says that a measurement with this fate has connected, if it does."""
    return {Fate.SLOW: 9 * NS, Fate.LATE: 14 * NS}.get(fate)


def outcome_of(target: PlannedTarget, fate: Fate) -> Outcome:
    """Return what a measurement of `target` writes of its fate."""
    failure, operation = _FAILS.get(fate, (None, None))
    detail: JsonObject = {}
    if target.test == "web_connectivity":
        detail = _page(target, fate, failure)
        if target.target.startswith("http:") and operation == "tls_handshake":
            operation = "http_round_trip"
    elif target.test == "address":
        detail = {"ipv4": {"default_route": True, "gateway": True}}
    elif target.test == "dns":
        operation = operation and ("resolve" if fate is not Fate.MISSED else operation)
    return Outcome(
        failure=failure,
        failed_operation=operation,
        phases={} if failure else _phases(fate),
        detail=detail,
    )


def _phases(fate: Fate) -> dict[str, Phase]:
    after_ns = connects_ns(fate)
    if after_ns is None:
        return {"connect": Phase(ns=30_000_000, stamp=Stamp.TCP_INFO)}
    flight = Phase(ns=6 * NS, stamp=Stamp.USER)
    return {"connect": Phase(ns=after_ns, stamp=Stamp.USER), "tls_first_flight": flight}


def _page(target: PlannedTarget, fate: Fate, failure: str | None) -> JsonObject:
    """Return the detail of a page's measurement, with the steps that its fate lets it come to."""
    if fate is Fate.MISSED:
        return {}
    scheme, _, rest = target.target.partition("://")
    host, port = rest.strip("/"), 80 if scheme == "http" else 443
    address = FALSE_ADDRESS if fate is Fate.FALSE else address_of(target)
    unresolved = failure if fate in (Fate.NO_NAME, Fate.NO_ANSWER) else None
    answer: list[JsonValue] = [{"transport": "udp", "answers": [{"type": "A", "value": address, "ttl": 60}]}]
    detail: JsonObject = {
        "queries": [
            {
                "resolver": "@isp",
                "engine": "udp",
                "query_name": host,
                "query_type": "A",
                "failure": unresolved,
                "answers": [] if unresolved else answer,
            }
        ]
    }
    if unresolved:
        return detail
    unconnected = failure if fate in (Fate.SILENT, Fate.REFUSED, Fate.ODD) else None
    detail["tcp_connect"] = [{"address": address, "port": port, "failure": unconnected}]
    if unconnected:
        return detail
    in_handshake = fate in (Fate.RESET, Fate.STOPPED, Fate.FALSE, Fate.EXPIRED)
    if port == 443:
        shaken: JsonObject = {"address": address, "port": port, "server_name": host}
        shaken["failure"] = failure if in_handshake else None
        control: JsonObject = {"address": address, "port": port, "server_name": "example.com"}
        control |= {"is_control": True, "failure": None if fate is Fate.STOPPED else failure}
        detail["tls_handshakes"] = [shaken, control] if in_handshake else [shaken]
        if in_handshake:
            return detail
    request: JsonObject = {"url": target.target, "address": address, "failure": failure}
    if failure is None:
        own = fate is Fate.WELL
        request |= {
            "status": 200 if own else 403,
            "headers": [["X-Site" if own else "X-Other", "1"]],
            "body_length": 9000 if own else 150,
            "title": "A site of its own" if own else "Forbidden",
        }
    detail["requests"] = [request]
    return detail
