"""What one document of a file comes to: our verdict, with OONI's pair beside it. Pure.

A document is an OONI measurement, one of our records (as the collector's API or `tidegauge export` has it) or one
result of `tidegauge measure --json`. All are judged by the same rules from the same evidence; what a file says of
its own conclusion is passed on and never used. This file must never judge a test that the rules do not know.
"""

from dataclasses import dataclass
from typing import Final

from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.round.surroundings import judge_in
from firmware.judgement.site import round_json
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.verdict import judge
from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import ClockQuality, ClockReading, Record, Verdict, Zone, from_json
from firmware.model.statement import stated
from firmware.model.task import result_from_json
from firmware.model.verdict_words import VerdictWord
from firmware.ooni import evidence as ooni_evidence
from firmware.ooni.export import vantage_from_json
from firmware.ooni.keys import OoniError, shown
from firmware.ooni.measurement import STEPPED_TESTS, OoniMeasurement, Pair
from firmware.ooni.pair import pair_of
from firmware.ooni.parse import parse
from firmware.ooni.read import Document
from firmware.ooni.write import Origin, measurement_of, published_pair, time_of

NOT_JUDGED: Final = "test-not-judged"
"""The rule id where there is nothing that a rule could judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One measurement, judged. `recorded` is the verdict that a record of ours carries, None where it has none.

    `around` is what is known around a measurement of ours, None for one of others and for one that no device made.
    """

    line: int
    test: str
    input: str
    start: str
    verdict: Verdict
    confidence: str
    pair: Pair
    ooni_said: Pair | None = None
    recorded: Verdict | None = None
    around: RoundView | None = None


def explain(document: Document, fingerprints: Fingerprints | None = None) -> Explained:
    """Judge what stands in a document, by `fingerprints`, those that come along unless given.

    Raises `OoniError` or `RecordError`, naming the key.
    """
    value = document.value
    if "test_name" in value:
        return _of_ooni(document.line, parse(value), fingerprints)
    inner = value.get("record", value)
    if isinstance(inner, dict) and "test" in inner:
        line = {} if inner is value else value
        vantage = line.get("control")
        return _of_record(
            document.line,
            _record(inner),
            None if vantage is None else vantage_from_json(vantage),
            _around(inner, line),
            fingerprints,
        )
    keys = ", ".join(shown(key) for key in list(value)[:5]) or "no key"
    raise OoniError(
        f"measurement: found {keys}; allowed is an OONI measurement (test_name, test_keys, …) or a record of ours "
        "(test, target, …)"
    )


def to_json(explained: Explained, translator: Translator) -> JsonObject:
    """Return the line for machines: our verdict and OONI's pair; `ooni_said` and `recorded` where the file has them.

    Evidence as codes and parameters, beside each the translator's sentence.
    """
    verdict, pair, said = explained.verdict, explained.pair, explained.ooni_said
    told: JsonObject = {
        "line": explained.line,
        "test": explained.test,
        "input": explained.input,
        "verdict": verdict.verdict,
        "rule_id": verdict.rule_id,
        "confidence": explained.confidence,
        "probability": verdict.probability,
        "blocking": pair.blocking,
        "accessible": pair.accessible,
        "evidence": [translator.told("evidence", one) for one in verdict.evidence],
        "overturned_by": translator.overturned_by(verdict.rule_id, verdict.overturned_by),
    }
    around = explained.around
    if around is not None:
        if around.verdict:
            told["round"] = {"verdict": around.verdict, "rule_id": around.rule_id}
        country = round_json.country_to_json(around)
        if country is not None:
            told["country"] = country
    if said is not None:
        told["ooni_said"] = {"blocking": said.blocking, "accessible": said.accessible}
    if explained.recorded is not None:
        told["recorded"] = {
            "verdict": explained.recorded.verdict,
            "rule_id": explained.recorded.rule_id,
        }
    return told


def _of_ooni(line: int, measurement: OoniMeasurement, fingerprints: Fingerprints | None) -> Explained:
    verdict, confidence = _not_judged(measurement.test_name), "low"
    if measurement.test_name in STEPPED_TESTS:
        judged = judge(
            ooni_evidence.evidence_of(measurement),
            ooni_evidence.vantage_of(measurement),
            round=measurement.around,
            fingerprints=fingerprints,
        )
        verdict, confidence = judged.verdict, judged.confidence
    is_ours = measurement.around is not None
    return Explained(
        line=line,
        test=measurement.test_name,
        input=measurement.input,
        start=measurement.start,
        verdict=verdict,
        confidence=confidence,
        pair=published_pair(measurement, verdict.verdict, confidence) if is_ours else pair_of(measurement),
        ooni_said=measurement.said,
        around=measurement.around,
    )


def _around(record: JsonObject, line: JsonObject) -> RoundView | None:
    """Return what a line says around its record, that it says nothing, or None for what no device measured."""
    if "schema" not in record:
        return None
    told = line.get("round")
    return round_json.UNKNOWN if told is None else round_json.from_json(told, line.get("country"))


def _of_record(
    line: int,
    record: Record,
    vantage: SiteView | None,
    around: RoundView | None,
    fingerprints: Fingerprints | None,
) -> Explained:
    """Judge a record; what the rules about a page do not know keeps the verdict it has, such as a round's."""
    verdict, confidence = record.verdict or _not_judged(record.test), "low"
    judged = judge_in(record, around, vantage, fingerprints=fingerprints)
    if judged is not None:
        verdict, confidence = judged.verdict, judged.confidence
    written = measurement_of(record, Origin(), vantage, around=around, fingerprints=fingerprints)
    return Explained(
        line=line,
        test=record.test,
        input=record.target,
        start=time_of(record.start.utc_ns),
        verdict=verdict,
        confidence=confidence,
        pair=Pair() if written is None else published_pair(parse(written), verdict.verdict, confidence),
        recorded=record.verdict,
        around=around,
    )


def _not_judged(test: str) -> Verdict:
    return Verdict(
        verdict=VerdictWord.INCONCLUSIVE,
        rule_id=NOT_JUDGED,
        evidence=(stated("not-judged", test=test or "this test"),),
    )


def _record(value: JsonObject) -> Record:
    """Read a record, or make one of a single result. Raises `RecordError`."""
    if "schema" in value:
        return from_json(value)
    result = result_from_json({**value, "task_id": ""})
    name: JsonValue = value.get("test")
    if not isinstance(name, str):
        raise RecordError(f"result: test: found {shown(name)}; allowed is text")
    return Record(
        boot_id="",
        test=name,
        test_version=result.test_version,
        target=result.target,
        zone=Zone.INTERNATIONAL,
        slot_boottime_ns=result.start_boottime_ns,
        start=ClockReading(
            boottime_ns=result.start_boottime_ns,
            utc_ns=result.start_utc_ns,
            quality=ClockQuality.UNSYNCHRONISED,
        ),
        runtime_ns=result.runtime_ns,
        outcome=result.outcome,
        uplink=result.uplink,
    )
