"""Verdicts in English, for tests: what a person would read of them, and whether their evidence is of the closed list."""

from typing import Final

from firmware.language.translator import Translator
from firmware.model.record import Verdict
from firmware.model.statement import Statement
from firmware.model.statement_forms import EVIDENCE

ENGLISH: Final = Translator("en")


def lines(verdict: Verdict) -> tuple[str, ...]:
    """Return what the verdict rests on, line by line."""
    return ENGLISH.evidence(verdict.evidence)


def overturned_by(verdict: Verdict) -> str:
    """Return what would overturn the verdict."""
    return ENGLISH.overturned_by(verdict.rule_id, verdict.overturned_by)


def strays(verdict: Verdict) -> list[Statement]:
    """Return the evidence that is not of the closed list: another code, or other parameters than belong to it."""
    return [
        one
        for one in verdict.evidence
        if one.code not in EVIDENCE or set(one.parameters) != set(EVIDENCE[one.code].parameters)
    ]
