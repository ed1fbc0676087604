"""What one device writes down: its records, on their way to the outbox, and the state that others may read.

One place that knows both clocks, the boot, the plan and the health at the moment, so that every record is made
alike. It decides nothing. It must never raise because a disk is full: that is told, counted, and lived with.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance import state_file
from appliance.events import OfflineExport, OutboxChanged, SyncChanged
from appliance.measuring import health, records
from appliance.measuring.rounds import RunningRound
from appliance.measuring.schedule import Schedule
from appliance.measuring.slots import Missed
from appliance.outbox import boots
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.state_file import DaemonState
from appliance.storage.errors import OutboxError
from appliance.transports import ConnectionAttempt
from firmware.clock import clocks
from firmware.clock.clocks import ClockTracker, SyncPoint
from firmware.judgement.ladder import Ladder
from firmware.judgement.round.verdict import RoundJudgement
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.plan import Plan
from firmware.model.record import Record
from firmware.model.statement import Statement, stated
from firmware.model.task import Result, Task
from firmware.net.loop import boottime_ns

_POINTS_KEPT: Final = 32
"""Sync points that readings are judged by; each was told in a record when it came."""
_MESSAGE_LENGTH: Final = 300
END_WAIT_S: Final = 60.0
"""How long a process that ends waits for a large outbox that is being read through."""
_log: Final = logging.getLogger(__name__)


class Journal:
    """Makes and keeps the records of one run. `place` is what the operator typed of where it stands."""

    def __init__(
        self, *, data: Path, plan: Plan, outbox: Outbox, place: Mapping[str, str], state: DaemonState
    ) -> None:
        self.state = state
        self._data = data
        self._plan = plan
        self._outbox = outbox
        self._store = GroupCommit(outbox, account=self._given_up)
        self._boot = boots.BootStart()
        self._boot_noted_in: int | None = None
        self._clock = ClockTracker(())
        self._new_points: list[SyncPoint] = []
        self._place: Mapping[str, JsonValue] = {key: text for key, text in place.items() if text}
        self._before: health.Reading | None = None
        self._context: Mapping[str, JsonValue] = {}
        self._at_start = self.scene()
        self._note_boot()

    # What happened.

    def begin_round(self, *, worker: int | None) -> None:
        """Look at the clock and at the machine, as they are at a round's start."""
        point = clocks.read_timesync()
        if point is not None:
            self._add_point(point)
        now_ns, utc_ns = clocks.now()
        reading = self._clock.reading(boottime_ns=now_ns, utc_ns=utc_ns)
        self._before = self._look(worker)
        self._context = health.context(self._before)
        self.state = replace(
            self.state,
            clock_quality=str(reading.quality),
            clock_error_ns=reading.error_ns,
            worker_pid=worker,
        )

    def next_round_id(self) -> int:
        """Return the number of a round that begins: one more than any before, in this run or an earlier one."""
        self.state = replace(self.state, round_id=self.state.round_id + 1)
        return self.state.round_id

    def result(self, task: Task, result: Result, *, slot_ns: int) -> Record:
        """Keep the record of a measurement, and the sync point that an `ntp` one is."""
        if task.test == "ntp" and (point := sync_point(result)) is not None:
            self._add_point(point)
        return self._keep(
            records.of_result(self.scene(), task, result, slot_ns=slot_ns, context=self._context)
        )

    def lost(self, task: Task, failure: Failure, reason: Statement, *, slot_ns: int) -> Record:
        """Keep the record of a task that no result will come of."""
        scene = self.scene()
        result = records.lost_result(scene, task, failure=failure, reason=reason)
        return self._keep(records.of_result(scene, task, result, slot_ns=slot_ns, context=self._context))

    def missed(self, gap: Missed) -> None:
        """Keep the record of slots that were not run."""
        self.state = replace(self.state, missed_slots=self.state.missed_slots + gap.count)
        self._keep(records.of_missed(self.scene(), gap))

    def worker_died(self, reason: str, tasks: Sequence[Task]) -> None:
        """Keep the record of the measuring process's death, with what it was doing."""
        self.state = replace(
            self.state, worker_restarts=self.state.worker_restarts + 1, worker_last_end=reason
        )
        self._fault(
            "worker", Failure.WORKER_DIED, operation="measure", reason=worker_ended(reason), tasks=tasks
        )

    def interrupted(self, tasks: Sequence[Task]) -> None:
        """Keep the record of what was under way when the device was told to stop."""
        self._fault(
            "device", Failure.INTERRUPTED, operation="measure", reason=stated("told-to-stop"), tasks=tasks
        )

    def conclude(
        self,
        ended: RunningRound,
        judged: RoundJudgement,
        ladder: Ladder,
        *,
        ended_ns: int,
        since_utc_ns: int,
        worker: int | None,
        is_revision: bool = False,
    ) -> None:
        """Keep a round's conclusion, with the device's health over it, and commit it with all that came before.

        `ended_ns` is the moment as of which it was judged; a revision stands in the place of the one before.
        """
        after = self._look(worker)
        points, self._new_points = self._new_points, []
        conclusion = records.Conclusion(
            round_id=ended.round_id,
            slot_ns=ended.slot_ns,
            start_ns=ended.start_ns,
            end_ns=ended_ns,
            uplink=ended.uplink,
            ladder=ladder,
            verdict=judged.verdict,
            targets=judged.targets,
            fingerprints=self.state.fingerprints,
            references=judged.facts.references,
            silent=() if is_revision else ended.out_silent,
            connected=ended.out_connected,
            is_revision=is_revision,
            since_utc_ns=since_utc_ns,
            traffic=(ended.bytes_up, ended.bytes_down),
            health={
                **health.summary(self._before or after, after, own_bytes=ended.wire_bytes),
                **self._place,
            },
            sync_points=points,
            previous_boot_id=self._boot.previous,
        )
        self._keep(records.of_round(self.scene(), conclusion))

    def sync_changed(self, event: SyncChanged) -> None:
        """Note how the way to the collector is, and since when."""
        _, utc_ns = clocks.now()
        if event.state != self.state.sync_state:
            self.state = replace(self.state, sync_since_utc_ns=utc_ns)
        self.state = replace(self.state, sync_state=event.state, sync_message=event.message)

    def transport_tried(self, tried: ConnectionAttempt) -> None:
        """Keep the record of what a try of one way to the collector came to."""
        self._keep(records.of_transport(self.scene(), tried))

    def carried(self, carried: OfflineExport) -> None:
        """Keep the record of a USB drive that was written to."""
        self._keep(records.of_export(self.scene(), carried))

    # The way to the disk.

    def due_ns(self) -> int | None:
        """Return when the next commit is due, None when nothing waits for one."""
        return self._store.due_ns()

    def commit(self) -> bool:
        """Commit what is held; return whether something was stored."""
        stored = self._store.commit(boottime_ns())
        if stored and self._boot_noted_in != self._outbox.generation:
            self._note_boot()
        self.state = replace(self.state, storage_fault=self._store.fault, given_up=self._store.given_up_ever)
        return stored

    def commit_last(self) -> bool:
        """Commit at the end of the process, after a check or a recovery of the outbox that is under way."""
        if self._store.held and not self._outbox.wait_until_ready(END_WAIT_S):
            _log.error("the outbox was not ready within %.0f s", END_WAIT_S)
        return self.commit()

    @property
    def held(self) -> int:
        """How many records are in memory alone."""
        return self._store.held

    def counts(self) -> OutboxChanged | None:
        """Return how the outbox stands, None when the disk does not say."""
        try:
            counts = self._outbox.counts()
        except OutboxError as error:
            _log.warning("%s", error)
            return None
        return OutboxChanged(
            waiting=counts.waiting, acknowledged=counts.acknowledged, quarantined=counts.quarantined
        )

    def write_state(self, schedule: Schedule) -> None:
        """Write the state file, with the schedule's and the budget's accounts as they are now."""
        now_ns, utc_ns = clocks.now()
        self.state = replace(
            self.state,
            written_utc_ns=utc_ns,
            written_boottime_ns=now_ns,
            settled_boottime_ns=max(0, schedule.settled(now_ns)),
            period_s=schedule.period_ns // 1_000_000_000,
            spent=tuple(schedule.budget.ages(now_ns)),
        )
        state_file.write(self._data, self.state)

    def scene(self) -> records.Scene:
        """Return what the device knows of itself at this moment."""
        now_ns, utc_ns = clocks.now()
        return records.Scene(
            boot_id=self.state.boot_id,
            plan=self._plan,
            clock=self._clock,
            boottime_ns=now_ns,
            utc_ns=utc_ns,
        )

    def _keep(self, record: Record) -> Record:
        self._store.add(record, boottime_ns())
        return record

    def _fault(
        self, target: str, failure: Failure, *, operation: str, reason: Statement, tasks: Sequence[Task]
    ) -> None:
        self._keep(
            records.of_fault(
                self.scene(),
                target=target,
                failure=failure,
                operation=operation,
                count=len(tasks),
                reason=reason,
                names=[task.task_id for task in tasks],
            )
        )

    def _given_up(self, count: int, reason: str) -> Record:
        """Return the record of results that were measured and given up because the disk refused them."""
        return records.of_fault(
            self.scene(),
            target="outbox",
            failure=Failure.RESULT_LOST,
            operation="store",
            count=count,
            reason=stated("not-stored", message=reason[:_MESSAGE_LENGTH]),
            names=(),
        )

    def _note_boot(self) -> None:
        """Note in the outbox that this boot is under way, with its points, and learn what it knows of it.

        At start, and again where the disk refused, or another database has taken the place of the one it was noted in.
        """
        boot_id = self.state.boot_id
        begun = boots.begin(self._outbox, boot_id)
        if not begun.is_noted:
            return
        if not self._boot.previous:
            self._boot = begun
            if begun.is_new and begun.previous:
                self._keep(records.of_boot(self._at_start, begun.previous))
        known = boots.points(self._outbox, boot_id)
        own = [point for point in self._clock.points if point not in known]
        self._clock = ClockTracker((*known, *own)[-_POINTS_KEPT:])
        if all(boots.add_point(self._outbox, boot_id, point) for point in own):
            self._boot_noted_in = self._outbox.generation

    def _add_point(self, point: SyncPoint) -> None:
        if point not in self._clock.points:
            self._new_points.append(point)
            if not boots.add_point(self._outbox, self.state.boot_id, point):
                self._boot_noted_in = None
            self._clock = ClockTracker((*self._clock.points, point)[-_POINTS_KEPT:])

    def _look(self, worker: int | None) -> health.Reading:
        pids = {"daemon": os.getpid(), "worker": worker}
        return health.read(boottime_ns=boottime_ns(), data=self._data, pids=pids)


def worker_ended(how: str) -> Statement:
    """Return why nothing came of what the measuring process had on its hands."""
    return stated("worker-ended", how=how[:_MESSAGE_LENGTH])


def sync_point(result: Result) -> SyncPoint | None:
    """Return the sync point that an `ntp` measurement brought, None where it brought none."""
    detail = result.outcome.detail
    named = ("t4_boottime_ns", "t4_utc_ns", "offset_ns", "error_ns")
    boottime, utc, offset, error = (detail.get(name) for name in named)
    if result.outcome.failure is not None or not (
        isinstance(boottime, int)
        and isinstance(utc, int)
        and isinstance(offset, int)
        and isinstance(error, int)
    ):
        return None
    return SyncPoint(boottime_ns=boottime, utc_ns=utc + offset, error_ns=error)
