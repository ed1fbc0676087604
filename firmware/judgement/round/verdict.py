"""The verdict on a round: what its evidence carries, by the first of `RULES` that holds. Pure.

Device and collector run the same engine; a verdict names its rule, the evidence it used and what would overturn it.
This file must never look past what it is given: time, network and storage are others'.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from firmware.judgement.confidence.said import probability_concluded, said_of
from firmware.judgement.confidence.table import LOW, Speaker
from firmware.judgement.facts import FAMILIES, MIN_OK, Past, RoundFacts
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.observation import SILENCE_NS, Observation, Outlook
from firmware.judgement.round.rules import RULES, Rule
from firmware.judgement.site.evidence import SiteView, WebEvidence
from firmware.judgement.site.targets import judge_targets, resolver_lies
from firmware.judgement.site.verdict import WebJudgement
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Rung, Verdict
from firmware.model.statement import Statement, stated
from firmware.model.verdict_words import VerdictWord

__all__ = ["EARLY_NS", "RULES", "RoundJudgement", "decide", "judge_round"]

EARLY_NS: Final = SILENCE_NS
"""What has been asked for so long without an answer is taken to be silent, if that is all the round waits for and the
line is quick (`firmware.judgement.pace`): four SYNs, and five times as long as its handshakes take. What still comes is a
record like any other, and may revise the round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundJudgement:
    """The verdict on a round, and on each platform in it by itself: in short, and with its evidence by name.

    `facts` is what it rests on.
    """

    verdict: Verdict
    facts: RoundFacts
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
    views: Mapping[str, SiteView] | None = None,
    out: Iterable[Observation] = (),
    rules: Sequence[Rule] | None = None,
    fingerprints: Fingerprints | None = None,
) -> RoundJudgement:
    """Return the verdict on one round: facts are counted, platforms judged by them, then the rules asked.

    `observations` are the round's, in any order, one repeated target counting as it was found last; `history`
    the device's rounds before, oldest first. `pages` is what the round's measurements saw of pages and `views` what a
    vantage outside saw of them, by the target's name: without pages no platform is judged by itself. `out` stands for
    targets that were still out (`firmware.judgement.round.from_records.still_out`). `rules` is the table to use, `RULES`
    unless told; its last rule must always hold. `fingerprints` are those that come along unless given.
    """
    waiting = tuple(out)
    known = pages or {}
    facts = replace(
        RoundFacts.of((*observations, *waiting), history), resolver_lies=resolver_lies(known.values())
    )
    platforms = judge_targets(facts, known, views or {}, fingerprints=fingerprints)
    facts = replace(facts, targets=tuple(_in_short(name, one) for name, one in platforms.items()))
    rule = next(rule for rule in (RULES if rules is None else rules) if rule.condition(facts))
    found = Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(rule, facts, waiting)),
    )
    verdict = said_of(Speaker.ROUND, found, at_most=_of_platforms(rule.verdict, facts.targets))
    return RoundJudgement(verdict=verdict, facts=facts, targets=facts.targets, pages=platforms)


def _in_short(name: str, judged: WebJudgement) -> TargetJudgement:
    return TargetJudgement(
        name=name,
        verdict=VerdictWord(judged.verdict.verdict),
        rule_id=judged.verdict.rule_id,
        step=judged.step,
        confidence=judged.confidence,
        tries=judged.tries,
        probability=probability_concluded(judged.verdict),
        families=judged.families,
    )


def _of_platforms(word: VerdictWord, targets: Iterable[TargetJudgement]) -> float:
    """Return how likely the surest platform of a word is so: a round that says it of one is no surer than that."""
    numbers = [
        one.probability
        for one in targets
        if one.confidence != LOW and one.probability is not None and one.concluded == word
    ]
    return max(numbers, default=1.0)


def _evidence(rule: Rule, facts: RoundFacts, out: Sequence[Observation]) -> Iterator[Statement]:
    seen = [one for rung in rule.rungs for one in _on_rung(facts, rung)]
    yield from seen or [stated("nothing-measured")]
    if Rung.INTERNATIONAL in rule.rungs:
        yield from _families(facts)
    if Rung.PLATFORMS in rule.rungs:
        yield from (one.statement for one in facts.targets)
    if facts.history:
        past = facts.history[-1]
        verdict = past.verdict
        yield stated(
            "round-before", age_s=round(past.age_s), verdict=verdict.verdict, rule_id=verdict.rule_id
        )
    if silent := {one.target_name for one in out if not one.has_connected}:
        yield stated("taken-to-be-silent", targets=len(silent), waited_s=EARLY_NS // 1_000_000_000)


def _families(facts: RoundFacts) -> Iterator[Statement]:
    """Yield what became of each address family, where reference networks answer over one and over the other none does."""
    by_family = {family: facts.of_family(Rung.INTERNATIONAL, family) for family in FAMILIES}
    mute = [one for one in by_family.values() if len(one.silent) >= MIN_OK and not one.connected]
    if mute and any(one.connected for one in by_family.values()):
        for family, one in by_family.items():
            tried = len(one.connected) + len(one.silent)
            yield stated("family", family=family, reached=len(one.connected), networks=tried)


_RUNG: Final = {
    (False, False): "rung",
    (False, True): "rung-best",
    (True, False): "rung-networks",
    (True, True): "rung-networks-best",
}
"""How a rung is told of, by whether its networks are counted and whether a time is known."""


def _on_rung(facts: RoundFacts, rung: Rung) -> Iterator[Statement]:
    tried = facts.on(rung)
    if not tried:
        return
    reached = [seen for seen in tried if seen.outlook is Outlook.REACHED]
    times = [seen.best_ns for seen in reached if seen.best_ns is not None]
    networks = {seen.network for seen in tried if seen.network}
    parameters: JsonObject = {"rung": str(rung), "reached": len(reached), "tried": len(tried)}
    if networks:
        parameters["networks"] = len(networks)
    if times:
        parameters["best_ns"] = min(times)
    yield stated(_RUNG[bool(networks), bool(times)], **parameters)
    for seen in tried:
        if seen.is_out:
            code = "connected-so-far" if seen.has_connected else "silent-so-far"
            yield stated(code, rung=str(rung), target=seen.target_name)
            continue
        if seen.failure is None:
            continue
        failed = {"rung": str(rung), "target": seen.target_name, "failure": seen.failure}
        if seen.failed_operation:
            yield stated("not-reached-in-step", operation=seen.failed_operation, **failed)
        else:
            yield stated("not-reached", **failed)
