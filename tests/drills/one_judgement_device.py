"""A drawn story as a device lives through it: its own rounds, history and outbox, and what it says and stores.

Rounds follow each other; what a round that ended early still brings comes in while the next ones run, and may revise it.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from appliance.measuring import records
from appliance.measuring.recent_rounds import RecentRounds
from appliance.measuring.rounds import RunningRound
from appliance.outbox.box import Outbox
from firmware.clock.clocks import ClockTracker
from firmware.judgement.ladder import Ladder
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.model.record import ClockQuality, ClockReading, Record
from firmware.model.task import Result, Task
from tests.drills.one_judgement_scene import (
    NS,
    PLAN,
    PLATFORMS,
    DrawnRound,
    Look,
    Story,
    connects_ns,
    outcome_of,
    took_ns,
    view_at,
)

_Coming: TypeAlias = "tuple[int, str, RunningRound, Task, Record | None]"
"""When it comes, of which task, of which round, and its record; None: word that it has connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One round, or a revision of one: when it was judged, what was said, and its record."""

    round_id: int
    end_ns: int
    judged: RoundJudgement
    record: Record
    is_revision: bool


def lived(
    drawn: Story, looks: Mapping[str, tuple[Look, ...]], outbox: Outbox | None
) -> Iterator[tuple[Played, tuple[str, int]]]:
    """Go through a story; yield each round and each revision with its record's epoch and seq."""
    life = _Life(drawn, looks, outbox)
    for number, told in enumerate(drawn.rounds):
        life.rest(told.gap_ns)
        life.measure(told, number + 1)
        if drawn.restarted_after == number:
            life.restart()
    life.rest(120 * NS)
    life.store()
    yield from life.told


class _Life:
    """One boot of a device."""

    def __init__(self, drawn: Story, looks: Mapping[str, tuple[Look, ...]], outbox: Outbox | None) -> None:
        self.told: list[tuple[Played, tuple[str, int]]] = []
        self._drawn = drawn
        self._looks = looks
        self._outbox = outbox
        self._history = RecentRounds()
        self._now_ns = 60 * NS
        self._coming: list[_Coming] = []
        self._early: list[RunningRound] = []
        self._unstored: list[Record] = []
        self._played: list[Played] = []

    def rest(self, for_ns: int) -> None:
        """Let time pass without a round."""
        until_ns = self._now_ns + for_ns
        while self._coming and self._coming[0][0] <= until_ns:
            self._now_ns = self._coming[0][0]
            self._take_what_came(None)
            self._revise()
        self._now_ns = until_ns

    def measure(self, told: DrawnRound, round_id: int) -> None:
        """Go through one round to its end."""
        start_ns = self._now_ns
        current = RunningRound(
            PLAN,
            round_id=round_id,
            slot_ns=start_ns,
            start_ns=start_ns,
            history=self._history.before(start_ns),
        )
        self._ask(told, current, current.tasks)
        while True:
            for asked in self._take_what_came(current):
                self._ask(told, current, asked)
            self._ask(told, current, current.look(self._now_ns))
            before = partial(self._history.before, self._now_ns)
            if current.is_over(self._now_ns):
                ended = current.judge(before(), self._views()), current.ladder(ended=True)
                break
            if (early := current.early(before, self._now_ns, self._views)) is not None:
                ended = early
                self._early.append(current)
                break
            self._revise()
            moments = [
                *(at_ns for at_ns, *_ in self._coming[:1]),
                current.early_ns,
                current.next_look_ns(self._now_ns),
            ]
            self._now_ns = min(moment for moment in moments if moment > self._now_ns)
        judged, ladder = ended
        self._history.add(judged, ladder, started_ns=start_ns, ended_ns=self._now_ns, utc_ns=0)
        self._conclude(current, judged, ladder, silent=current.out_silent)
        self._revise()

    def restart(self) -> None:
        """Begin anew in the same boot: the history is what the outbox holds, and what was out is measured by nobody."""
        self.store()
        if self._outbox is not None:
            self._history = RecentRounds.of(self._outbox.recent_rounds(60), boot_id=self._drawn.boot_id)
        # Its record is kept all the same: what the collector judges by must not hang on it.
        self._unstored += [
            one[4] for one in sorted(self._coming, key=lambda one: one[:2]) if one[4] is not None
        ]
        self._coming, self._early = [], []

    def store(self) -> None:
        """Put into the outbox what is not in it yet."""
        if self._outbox is None:
            self.told += [(one, ("", 0)) for one in self._played]
        else:
            stored = self._outbox.append(self._unstored)
            places = {id(record): place for record, place in zip(self._unstored, stored, strict=True)}
            for one in self._played:
                place = places[id(one.record)]
                self.told.append((one, (place.epoch, place.seq)))
        self._unstored, self._played = [], []

    def _ask(self, told: DrawnRound, current: RunningRound, tasks: Sequence[Task]) -> None:
        for task in tasks:
            record = _record(self._drawn, told, task)
            ended_ns = record.start.boottime_ns + record.runtime_ns
            heapq.heappush(self._coming, (ended_ns, task.task_id, current, task, record))
            if (after_ns := connects_ns(told.fates[task.target_name])) is not None:
                at_ns = task.start_boottime_ns + after_ns
                heapq.heappush(self._coming, (at_ns, task.task_id, current, task, None))

    def _take_what_came(self, current: RunningRound | None) -> list[tuple[Task, ...]]:
        """Take what has come by now; return what the present round asks because of it."""
        asked = []
        while self._coming and self._coming[0][0] <= self._now_ns:
            _, _, of, task, record = heapq.heappop(self._coming)
            if record is None:
                of.connected(task)
                continue
            self._unstored.append(record)
            if of is current or of in self._early:
                more = of.take(task, record, self._now_ns)
                asked += [more] if of is current else []
        return asked

    def _revise(self) -> None:
        for ended in self._early:
            before = self._history.before(self._now_ns, started_ns=ended.start_ns)
            revised = ended.revised(before, self._history.verdict_of(ended.start_ns), self._views)
            if revised is not None:
                self._history.revise(*revised, started_ns=ended.start_ns, ended_ns=self._now_ns, utc_ns=0)
                self._conclude(ended, *revised, is_revision=True)

    def _conclude(
        self,
        ended: RunningRound,
        judged: RoundJudgement,
        ladder: Ladder,
        *,
        silent: Sequence[str] = (),
        is_revision: bool = False,
    ) -> None:
        said = records.Conclusion(
            round_id=ended.round_id,
            slot_ns=ended.slot_ns,
            start_ns=ended.start_ns,
            end_ns=self._now_ns,
            uplink=ended.uplink,
            ladder=ladder,
            verdict=judged.verdict,
            targets=judged.targets,
            references=judged.facts.references,
            silent=silent,
            connected=ended.out_connected,
            is_revision=is_revision,
            since_utc_ns=0,
            traffic=(0, 0),
            health={},
        )
        record = _sure(records.of_round(_scene(self._drawn, self._now_ns), said), self._drawn)
        self._unstored.append(record)
        self._played.append(
            Played(
                round_id=ended.round_id,
                end_ns=self._now_ns,
                judged=judged,
                record=record,
                is_revision=is_revision,
            )
        )

    def _views(self) -> dict[str, SiteView]:
        """Return the view that the looks make of this moment, by platform."""
        found = {}
        for target in PLATFORMS:
            looks = self._looks.get(target.name, ())
            seen = view_at(looks, self._drawn.booted_utc_ns + self._now_ns, target)
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
