"""Statements and verdicts as the API gives them: codes and parameters, and beside them the English sentence. Pure."""

from collector.page.models import StatementOut, VerdictOut
from firmware.language.translator import Translator
from firmware.model.record import Verdict
from firmware.model.statement import Statement


def statement_out(family: str, statement: Statement, english: Translator) -> StatementOut:
    """Return a statement of a family (`firmware.model.statement_forms.FORMS`)."""
    return StatementOut(
        code=statement.code,
        parameters=dict(statement.parameters),
        sentence=english.state(family, statement),
    )


def evidence_out(evidence: tuple[Statement, ...], english: Translator) -> list[StatementOut]:
    """Return what a verdict rests on."""
    return [statement_out("evidence", one, english) for one in evidence]


def verdict_out(verdict: Verdict, english: Translator) -> VerdictOut:
    """Return a verdict."""
    return VerdictOut(
        verdict=verdict.verdict,
        sentence=english.verdict(verdict.verdict),
        rule_id=verdict.rule_id,
        evidence=evidence_out(verdict.evidence, english),
        overturned_by=english.overturned_by(verdict.rule_id, verdict.overturned_by),
    )
