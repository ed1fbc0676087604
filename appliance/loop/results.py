"""What comes of tasks: the worker's news goes to the journal, to the round or the sentinel that asked, and to listeners.

It must never judge, and never lose a task: one of which no result will come is written down as lost.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from appliance.delivery.network.sender import Sync
from appliance.events import Event, Measured, WorkerRestarted
from appliance.loop.open_rounds import OpenRounds
from appliance.loop.tasks_beside import TasksBeside
from appliance.measuring.budget import wire_bytes
from appliance.measuring.journal import Journal, worker_ended
from appliance.measuring.schedule import Schedule
from appliance.measuring.sentinel import PREFIX, Sentinel
from appliance.measuring.worker import Died, News, TaskConnected, TaskMeasured, Unanswered, Worker
from appliance.notify import Heartbeat
from firmware.model.failures import Failure
from firmware.model.record import Record
from firmware.model.statement import Statement
from firmware.model.task import Result, Task

_log: Final = logging.getLogger(__name__)


class Results:
    """Takes the worker's news. `tell` is called with what listeners should know."""

    def __init__(
        self,
        *,
        rounds: OpenRounds,
        beside: TasksBeside,
        worker: Worker,
        journal: Journal,
        schedule: Schedule,
        sentinel: Sentinel,
        sync: Sync,
        heartbeat: Heartbeat,
        tell: Callable[[Event], None],
    ) -> None:
        self._rounds = rounds
        self._beside = beside
        self._worker = worker
        self._journal = journal
        self._schedule = schedule
        self._sentinel = sentinel
        self._sync = sync
        self._heartbeat = heartbeat
        self._tell = tell

    def take(self, news: News, now_ns: int) -> None:
        """Take what the worker says at `now_ns`."""
        match news:
            case TaskMeasured(task=task, result=result) if task.task_id.startswith(PREFIX):
                self._take_probe(task, result, now_ns)
            case TaskMeasured(task=task, result=result):
                self._heartbeat.progress(now_ns)
                record = self._journal.result(task, result, slot_ns=self._rounds.slot_of(task))
                self._take_record(task, record, now_ns)
            case TaskConnected(task=task):
                if (of := self._rounds.of(task)) is not None:
                    of.connected(task)
            case Died(reason=reason, tasks=tasks):
                _log.warning("the measuring process died and is started again: %s", reason)
                self._journal.worker_died(reason, tasks)
                self._take_losses(tasks, Failure.WORKER_DIED, worker_ended(reason), now_ns)
                self._tell(WorkerRestarted(reason=reason))
            case Unanswered(reason=reason, tasks=tasks):
                _log.warning("%d measurements were lost: %s", len(tasks), reason.code)
                self._take_losses(tasks, Failure.RESULT_LOST, reason, now_ns)

    def _take_probe(self, task: Task, result: Result, now_ns: int) -> None:
        reached = result.outcome.failure is None
        again, wanted = self._sentinel.take(task.task_id, reached=reached, now_ns=now_ns)
        self._worker.submit(again)
        if reached:
            self._sync.link_is_back()
        if wanted and self._rounds.present is None and self._schedule.hurry(now_ns):
            _log.info("a reference target %s: a round begins", "answers again" if reached else "fell silent")

    def _take_losses(self, tasks: Sequence[Task], failure: Failure, reason: Statement, now_ns: int) -> None:
        for task in tasks:
            if task.task_id.startswith(PREFIX):
                self._sentinel.lost(task.task_id, now_ns)
                continue
            record = self._journal.lost(task, failure, reason, slot_ns=self._rounds.slot_of(task))
            self._take_record(task, record, now_ns)

    def _take_record(self, task: Task, record: Record, now_ns: int) -> None:
        ladder = None
        of = self._rounds.of(task)
        if of is not None:
            self._worker.submit(of.take(task, record, now_ns))
            ladder = of.ladder() if of is self._rounds.present else None
        name = self._beside.ended(task)
        if name:
            carried = record.outcome.bytes_up + record.outcome.bytes_down
            self._schedule.ended(name, wire_bytes(carried), now_ns)
        self._tell(Measured(record=record, ladder=ladder))
