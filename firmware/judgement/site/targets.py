"""Each platform of a round judged by itself, with what the round around it says. Pure; device and collector call it.

What a failure needs beside itself comes from here: whether it came twice, since when, how often over the rounds beside
what the line loses, whether the reference targets and the resolver were well. It must never judge a page by one round alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from firmware.judgement.facts import Past, RoundFacts
from firmware.judgement.fingerprints.load import builtin
from firmware.judgement.fingerprints.table import Fingerprints, canonical
from firmware.judgement.line_loss import (
    Excess,
    ReferenceHandshakes,
    RoundTries,
    TargetTries,
    excess,
    is_clean,
)
from firmware.judgement.observation import Outlook
from firmware.judgement.pace import line_is_quick
from firmware.judgement.site.evidence import SiteView, WebEvidence
from firmware.judgement.site.facts import RoundView, WebFacts
from firmware.judgement.site.journey import Stage
from firmware.judgement.site.pairs import tries_of
from firmware.judgement.site.verdict import WebJudgement, judge_facts
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.record import Rung
from firmware.model.verdict_words import VerdictWord

REPEATED_S: Final = 600.0
"""A failure in a round that ended longer ago than this is not the same one."""
MIN_NAMES: Final = 3
"""So many unrelated names must have one answer before the resolver is taken to lie for everything."""
FAILED: Final = frozenset({"dns", "tcp", "tls", "http"})
_NOT_THE_TARGETS: Final = frozenset({"resolver-not-well", "page-through-tunnel", "own-side"})
"""The rules that find the fault elsewhere."""
CLEAN_S: Final = 3600.0
"""How far back a line's losses are counted to call it clean."""
COUNTED_S: Final = 6 * 3600.0
"""How far back a target's failures are counted."""


def judge_targets(
    facts: RoundFacts,
    pages: Mapping[str, WebEvidence],
    views: Mapping[str, SiteView],
    *,
    fingerprints: Fingerprints | None = None,
) -> dict[str, WebJudgement]:
    """Return the verdict on each platform that was measured, by name.

    `pages` is what the round's measurements saw of pages, `views` the vantage's views from outside, both by the
    target's name, `fingerprints` what a censor is known by, those that come along unless given.
    """
    known = builtin() if fingerprints is None else fingerprints
    names = [seen.target_name for seen in facts.on(Rung.PLATFORMS) if seen.target_name in pages]
    if not names:
        return {}
    shared = _around_all(facts)
    found: dict[str, WebJudgement] = {}
    for name in names:
        # Where the journey ended does not depend on the round, and what the round says of the target does on that.
        page = WebFacts.of(pages[name], views.get(name), fingerprints=known, round=None)
        around = _around(facts, shared, name, str(page.stage), tries_of(page))
        found[name] = judge_facts(replace(page, round=around), views.get(name))
    return found


def round_view(facts: RoundFacts, name: str, step: str, tries: TargetTries) -> RoundView:
    """Return what a round and those before it say around its target `name`, whose journey ended in `step`."""
    return _around(facts, _around_all(facts), name, step, tries)


def _around(facts: RoundFacts, shared: RoundView, name: str, step: str, tries: TargetTries) -> RoundView:
    """Return `shared` with what is said around one target."""
    before = _before(facts.history, name)
    return replace(
        shared,
        names_resolve=_names_resolve(facts, name),
        repeated=before is not None and before.step == step and _is_amiss(before),
        failing_for_s=_failing_for_s(facts.history, name),
        excess=_excess(facts, name, step, tries),
        paired_before=before is not None and before.tries.is_paired,
    )


def _around_all(facts: RoundFacts) -> RoundView:
    """Return what a round and those before it say around each of its targets alike."""
    last = facts.history[-1] if facts.history else None
    is_recent = last is not None and last.age_s <= REPEATED_S
    return RoundView(
        references_reached=facts.outside_well,
        resolver_lies=facts.resolver_lies,
        tunnelled=facts.tunnelled,
        references=facts.references,
        references_run_out=facts.references.run_out
        or (last is not None and is_recent and last.references.run_out),
        line_is_clean=is_clean(lately(facts)),
        line_is_quick=line_is_quick(facts),
    )


def lately(facts: RoundFacts) -> tuple[ReferenceHandshakes, ...]:
    """Return how the reference handshakes of a round went, and of those of the hour before it."""
    return (facts.references, *(one.references for one in facts.history if one.age_s <= CLEAN_S))


def resolver_lies(pages: Iterable[WebEvidence]) -> bool:
    """Return whether the system's resolver gave names the same answer, and none of its answers proves itself.

    Names that are blocked often share one false answer too; then other names, asked beside them, are answered truly. What
    is blocked besides may have an answer of its own.
    """
    answers: dict[str, frozenset[str]] = {}
    authenticated: set[str] = set()
    for one in pages:
        authenticated |= {canonical(shaken.address) for shaken in one.handshakes if shaken.failure is None}
        for lookup in one.lookups:
            if lookup.resolver in ("@isp", "@system") and lookup.addresses:
                known = frozenset(map(canonical, lookup.addresses))
                answers[lookup.hostname] = answers.get(lookup.hostname, frozenset()) | known
    if len(answers) < MIN_NAMES:
        return False
    shared = frozenset.intersection(*answers.values())
    if shared:
        return not shared & authenticated
    given = Counter(address for found in answers.values() for address in found)
    proven = any(found & authenticated for found in answers.values())
    return not proven and max(given.values()) >= MIN_NAMES


def _names_resolve(facts: RoundFacts, name: str) -> bool | None:
    """Return whether the system's resolver answered for names other than that of `name`; None where none was asked."""
    others = [one for one in facts.latest if one.is_by_name and one.target_name != name]
    asked = [one for one in others if one.outlook is not Outlook.EXCLUDED]
    if any(one.outlook is not Outlook.UNRESOLVED for one in asked) or facts.reached(Rung.RESOLVER):
        return True
    return False if asked or facts.failed(Rung.RESOLVER) else None


def _before(history: Sequence[Past], name: str) -> TargetJudgement | None:
    """Return what was said of the target in the round before, if that was not long ago."""
    last = history[-1] if history else None
    return None if last is None or last.age_s > REPEATED_S else _of(last, name)


def _of(past: Past, name: str) -> TargetJudgement | None:
    for one in past.targets:
        if one.name == name:
            return one
    return None


def _is_amiss(target: TargetJudgement) -> bool:
    """Return whether a target failed by itself, or what came of it was not found to be well."""
    if target.rule_id in _NOT_THE_TARGETS:
        return False
    return target.step in FAILED or (target.step != Stage.NONE and target.verdict is not VerdictWord.OK)


def _failing_for_s(history: Sequence[Past], name: str) -> float:
    """Return for how long the target has failed in every round; 0 where this is the first."""
    since_s = 0.0
    for past in reversed(history):
        target = _of(past, name)
        if target is None or not _is_amiss(target) or past.age_s - since_s > REPEATED_S:
            break
        since_s = past.age_s
    return since_s


def _excess(facts: RoundFacts, name: str, step: str, tries: TargetTries) -> Excess:
    """Return how much oftener the target failed, in the step it does now, than the line explains.

    A round in which the fault was the resolver's, a tunnel's or the host's own says nothing of the target.
    """
    rounds = [
        RoundTries(age_s=past.age_s, target=target.tries, references=past.references)
        for past in facts.history
        if past.age_s <= COUNTED_S
        and (target := _of(past, name)) is not None
        and target.rule_id not in _NOT_THE_TARGETS
        and (target.step == step or target.step not in FAILED)
    ]
    return excess([*rounds, RoundTries(age_s=0.0, target=tries, references=facts.references)])
