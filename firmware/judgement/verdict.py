"""The verdict on a round: what its evidence carries, by the first of `RULES` that holds. Pure.

Device and collector run the same engine; a verdict names its rule, the evidence it used and what would overturn it.
This file must never look past what it is given: time, network and storage are others'.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from firmware.judgement.facts import Control, Facts, Past
from firmware.judgement.observation import Observation, Outlook
from firmware.judgement.rules import RULES, Rule
from firmware.judgement.web.evidence import WebControl, WebEvidence
from firmware.judgement.web.targets import TargetJudgement
from firmware.record import Rung, Verdict

__all__ = ["RULES", "RoundJudgement", "decide", "judge_round"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundJudgement:
    """The verdict on a round, and on each platform in it by itself."""

    verdict: Verdict
    targets: tuple[TargetJudgement, ...]


def decide(
    observations: Iterable[Observation],
    history: Sequence[Past] = (),
    control: Control | None = None,
    *,
    rules: Sequence[Rule] | None = None,
) -> Verdict:
    """Return the verdict on one round by its observations alone; see `judge_round`."""
    return judge_round(observations, history, control, rules=rules).verdict


def judge_round(
    observations: Iterable[Observation],
    history: Sequence[Past] = (),
    control: Control | None = None,
    *,
    pages: Mapping[str, WebEvidence] | None = None,
    page_controls: Mapping[str, WebControl] | None = None,
    rules: Sequence[Rule] | None = None,
) -> RoundJudgement:
    """Return the verdict on one round.

    `observations` are the round's, in any order, one repeated target counting as it was found last; `history`
    the device's rounds before, oldest first; `control` what a control outside saw, or None without one. `pages`
    is what the round's measurements saw of pages and `page_controls` what a control outside saw of them, by the
    target's name: without them no platform is judged by itself. `rules` is the table to use, `RULES` unless
    told; its last rule must always hold.
    """
    facts = Facts.of(observations, history, control, pages=pages, page_controls=page_controls)
    rule = next(rule for rule in (RULES if rules is None else rules) if rule.condition(facts))
    verdict = Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(rule, facts)),
        overturned_by=rule.overturned_by,
    )
    return RoundJudgement(verdict=verdict, targets=facts.targets)


def _evidence(rule: Rule, facts: Facts) -> Iterator[str]:
    lines = [line for rung in rule.rungs for line in _rung_lines(facts, rung)]
    yield from lines or ["nothing was measured that could tell"]
    if Rung.PLATFORMS in rule.rungs:
        yield from (one.line for one in facts.targets)
    if facts.history:
        past = facts.history[-1]
        yield f"the round before, {past.age_s:.0f} s ago: {past.verdict.verdict} ({past.verdict.rule_id})"


def _rung_lines(facts: Facts, rung: Rung) -> Iterator[str]:
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
