"""Where two plays of a case disagree: in verdicts, in what failed at which step, in times. Pure.

A case without lots must bring the same words for each target in both plays. Where packets are lost by lot, the same rung's
failures are counted together, and a difference is one that chance brings less than once in a hundred (Fisher's exact test).
Times are a rung's lower quartile: a machine with other work to do makes packets late, and none early. How often a SYN went out
again is counted as failures are. This file must never know which play is right.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

from tests.calibration.cases import Case
from tests.calibration.heard import Measured, Round

TOLERANCE_MS: Final = 30.0
TOLERANCE_SHARE: Final = 0.15
"""Two times agree within so many ms and this share of the larger."""
CHANCE: Final = 0.01
_LEAST: Final = 4
"""Fewer times than this of a rung say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One: in `what` (verdict, failures, again, connect, handshake), of `where` (a target or a rung), and what each play has."""

    what: str
    where: str
    virtual: str
    real: str


def disagreements(case: Case, virtual: Sequence[Round], real: Sequence[Round]) -> list[Disagreement]:
    """Return where the plays differ, over the rounds that both have."""
    count = min(len(virtual), len(real))
    if count == 0:
        return [
            Disagreement(
                what="rounds", where="", virtual=f"{len(virtual)} rounds", real=f"{len(real)} rounds"
            )
        ]
    virtual, real = virtual[:count], real[:count]
    found = _verdicts(case, virtual, real)
    one, other = _all(virtual), _all(real)
    found += _by_lot(one, other) if case.is_drawn_by_lot else _by_target(one, other)
    found += _again(one, other)
    for what in ("connect", "handshake"):
        found += _times(what, one, other)
    return found


def _verdicts(case: Case, virtual: Sequence[Round], real: Sequence[Round]) -> list[Disagreement]:
    words = [{one.verdict for one in rounds} for rounds in (virtual, real)]
    if words[0] == words[1] or (case.is_drawn_by_lot and words[0] & words[1]):
        return []
    shown = [" ".join(one.verdict for one in rounds) for rounds in (virtual, real)]
    return [Disagreement(what="verdict", where="", virtual=shown[0], real=shown[1])]


def _all(rounds: Sequence[Round]) -> list[Measured]:
    return [each for one in rounds for each in one.measured]


def _by_target(virtual: Iterable[Measured], real: Iterable[Measured]) -> list[Disagreement]:
    """Return targets that both plays asked and that failed in other words, or at another step."""
    ends = [_ends_of(measured) for measured in (virtual, real)]
    return [
        Disagreement(
            what="failures", where=target, virtual=_shown(ends[0][target]), real=_shown(ends[1][target])
        )
        for target in sorted(ends[0].keys() & ends[1].keys())
        if ends[0][target] != ends[1][target]
    ]


def _ends_of(measured: Iterable[Measured]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in measured:
        found.setdefault(one.target, set()).add(_end(one))
    return found


def _by_lot(virtual: Sequence[Measured], real: Sequence[Measured]) -> list[Disagreement]:
    found = []
    for group in sorted({one.group for one in virtual} & {one.group for one in real}):
        counts = [
            Counter(_end(one) for one in measured if one.group == group) for measured in (virtual, real)
        ]
        sizes = [sum(one.values()) for one in counts]
        for end in sorted(counts[0].keys() | counts[1].keys()):
            have = [one[end] for one in counts]
            if fisher(have[0], sizes[0] - have[0], have[1], sizes[1] - have[1]) < CHANCE:
                shown = [f"{end}: {have[place]} of {sizes[place]}" for place in (0, 1)]
                found.append(Disagreement(what="failures", where=group, virtual=shown[0], real=shown[1]))
    return found


def _again(virtual: Sequence[Measured], real: Sequence[Measured]) -> list[Disagreement]:
    """Return rungs where one play's connects needed a second SYN more often than chance brings."""
    found = []
    for group in sorted({one.group for one in virtual} & {one.group for one in real}):
        stood = [
            [one for one in measured if one.group == group and one.connect_ms is not None]
            for measured in (virtual, real)
        ]
        again = [sum(one.retransmitted for one in each) for each in stood]
        if fisher(again[0], len(stood[0]) - again[0], again[1], len(stood[1]) - again[1]) < CHANCE:
            shown = [f"{again[place]} of {len(stood[place])}" for place in (0, 1)]
            found.append(Disagreement(what="again", where=group, virtual=shown[0], real=shown[1]))
    return found


def _times(what: str, virtual: Sequence[Measured], real: Sequence[Measured]) -> list[Disagreement]:
    found = []
    for group in sorted({one.group for one in virtual} & {one.group for one in real}):
        times = [
            [time for one in measured if one.group == group and (time := _time(one, what)) is not None]
            for measured in (virtual, real)
        ]
        if min(map(len, times)) < _LEAST:
            continue
        low = [quantiles(one, n=4, method="inclusive")[0] for one in times]
        if abs(low[0] - low[1]) > TOLERANCE_MS + TOLERANCE_SHARE * max(low):
            shown = [f"{one:.0f} ms" for one in low]
            found.append(Disagreement(what=what, where=group, virtual=shown[0], real=shown[1]))
    return found


def _time(one: Measured, what: str) -> float | None:
    return one.connect_ms if what == "connect" else one.handshake_ms


def _end(one: Measured) -> str:
    return f"{one.step}: {one.failure}" if one.failure else "well"


def _shown(ends: Iterable[str]) -> str:
    return ", ".join(sorted(ends))


def fisher(a: int, b: int, c: int, d: int) -> float:
    """Return how likely two rows of counts (a of a + b, c of c + d) are to differ by as much or more by chance."""
    rows, columns = (a + b, c + d), a + c
    total = sum(rows)

    def chance(first: int) -> float:
        return math.comb(rows[0], first) * math.comb(rows[1], columns - first) / math.comb(total, columns)

    seen = chance(a)
    possible = range(max(0, columns - rows[1]), min(rows[0], columns) + 1)
    return sum(each for each in map(chance, possible) if each <= seen * (1 + 1e-9))
