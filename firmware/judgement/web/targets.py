"""Each platform of a round judged by itself, with what the round around it says; and its JSON form in a record. Pure.

What a failure needs beside itself comes from here: whether it came twice, since when, whether the controls and the
resolver were well, and whether the control outside has looked since. It must never judge a page by one round alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware.jsontypes import JsonObject, JsonValue, Reader, RecordError
from firmware.judgement.fingerprints.table import canonical
from firmware.judgement.observation import Observation, Outlook
from firmware.judgement.web.evidence import WebControl, WebEvidence
from firmware.judgement.web.facts import RoundView
from firmware.judgement.web.verdict import judge
from firmware.judgement.words import VerdictWord
from firmware.record import Rung

if TYPE_CHECKING:
    from firmware.judgement.facts import Facts, Past

REPEATED_S: Final = 600.0
"""A failure in a round that ended longer ago than this is not the same one."""
MIN_NAMES: Final = 3
"""So many unrelated names must have one answer before the resolver is taken to lie for everything."""
FAILED: Final = frozenset({"dns", "tcp", "tls", "http"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetJudgement:
    """One target's verdict in one round. `step` is how far its journey came (`journey.Stage`)."""

    name: str
    verdict: VerdictWord
    rule_id: str
    step: str
    confidence: str

    @property
    def line(self) -> str:
        """Return it as a line of evidence."""
        return f"{self.name}: {self.verdict} ({self.rule_id}, confidence {self.confidence})"


def judge_targets(
    facts: "Facts", evidence: Mapping[str, WebEvidence], controls: Mapping[str, WebControl]
) -> tuple[TargetJudgement, ...]:
    """Return the verdict on each platform that was measured, by name.

    `evidence` is every measurement of the round that says something of a page, `controls` the last views from
    outside, both by the target's name.
    """
    lies = resolver_lies(evidence.values())
    found = []
    for seen in facts.on(Rung.PLATFORMS):
        if seen.target_name not in evidence or seen.outlook is Outlook.VOID:
            continue
        found.append(_judged(facts, seen, evidence[seen.target_name], controls, lies=lies))
    return tuple(found)


def _judged(
    facts: "Facts",
    seen: Observation,
    evidence: WebEvidence,
    controls: Mapping[str, WebControl],
    *,
    lies: bool,
) -> TargetJudgement:
    name = seen.target_name
    # Where the journey ended does not depend on the round, so it is asked first, of the same rules.
    step = judge(evidence, None).step
    failing_for_s = _failing_for_s(facts.history, name)
    view = RoundView(
        controls_reached=facts.controls_well,
        names_resolve=_names_resolve(facts, name),
        resolver_lies=lies,
        tunnelled=facts.tunnelled,
        repeated=_step_before(facts.history, name) == step,
        failing_for_s=failing_for_s,
    )
    judged = judge(evidence, controls.get(name), round=view)
    return TargetJudgement(
        name=name,
        verdict=VerdictWord(judged.verdict.verdict),
        rule_id=judged.verdict.rule_id,
        step=step,
        confidence=judged.confidence,
    )


def resolver_lies(evidence: Iterable[WebEvidence]) -> bool:
    """Say whether the system's resolver gave every name it was asked for the same answer, none of which proves itself.

    Names that are blocked often share one false answer too; then other names, asked beside them, do not have it.
    """
    answers: dict[str, frozenset[str]] = {}
    proven: set[str] = set()
    for one in evidence:
        proven |= {canonical(shaken.address) for shaken in one.handshakes if shaken.failure is None}
        for lookup in one.lookups:
            if lookup.resolver in ("@isp", "@system") and lookup.addresses:
                known = frozenset(map(canonical, lookup.addresses))
                answers[lookup.hostname] = answers.get(lookup.hostname, frozenset()) | known
    if len(answers) < MIN_NAMES:
        return False
    shared = frozenset.intersection(*answers.values())
    return bool(shared) and not shared & proven


def _names_resolve(facts: "Facts", name: str) -> bool | None:
    """Say whether the system's resolver answered for names other than that of `name`; None where none was asked."""
    others = [one for one in facts.latest if one.is_by_name and one.target_name != name]
    asked = [one for one in others if one.outlook is not Outlook.VOID]
    if any(one.outlook is not Outlook.UNNAMED for one in asked) or facts.reached(Rung.RESOLVER):
        return True
    return False if asked or facts.failed(Rung.RESOLVER) else None


def _step_before(history: "Sequence[Past]", name: str) -> str:
    last = history[-1] if history else None
    if last is None or last.age_s > REPEATED_S:
        return ""
    return next((one.step for one in last.targets if one.name == name), "")


def _failing_for_s(history: "Sequence[Past]", name: str) -> float:
    """Return for how long the target has failed in every round; 0 where this is the first."""
    since_s = 0.0
    for past in reversed(history):
        step = next((one.step for one in past.targets if one.name == name), "")
        if step not in FAILED or past.age_s - since_s > REPEATED_S:
            break
        since_s = past.age_s
    return since_s


def to_json(targets: Iterable[TargetJudgement]) -> list[JsonValue]:
    """Return their JSON form. `from_json` is its inverse."""
    return [
        {
            "name": one.name,
            "verdict": str(one.verdict),
            "rule_id": one.rule_id,
            "step": one.step,
            "confidence": one.confidence,
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
    return TargetJudgement(
        name=reader.text("name"),
        verdict=VerdictWord(reader.word("verdict", tuple(VerdictWord))),
        rule_id=reader.text("rule_id"),
        step=reader.text("step"),
        confidence=reader.text("confidence"),
    )
