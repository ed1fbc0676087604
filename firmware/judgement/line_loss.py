"""What a line's own loss explains: a round's reference handshakes counted, and a target's failures held against them. Pure.

The unit is a try of one handshake. In a round, the tries of a target and those of the reference targets went over one
line in the same seconds, so what the line did then it did to all of them: given how many of a round's tries failed, how
many of the target's are among them has a known distribution (Fisher's noncentral hypergeometric), whatever the line was
like in that round. `excess` multiplies the likelihood ratios of the rounds. This file must never conclude.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, exp, log
from typing import Final

from firmware.judgement.observation import Observation, Outlook
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Rung

HANDSHAKES: Final = frozenset({"tls", "web_connectivity"})
LINE_ODDS: Final = 2.0
"""The odds of a failure may be this many times the reference targets': a longer way, a longer certificate."""
STOPPED_ODDS: Final = 100.0
"""What somebody who interferes makes of them, at least."""
EXCESS: Final = 1e6
"""From here on the line explains no more: a line that fails by itself comes to this once in a million rounds at most."""
CLEAN_SHARE: Final = 0.1
"""On a clean line no more of the reference handshakes ran out of time, or needed a packet sent again."""
CLEAN_TRIED: Final = 8
"""So many must have been tried, in two rounds at least with the shipped plans."""
_MOST: Final = 1000
_RATIO_MOST: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceHandshakes:
    """A round's reference handshakes: how many were tried, failed, ran out of time, or needed a packet sent again."""

    tried: int = 0
    failed: int = 0
    timed_out: int = 0
    resent: int = 0

    @classmethod
    def of(cls, observations: Iterable[Observation]) -> "ReferenceHandshakes":
        """Count those among a round's observations."""
        seen = [
            one
            for one in observations
            if one.rung is Rung.INTERNATIONAL
            and one.test in HANDSHAKES
            and one.outlook in (Outlook.REACHED, Outlook.STALLED, Outlook.DOWN)
        ]
        return cls(
            tried=len(seen),
            failed=sum(one.outlook is not Outlook.REACHED for one in seen),
            timed_out=sum(one.failure == Failure.TIMEOUT or one.is_out for one in seen),
            resent=sum(one.outlook is Outlook.REACHED and one.retransmitted for one in seen),
        )

    @property
    def run_out(self) -> bool:
        """Return whether a third of them ran out of time."""
        return self.tried > 0 and 3 * self.timed_out >= self.tried

    def to_json(self) -> list[JsonValue]:
        """Return its JSON form. `handshakes_from_json` is its inverse."""
        return [self.tried, self.failed, self.timed_out, self.resent]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTries:
    """How often a target was tried in a round by its own name, and by an innocuous one beside it, and how often in vain."""

    own: int = 0
    own_failed: int = 0
    beside: int = 0
    beside_failed: int = 0

    @property
    def is_paired(self) -> bool:
        """Return whether its own name failed, an innocuous one passed, and its own failed again."""
        return self.own >= 2 and self.own == self.own_failed and self.beside > self.beside_failed

    def to_json(self) -> list[JsonValue]:
        """Return its JSON form. `tries_from_json` is its inverse."""
        return [self.own, self.own_failed, self.beside, self.beside_failed]


NO_REFERENCES: Final = ReferenceHandshakes()
NO_TRIES: Final = TargetTries()
"""Nothing was tried, or nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTries:
    """A target and the reference targets in one round that ended `age_s` ago."""

    age_s: float
    target: TargetTries
    references: ReferenceHandshakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """How much more often a target failed than its line explains, since `since_s` ago, when it first did.

    `ratio` is a likelihood ratio; since then it was tried in so many `rounds` and failed in `failed` of them.
    """

    ratio: float = 1.0
    since_s: float = 0.0
    rounds: int = 0
    failed: int = 0

    @property
    def is_beyond_loss(self) -> bool:
        """Return whether the line explains it no more."""
        return self.ratio >= EXCESS

    def to_json(self) -> list[JsonValue]:
        """Return its JSON form, the ratio as it matters. `excess_from_json` is its inverse."""
        return [min(self.ratio, _RATIO_MOST), self.since_s, self.rounds, self.failed]


def excess(rounds: Sequence[RoundTries]) -> Excess:
    """Return what a target's tries over `rounds`, oldest first, come to.

    A running product of likelihood ratios that begins anew where it falls below one (Page's test). Under a line that
    treats all alike each factor has a mean of one at most, so that the mean time between false alarms is `EXCESS`
    rounds at least, however often one looks.
    """
    ratio, since_s, tried, failed = 1.0, 0.0, 0, 0
    for one in rounds:
        # Where nothing is counted yet, a round in which the target did not fail begins nothing: its factor is one at most.
        factor = _factor(one) if ratio > 1.0 or one.target.own_failed else 1.0
        if ratio * factor < 1.0 or (ratio == 1.0 and factor == 1.0):
            ratio, since_s, tried, failed = 1.0, 0.0, 0, 0
        elif one.target.own:
            since_s = since_s if tried else one.age_s
            ratio *= factor
            tried, failed = tried + 1, failed + int(one.target.own_failed == one.target.own)
    return Excess(ratio=ratio, since_s=since_s, rounds=tried, failed=failed)


def server_ratio(counted: Excess, looks: int) -> float:
    """Return how much likelier `counted` is where the target fails here alone than where its server fails for everyone.

    A vantage has looked `looks` times since it first failed, and the target failed in none of them: a server that fails
    now and then for everybody passes a look or two, and not many.
    """
    tried, failed = counted.rounds, counted.failed
    here = _log_likelihood(failed, tried)
    return exp(min(700.0, here - _log_likelihood(failed, tried + looks)))


def _log_likelihood(failed: int, tried: int) -> float:
    """Return the logarithm of the chance of so many failures where each try fails with the share that fits them best."""
    return sum(count * log(count / tried) for count in (failed, tried - failed) if count)


def is_clean(counts: Iterable[ReferenceHandshakes]) -> bool:
    """Return whether hardly any reference handshake of these rounds ran out of time or needed a packet sent again."""
    given = tuple(counts)
    tried = sum(one.tried for one in given)
    lost = sum(one.timed_out + one.resent for one in given)
    return tried >= CLEAN_TRIED and lost <= CLEAN_SHARE * tried


def handshakes_from_json(value: JsonValue) -> ReferenceHandshakes:
    """Read them; what is of another form says nothing."""
    tried, failed, timed_out, resent = _four(value)
    found = ReferenceHandshakes(tried=tried, failed=failed, timed_out=timed_out, resent=resent)
    return found if max(failed, timed_out, resent) <= tried else NO_REFERENCES


def tries_from_json(value: JsonValue) -> TargetTries:
    """Read them; what is of another form says nothing."""
    own, own_failed, beside, beside_failed = _four(value)
    found = TargetTries(own=own, own_failed=own_failed, beside=beside, beside_failed=beside_failed)
    return found if own_failed <= own and beside_failed <= beside else NO_TRIES


def excess_from_json(value: JsonValue) -> Excess | None:
    """Read it; what is of another form is none."""
    match value:
        case [int() | float() as ratio, int() | float() as since_s, int(rounds), int(failed)] if (
            0 <= ratio <= _RATIO_MOST and since_s >= 0 and 0 <= failed <= rounds <= _MOST
        ):
            return Excess(ratio=float(ratio), since_s=float(since_s), rounds=rounds, failed=failed)
        case _:
            return None


def _factor(one: RoundTries) -> float:
    """Return how much likelier it is under `STOPPED_ODDS` than under `LINE_ODDS` that so many of the failures are the target's."""
    target, references = one.target, one.references
    return _likelihood_ratio(
        own=target.own,
        own_failed=target.own_failed,
        others=target.beside + references.tried,
        others_failed=target.beside_failed + references.failed,
    )


@lru_cache(maxsize=1024)  # a round's few tries come to the same few counts again and again
def _likelihood_ratio(*, own: int, own_failed: int, others: int, others_failed: int) -> float:
    total = own_failed + others_failed

    def likelihood(odds: float) -> float:
        ways = {
            mine: comb(own, mine) * comb(others, total - mine) * odds**mine
            for mine in range(min(own, total) + 1)
            if total - mine <= others
        }
        return ways[own_failed] / sum(ways.values())

    return likelihood(STOPPED_ODDS) / likelihood(LINE_ODDS)


def _four(value: JsonValue) -> tuple[int, int, int, int]:
    counts = [one for one in value if _is_count(one)] if isinstance(value, list) else []
    if len(counts) != 4:
        return 0, 0, 0, 0
    first, second, third, fourth = (int(str(one)) for one in counts)
    return first, second, third, fourth


def _is_count(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
