"""Device and collector come to the same verdict by the same records and the same view from outside.

Drawn stories (`one_judgement_scene`) are played on the device's own parts: its round, its history, its outbox. What the outbox holds goes,
as the messages that it sends, into a collector's store, and the vantage's looks into its log. Then the collector judges
each round from there, and says of the round and of each platform in it the same words, by the same rules, for the
same reasons. The device is given the view that the looks make of the moment, also where it would not have had it.
"""

import heapq
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from appliance.measuring import records
from appliance.measuring.rounds import RecentRounds, RunningRound
from appliance.outbox.box import Outbox
from collector.store.queries import Queries
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import Key, Sample
from collector.vantage.judging import Judging
from firmware.clock.clocks import ClockTracker
from firmware.judgement.ladder import Ladder
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.model.plan import PlannedTarget
from firmware.model.record import ClockQuality, ClockReading, Record
from firmware.model.statement import Statement
from firmware.model.task import Result, Task
from tests.drills.exchange import Collector, deliver
from tests.drills.one_judgement_scene import (
    NS,
    PLAN,
    PLATFORMS,
    DrawnRound,
    Look,
    Story,
    failure_of,
    outcome_of,
    story,
    took_ns,
    view_at,
    view_of,
)

DEVICE = "a1b2c3d4e5f6g7h8"
A_SCENE = 50
"""Stories that share an outbox and a store."""
EVERY_S = 600.0
SHOWN = 20
"""Differences that are printed."""

Said = tuple[str, str, tuple[Statement, ...], str, str, str]
"""What is said of one thing: word, rule, evidence, what would overturn it, confidence, step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One round as the device went through it: when it ended, what it said, what it stored."""

    end_ns: int
    judged: RoundJudgement
    stored: tuple[Record, ...]


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
        number += A_SCENE
    words = ", ".join(f"{word} {count}" for word, count in sorted(tally.items()))
    print(f"{judged} rounds in {number} stories; platforms: {words}")
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

        Return, of each round, its number, its record's (epoch, seq) and what the device said.
        """
        # When rounds end does not depend on who looks from outside, and the looks are told from the last end.
        ends = [played.end_ns for played, _ in _device(drawn, {}, None)]
        looks = {
            name: tuple(
                Look(utc_ns=drawn.booted_utc_ns + ends[-1] + at_ns, sight=sight) for at_ns, sight in told
            )
            for name, told in drawn.offsets.items()
        }
        told = []
        for number, (played, identity) in enumerate(_device(drawn, looks, self.outbox)):
            assert played.end_ns == ends[number]
            told.append((number + 1, identity, played.judged))
        self.collector.now_ns = drawn.booted_utc_ns + ends[-1] + 2 * 86_400 * NS
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


def _device(
    drawn: Story, looks: dict[str, tuple[Look, ...]], outbox: Outbox | None
) -> Iterator[tuple[Played, tuple[str, int]]]:
    """Go through a story's rounds as a device does; yield each with its record's epoch and seq."""
    history = RecentRounds()
    now_ns = 60 * NS
    for number, one in enumerate(drawn.rounds):
        now_ns += one.gap_ns
        played = _round(drawn, one, number + 1, now_ns, history=history, looks=looks)
        now_ns = played.end_ns
        identity = ("", 0)
        if outbox is not None:
            stored = outbox.append(played.stored)
            at = next(index for index, record in enumerate(played.stored) if record.test == "ladder")
            identity = (stored[at].epoch, stored[at].seq)
            if drawn.restarted_after == number:
                history = RecentRounds.of(outbox.recent_rounds(60), boot_id=drawn.boot_id)
        yield played, identity


def _round(
    drawn: Story,
    told: DrawnRound,
    round_id: int,
    start_ns: int,
    *,
    history: RecentRounds,
    looks: dict[str, tuple[Look, ...]],
) -> Played:
    current = RunningRound(PLAN, round_id=round_id, slot_ns=start_ns, start_ns=start_ns)
    coming: list[tuple[int, str, Task, Record]] = []
    taken: list[Record] = []

    def ask(tasks: Sequence[Task]) -> None:
        for task in tasks:
            record = _record(drawn, told, task)
            ended_ns = record.start.boottime_ns + record.runtime_ns
            heapq.heappush(coming, (ended_ns, task.task_id, task, record))

    ask(current.tasks)
    now_ns = start_ns
    while True:
        while coming and coming[0][0] <= now_ns:
            _, _, task, record = heapq.heappop(coming)
            taken.append(record)
            ask(current.take(task, record, now_ns))
        ask(current.look(now_ns))
        before = history.before(now_ns)
        if current.is_over(now_ns):
            judged, ladder = current.judge(before, _views(drawn, looks, now_ns)), current.ladder(ended=True)
            break
        if (early := current.early(before, now_ns, partial(_views, drawn, looks, now_ns))) is not None:
            judged, ladder = early
            break
        moments = [*(ended for ended, *_ in coming[:1]), current.early_ns(), current.next_look_ns(now_ns)]
        now_ns = min(moment for moment in moments if moment > now_ns)
    history.add(
        now_ns,
        judged.verdict,
        ladder,
        utc_ns=0,
        targets=judged.targets,
        references=judged.facts.references,
    )
    conclusion = _conclusion(drawn, current, judged, ladder, now_ns)
    late = [record for *_, record in sorted(coming, key=lambda item: item[:2])]
    return Played(end_ns=now_ns, judged=judged, stored=(*taken, conclusion, *late))


def _views(drawn: Story, looks: dict[str, tuple[Look, ...]], now_ns: int) -> dict[str, SiteView]:
    """Return the view that the looks make of this moment, by platform."""
    found = {}
    for target in PLATFORMS:
        seen = view_at(looks.get(target.name, ()), drawn.booted_utc_ns + now_ns, target)
        if seen is not None:
            found[target.name] = seen
    return found


def _scene(drawn: Story, now_ns: int) -> records.Scene:
    return records.Scene(
        boot_id=drawn.boot_id,
        plan=PLAN,
        clock=ClockTracker(()),
        boottime_ns=now_ns,
        utc_ns=drawn.booted_utc_ns + now_ns,
    )


def _record(drawn: Story, told: DrawnRound, task: Task) -> Record:
    fate = told.fates[task.target_name]
    target = PLAN.target(task.target_name)
    assert target is not None
    result = Result(
        task_id=task.task_id,
        test_version="0.1.0",
        target=task.target,
        uplink=told.uplink,
        start_boottime_ns=task.start_boottime_ns,
        start_utc_ns=drawn.booted_utc_ns + task.start_boottime_ns,
        runtime_ns=took_ns(fate),
        outcome=outcome_of(target, fate),
    )
    scene = _scene(drawn, task.start_boottime_ns)
    return _sure(records.of_result(scene, task, result, slot_ns=task.start_boottime_ns, context={}), drawn)


def _conclusion(
    drawn: Story, ended: RunningRound, judged: RoundJudgement, ladder: Ladder, now_ns: int
) -> Record:
    said = records.Conclusion(
        round_id=ended.round_id,
        slot_ns=ended.slot_ns,
        start_ns=ended.start_ns,
        end_ns=now_ns,
        uplink=ended.uplink,
        ladder=ladder,
        verdict=judged.verdict,
        targets=judged.targets,
        references=judged.facts.references,
        silent=() if ended.is_over(now_ns) else ended.out,
        since_utc_ns=0,
        traffic=(0, 0),
        health={},
    )
    return _sure(records.of_round(_scene(drawn, now_ns), said), drawn)


def _sure(record: Record, drawn: Story) -> Record:
    """Return a record whose clock was right, so that both sides tell the same ages."""
    at_ns = record.start.boottime_ns
    start = ClockReading(
        boottime_ns=at_ns,
        utc_ns=drawn.booted_utc_ns + at_ns,
        quality=ClockQuality.SYNCHRONISED,
        error_ns=0,
    )
    return replace(record, start=start)
