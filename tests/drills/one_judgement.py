"""Device and collector come to the same verdict by the same records and the same view from outside.

Drawn stories (`one_judgement_scene`) are played on the device's own parts (`one_judgement_device`): its rounds, also those that are
revised, its history, its outbox. What the outbox holds goes,
as the messages that it sends, into a collector's store, and the vantage's looks into its log. Then the collector judges
each round from there, and says of the round and of each platform in it the same words, by the same rules, for the
same reasons. The device is given the view that the looks make of the moment, also where it would not have had it.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.outbox.box import Outbox
from collector.store.queries import Queries
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import Key, Sample
from collector.vantage.judging import Judging
from firmware.judgement.round.verdict import RoundJudgement
from firmware.model.plan import PlannedTarget
from firmware.model.statement import Statement
from tests.drills.exchange import Collector, deliver
from tests.drills.one_judgement_device import lived
from tests.drills.one_judgement_scene import (
    NS,
    PLATFORMS,
    Look,
    Story,
    failure_of,
    story,
    view_of,
)

DEVICE = "a1b2c3d4e5f6g7h8"
A_SCENE = 50
"""Stories that share an outbox and a store."""
EVERY_S = 600.0
SHOWN = 20
"""Differences that are printed."""
REVISED = "revised"
"""Where revisions are counted among the words."""

Said = tuple[str, str, tuple[Statement, ...], str, str, str]
"""What is said of one thing: word, rule, evidence, what would overturn it, confidence, step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was said otherwise on the two sides, of which round of which story."""

    seed: int
    number: int
    round_id: int
    of: str
    device: Said | None
    collector: Said | None

    def __str__(self) -> str:
        head = f"story {self.number} of seed {self.seed}, round {self.round_id}, {self.of}:"
        return f"{head}\n  device    {self.device}\n  collector {self.collector}"


def drill(*, times: int, seed: int) -> bool:
    """Play stories until `times` rounds were judged on both sides, and print what differs."""
    found: list[Difference] = []
    judged = 0
    tally: dict[str, int] = {}
    number = 0
    while judged < times:
        for rounds, differences in play(seed, range(number, number + A_SCENE), tally):
            judged += rounds
            found += differences
            number += 1
            if judged >= times:
                break
    revised = tally.pop(REVISED, 0)
    words = ", ".join(f"{word} {count}" for word, count in sorted(tally.items()))
    print(f"{judged} rounds in {number} stories, {revised} of them revisions; platforms: {words}")
    print(f"{len(found)} differences in {len({(one.number, one.round_id) for one in found})} rounds")
    for one in found[:SHOWN]:
        print(one)
    return not found


def play(seed: int, numbers: Sequence[int], tally: dict[str, int]) -> Iterator[tuple[int, list[Difference]]]:
    """Yield, of each story, how many rounds were judged on both sides and what differs; count the words in `tally`."""
    with Scene.begun() as scene:
        for number in numbers:
            told = scene.play(story(seed, number))
            differences = []
            tally[REVISED] = tally.get(REVISED, 0) + len(told) - len({round_id for round_id, *_ in told})
            for round_id, identity, judged in told:
                device = said_by_device(judged)
                collector = said_by_collector(Judging(scene.queries), identity)
                for name in sorted(device.keys() | collector.keys()):
                    one = Difference(
                        seed=seed,
                        number=number,
                        round_id=round_id,
                        of=name or "the round",
                        device=device.get(name),
                        collector=collector.get(name),
                    )
                    differences += [one] if one.device != one.collector else []
                for name in device.keys() - {""}:
                    tally[device[name][0]] = tally.get(device[name][0], 0) + 1
            yield len(told), differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A device's outbox and a collector's store, with the vantage's log in it."""

    outbox: Outbox
    collector: Collector
    log: VantageLog
    queries: Queries

    @classmethod
    @contextmanager
    def begun(cls) -> Iterator["Scene"]:
        """Make them, empty, and remove them."""
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            folder = Path(name)
            outbox = stack.enter_context(Outbox.open(folder / "outbox.sqlite3", device=DEVICE))
            collector = stack.enter_context(closing(Collector(folder)))
            database = folder / "collector.sqlite3"
            log = stack.enter_context(closing(VantageLog.open(database)))
            queries = stack.enter_context(closing(Queries(database)))
            yield cls(outbox=outbox, collector=collector, log=log, queries=queries)

    def play(self, drawn: Story) -> list[tuple[int, tuple[str, int], RoundJudgement]]:
        """Play a story up to the collector's store.

        Return, of each round and of each revision of one, its number, its record's (epoch, seq) and what the device said.
        """
        # When rounds end does not depend on who looks from outside, and the looks are told from the last end.
        ends = {
            played.round_id: played.end_ns for played, _ in lived(drawn, {}, None) if not played.is_revision
        }
        last_ns = max(ends.values())
        looks = {
            name: tuple(
                Look(utc_ns=drawn.booted_utc_ns + last_ns + at_ns, sight=sight) for at_ns, sight in told
            )
            for name, told in drawn.offsets.items()
        }
        told = []
        for played, identity in lived(drawn, looks, self.outbox):
            assert played.is_revision or played.end_ns == ends[played.round_id]
            told.append((played.round_id, identity, played.judged))
        self.collector.now_ns = drawn.booted_utc_ns + last_ns + 2 * 86_400 * NS
        deliver(self.outbox, self.collector)
        for target in PLATFORMS:
            self.log.add([_sample(look, target) for look in looks[target.name]], every_s=EVERY_S)
        return told


def _sample(look: Look, target: PlannedTarget) -> Sample:
    failure = failure_of(look.sight)
    return Sample(
        key=Key(test=target.test, target=target.target, target_name=target.name),
        utc_ns=look.utc_ns,
        failure=failure,
        failed_operation="connect" if failure else None,
        view=view_of(look.sight, target),
    )


def said_by_device(judged: RoundJudgement) -> dict[str, Said]:
    """Return what the device says of each platform, by name, and of the round, by ""."""
    verdict = judged.verdict
    said: dict[str, Said] = {
        "": (verdict.verdict, verdict.rule_id, verdict.evidence, verdict.overturned_by, "", "")
    }
    for name, one in judged.pages.items():
        page = one.verdict
        said[name] = (
            page.verdict, page.rule_id, page.evidence, page.overturned_by, one.confidence, one.step
        )  # fmt: skip
    return said


def said_by_collector(judging: Judging, identity: tuple[str, int]) -> dict[str, Said]:
    """Return what the collector says of a round in its store; as `said_by_device`."""
    found = judging.round(DEVICE, until=identity)
    assert found is not None
    assert (found.row.epoch, found.row.seq) == identity
    pages = {one.row.target_name: one.judgement for one in found.targets}
    return said_by_device(replace(found.judged, pages=pages))
