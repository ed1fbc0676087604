"""Which known cause a false or missing verdict is of: by what the truth held, and what was said, never by the rule that said it.

What fits none has no number; one that comes often is a cause that nobody has named yet.
"""

from collections.abc import Callable
from typing import Final

from firmware.model.verdict_words import VerdictWord as Word
from tests.country.lines import QUALITIES, LineQuality
from tests.country.oracle import STOPS, Mark
from tests.country.truth import Direction, Ill, Truth, Wrong

NAMES: Final = {
    "5": "what has connected counts as silent",
    "6": "references not asked again after a line came back",
    "7": "a time-out taken for a reset",
    "8": "a server's own fault, at which the vantage has not looked",
    "9": "`ok`, or a wrong kind, where most or one family is cut",
    "10": "large packets vanish",
    "11": "the collector's own line",
    "12": "a cut of more than a week",
    "13": "a sign-in page, or a platform that refuses a country",
    "14": "blocked now and then",
    "15": "mute in a cut, or in part of one; a power cut",
}
"""The causes by the numbers under which docs/explanation/country.md lists them."""
_SLOW_MS: Final = 1_000.0
_LOSSY: Final = 0.05
_AGE_S: Final = 7 * 86_400.0
_BLIPS: Final = frozenset({Ill.PROVIDER_DARK, Ill.ROUTER_DEAD, Ill.LINK_DOWN, Ill.SHUTDOWN, Ill.POWER_CUT})
_BLOCK_WORDS: Final = frozenset({Word.BLOCKED_DNS, Word.BLOCKED_TCP, Word.BLOCKED_TLS, Word.BLOCKED_HTTP})
_OUTAGE_WORDS: Final = frozenset(
    {
        Word.ISP_OR_WIDER_OUTAGE,
        Word.ISP_OUTAGE,
        Word.TOTAL_SHUTDOWN,
        Word.REGIONAL_SHUTDOWN,
        Word.PARTIAL_SHUTDOWN,
        Word.MOBILE_SHUTDOWN,
    }
)
_LOOK_BACK_S: Final = 1_800.0


class Case:
    """One false or missing verdict: of which home (None: the country), which mark and word, from when to when."""

    def __init__(
        self,
        truth: Truth,
        home: int | None,
        mark: Mark,
        word: str,
        *,
        since_s: float,
        until_s: float,
        host: str = "",
    ) -> None:
        self.truth, self.home, self.mark, self.word, self.host = truth, home, mark, word, host
        self.wrongs = truth.on(since_s - (_LOOK_BACK_S if home is None else 90.0), until_s + 0.001)
        self.until_s = until_s

    def has(self, *ills: Ill, where: Callable[[Wrong], bool] = lambda _one: True) -> bool:
        """Return whether one of `ills` bore on it."""
        return any(
            one.ill in ills and where(one) and (self.home is None or not one.homes or self.home in one.homes)
            for one in self.wrongs
        )

    def line(self, condition: Callable[[float, float], bool]) -> bool:
        """Return whether delay (both ways, ms) and loss (the worse way) of a line of its homes are so."""
        homes = [one for one in self.truth.homes if self.home in (None, one.number)]
        worse = [one for one in self.wrongs if one.ill is Ill.LINE_WORSE]
        return any(
            condition(
                quality.delay_up_ms
                + quality.delay_down_ms
                + 2 * sum(one.extra_ms for one in worse if home.number in one.homes)
                + sum(_full_ms(one, quality) for one in self.wrongs if home.number in one.homes),
                max(
                    quality.loss_up,
                    quality.loss_down,
                    *(one.share for one in worse if home.number in one.homes),
                    0.0,
                ),
            )
            for home in homes
            for quality in (QUALITIES[home.line],)
        )


def _full_ms(wrong: Wrong, quality: LineQuality) -> float:
    """Return how long a packet waits at most of what fills a line."""
    if wrong.ill is not Ill.LINE_FULL:
        return 0.0
    return quality.buffer_up_ms if wrong.direction is Direction.UP else quality.buffer_down_ms


def cause_of(case: Case) -> str:
    """Return the number of the cause, or nothing."""
    return next((number for number, holds in _CAUSES if holds(case)), "")


def _accuses(case: Case) -> bool:
    return case.mark in (Mark.ACCUSES, Mark.WRONG_KIND)


_CAUSES: Final[tuple[tuple[str, Callable[[Case], bool]], ...]] = (
    ("12", lambda it: it.home is None and it.has(*STOPS, where=lambda one: it.until_s - one.since_s > _AGE_S)),
    ("11", lambda it: it.home is None and _accuses(it) and it.has(Ill.COLLECTOR_DOWN)),
    ("15", lambda it: it.home is None and _accuses(it) and it.has(Ill.POWER_CUT)),
    ("14", lambda it: it.mark is Mark.MISSED and it.has(Ill.BLOCKED_TLS, where=lambda one: one.share < 1)),
    ("15", lambda it: it.mark is Mark.MISSED and it.has(Ill.CUT, Ill.THREE_PORTS, Ill.SHUTDOWN)),
    ("9", lambda it: it.mark is Mark.MISSED and it.has(Ill.ALLOW_LIST, Ill.FAMILY_CUT)),
    ("13", lambda it: _accuses(it) and it.has(Ill.SIGN_IN) and it.word in _OUTAGE_WORDS),
    ("13", lambda it: it.has(Ill.SERVER_REFUSES_COUNTRY, where=lambda one: not it.host or it.host in one.hosts) and it.word in _BLOCK_WORDS),
    ("8", lambda it: it.has(Ill.SERVER_RESETS_NAME, Ill.SERVER_DOWN, where=lambda one: not it.host or it.host in one.hosts) and it.word in _BLOCK_WORDS),
    ("10", lambda it: it.has(Ill.MTU_HOLE) and it.word == Word.PROTOCOL_FILTERING),
    ("9", lambda it: it.mark is Mark.COMFORTS and it.has(*STOPS)),
    ("9", lambda it: it.has(Ill.FAMILY_CUT) and _accuses(it)),
    ("6", lambda it: it.word == Word.INTERNATIONAL_CUT and it.has(*_BLIPS)),
    ("7", lambda it: it.word in _BLOCK_WORDS and it.line(lambda ms, loss: loss >= _LOSSY or ms >= _SLOW_MS)),
    ("5", lambda it: _accuses(it) and it.line(lambda ms, _loss: ms >= _SLOW_MS)),
)  # fmt: skip
"""The first that holds is it."""
