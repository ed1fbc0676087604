"""What must be said of a truth, by whom and by when: what lasts, and bears on somebody whose line is otherwise well.

From the truth alone. Nobody need say what is short, what is mixed up with other faults, or what happens on a line that is hard
to measure on: there `inconclusive` is honest. This file must never read what a verdict rests on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from firmware.model.verdict_words import VerdictWord as Word
from tests.country.oracle import BLOCKED, MIN_GROUP, country_rights, device_rights, lost_homes
from tests.country.truth import Ill, Truth, Wrong

HARD_LINES: Final = frozenset({"very-slow", "very-lossy", "lossy", "lopsided", "bursty", "mobile-edge"})
_WITHIN_S: Final = {
    Ill.CUT: 600.0,
    Ill.SHUTDOWN: 600.0,
    Ill.ALLOW_LIST: 900.0,
    Ill.CABLE: 600.0,
    Ill.PROVIDER_DARK: 600.0,
    Ill.FAMILY_CUT: 900.0,
    Ill.TLS_FILTERED: 900.0,
    Ill.THREE_PORTS: 1_800.0,
    Ill.BLOCKED_DNS: 1_500.0,
    Ill.BLOCKED_TCP: 1_500.0,
    Ill.BLOCKED_TLS: 1_500.0,
}
"""How long it may take a device to say it. Of what is blocked the vantages must have looked, every ten minutes."""
_CHANCE_S: Final = 2_400.0
"""How long, where it happens now and then."""
_COUNTRY_S: Final = 1_800.0
_SHARE: Final = 0.25
"""Of so many of a country's homes the country must say something."""
_NO_MATTER: Final = frozenset(
    {Ill.RESOLVER_DEAD, Ill.SERVER_DOWN, Ill.SERVER_RESETS_NAME, Ill.SERVER_REFUSES_COUNTRY, Ill.ANCHOR_DOWN, Ill.COLLECTOR_DOWN}
)  # fmt: skip
"""What beside it excuses no device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One of `words` must be said from `since_s` to `by_s`: by the device of `home` (of `host`, if given), or of the country."""

    home: int | None
    host: str
    words: frozenset[str]
    since_s: float
    by_s: float
    truth: str


def dues(truth: Truth) -> Iterator[Due]:
    """Yield all that must be said of a truth."""
    lines = {one.number: one.line for one in truth.homes}
    for wrong in truth.wrongs:
        within_s = _WITHIN_S.get(wrong.ill)
        if within_s is None:
            continue
        by_s = wrong.since_s + (within_s if wrong.share >= 1 else _CHANCE_S)
        if by_s > min(wrong.until_s, truth.hours * 3600):
            continue
        for home in sorted(wrong.homes & lines.keys()):
            if lines[home] in HARD_LINES or not _is_clear(truth, wrong, home, by_s):
                continue
            if wrong.ill in BLOCKED and _is_told_apart(truth, wrong, by_s):
                for host in sorted(wrong.hosts):
                    yield _due(wrong, by_s, frozenset({str(BLOCKED[wrong.ill])}), home=home, host=host)
            elif wrong.ill not in BLOCKED:
                words = device_rights(truth, home, wrong.since_s + 1) - {Word.OK}
                if words:
                    yield _due(wrong, by_s, words, home=home)
    yield from _of_country(truth)


def _due(wrong: Wrong, by_s: float, words: frozenset[str], *, home: int | None = None, host: str = "") -> Due:
    now_and_then = ", now and then" if wrong.share < 1 else ""
    return Due(
        home=home,
        host=host,
        words=words,
        since_s=wrong.since_s,
        by_s=by_s,
        truth=f"{wrong.ill}{now_and_then}",
    )


def _is_told_apart(truth: Truth, wrong: Wrong, by_s: float) -> bool:
    """Return whether somebody sees that a platform is well elsewhere, and of connects that it does not refuse the country.

    That is a second vantage, or a home that it is not blocked for and that nothing else is wrong with.
    """
    if wrong.ill is not Ill.BLOCKED_TCP or truth.has_second:
        return truth.has_vantage
    rest = [one for one in truth.homes if one.number not in wrong.homes and one.line not in HARD_LINES]
    return truth.has_vantage and any(_is_clear(truth, wrong, one.number, by_s) for one in rest)


def _is_clear(truth: Truth, wrong: Wrong, home: int, by_s: float) -> bool:
    beside = [
        one
        for one in truth.on(wrong.since_s, by_s)
        if one is not wrong and (not one.homes or home in one.homes) and one.ill not in _NO_MATTER
    ]
    return not beside


def _of_country(truth: Truth) -> Iterator[Due]:
    """Yield what the country must say: of those who stay lost together for long."""
    if not truth.has_vantage:
        return
    ends_s = truth.hours * 3600
    moments = [*(one for one in truth.moments_s() if one < ends_s), ends_s]
    for since_s, until_s in pairwise(moments):
        on = truth.on(since_s, since_s + 0.001)
        lost = lost_homes(truth, on)
        short = until_s - since_s < _COUNTRY_S or len(lost) < max(MIN_GROUP, _SHARE * len(truth.homes))
        if short or any(one.ill in (Ill.COLLECTOR_DOWN, Ill.POWER_CUT) for one in on):
            continue
        words = country_rights(truth, since_s) - {Word.OK, Word.SERVICE_MAINTENANCE}
        share = "all" if len(lost) == len(truth.homes) else "some"
        yield Due(
            home=None,
            host="",
            words=words,
            since_s=since_s,
            by_s=since_s + _COUNTRY_S,
            truth=f"{share} homes cut",
        )
