"""The verdict on a round: what its evidence carries, by the first of `RULES` that holds. Pure.

Device and collector run the same engine; a verdict names its rule, the evidence it used and what would overturn it.
This file must never look past what it is given: time, network and storage are others'.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from firmware.judgement.facts import Past, RoundFacts
from firmware.judgement.observation import Observation, Outlook
from firmware.judgement.round.rules import RULES, Rule
from firmware.judgement.site.evidence import WebControl, WebEvidence
from firmware.judgement.site.targets import judge_targets, resolver_lies
from firmware.judgement.site.verdict import WebJudgement
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.record import Rung, Verdict
from firmware.model.verdict_words import VerdictWord

__all__ = ["EARLY_NS", "RULES", "RoundJudgement", "decide", "judge_round"]

EARLY_NS: Final = 10_000_000_000
"""What has been asked for so long without an answer is taken to be silent, if that is all the round waits for: four
SYNs, and longer than any line takes. What still comes is a record like any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundJudgement:
    """The verdict on a round, and on each platform in it by itself: in short, and with its evidence by name."""

    verdict: Verdict
    targets: tuple[TargetJudgement, ...]
    pages: Mapping[str, WebJudgement] = field(default_factory=dict)


def decide(
    observations: Iterable[Observation],
    history: Sequence[Past] = (),
    *,
    rules: Sequence[Rule] | None = None,
) -> Verdict:
    """Return the verdict on one round by its observations alone; see `judge_round`."""
    return judge_round(observations, history, rules=rules).verdict


def judge_round(
    observations: Iterable[Observation],
    history: Sequence[Past] = (),
    *,
    pages: Mapping[str, WebEvidence] | None = None,
    views: Mapping[str, WebControl] | None = None,
    silent: Iterable[Observation] = (),
    rules: Sequence[Rule] | None = None,
) -> RoundJudgement:
    """Return the verdict on one round: facts are counted, platforms judged by them, then the rules asked.

    `observations` are the round's, in any order, one repeated target counting as it was found last; `history`
    the device's rounds before, oldest first. `pages` is what the round's measurements saw of pages and `views` what a
    vantage outside saw of them, by the target's name: without pages no platform is judged by itself. `silent` stands
    for targets that were still out. `rules` is the table to use, `RULES` unless told; its last rule must always hold.
    """
    out = tuple(silent)
    known = pages or {}
    facts = replace(
        RoundFacts.of((*observations, *out), history), resolver_lies=resolver_lies(known.values())
    )
    platforms = judge_targets(facts, known, views or {})
    facts = replace(facts, targets=tuple(_in_short(name, one) for name, one in platforms.items()))
    rule = next(rule for rule in (RULES if rules is None else rules) if rule.condition(facts))
    verdict = Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(rule, facts, out)),
        overturned_by=rule.overturned_by,
    )
    return RoundJudgement(verdict=verdict, targets=facts.targets, pages=platforms)


def _in_short(name: str, judged: WebJudgement) -> TargetJudgement:
    return TargetJudgement(
        name=name,
        verdict=VerdictWord(judged.verdict.verdict),
        rule_id=judged.verdict.rule_id,
        step=judged.step,
        confidence=judged.confidence,
    )


def _evidence(rule: Rule, facts: RoundFacts, out: Sequence[Observation]) -> Iterator[str]:
    lines = [line for rung in rule.rungs for line in _rung_lines(facts, rung)]
    yield from lines or ["nothing was measured that could tell"]
    if Rung.PLATFORMS in rule.rungs:
        yield from (one.line for one in facts.targets)
    if facts.history:
        past = facts.history[-1]
        yield f"the round before, {past.age_s:.0f} s ago: {past.verdict.verdict} ({past.verdict.rule_id})"
    if out:
        yield f"{len(out)} of the targets had been asked for {EARLY_NS // 1_000_000_000} s, and were taken to be silent"


def _rung_lines(facts: RoundFacts, rung: Rung) -> Iterator[str]:
    tried = facts.on(rung)
    if not tried:
        return
    reached = [seen for seen in tried if seen.outlook is Outlook.REACHED]
    times = [seen.best_ns for seen in reached if seen.best_ns is not None]
    best = f", best {min(times) / 1e6:.1f} ms" if times else ""
    networks = {seen.network for seen in tried if seen.network}
    where = f" in {len(networks)} networks" if networks else ""
    yield f"{rung}: {len(reached)} of {len(tried)} reached{where}{best}"
    for seen in tried:
        if seen.failure is not None:
            yield f"{rung}: {seen.target_name} not reached: {seen.why}"
