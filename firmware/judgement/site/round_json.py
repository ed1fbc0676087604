"""What a round says around one measurement, as JSON: how an exported line carries it. Pure.

Two objects: `round`, and `country`, which is null where nobody said anything of the country then. Reading refuses what
does not fit, naming the key; what is read are facts and words that are passed on, never a verdict that is gone by.
"""

from dataclasses import replace
from typing import Final

from firmware.judgement.line_loss import excess_from_json, handshakes_from_json
from firmware.judgement.site.facts import RoundView
from firmware.model.jsontypes import JsonObject, JsonValue, Reader, RecordError

UNKNOWN: Final = RoundView(is_unknown=True)
"""What stands for the round of a measurement of which nothing is known."""

_MAX_TEXT: Final = 60
_LONGEST_S: Final = 1e10


def to_json(view: RoundView) -> JsonObject:
    """Return the round's half. `from_json` is its inverse."""
    return {
        "verdict": view.verdict,
        "rule_id": view.rule_id,
        "is_unknown": view.is_unknown,
        "is_of_its_round": view.is_of_its_round,
        "references_reached": view.references_reached,
        "names_resolve": view.names_resolve,
        "resolver_lies": view.resolver_lies,
        "tunnelled": view.tunnelled,
        "repeated": view.repeated,
        "failing_for_s": view.failing_for_s,
        "references": view.references.to_json(),
        "references_run_out": view.references_run_out,
        "line_is_clean": view.line_is_clean,
        "line_is_quick": view.line_is_quick,
        "excess": None if view.excess is None else view.excess.to_json(),
        "paired_before": view.paired_before,
    }


def country_to_json(view: RoundView) -> "JsonObject | None":
    """Return the country's half, None where nothing is known."""
    if not view.country_verdict:
        return None
    return {"verdict": view.country_verdict, "rule_id": view.country_rule_id}


def from_json(value: JsonValue, country: JsonValue = None) -> RoundView:
    """Read both halves. Raises `RecordError`."""
    reader = Reader(value, where="round")
    found = RoundView(
        verdict=_text(reader, "verdict"),
        rule_id=_text(reader, "rule_id"),
        is_unknown=_truth(reader, "is_unknown") is True,
        is_of_its_round=_truth(reader, "is_of_its_round") is True,
        references_reached=_truth(reader, "references_reached"),
        names_resolve=_truth(reader, "names_resolve"),
        resolver_lies=_truth(reader, "resolver_lies") is True,
        tunnelled=_truth(reader, "tunnelled") is True,
        repeated=_truth(reader, "repeated"),
        failing_for_s=_seconds(reader, "failing_for_s"),
        references=handshakes_from_json(reader.raw("references")),
        references_run_out=_truth(reader, "references_run_out") is True,
        line_is_clean=_truth(reader, "line_is_clean"),
        line_is_quick=_truth(reader, "line_is_quick"),
        excess=excess_from_json(reader.raw("excess")),
        paired_before=_truth(reader, "paired_before"),
    )
    if country is None:
        return found
    said = Reader(country, where="country")
    return replace(found, country_verdict=_text(said, "verdict"), country_rule_id=_text(said, "rule_id"))


def _text(reader: Reader, key: str) -> str:
    text = reader.text(key)
    if len(text) > _MAX_TEXT:
        raise RecordError(f"{key}: found {len(text)} characters; allowed are up to {_MAX_TEXT}")
    return text


def _truth(reader: Reader, key: str) -> bool | None:
    value = reader.raw(key)
    if value is not None and not isinstance(value, bool):
        raise RecordError(f"round: {key}: found {value!r:.60}; allowed is true, false or null")
    return value


def _seconds(reader: Reader, key: str) -> float | None:
    value = reader.raw(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_S:
        raise RecordError(f"round: {key}: found {value!r:.60}; allowed is a number of seconds or null")
    return float(value)
