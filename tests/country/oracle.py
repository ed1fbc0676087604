"""What may be said of a truth: which verdicts are right, which are honest, which accuse falsely, which comfort falsely.

From the truth alone, never from the rules: a word is right when it says what is so. A device's word is of its round, the
country's of the time up to it: what was so within `LAG_S` before it may still be said, and what began within it need not
be said yet. This file must never read what a verdict rests on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from firmware.model.plan import PlannedTarget, PlannedTask
from firmware.model.verdict_words import VerdictWord as Word
from firmware.net.targets import family_of
from firmware.plans.load import load
from tests.country.hosts import Hosts
from tests.country.lines import QUALITIES
from tests.country.truth import Home, Ill, Scope, Truth, Wrong

LAG_S: Final = 900.0
"""How late the country's verdict may be. A device is silent after nine minutes, and its cadence is three."""


MIN_GROUP: Final = 3
"""So many homes are a group, whatever they share."""


class Mark(StrEnum):
    """What a verdict is, by the truth."""

    RIGHT = "right"
    HONEST = "honest"
    """`inconclusive`."""
    MUTE = "mute"
    """`ok` of a line that is well, while something that has a word is wrong beside it."""
    MISTAKEN = "mistaken"
    """A word that accuses nobody and is not so."""
    WRONG_KIND = "wrong kind"
    """It accuses, and there is something to accuse, but not that."""
    ACCUSES = "false accusation"
    COMFORTS = "false comfort"
    WRONG_PARTICULARS = "wrong time or group"
    """The word is so, and what is said beside it, since when or of whom, is not (`tests.country.particulars`)."""
    MISSED = "missed"
    """What must be said (`tests.country.misses`) and never was."""


FALSE: Final = frozenset({Mark.ACCUSES, Mark.COMFORTS})
ACCUSING: Final = frozenset(
    {
        Word.INTERNATIONAL_CUT,
        Word.ISP_OR_WIDER_OUTAGE,
        Word.ALLOWLISTED,
        Word.PROTOCOL_FILTERING,
        Word.BLOCKED_DNS,
        Word.BLOCKED_TCP,
        Word.BLOCKED_TLS,
        Word.BLOCKED_HTTP,
        Word.THROTTLED_TARGETED,
        Word.THROTTLED_GENERAL,
        Word.ISP_OUTAGE,
        Word.TOTAL_SHUTDOWN,
        Word.MOBILE_SHUTDOWN,
        Word.REGIONAL_SHUTDOWN,
        Word.PARTIAL_SHUTDOWN,
        Word.PLATFORM_BLOCKED,
        Word.TRANSIT_FAULT,
    }
)
BLOCKED: Final = {
    Ill.BLOCKED_DNS: Word.BLOCKED_DNS,
    Ill.BLOCKED_TCP: Word.BLOCKED_TCP,
    Ill.BLOCKED_TLS: Word.BLOCKED_TLS,
}
_HOME_ILLS: Final = frozenset({Ill.LINK_DOWN, Ill.ROUTER_DEAD, Ill.SIGN_IN, Ill.POWER_CUT})
STOPS: Final = frozenset(
    {Ill.CUT, Ill.SHUTDOWN, Ill.ALLOW_LIST, Ill.FAMILY_CUT, Ill.TLS_FILTERED, Ill.CABLE, Ill.PROVIDER_DARK}
)
_ORDERED: Final = frozenset(
    {Ill.CUT, Ill.SHUTDOWN, Ill.ALLOW_LIST, Ill.FAMILY_CUT, Ill.TLS_FILTERED, Ill.THREE_PORTS, *BLOCKED}
)
_SERVERS: Final = frozenset({Ill.SERVER_DOWN, Ill.SERVER_RESETS_NAME, Ill.SERVER_REFUSES_COUNTRY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sayable:
    """What may be said: words that are so, whether `ok` comforts falsely, and whether anything is to be accused."""

    right: frozenset[str]
    not_ok: bool = False
    accusable: bool = False
    beside: bool = False
    """Whether something beside the line is wrong that has a word."""

    def mark(self, word: str) -> Mark:
        """Return what a word is."""
        if word in self.right:
            return Mark.MUTE if word == Word.OK and self.beside else Mark.RIGHT
        if word == Word.INCONCLUSIVE:
            return Mark.HONEST
        if word == Word.OK:
            return Mark.COMFORTS if self.not_ok else Mark.MISTAKEN
        if word in ACCUSING:
            return Mark.WRONG_KIND if self.accusable else Mark.ACCUSES
        return Mark.MISTAKEN


def device_mark(truth: Truth, home: int, word: str, since_s: float, until_s: float) -> Mark:
    """Return what a device's word on its round is: the best that any moment of the round makes of it."""
    marks = [one.mark(word) for one in _device_moments(truth, home, since_s, until_s)]
    return min(marks, key=list(Mark).index)


def site_mark(truth: Truth, home: int, host: str, word: str, *, since_s: float, until_s: float) -> Mark:
    """Return what a device's word on one platform is."""
    wrongs = [one for one in truth.on(since_s, until_s) if not one.homes or home in one.homes]
    of_host = [one for one in wrongs if host in one.hosts]
    right = {Word.OK, *(BLOCKED[one.ill] for one in of_host if one.ill in BLOCKED)}
    if any(one.ill in _SERVERS for one in of_host):
        right.add(Word.SERVICE_DOWN)
    blocked = any(one.ill in BLOCKED for one in of_host)
    return Sayable(right=frozenset(right), accusable=blocked).mark(word)


def _device_moments(truth: Truth, home: int, since_s: float, until_s: float) -> Iterable[Sayable]:
    cuts = [since_s, *(moment for moment in truth.moments_s() if since_s < moment < until_s)]
    place = next(one for one in truth.homes if one.number == home)
    for moment_s in cuts:
        yield _of_device(place, truth.on(moment_s, moment_s + 0.001))


def _of_device(home: Home, wrongs: Iterable[Wrong]) -> Sayable:  # noqa: C901  # a case for each ill
    """Return what one device may say at a moment."""
    given = [one for one in wrongs if not one.homes or home.number in one.homes]
    ills = {one.ill for one in given}
    accusable = bool(ills & _ORDERED)
    if ills & {Ill.LINK_DOWN, Ill.ROUTER_DEAD}:
        return Sayable(right=frozenset({Word.LOCAL_FAULT}), not_ok=True, accusable=accusable)
    if Ill.SIGN_IN in ills:
        dark = {Word.ISP_OR_WIDER_OUTAGE} if ills & {Ill.PROVIDER_DARK, Ill.SHUTDOWN} else set()
        return Sayable(
            right=frozenset({Word.CAPTIVE_PORTAL, Word.LOCAL_FAULT, *dark}), not_ok=True, accusable=accusable
        )
    if ills & {Ill.PROVIDER_DARK, Ill.SHUTDOWN}:
        return Sayable(right=frozenset({Word.ISP_OR_WIDER_OUTAGE}), not_ok=True, accusable=accusable)
    has_six = 6 in QUALITIES[home.line].families
    if ills & {Ill.CUT, Ill.CABLE} or (Ill.FAMILY_CUT in ills and not has_six):
        cuts = [one for one in given if one.ill in (Ill.CUT, Ill.CABLE, Ill.FAMILY_CUT)]
        few = {Word.ALLOWLISTED} if all(_leaves_some(one, home) for one in cuts) else set()
        return Sayable(right=frozenset({Word.INTERNATIONAL_CUT, *few}), not_ok=True, accusable=accusable)
    if Ill.ALLOW_LIST in ills:
        listed = (one for one in given if one.ill is Ill.ALLOW_LIST)
        none = set() if all(_leaves_some(one, home) for one in listed) else {Word.INTERNATIONAL_CUT}
        return Sayable(right=frozenset({Word.ALLOWLISTED, *none}), not_ok=True, accusable=accusable)
    if Ill.FAMILY_CUT in ills:
        return Sayable(right=frozenset(), not_ok=True, accusable=accusable)
    if Ill.TLS_FILTERED in ills:
        return Sayable(right=frozenset({Word.PROTOCOL_FILTERING}), not_ok=True, accusable=True)
    right = {Word.OK}
    beside = Ill.THREE_PORTS in ills
    if beside:
        right.add(Word.PROTOCOL_FILTERING)
    for one in given:
        if one.ill in BLOCKED:
            right.add(BLOCKED[one.ill])
            beside = True
        if one.ill in _SERVERS:
            right.add(Word.SERVICE_DOWN)
            beside = True
        if one.ill in (Ill.LINE_WORSE, Ill.LINE_FULL):
            right.add(Word.CONGESTION)
    return Sayable(right=frozenset(right), accusable=accusable, beside=beside)


def country_mark(truth: Truth, word: str, at_s: float) -> Mark:
    """Return what the country's word at a moment is."""
    since_s = max(0.0, at_s - LAG_S)
    cuts = [since_s, *(moment for moment in truth.moments_s() if since_s < moment <= at_s), at_s]
    said = [_of_country(truth, truth.on(moment_s, moment_s + 0.001)) for moment_s in cuts]
    if word == Word.OK:
        return Mark.COMFORTS if all(one.not_ok for one in said) else Mark.RIGHT
    return min((one.mark(word) for one in said), key=list(Mark).index)


def _of_country(truth: Truth, wrongs: Iterable[Wrong]) -> Sayable:
    """Return what may be said of the country at a moment."""
    given = tuple(wrongs)
    lost = lost_homes(truth, given)
    right: set[str] = set()
    if lost:
        right |= _names_of(truth, lost)
        for one in given:
            if one.ill in STOPS:
                right |= _meant(one)
    if any(one.ill is Ill.COLLECTOR_DOWN for one in given):
        right |= {Word.COLLECTOR_FAULT}
    if any(one.ill in _SERVERS for one in given):
        right.add(Word.SERVICE_MAINTENANCE)
    if not lost:
        right.add(Word.OK)
    is_group = len(lost) >= MIN_GROUP or _is_a_kind(truth, lost)
    if len(lost) >= MIN_GROUP and len(_providers(truth, lost)) >= 2:
        right.add(Word.PARTIAL_SHUTDOWN)
    if any(one.ill in BLOCKED and len(_providers(truth, one.homes)) >= 2 for one in given):
        right.add(Word.PLATFORM_BLOCKED)
    if any(one.scope is Scope.NATION and _is_allow_list(truth, one) for one in given):
        right.add(Word.ALLOWLISTED)
    if any(one.scope is Scope.NATION and one.ill in (Ill.TLS_FILTERED, Ill.THREE_PORTS) for one in given):
        right.add(Word.PROTOCOL_FILTERING)
    return Sayable(
        right=frozenset(right),
        not_ok=bool(lost) and is_group,
        accusable=any(one.ill in _ORDERED for one in given),
    )


def lost_homes(truth: Truth, wrongs: Iterable[Wrong]) -> frozenset[int]:
    """Return the homes that do not reach abroad while all of `wrongs` are."""
    return frozenset(
        home for one in wrongs if one.ill in STOPS for home in one.homes if not _is_spared(truth, one, home)
    )


def device_rights(truth: Truth, home: int, at_s: float) -> frozenset[str]:
    """Return the words that say what is so for a device at a moment."""
    return next(iter(_device_moments(truth, home, at_s, at_s))).right


def country_rights(truth: Truth, at_s: float) -> frozenset[str]:
    """Return the words that say what is so for the country at a moment."""
    return _of_country(truth, truth.on(at_s, at_s + 0.001)).right


def _is_spared(truth: Truth, wrong: Wrong, home: int) -> bool:
    """Return whether a home does not feel it: one with IPv6 still reaches abroad where IPv4 is cut."""
    if wrong.ill is not Ill.FAMILY_CUT:
        return False
    return any(one.number == home and 6 in QUALITIES[one.line].families for one in truth.homes)


def _leaves_some(wrong: Wrong, home: Home) -> bool:
    """Return whether a host is spared that a home's line can ask: a few networks pass then, whoever meant it.

    A clock is none: networks answer for it, so that its answer shows nothing of what passes.
    """
    families = QUALITIES[home.line].families
    return any(family in families for host in wrong.hosts - _clocks() for family in _families(host))


@cache
def _clocks() -> frozenset[str]:
    """Return the hosts that are asked for the time of day and nothing else."""
    plan = load("ir")
    host_of = Hosts(plan).of_target
    tests: dict[str, set[str]] = {}
    asked: list[PlannedTarget | PlannedTask] = [*plan.targets, *plan.tasks]
    for one in asked:
        tests.setdefault(host_of.get(one.name, ""), set()).add(one.test)
    return frozenset(host for host, by in tests.items() if by == {"ntp"})


def _is_a_kind(truth: Truth, lost: frozenset[int]) -> bool:
    """Return whether nobody of a kind of line is left; two homes of one provider are listed beside a country that is ok."""
    kinds: dict[str, set[int]] = {}
    for one in truth.homes:
        kinds.setdefault(one.provider.kind, set()).add(one.number)
    return any(homes <= lost for homes in kinds.values())


def _is_allow_list(truth: Truth, wrong: Wrong) -> bool:
    """Return whether few networks pass, for a group at least: by order, or in a cut that spares a host."""
    if wrong.ill not in (Ill.CUT, Ill.CABLE):
        return wrong.ill is Ill.ALLOW_LIST
    spared = [one for one in truth.homes if one.number in wrong.homes and _leaves_some(wrong, one)]
    return len(spared) >= MIN_GROUP


@cache
def _families(host: str) -> frozenset[int]:
    server = Hosts(load("ir")).by_name[host]
    return frozenset(family_of(one) or 4 for one in server.addresses)


def _providers(truth: Truth, homes: frozenset[int]) -> set[str]:
    return {one.provider.name for one in truth.homes if one.number in homes}


def _names_of(truth: Truth, lost: frozenset[int]) -> set[str]:
    """Return the words of the groups that are exactly those who are lost."""

    def are(members: Iterable[Home]) -> bool:
        return frozenset(one.number for one in members) == lost

    homes = truth.homes
    found: set[str] = set()
    if not lost:
        return found
    if are(homes):
        found |= {Word.TOTAL_SHUTDOWN, Word.INTERNATIONAL_CUT}
    if are(one for one in homes if one.provider.kind == "mobile"):
        found.add(Word.MOBILE_SHUTDOWN)
    if any(are(one for one in homes if one.province == name) for name in {one.province for one in homes}):
        found.add(Word.REGIONAL_SHUTDOWN)
    if any(
        are(one for one in homes if one.provider.name == name)
        for name in {one.provider.name for one in homes}
    ):
        found.add(Word.ISP_OUTAGE)
    return found


def _meant(wrong: Wrong) -> set[str]:
    return {
        Scope.NATION: {str(Word.TOTAL_SHUTDOWN), str(Word.INTERNATIONAL_CUT)},
        Scope.MOBILE: {str(Word.MOBILE_SHUTDOWN)},
        Scope.REGION: {str(Word.REGIONAL_SHUTDOWN)},
        Scope.PROVIDER: {str(Word.ISP_OUTAGE)},
    }.get(wrong.scope, set())


def truth_name(truth: Truth, home: int, since_s: float, until_s: float) -> str:
    """Return what was so for a home in a time, in a word for the table: the gravest of what was wrong."""
    ills = {one.ill for one in truth.on(since_s, until_s) if not one.homes or home in one.homes}
    order = [*(one for one in Ill if one in _HOME_ILLS), *(one for one in Ill if one in STOPS), *Ill]
    return next((str(ill) for ill in order if ill in ills and ill is not Ill.COLLECTOR_DOWN), "well")
