"""How fast a line is, by its own handshakes: how long a silence must last before it says something. Pure.

On a line whose recent handshakes took less than `QUICK_NS`, ten seconds without any answer are silence. On one that is
slower, or of which nothing is known, a connection waits its 20 s. This file must never call a line quick without a
handshake of its own.
"""

from collections.abc import Iterable, Sequence
from statistics import median_low
from typing import Final

from firmware.judgement.facts import FAR, Past, RoundFacts
from firmware.judgement.ladder import RungState
from firmware.judgement.observation import Observation

QUICK_NS: Final = 2_000_000_000
"""A line whose handshakes take this long or longer is slow."""
RECENT_ROUNDS: Final = 3
RECENT_S: Final = 3600.0
"""So many of the last rounds in which anything far was reached tell how fast a line is, if they are no older."""


def usual_handshakes_ns(history: Sequence[Past]) -> tuple[int, ...]:
    """Return what the handshakes of the last rounds took: of each far rung that was reached, their median, in ns."""
    found: list[int] = []
    rounds = 0
    for past in reversed(history):
        if past.age_s > RECENT_S or rounds == RECENT_ROUNDS:
            break
        usual = [ns for rung in FAR if (ns := _usual_ns(past.ladder.rung(rung))) is not None]
        rounds += bool(usual)
        found += usual
    return tuple(found)


def is_quick(before_ns: Iterable[int], now: Iterable[Observation]) -> bool:
    """Return whether all that is known of a line's handshakes says that it is quick; False where nothing is known.

    `before_ns` is of the rounds before, as `usual_handshakes_ns` gives it, `now` what this round has brought so far.
    """
    taken_ns = [taken for one in now if (taken := handshake_ns(one)) is not None]
    known = [*before_ns, *([median_low(taken_ns)] if taken_ns else [])]
    return bool(known) and max(known) < QUICK_NS


def handshake_ns(observation: Observation) -> int | None:
    """Return what an observation says of how fast the line is: how long its handshake took; None where it says nothing."""
    is_far = observation.rung in FAR and observation.is_connectivity
    return observation.handshake_ns if is_far else None


def line_is_quick(facts: RoundFacts) -> bool:
    """Return whether a round's handshakes and those of the rounds before it say that the line is quick."""
    return is_quick(usual_handshakes_ns(facts.history), facts.latest)


def _usual_ns(state: RungState) -> int | None:
    return state.best_ns if state.usual_ns is None else state.usual_ns
