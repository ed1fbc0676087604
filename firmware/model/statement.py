"""A statement: a code and its parameters, kept and sent as data; whoever shows it makes the sentence. Values only.

Evidence, and why something was not measured, are statements. Their sentences stand in the catalogue of each language
(`firmware.language`), under the code. A statement must never hold a sentence, but for what older software wrote: that
is kept as it was, under the code `prose`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from firmware.model.jsontypes import JsonValue, RecordError

_INFINITY: Final = float("inf")
PROSE: Final = "prose"
"""The code of a line that older software wrote as a sentence; its one parameter is `text`."""

HOW_SURE: Final = "how-sure"
"""The code of the evidence that says how likely the verdict is so."""
SUSPECTED: Final = "suspected"
"""The code of the evidence that says what was not sure enough to be the verdict, by which rule, and how likely it is so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing that is said, as data. Parameters carry their unit in their name (`best_ns`, `age_s`)."""

    code: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)


def stated(code: str, /, **parameters: JsonValue) -> Statement:
    """Return a statement of `code` with these parameters; which belong to it, `firmware.model.statement_forms` says."""
    return Statement(code=code, parameters=parameters)


def probability_in(evidence: Iterable[Statement], code: str = HOW_SURE) -> float | None:
    """Return the probability that evidence of a code states; None without one: nothing is claimed, or older software spoke."""
    for one in evidence:
        number = one.parameters.get("probability")
        if one.code == code and isinstance(number, float) and 0 < number < 1:
            return number
    return None


def prose(text: str) -> Statement:
    """Return the statement that stands for a sentence of older software."""
    return Statement(code=PROSE, parameters={"text": text})


def to_json(statement: Statement) -> JsonValue:
    """Return its JSON form, `[code, parameters]`; a sentence of older software is that sentence."""
    if statement.code == PROSE:
        return statement.parameters.get("text", "")
    return [statement.code, dict(statement.parameters)]


def to_text(statement: Statement) -> str:
    """Return its JSON text, for a column of text; a sentence of older software is that sentence as it was."""
    found = to_json(statement)
    return found if isinstance(found, str) else json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def of_text(text: str) -> Statement:
    """Return what `to_text` made a text of."""
    try:
        return from_json(json.loads(text), where="statement") if text.startswith("[") else prose(text)
    except ValueError:
        return prose(text)


def from_json(value: JsonValue, *, where: str) -> Statement:
    """Read one. Raises `RecordError` naming `where`."""
    if isinstance(value, str):
        return prose(value)
    match value:
        case [str(code), dict(parameters)] if is_sound(value):
            return Statement(code=code, parameters=parameters)
        case _:
            raise RecordError(
                f"{where}: found {value!r:.60}; allowed is [code, parameters], each parameter a text, a number of 64 bits, "
                "true, false, null or an array of texts; or a text"
            )


def is_sound(value: JsonValue) -> bool:
    """Return whether `from_json` would take `value`."""
    match value:
        case str():
            return True
        case [str(code), dict(parameters)]:
            return code not in ("", PROSE) and all(map(_is_value, parameters.values()))
        case _:
            return False


def _is_value(value: JsonValue) -> bool:
    """Return whether a parameter is one that can be said: what comes from others is shown to people."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return abs(value) < _INFINITY  # neither is a number that is none
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
