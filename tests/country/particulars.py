"""What a verdict on a country says beside its word: since when it holds, and of whom it is. Whether that is so, by the truth.

A time that is told with its error must hold the moment at which something began, or ended; a group that is named must have
lost who is in it. From the truth alone. This file must never read what a verdict rests on.
"""

from typing import Final

from firmware.model.verdict_words import VerdictWord as Word
from firmware.plans.load import load
from tests.country.hosts import Hosts
from tests.country.oracle import ACCUSING, LAG_S, STOPS, lost_homes
from tests.country.truth import Ill, Truth, Wrong

CLOCK_S: Final = 2.0
"""What a device's clock may be off when it says that it is right, and what a round's first packets take."""
_SILENCES: Final = frozenset(
    {*STOPS, Ill.POWER_CUT, Ill.COLLECTOR_DOWN, Ill.LINK_DOWN, Ill.ROUTER_DEAD, Ill.SIGN_IN}
)
"""What a device may fall silent of, or lose abroad by."""
_BLOCKED: Final = frozenset({Ill.BLOCKED_DNS, Ill.BLOCKED_TCP, Ill.BLOCKED_TLS})
_OF_GROUPS: Final = frozenset({"one-network-lost", "one-region-lost", "groups-lost-together"})
_OF_PLATFORMS: Final = "platform-blocked-everywhere"


def is_time_so(truth: Truth, word: str, at_s: float, *, since_s: float, error_s: float | None) -> bool:
    """Return whether something began (for `ok`: ended) when a verdict of `at_s` says it did; so it is without an error."""
    if error_s is None:
        return True
    if word == Word.OK:
        moments = [one.until_s for one in truth.wrongs if one.ill in _SILENCES]
    elif word in ACCUSING:
        moments = [one.since_s for one in truth.on(max(0.0, at_s - LAG_S), at_s) if one.ill in _SILENCES]
    else:
        return True
    return any(abs(moment_s - since_s) <= error_s + CLOCK_S for moment_s in moments)


def are_named_so(truth: Truth, rule_id: str, where: str, at_s: float) -> bool:
    """Return whether of each group that a verdict names most homes were lost, or each platform blocked, of late."""
    names = [one for one in where.split(", ") if one]
    late = truth.on(max(0.0, at_s - LAG_S), at_s + 0.001)
    if rule_id in _OF_GROUPS:
        return all(_is_lost(truth, late, name) for name in names)
    if rule_id == _OF_PLATFORMS:
        host_of = Hosts(load(truth.plan)).of_target
        hosts = {host for one in late if one.ill in _BLOCKED for host in one.hosts}
        return all(host_of.get(name, name) in hosts for name in names)
    return True


def _is_lost(truth: Truth, wrongs: tuple[Wrong, ...], name: str) -> bool:
    members = {one.number for one in truth.homes if name in (one.provider.name, one.province)}
    dark = {home for one in wrongs if one.ill in _SILENCES for home in one.homes}
    lost = members & (lost_homes(truth, wrongs) | dark)
    return bool(members) and 2 * len(lost) >= len(members)
