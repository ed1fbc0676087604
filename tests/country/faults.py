"""From a truth to what packets suffer of it: each thing that is wrong as rules on the way. Pure.

This file must never know what may be said of it: that is the oracle's, from the same truth.
"""

from collections.abc import Iterator
from typing import Final

from tests.country.hosts import Hosts
from tests.country.rules import Act, Kind, Place, Rule
from tests.country.truth import How, Ill, Truth, Wrong

LATE_RESET_S: Final = 12.2
_HOLE_BYTES: Final = 1_300
_OF_TCP: Final = frozenset({Kind.SYN})
_HELLO: Final = frozenset({Kind.HELLO})
_POSED: Final = frozenset({Kind.SYN, Kind.HELLO, Kind.REQUEST, Kind.DATAGRAM})


def rules_of(truth: Truth, hosts: Hosts) -> tuple[Rule, ...]:
    """Return what stands on the ways of the country's packets."""
    return tuple(rule for wrong in truth.wrongs for rule in _rules(wrong, hosts))


def _rules(wrong: Wrong, hosts: Hosts) -> Iterator[Rule]:
    span = {"since_s": wrong.since_s, "until_s": wrong.until_s}
    homes = wrong.homes
    names = wrong.hosts
    match wrong.ill:
        case Ill.LINK_DOWN:
            yield Rule(place=Place.HOME, act=Act.DROP, homes=homes, **span)
        case Ill.ROUTER_DEAD:
            yield Rule(place=Place.HOME, act=Act.DROP, homes=homes, **span)
        case Ill.SIGN_IN:
            yield Rule(place=Place.HOME, act=Act.PORTAL, homes=homes, kinds=_POSED, **span)
        case Ill.LINE_WORSE:
            slow = {"extra_ms": wrong.extra_ms, "extra_loss": wrong.share}
            yield Rule(place=Place.PROVIDER, act=Act.SLOW, homes=homes, **slow, **span)
        case Ill.MTU_HOLE:
            yield Rule(place=Place.PROVIDER, act=Act.DROP, homes=homes, up=False, larger_than=_HOLE_BYTES, **span)
        case Ill.PROVIDER_DARK | Ill.SHUTDOWN:
            yield Rule(place=Place.PROVIDER, act=Act.DROP, homes=homes, **span)
        case Ill.RESOLVER_DEAD:
            yield Rule(place=Place.RESOLVER, act=Act.DROP, homes=homes, **span)
        case Ill.RESOLVER_LIES:
            yield Rule(place=Place.RESOLVER, act=Act.FORGE, homes=homes, **span)
        case Ill.SERVER_DOWN | Ill.ANCHOR_DOWN:
            yield Rule(place=Place.SERVER, act=_act(wrong), hosts=names, late_s=_late_s(wrong), **span)
        case Ill.SERVER_RESETS_NAME:
            yield Rule(place=Place.SERVER, act=Act.RESET, hosts=names, names=names, kinds=_HELLO, **span)
        case Ill.SERVER_REFUSES_COUNTRY:
            yield Rule(place=Place.SERVER, act=Act.DROP, hosts=names, homes=homes, **span)
        case Ill.COLLECTOR_DOWN:
            yield Rule(place=Place.VANTAGE, act=Act.DROP, **span)
        case Ill.CABLE | Ill.CUT:
            yield _stopped(wrong, homes)
        case Ill.ALLOW_LIST:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, spared=names, **span)
        case Ill.FAMILY_CUT:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, family=4, **span)
        case Ill.TLS_FILTERED:
            yield Rule(place=Place.BORDER, act=Act.DROP, homes=homes, abroad=True, kinds=_HELLO, **span)
        case Ill.BLOCKED_DNS:
            yield Rule(place=Place.RESOLVER, act=Act.FORGE, homes=homes, names=names, **span)
            queries = frozenset({Kind.QUERY})
            yield Rule(place=Place.BORDER, act=Act.FORGE, homes=homes, names=names, kinds=queries, **span)
        case Ill.BLOCKED_TCP:
            yield Rule(
                place=Place.BORDER, act=_act(wrong), homes=homes, hosts=names, kinds=_OF_TCP,
                late_s=_late_s(wrong), **span,
            )  # fmt: skip
        case Ill.BLOCKED_TLS:
            yield Rule(
                place=Place.BORDER, act=_act(wrong), homes=homes, names=names, kinds=_HELLO,
                share=wrong.share, by_flow=True, late_s=_late_s(wrong), **span,
            )  # fmt: skip
        case Ill.POWER_CUT:
            pass  # its devices are off: nothing of theirs is on the way


def _stopped(wrong: Wrong, homes: frozenset[int]) -> Rule:
    """Return the rule that stops all that goes abroad, or a share of its packets."""
    return Rule(
        place=Place.BORDER,
        act=_act(wrong),
        homes=homes,
        abroad=True,
        since_s=wrong.since_s,
        until_s=wrong.until_s,
        share=wrong.share,
        late_s=_late_s(wrong),
    )


def _act(wrong: Wrong) -> Act:
    return Act.DROP if wrong.how is How.DROP else Act.RESET


def _late_s(wrong: Wrong) -> float:
    return LATE_RESET_S if wrong.how is How.LATE_RESET else 0.0


