"""What is said of one target in one round, in short: as a round's record keeps it, and its JSON form. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.line_loss import NO_TRIES, TargetTries, tries_from_json
from firmware.model.jsontypes import JsonObject, JsonValue, Reader, RecordError
from firmware.model.statement import Statement, stated
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetJudgement:
    """One target's verdict in one round. `step` is how far its journey came (`journey.Stage`), `tries` how often it was tried.

    `probability` is how likely what its rule concludes is so; None where it claims nothing, and of older software.
    `families` are those (4, 6) over which it was connected to; none of older software.
    """

    name: str
    verdict: VerdictWord
    rule_id: str
    step: str
    confidence: str
    tries: TargetTries = NO_TRIES
    probability: float | None = None
    families: tuple[int, ...] = ()

    @property
    def concluded(self) -> str:
        """Return what its rule concluded, where that was held back too."""
        return concluded(str(self.verdict), self.rule_id)

    @property
    def statement(self) -> Statement:
        """Return it as evidence."""
        return stated(
            "target-verdict",
            target=self.name,
            verdict=str(self.verdict),
            rule_id=self.rule_id,
            confidence=self.confidence,
        )


def to_json(targets: Iterable[TargetJudgement]) -> list[JsonValue]:
    """Return their JSON form. `from_json` is its inverse."""
    return [
        {
            "name": one.name,
            "verdict": str(one.verdict),
            "rule_id": one.rule_id,
            "step": one.step,
            "confidence": one.confidence,
            "tries": one.tries.to_json(),
            "probability": one.probability,
            "families": [*one.families],
        }
        for one in targets
    ]


def from_json(value: JsonValue) -> tuple[TargetJudgement, ...]:
    """Read them. Raises `RecordError`."""
    if not isinstance(value, list):
        raise RecordError(f"targets: found {type(value).__name__}; allowed is a list")
    return tuple(_one(item) for item in value)


def _one(value: JsonValue) -> TargetJudgement:
    fields: JsonObject = value if isinstance(value, dict) else {}
    reader = Reader(fields, where="targets")
    probability, families = fields.get("probability"), fields.get("families")
    return TargetJudgement(
        name=reader.text("name"),
        verdict=VerdictWord(reader.word("verdict", tuple(VerdictWord))),
        rule_id=reader.text("rule_id"),
        step=reader.text("step"),
        confidence=reader.text("confidence"),
        tries=tries_from_json(fields.get("tries")),
        probability=probability if isinstance(probability, float) and 0 < probability < 1 else None,
        families=tuple(family for family in (4, 6) if isinstance(families, list) and family in families),
    )
