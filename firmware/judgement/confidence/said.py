"""What of a verdict is said: with how likely it is so, and as `inconclusive` where an accusation is not sure enough. Pure.

Device and collector pass every verdict of theirs through `said_of`, and nothing else holds one back. What was suspected, by
which rule and with which number stays in the evidence. This file must never make an accusation of what is none.
"""

from dataclasses import replace

from firmware.judgement.confidence import table
from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.confidence.table import LEAST, Said, Speaker, Sureness
from firmware.model.record import Verdict
from firmware.model.statement import HOW_SURE, SUSPECTED, probability_in, stated
from firmware.model.verdict_words import ACCUSING, VerdictWord


def said_of(
    speaker: Speaker,
    verdict: Verdict,
    *,
    certainty: str = "",
    at_most: float = 1.0,
    is_told_of_others: bool = False,
) -> Verdict:
    """Return what is said where a rule has come to `verdict`, with its number in the evidence.

    It is no more likely than `at_most`, what it rests on. Of a measurement of others, which come without their round
    and their device's rounds before, nothing is held back: the number stands beside it.
    """
    sure = sureness(speaker, verdict, certainty)
    if sure is None:
        return verdict
    number = min(sure.probability, at_most)
    if verdict.verdict not in ACCUSING or number >= LEAST or is_told_of_others:
        told = stated(HOW_SURE, probability=number, countries=sure.countries)
        return replace(verdict, evidence=(*verdict.evidence, told))
    held = stated(
        SUSPECTED,
        verdict=verdict.verdict,
        rule_id=verdict.rule_id,
        probability=number,
        countries=sure.countries,
    )
    return replace(verdict, verdict=str(VerdictWord.INCONCLUSIVE), evidence=(held, *verdict.evidence))


def sureness(speaker: Speaker, verdict: Verdict, certainty: str = "") -> Sureness | None:
    """Return how sure a rule's conclusion is by the table; None for what claims nothing."""
    word, rule_id = str(verdict.verdict), verdict.rule_id
    return table.shipped().of(Said(speaker=str(speaker), word=word, rule_id=rule_id, certainty=certainty))


def probability_concluded(verdict: Verdict) -> float | None:
    """Return how likely what the rule concluded is so: what was said, or what was held back; None where it claims nothing."""
    said = verdict.probability
    return probability_in(verdict.evidence, SUSPECTED) if said is None else said


def said_and_concluded(verdict: Verdict) -> tuple[str, str]:
    """Return what a verdict says, and what its rule concluded."""
    return verdict.verdict, concluded(verdict.verdict, verdict.rule_id)
