"""Makes sentences: a key of the catalogue and values in, a sentence of one language out. One for each request or command.

The catalogues are gettext's (`catalogues/LANGUAGE/LC_MESSAGES/tidegauge.po`, compiled beside it); a sentence that a
language lacks is said in English. This file must never hold a sentence, nor remember a language for the process.
"""

import gettext
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from firmware.language.numbers import ENGLISH, Numbers, latin_numbers
from firmware.language.pattern import Filler, PatternError
from firmware.model.failures import UNKNOWN_PREFIX
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Verdict
from firmware.model.statement import PROSE, Statement
from firmware.model.statement_forms import FORMS

DOMAIN: Final = "tidegauge"
CATALOGUES: Final = Path(__file__).parent / "catalogues"
PLURAL: Final = "plural"
"""gettext returns this, given as the second number's key, where it has no sentence."""


class Translator:
    """Says things in one language."""

    def __init__(
        self,
        language: str,
        *,
        catalogues: Path = CATALOGUES,
        numbers_of: Callable[[str], Numbers] = latin_numbers,
    ) -> None:
        self.language = language
        self._sentences = gettext.translation(DOMAIN, catalogues, [language])
        if language != ENGLISH:
            self._sentences.add_fallback(gettext.translation(DOMAIN, CATALOGUES, [ENGLISH]))
        self._filler = Filler(numbers=numbers_of(language), lookup=self._lookup)

    @classmethod
    def choose(
        cls,
        wanted: Iterable[str],
        *,
        catalogues: Path = CATALOGUES,
        numbers_of: Callable[[str], Numbers] = latin_numbers,
    ) -> Self:
        """Return a translator into the first of the languages `wanted` (`fa`, `pt-BR`) that has a catalogue, else English."""
        have = languages(catalogues)
        for tag in wanted:
            for language in (tag.replace("-", "_"), tag.replace("-", "_").partition("_")[0]):
                if language in have:
                    return cls(language, catalogues=catalogues, numbers_of=numbers_of)
        return cls(ENGLISH)

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], *, catalogues: Path = CATALOGUES) -> Self:
        """Return the translator of a command, by LANGUAGE, LC_ALL, LC_MESSAGES and LANG as gettext reads them."""
        for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
            if environ.get(name):
                wanted = environ[name].split(":") if name == "LANGUAGE" else [environ[name]]
                tags = (one.partition(".")[0].partition("@")[0] for one in wanted)
                return cls.choose(tags, catalogues=catalogues)
        return cls(ENGLISH)

    def has(self, key: str) -> bool:
        """Return whether there is a sentence under `key`."""
        return self._lookup(key) is not None

    def pattern(self, key: str) -> str | None:
        """Return the sentence under `key` as the catalogue has it, the one for many where there are several; else None."""
        return self._plural(key, 2) or self._lookup(key)

    def say(self, key: str, /, **values: object) -> str:
        """Return the sentence under `key` with `values` in it. Raises `KeyError` where there is none."""
        return self.say_as(str, key, values)

    def say_as(self, escape: Callable[[object], str], key: str, values: Mapping[str, object]) -> str:
        """Return the sentence under `key`, its text and its values passed through `escape`. Raises `KeyError`."""
        pattern = self._lookup(key)
        if pattern is None:
            raise KeyError(key)
        return self._filler.fill(pattern, values, escape)

    def count(self, key: str, n: int, /, **values: object) -> str:
        """Return the sentence under `key` for `n` things, in the language's plural for it; `{n}` in it is `n`.

        Raises `KeyError` where there is none.
        """
        pattern = self._plural(key, n)
        if pattern is None:
            raise KeyError(key)
        return self._filler.fill(pattern, {"n": n, **values})

    def state(self, family: str, statement: Statement) -> str:
        """Return the sentence of a statement of `family` (see `FORMS`).

        What older software wrote as a sentence is that sentence; what newer software says is its code and parameters.
        """
        code, parameters = statement.code, statement.parameters
        if code == PROSE:
            text = str(parameters.get("text", ""))
            known = FORMS[family].get(text)
            return text if known is None or known.parameters else self.say(f"{family}.{text}")
        form = FORMS[family].get(code)
        if form is None or set(form.parameters) != set(parameters):
            return _as_it_is(statement)
        number = parameters[form.counts] if form.counts else 0
        try:
            if form.counts and isinstance(number, int):
                return self.count(f"{family}.{code}", number, **parameters)
            return self.say(f"{family}.{code}", **parameters)
        except (PatternError, OverflowError):
            return _as_it_is(statement)

    def told(self, family: str, statement: Statement) -> JsonObject:
        """Return a statement for machines, with its sentence: `code`, `parameters`, `sentence`."""
        return {
            "code": statement.code,
            "parameters": dict(statement.parameters),
            "sentence": self.state(family, statement),
        }

    def verdict_to_json(self, verdict: Verdict) -> JsonObject:
        """Return a verdict for machines, with its sentences: the form of the collector's API."""
        return {
            "verdict": verdict.verdict,
            "sentence": self.verdict(verdict.verdict),
            "rule_id": verdict.rule_id,
            "probability": verdict.probability,
            "evidence": [self.told("evidence", one) for one in verdict.evidence],
            "overturned_by": self.overturned_by(verdict.rule_id, verdict.overturned_by),
        }

    def evidence(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return what a verdict rests on, line by line."""
        return tuple(self.state("evidence", one) for one in statements)

    def verdict(self, word: str) -> str:
        """Return what a person would say for a verdict; a word that this version does not know stands for itself."""
        return self.say(f"verdict.{word}") if self.has(f"verdict.{word}") else word.replace("_", " ")

    def rule(self, rule_id: str, numbers: Mapping[str, float]) -> str:
        """Return because of what a rule speaks; `numbers` are the limits it names."""
        return self.say(f"rule.{rule_id}", **numbers)

    def failure(self, word: str) -> str:
        """Return what a failure word means; "" for one that this version does not know."""
        if word.startswith(UNKNOWN_PREFIX):
            return self.say("failure.unknown_failure", message=word.removeprefix(UNKNOWN_PREFIX))
        return self.say(f"failure.{word}") if self.has(f"failure.{word}") else ""

    def overturned_by(self, rule_id: str, older: str = "") -> str:
        """Return what would overturn a verdict by this rule, or `older`: the sentence that came with the verdict."""
        key = f"rule.{rule_id}.overturned_by"
        return older or (self.say(key) if self.has(key) else "")

    def number(self, value: float, places: int = 0) -> str:
        """Return a number as the language writes it."""
        return self._filler.numbers.decimal(value, places)

    def unit(self, unit: str, value: float, *, places: int = 0) -> str:
        """Return a number with its unit (`unit.…` of the catalogue)."""
        return self._filler.unit(unit, value, places=places)

    def listed(self, items: Iterable[str]) -> str:
        """Return items one after the other, as the language does it."""
        return self._filler.listed(list(items))

    def _lookup(self, key: str) -> str | None:
        found = self._sentences.gettext(key)
        # Python 3.11.2 (Debian 12) finds no message that has plurals by gettext alone.
        return self._plural(key, 1) if found == key else found

    def _plural(self, key: str, n: int) -> str | None:
        found = self._sentences.ngettext(key, PLURAL, n)
        return None if found in (key, PLURAL) else found


def _as_it_is(statement: Statement) -> str:
    told = ", ".join(f"{name} {value}" for name, value in statement.parameters.items())
    return f"{statement.code} ({told})" if told else statement.code


def languages(catalogues: Path = CATALOGUES) -> frozenset[str]:
    """Return the languages that there is a catalogue of."""
    return frozenset(path.parts[-3] for path in catalogues.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))
