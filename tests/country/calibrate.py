"""From counts of countries to the table of numbers that ships, and how well its numbers hold on countries it was not made from.

A country is one trial of a rule: it spoke there, and falsely if it did so once, of whatever round or device. False is an
accusation where there is nothing to accuse, `ok` of what is cut, and a word that says it is nobody's doing and is not so; an
accusation of another kind than is true is counted beside. What a rule concluded counts, said or held back. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

from firmware.judgement.confidence.estimate import Count
from firmware.judgement.confidence.table import Said, Table, made_of
from tests.country.oracle import Mark
from tests.country.tally import Tally

FALSE: Final = frozenset({str(Mark.ACCUSES), str(Mark.COMFORTS), str(Mark.MISTAKEN)})
STANCES: Final = ("accusing", "reassuring")
EDGES: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)
"""Numbers from one of these to the next are one point of the diagram."""
_SIGMAS: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Trials whose stated numbers are alike: their mean, how many there were, and in how many what was said was false."""

    stated: float
    trials: int
    false: int

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share that was false (Wilson)."""
        share, n = self.false / self.trials, self.trials
        middle = share + _SIGMAS**2 / (2 * n)
        half = _SIGMAS * sqrt(share * (1 - share) / n + _SIGMAS**2 / (4 * n * n))
        scale = 1 + _SIGMAS**2 / n
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The table of some countries, the kinds these were of, and how its numbers hold, by stance."""

    table: Table
    countries: int
    kinds: Mapping[str, int]
    other_kind: Mapping[Said, int]
    """In how many countries something of another kind than was accused was true."""
    points: Mapping[str, tuple[Point, ...]]


def calibrated(tallies: Iterable[Tally], source: str) -> Calibration:
    """Return what follows from the counts of countries, one tally each.

    A point's numbers are each of a table made of all other countries than the one that it is held against.
    """
    known = list(tallies)
    trials = [trials_of(one) for one in known]
    kinds: Counter[str] = Counter()
    for one in known:
        kinds.update(one.kinds)
    return Calibration(
        table=made_of(counts_of(trials), source),
        countries=len(trials),
        kinds=dict(sorted(kinds.items())),
        other_kind=Counter(said for one in trials for said, (_, is_other) in one.items() if is_other),
        points=_points(trials),
    )


def trials_of(tally: Tally) -> dict[Said, tuple[bool, bool]]:
    """Return what was concluded in a country: whether it was false, and whether something else was true instead, ever."""
    found: dict[Said, tuple[bool, bool]] = {}
    for speaker, word, rule_id, certainty, mark in tally.by_rule:
        said = Said(speaker=speaker, word=word, rule_id=rule_id, certainty=certainty)
        if said.of_class:
            was_false, was_other = found.get(said, (False, False))
            found[said] = (was_false or mark in FALSE, was_other or mark == Mark.WRONG_KIND)
    return found


def counts_of(trials: Iterable[Mapping[Said, tuple[bool, bool]]]) -> dict[Said, Count]:
    """Return in how many countries each rule spoke, and in how many falsely."""
    spoke: Counter[Said] = Counter()
    false: Counter[Said] = Counter()
    for one in trials:
        spoke.update(one.keys())
        false.update(said for said, (is_false, _) in one.items() if is_false)
    return {said: Count(countries=spoke[said], false=false[said]) for said in spoke}


def _points(trials: list[dict[Said, tuple[bool, bool]]]) -> dict[str, tuple[Point, ...]]:
    whole = counts_of(trials)
    seen: dict[tuple[str, int], list[tuple[float, bool]]] = {}
    for one in trials:
        table = made_of({said: _without(count, one.get(said)) for said, count in whole.items()}, "")
        for said, (is_false, _) in one.items():
            sure = table.of(said)
            assert sure is not None
            number = sure.probability
            bin_of = max(at for at, edge in enumerate(EDGES) if edge <= number)
            seen.setdefault((said.of_class.partition(",")[0], bin_of), []).append((number, is_false))
    return {
        stance: tuple(
            Point(
                stated=sum(number for number, _ in found) / len(found),
                trials=len(found),
                false=sum(is_false for _, is_false in found),
            )
            for (of, _), found in sorted(seen.items())
            if of == stance
        )
        for stance in STANCES
    }


def _without(count: Count, trial: tuple[bool, bool] | None) -> Count:
    if trial is None:
        return count
    return Count(countries=count.countries - 1, false=count.false - trial[0])
