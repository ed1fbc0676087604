"""Whether it may be the platform that refuses: connections that fail here and not outside, as a block by address does. Pure.

A platform that drops a country's networks looks from inside like a censor who drops the platform's addresses, and from
outside it looks well either way. Somebody whom it treats alike tells: another device of the country, or a second vantage.
This file must never take the vantage outside for such a one, nor a look that was not made while the failure lasted, nor what
was reached over one address family for a proof about another: a platform that drops a country by lists drops what they hold.
"""

from typing import Final

from firmware.judgement.site.conditions import connect_stopped
from firmware.judgement.site.enough import failing_s, is_counted
from firmware.judgement.site.evidence import VANTAGE_FRESH_S, SecondView, Stand
from firmware.judgement.site.facts import WebFacts
from firmware.judgement.site.places import family_at

NOT_REFUSED: Final = "connect-stopped-here-alone"
REFUSES: Final = "platform-refuses"
MAY_REFUSE: Final = "platform-may-refuse"
COMMON_FAMILY: Final = 4
"""The address family over which looks are compared: nearly every line has it."""
MARGIN_S: Final = 60.0
"""A look counts from so long after the failure was first seen to so long before the last: clocks differ, connects wait."""


def is_reached_beside(facts: WebFacts) -> bool:
    """Return whether connections are stopped that somebody gets whom the platform treats alike."""
    return _is_ours(facts) and any(one.failure is None for one in _told(facts))


def is_refused_beside(facts: WebFacts) -> bool:
    """Return whether connections are stopped for a second vantage too."""
    told = _told(facts)
    failed = any(one.stand is Stand.SECOND and one.failure is not None for one in told)
    return _is_ours(facts) and failed and all(one.failure is not None for one in told)


def is_untold(facts: WebFacts) -> bool:
    """Return whether connections are stopped, and nobody tells whether the platform itself does it."""
    return _is_ours(facts) and not _told(facts)


def _is_ours(facts: WebFacts) -> bool:
    """Return whether it is about a round of ours: of a measurement of others no second view can be had."""
    return facts.round is not None and connect_stopped(facts)


def _told(facts: WebFacts) -> list[SecondView]:
    """Return the views that were had while the failure lasted.

    Where it fails now and then, that somebody reached it between two failures tells nothing: it may refuse by lot.
    """
    since_s = failing_s(facts)
    if facts.vantage is None or since_s is None:
        return []
    is_common = any(family_at(one.address) == COMMON_FAMILY for one in facts.connects)
    return [
        one
        for one in facts.vantage.second
        if MARGIN_S <= one.before_s <= min(since_s - MARGIN_S, VANTAGE_FRESH_S)
        and (one.failure is not None or (is_common and not is_counted(facts)))
    ]
