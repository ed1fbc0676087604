"""The table of numbers that ships: for each rule in how many made countries it spoke, in how many falsely, and what follows.

`table.json` beside this file is written by `python -m tests.country --calibrate`, from countries whose truth is known
because it was made. `made_of` makes a table of counts, `to_text` and `read` write and read it, `shipped` is the one that
comes along. This file must never know a verdict: it is asked for a number.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

from firmware.judgement.confidence.estimate import JEFFREYS, Count, Prior, prior_of, probability
from firmware.model.verdict_words import ACCUSING, BLOCKED, REASSURING

_PLACES: Final = 100_000
"""Numbers are cut to so many parts: five places."""
LEAST: Final = 0.99
"""An accusation that is less likely so than this is not said."""
BEFORE: Final = Prior(mean=0.005, strength=100)
"""What is taken of a sure class before any country was played: half a falsehood, as Jeffreys has it, in a hundred countries. The
rules were never false on 224 cases of known truth (scenarios, and QA cases of others) by which they were made."""
LOW: Final = "low"
"""The certainty of a rule that lacks the second view which would make it sure."""

_ONE_VIEW: Final = ", one view"
_UNSURE: Final = ", unsure"


class Speaker(StrEnum):
    """Who speaks: a device, or the collector in its place, of a round or of one platform; the collector of a country."""

    ROUND = "round"
    SITE = "site"
    COUNTRY = "country"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Said:
    """What is said by whom, by which rule. `certainty` is the rule's own word for it (of a platform), else ""."""

    speaker: str
    word: str
    rule_id: str
    certainty: str = ""

    @property
    def of_class(self) -> str:
        """Return the class whose rules are pooled; "" for a word that claims nothing."""
        of_one_platform = self.speaker == Speaker.ROUND and self.word in BLOCKED
        certainty = "medium" if of_one_platform else self.certainty
        kind = {"medium": _ONE_VIEW, LOW: _UNSURE}.get(certainty, "")
        if self.word in ACCUSING:
            return f"accusing{kind}"
        return f"reassuring{kind}" if self.word in REASSURING else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sureness:
    """How likely something that is said is so, and from how many countries that is known; 0: from its class alone."""

    probability: float
    countries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The numbers. `source` says of which countries they are."""

    source: str
    priors: Mapping[str, Prior]
    counts: Mapping[Said, Count] = field(default_factory=dict)
    numbers: Mapping[Said, float] = field(default_factory=dict)

    def of(self, said: Said) -> Sureness | None:
        """Return how sure something is; None for a word that claims nothing."""
        number = self.numbers.get(said)
        if number is not None:
            return Sureness(probability=number, countries=self.counts[said].countries)
        prior = self.priors.get(said.of_class)
        if prior is None:
            return None
        return Sureness(probability=_cut(1.0 - prior.mean), countries=0)


def made_of(counts: Mapping[Said, Count], source: str) -> Table:
    """Return the table that follows from counts. What claims nothing is left out.

    A rule that is found out, false so often that it falls below `LEAST`, is no measure of those that are not: they,
    and such as never spoke, have their class's prior without it.
    """
    counted = {said: count for said, count in sorted(counts.items()) if said.of_class and count.countries}
    countries = max((count.countries for count in counted.values()), default=0)  # some `ok` speaks in each
    of_all = _priors(counted, countries)
    numbers = {said: _cut(probability(of_all[said.of_class], count)) for said, count in counted.items()}
    others = {said: count for said, count in counted.items() if not count.false or numbers[said] >= LEAST}
    priors = _priors(others, countries)
    numbers |= {said: _cut(probability(priors[said.of_class], count)) for said, count in others.items()}
    return Table(source=source, priors=priors, counts=counted, numbers=numbers)


def to_text(table: Table) -> str:
    """Return a table as the text of its file, a rule a line."""
    priors = ",\n".join(
        f'    "{name}": {{"mean": {one.mean:.8f}, "strength": {one.strength:.0f}}}'
        for name, one in table.priors.items()
    )
    rules = ",\n".join(
        "    " + json.dumps([said.speaker, said.word, said.rule_id, said.certainty, *_figures(table, said)])
        for said in table.counts
    )
    source = json.dumps(table.source)
    return f'{{\n  "source": {source},\n  "classes": {{\n{priors}\n  }},\n  "rules": [\n{rules}\n  ]\n}}\n'


def read(text: str) -> Table:
    """Read what `to_text` wrote. Raises `ValueError` or `KeyError`."""
    value: dict[str, Any] = json.loads(text)
    counts: dict[Said, Count] = {}
    numbers: dict[Said, float] = {}
    for speaker, word, rule_id, certainty, countries, false, number in value["rules"]:
        said = Said(speaker=speaker, word=word, rule_id=rule_id, certainty=certainty)
        counts[said], numbers[said] = Count(countries=countries, false=false), number
    priors = {name: Prior(**one) for name, one in value["classes"].items()}
    return Table(source=value["source"], priors=priors, counts=counts, numbers=numbers)


@cache
def shipped() -> Table:
    """Return the table that comes along."""
    return read(resources.files(__package__).joinpath("table.json").read_text(encoding="utf-8"))


def _priors(counts: Mapping[Said, Count], countries: int) -> dict[str, Prior]:
    return {
        name: prior_of(
            _of_class(counts, name), JEFFREYS if name.endswith(_UNSURE) else BEFORE, countries=countries
        )
        for name in _classes()
    }


def _classes() -> Iterable[str]:
    kinds = ("", _ONE_VIEW, _UNSURE)
    return (f"{stance}{kind}" for stance in ("accusing", "reassuring") for kind in kinds)


def _of_class(counts: Mapping[Said, Count], name: str) -> list[Count]:
    return [count for said, count in counts.items() if said.of_class == name]


def _figures(table: Table, said: Said) -> tuple[int, int, float]:
    count = table.counts[said]
    return count.countries, count.false, table.numbers[said]


def _cut(number: float) -> float:
    """Return a number to five places, never 0 nor 1."""
    return min(max(math.floor(number * _PLACES), 1), _PLACES - 1) / _PLACES
