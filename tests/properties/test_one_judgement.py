"""Device and collector come to one verdict; the cases in which they did not, and what shows that this would be found."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest

from collector.vantage import judging
from collector.vantage.judging import Judging
from firmware.judgement.facts import Past, RoundFacts
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.observation import Outlook, from_record
from firmware.judgement.round import from_records
from firmware.judgement.round.from_records import judge_stored
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.site.verdict import judge
from firmware.model.record import Record, Rung
from tests.drills import one_judgement
from tests.drills.one_judgement import Scene, said_by_collector, said_by_device
from tests.drills.one_judgement_scene import NS, PLAN, PLATFORMS, DrawnRound, Fate, Sight, Story

SITE = PLATFORMS[0].name
WELL = dict.fromkeys((one.name for one in PLAN.targets), Fate.WELL)
BLOCKED = WELL | {SITE: Fate.RESET}
"""Its handshakes are reset, and so are those with an innocuous name there: only a vantage outside can tell."""
SEEN_WELL = (*((at_s * NS, Sight.UP) for at_s in range(-55, 0, 5)), (600 * NS, Sight.UP))
"""Looked at often while it failed, and once after."""


def story_of(*rounds: DrawnRound) -> Story:
    return Story(
        seed=0,
        boot_id="3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f",
        booted_utc_ns=1_795_000_000 * NS,
        rounds=rounds,
        offsets={SITE: SEEN_WELL} | {one.name: () for one in PLATFORMS[1:]},
    )


def last_said(told: Story) -> dict[str, tuple[str, str]]:
    """Return what each side says of `SITE` in a story's last round: word and rule."""
    with Scene.begun() as scene:
        _, identity, judged = scene.play(told)[-1]
        by_device = said_by_device(judged)[SITE]
        by_collector = said_by_collector(Judging(scene.queries), identity)[SITE]
    assert by_device == by_collector
    return {"device": by_device[:2], "collector": by_collector[:2]}


def test_a_name_that_resolves_does_so_though_nothing_answers_at_it() -> None:
    """The resolver's own check fails and every other name leads to silence: names resolve, and one page is blocked."""
    by_name = [one.name for one in PLAN.targets if ".example" in one.target and one.name != SITE]
    fates = BLOCKED | dict.fromkeys(by_name, Fate.SILENT) | {"resolver": Fate.SILENT}
    rounds = (DrawnRound(gap_ns=NS, fates=fates), DrawnRound(gap_ns=60 * NS, fates=fates))
    said = last_said(story_of(*rounds))
    assert said == dict.fromkeys(("device", "collector"), ("blocked_tls", "handshake-stopped"))


def test_a_failure_of_two_hours_ago_is_not_the_same_one() -> None:
    """Nobody looked in between: whether the page was to be had meanwhile is not known, and once is not twice."""
    rounds = (DrawnRound(gap_ns=NS, fates=BLOCKED), DrawnRound(gap_ns=7200 * NS, fates=BLOCKED))
    said = last_said(story_of(*rounds))
    assert said == dict.fromkeys(("device", "collector"), ("inconclusive", "seen-once"))
    # A minute ago is: the same page, the same looks.
    rounds = (DrawnRound(gap_ns=NS, fates=BLOCKED), DrawnRound(gap_ns=60 * NS, fates=BLOCKED))
    said = last_said(story_of(*rounds))
    assert said == dict.fromkeys(("device", "collector"), ("blocked_tls", "handshake-stopped"))


def test_rounds_whose_story_was_drawn_are_judged_alike() -> None:
    """The short form of `python -m tests.drills one-judgement`."""
    assert one_judgement.drill(times=120, seed=secrets.randbits(32))


def own_view(record: Record, now: Sequence[Record], before: Iterable[Record]) -> RoundView:
    """Return what surrounds a target as a side would count it that goes its own way: as the collector once did."""
    facts = RoundFacts.of(from_record(one) for one in now)
    others = [one for one in facts.latest if one.is_by_name and one.target_name != record.target_name]
    asked = [one for one in (*facts.on(Rung.RESOLVER), *others) if one.outlook is not Outlook.EXCLUDED]
    return RoundView(
        references_reached=facts.references_well,
        names_resolve=any(one.outlook is Outlook.REACHED for one in asked) if asked else None,
        repeated=any(one.target_name == record.target_name for one in before),
    )


def test_a_side_that_builds_its_own_context_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_itself(
        conclusion: Record,
        records: Iterable[Record],
        conclusions: Iterable[Record],
        views: Mapping[str, SiteView] | None = None,
        *,
        fingerprints: Fingerprints | None = None,
    ) -> RoundJudgement:
        given = tuple(records)
        judged = judge_stored(conclusion, given, conclusions, views, fingerprints=fingerprints)
        pages = {
            one.target_name: judge(
                evidence, (views or {}).get(one.target_name), round=own_view(one, given, ())
            )
            for one in given
            if one.target_name in judged.pages and (evidence := evidence_of(one)) is not None
        }
        return replace(judged, pages=pages)

    monkeypatch.setattr(judging, "judge_stored", by_itself)
    assert not one_judgement.drill(times=40, seed=1)


def test_a_side_that_remembers_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history without its ages is enough to be found."""

    def ageless(conclusions: Iterable[Record], current: Record) -> tuple[Past, ...]:
        return tuple(replace(one, age_s=min(one.age_s, 60.0)) for one in history_of(conclusions, current))

    history_of = from_records.history_of
    monkeypatch.setattr(from_records, "history_of", ageless)
    assert not one_judgement.drill(times=40, seed=1)
