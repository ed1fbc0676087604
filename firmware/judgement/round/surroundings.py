"""What is known around one measurement of a device, of its round or of the rounds on either side. Pure.

A measurement by itself cannot tell a page that is blocked from a line that is cut. So whoever speaks of one asks first
how its round was; one that was made beside the rounds is taken to be in a well minute only where the round before it
and the round after it both were. This file must never make a round well of which nothing is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware.judgement.facts import RoundFacts
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.line_loss import NO_TRIES, is_clean
from firmware.judgement.round.from_records import ended_ns
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.site.round_json import UNKNOWN
from firmware.judgement.site.targets import FAILED, lately, round_view
from firmware.judgement.site.verdict import WebJudgement, judge
from firmware.model.record import Record, Rung

NEAR_S: Final = 900.0
"""A round further than this from a measurement says nothing of its minute. Calm rounds are up to three minutes apart."""
SAME_S: Final = 24 * 3600.0
"""A failure of the same page longer ago than this is another one: lists are measured hours apart."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NearRound:
    """A round beside a measurement, and how far apart the two were."""

    judged: RoundJudgement
    apart_s: float


def in_round(judged: RoundJudgement, record: Record) -> RoundView:
    """Return what the round of `record` says around it."""
    return replace(
        _around(judged.facts, record),
        is_of_its_round=record.rung is not Rung.PLATFORMS,
        verdict=judged.verdict.verdict,
        rule_id=judged.verdict.rule_id,
    )


def beside_rounds(
    record: Record, before: NearRound | None, after: NearRound | None, earlier: Iterable[Record]
) -> RoundView:
    """Return what the rounds on either side say around `record`, which was made in none.

    `earlier` is what the same device measured of the same target before, in any order, whichever boot; those of the
    same boot count, since only their distance is known.
    """
    near = [one for one in (before, after) if one is not None and one.apart_s <= NEAR_S]
    worst = next((one for one in near if not one.judged.facts.references_well), None)
    shown = worst or min(near, key=lambda one: one.apart_s, default=None)
    if shown is None:
        return UNKNOWN
    said = shown.judged.verdict
    if worst is None and len(near) < len((before, after)):
        return replace(UNKNOWN, verdict=said.verdict, rule_id=said.rule_id)
    seen = [_around(one.judged.facts, record) for one in near]
    step = _step(record)
    failing = _failing(record, earlier)
    return RoundView(
        references_reached=worst is None,
        names_resolve=_all_of(one.names_resolve for one in seen),
        resolver_lies=any(one.resolver_lies for one in seen),
        tunnelled=any(one.tunnelled for one in seen),
        repeated=bool(failing) and _step(failing[-1]) == step,
        failing_for_s=(ended_ns(record) - ended_ns(failing[0])) / _NS if failing else 0.0,
        references_run_out=any(one.references_run_out for one in seen),
        line_is_clean=is_clean(one for near_one in near for one in lately(near_one.judged.facts)),
        line_is_quick=_all_of(one.line_is_quick for one in seen),
        paired_before=bool(failing) and (last := _alone(failing[-1])) is not None and last.tries.is_paired,
        verdict=said.verdict,
        rule_id=said.rule_id,
    )


def judge_in(
    record: Record,
    around: RoundView | None,
    view: SiteView | None,
    *,
    fingerprints: Fingerprints | None = None,
) -> WebJudgement | None:
    """Return the verdict on what `record` saw of its target; None for a test that the rules do not know."""
    evidence = evidence_of(record)
    if evidence is None:
        return None
    return judge(evidence, view, round=around, fingerprints=fingerprints)


def _around(facts: RoundFacts, record: Record) -> RoundView:
    alone = _alone(record)
    return round_view(
        facts,
        record.target_name,
        "" if alone is None else alone.step,
        NO_TRIES if alone is None else alone.tries,
    )


def _step(record: Record) -> str:
    alone = _alone(record)
    return "" if alone is None else alone.step


def _alone(record: Record) -> WebJudgement | None:
    """Return the verdict by nothing but the record."""
    evidence = evidence_of(record)
    return None if evidence is None else judge(evidence, None)


def _failing(record: Record, earlier: Iterable[Record]) -> Sequence[Record]:
    """Return the measurements of the same target that failed one after the other up to `record`, oldest first."""
    began_ns = record.start.boottime_ns
    ordered = sorted(
        (one for one in earlier if one.boot_id == record.boot_id and one.start.boottime_ns < began_ns),
        key=lambda one: one.start.boottime_ns,
    )
    found: list[Record] = []
    for one in reversed(ordered):
        if (began_ns - one.start.boottime_ns) / _NS > SAME_S or _step(one) not in FAILED:
            break
        found.append(one)
    return found[::-1]


def _all_of(told: Iterable[bool | None]) -> bool | None:
    """Return False if anything says so, True if nothing else says anything, None where nothing does."""
    known = [one for one in told if one is not None]
    return all(known) if known else None
