"""From a truth to what packets suffer of it: each thing that is wrong as rules on the way. Pure.

This file must never know what may be said of it: that is the oracle's, from the same truth.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.country.passages import SECOND
from tests.country.queues import Cross
from tests.country.rules import Act, Kind, Place, Rule
from tests.country.truth import Direction, How, Ill, Truth, Wrong

LATE_RESET_S: Final = 12.2
_HOLE_BYTES: Final = 1_300
_OTHER_PORTS: Final = frozenset(range(1 << 16)) - {53, 80, 443}
_SYN: Final = frozenset({Kind.SYN})
_QUERY: Final = frozenset({Kind.QUERY})
_HELLO: Final = frozenset({Kind.HELLO})
_POSED: Final = frozenset({Kind.SYN, Kind.HELLO, Kind.REQUEST, Kind.DATAGRAM})


def rules_of(truth: Truth) -> tuple[Rule, ...]:
    """Return what stands on the ways of the country's packets."""
    return tuple(
        replace(rule, since_s=wrong.since_s, until_s=wrong.until_s)
        for wrong in truth.wrongs
        for rule in _rules(wrong)
    )


def _rules(wrong: Wrong) -> Iterator[Rule]:  # noqa: C901, PLR0912  # a case for each ill
    """Yield what one thing that is wrong does, at any time."""
    homes, hosts, act, late_s = wrong.homes, wrong.hosts, _act(wrong), _late_s(wrong)
    match wrong.ill:
        case Ill.LINK_DOWN | Ill.ROUTER_DEAD:
            yield Rule(place=Place.HOME, act=Act.DROP, homes=homes)
        case Ill.SIGN_IN:
            yield Rule(place=Place.HOME, act=Act.PORTAL, homes=homes, kinds=_POSED)
        case Ill.LINE_WORSE:
            yield Rule(
                place=Place.PROVIDER,
                act=Act.SLOW,
                homes=homes,
                extra_ms=wrong.extra_ms,
                extra_loss=wrong.share,
            )
        case Ill.MTU_HOLE:
            yield Rule(place=Place.PROVIDER, act=Act.DROP, homes=homes, up=False, larger_than=_HOLE_BYTES)
        case Ill.PROVIDER_DARK | Ill.SHUTDOWN:
            yield Rule(place=Place.PROVIDER, act=Act.DROP, homes=homes)
        case Ill.RESOLVER_DEAD:
            yield Rule(place=Place.RESOLVER, act=Act.DROP, homes=homes)
        case Ill.RESOLVER_LIES:
            yield Rule(place=Place.RESOLVER, act=Act.PARK, homes=homes)
        case Ill.SERVER_DOWN | Ill.ANCHOR_DOWN:
            yield Rule(place=Place.SERVER, act=act, hosts=hosts, late_s=late_s)
        case Ill.SERVER_RESETS_NAME:
            yield Rule(place=Place.SERVER, act=Act.RESET, hosts=hosts, names=hosts, kinds=_HELLO)
        case Ill.SERVER_REFUSES_COUNTRY:
            yield Rule(place=Place.SERVER, act=Act.DROP, hosts=hosts, homes=homes | {SECOND})
        case Ill.COLLECTOR_DOWN:
            yield Rule(place=Place.VANTAGE, act=Act.DROP)
        case Ill.CABLE | Ill.CUT:
            yield Rule(
                place=Place.BORDER,
                act=act,
                homes=homes,
                abroad=True,
                spared=hosts,
                share=wrong.share,
                late_s=late_s,
            )
        case Ill.ALLOW_LIST:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, spared=hosts)
        case Ill.FAMILY_CUT:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, family=4)
        case Ill.THREE_PORTS:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, ports=_OTHER_PORTS)
        case Ill.TLS_FILTERED:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, kinds=_HELLO)
        case Ill.BLOCKED_DNS:
            yield Rule(place=Place.RESOLVER, act=Act.FORGE, homes=homes, names=hosts)
            yield Rule(place=Place.BORDER, act=Act.FORGE, homes=homes, names=hosts, kinds=_QUERY)
        case Ill.BLOCKED_TCP:
            yield Rule(place=Place.BORDER, act=act, homes=homes, hosts=hosts, kinds=_SYN, late_s=late_s)
        case Ill.BLOCKED_TLS:
            yield Rule(
                place=Place.BORDER,
                act=act,
                homes=homes,
                names=hosts,
                kinds=_HELLO,
                share=wrong.share,
                by_flow=True,
                late_s=late_s,
            )
        case Ill.LINE_FULL:
            return  # it fills the line's own queues: `crosses_of`
        case Ill.POWER_CUT:
            return  # its devices are off: nothing of theirs is on the way


def crosses_of(truth: Truth, home: int) -> tuple[Cross, ...]:
    """Return when somebody in a home fills its line, each way in order of time; what overlaps is one."""
    found: list[Cross] = []
    for direction in Direction:
        spans = sorted(
            (one.since_s, one.until_s)
            for one in truth.wrongs
            if one.ill is Ill.LINE_FULL and one.direction is direction and home in one.homes
        )
        for since_s, until_s in spans:
            up, last = direction is Direction.UP, found[-1] if found else None
            if last is not None and last.up is up and since_s <= last.until_s:
                found[-1] = replace(last, until_s=max(last.until_s, until_s))
            else:
                found.append(Cross(since_s=since_s, until_s=until_s, up=up))
    return tuple(found)


def _act(wrong: Wrong) -> Act:
    return Act.DROP if wrong.how is How.DROP else Act.RESET


def _late_s(wrong: Wrong) -> float:
    return LATE_RESET_S if wrong.how is How.LATE_RESET else 0.0
