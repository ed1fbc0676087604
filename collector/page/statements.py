"""Statements and verdicts as the API's models: what the translator says of them for machines, in English. Pure."""

from collector.page.models import StatementOut, VerdictOut
from firmware.language.translator import Translator
from firmware.model.record import Verdict
from firmware.model.statement import Statement


def statement_out(family: str, statement: Statement, english: Translator) -> StatementOut:
    """Return a statement of a family (`firmware.model.statement_forms.FORMS`)."""
    return StatementOut.model_validate(english.told(family, statement))


def evidence_out(evidence: tuple[Statement, ...], english: Translator) -> list[StatementOut]:
    """Return what a verdict rests on."""
    return [statement_out("evidence", one, english) for one in evidence]


def verdict_out(verdict: Verdict, english: Translator) -> VerdictOut:
    """Return a verdict."""
    return VerdictOut.model_validate(english.verdict_to_json(verdict))
