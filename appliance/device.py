"""The daemon of one device: the one place where its objects are wired together, and the loop that runs them.

Slots become tasks, tasks become records, records go to the outbox in few commits, a round's records become a
verdict. It decides nothing itself: `schedule`, `rounds` and `firmware.judgement.round.verdict` do. It must never wait for the
network, the worker or the collector, and never stop measuring because something else is broken.

Loss window: a record is committed at its round's end, and at the latest `storing.COMMIT_NS` after it came. A power
cut takes what is younger than that, and nothing else.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from appliance import state_file
from appliance.delivery.network.sender import Sync
from appliance.delivery.removable.watch import UsbDriveWatch
from appliance.events import (
    Event,
    ExportEnded,
    Listener,
    Measured,
    RoundStarted,
    StorageChanged,
    SyncChanged,
    TransportTried,
    VantageNewsArrived,
    VerdictReached,
    WorkerRestarted,
)
from appliance.measuring import records
from appliance.measuring.budget import NS, Budget, wire_bytes
from appliance.measuring.journal import Journal, worker_ended
from appliance.measuring.recent_rounds import RecentRounds
from appliance.measuring.rounds import RunningRound
from appliance.measuring.schedule import ROUND, Due, Reason
from appliance.measuring.sentinel import GONE, PREFIX, Sentinel, targets_of
from appliance.measuring.worker import Died, News, TaskConnected, TaskMeasured, Unanswered, Worker
from appliance.notify import Heartbeat, Notifier
from appliance.outbox.box import ROUNDS_KEPT, Outbox
from appliance.parts import bring_lists, identity_of, make_schedule, sync_settings
from appliance.settings import DeviceSettings
from appliance.state_file import DaemonState
from appliance.storage.datadir import DataDir
from appliance.vantage import Now, VantageNewsStore
from firmware.clock import clocks
from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.ladder import Ladder
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.model.failures import Failure
from firmware.model.plan import Plan
from firmware.model.record import ClockQuality, Record
from firmware.model.statement import Statement
from firmware.model.task import Result, Task
from firmware.model.verdict_words import VerdictWord
from firmware.net.loop import boottime_ns

TASK_DEADLINE_NS: Final = 60 * NS
LINGER_NS: Final = 10 * NS
"""How long a run of a given number of rounds waits at its end for what it measured to be acknowledged."""
WARM_UP_NS: Final = 5 * NS
"""How long the first round waits for the worker, so that its tasks do not all start at once, late."""
MAX_WAIT_NS: Final = 10 * NS
"""The selector's clock stands still in a suspend and ours does not: look up now and then."""
_log: Final = logging.getLogger(__name__)


class Device:
    """One device, wired. `run` it to its end; `stop` it from a signal handler.

    `rounds` is after how many rounds it ends by itself, None for never.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        plan: Plan,
        data: DataDir,
        outbox: Outbox,
        *,
        listeners: Sequence[Listener],
        rounds: int | None = None,
    ) -> None:
        now_ns, utc_ns = clocks.now()
        boot_id = clocks.read_boot_id()
        lists = bring_lists(settings)
        before = state_file.read(data.path)
        past = outbox.recent_rounds(ROUNDS_KEPT) if outbox.is_open else []
        limit = settings.schedule.budget_bytes_per_day or plan.cadence.budget_bytes_per_day
        self._plan = plan
        self._listeners = listeners
        self._rounds_left = rounds
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._worker = Worker(self._selector, clock_ns=boottime_ns)
        self._schedule = make_schedule(
            settings,
            plan,
            device=data.device,
            budget=Budget(
                limit,
                now_ns=now_ns,
                spent=state_file.spent_before(before, boot_id=boot_id, now_ns=now_ns),
            ),
            now_ns=now_ns,
            settled_ns=state_file.settled_before(before, boot_id=boot_id, now_ns=now_ns),
        )
        self._sentinel = Sentinel(targets_of(plan), self._schedule.budget, now_ns=now_ns)
        self._journal = Journal(
            data=data.path,
            plan=plan,
            outbox=outbox,
            place={
                "province": settings.province,
                "provider": settings.provider,
                "network_kind": settings.network_kind,
            },
            state=DaemonState(
                pid=os.getpid(),
                software=records.SOFTWARE,
                boot_id=boot_id,
                plan=plan.label,
                fingerprints=lists.labels,
                fingerprints_left_out=len(lists.left_out),
                started_utc_ns=utc_ns,
                round_id=max([before.round_id if before else 0, *(record.round_id or 0 for record in past)]),
                budget_bytes_per_day=limit,
            ),
        )
        self._history = RecentRounds.of(past, boot_id=boot_id)
        self._boot_id = boot_id
        self._vantage = VantageNewsStore(data.path, plan)
        self._fingerprints = lists.fingerprints
        self._sync = Sync(
            sync_settings(settings),
            outbox,
            software=records.SOFTWARE,
            country=plan.country,
            notify=self._from_sync,
            identity=lambda: identity_of(data),
            clock_is_sure=lambda: self._journal.state.clock_quality == ClockQuality.SYNCHRONISED,
        )
        self._usb_drives = UsbDriveWatch(
            [Path(one) for one in settings.usb_drive.watch.split(":") if one],
            outbox,
            software=records.SOFTWARE,
            country=plan.country,
            notify=self._from_sync,
            identity=lambda: identity_of(data),
        )
        self._sync_events: SimpleQueue[Event] = SimpleQueue()
        self._notifier = Notifier.from_environment()
        self._heartbeat = Heartbeat(
            watchdog_ns=self._notifier.watchdog_ns,
            patience_ns=2 * self._schedule.calm_ns + TASK_DEADLINE_NS,
            progressed_ns=now_ns,
        )
        self._round: RunningRound | None = None
        self._ended_early: list[RunningRound] = []
        self._beside: dict[str, tuple[str, int]] = {}
        self._warm_at_ns = now_ns + WARM_UP_NS
        self._stopping = False

    def run(self) -> None:
        """Measure until stopped, or for as many rounds as were asked."""
        for end in (self._wake, self._waker):
            end.settimeout(0)
        self._selector.register(self._wake, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        try:
            self._worker.start()
            self._sync.start()
            self._usb_drives.start()
            self._journal.write_state(self._schedule)
            self._notifier.ready("the first round is being measured")
            self._tell_counts()
            while not self._stopping and not self._is_done():
                self._tick()
        finally:
            self._end()

    def stop(self) -> None:
        """Ask `run` to end. Safe in a signal handler."""
        self._stopping = True

    # One tick of the loop.

    def _tick(self) -> None:
        self._start_what_is_due()
        for key, _ in self._selector.select(self._wait_s()):
            if key.fileobj is self._wake:
                _drain(self._wake)
        for news in self._worker.tend():
            self._take(news)
        self._pass_on_sync_events()
        self._look_around()
        self._conclude_if_over()
        self._revise_what_was_refuted()
        self._tell_gaps()
        due_ns = self._journal.due_ns()
        if due_ns is not None and boottime_ns() >= due_ns:
            self._commit()
        if self._heartbeat.beat(boottime_ns()):
            self._notifier.alive()

    def _wait_s(self) -> float:
        now_ns = boottime_ns()
        moments = [now_ns + MAX_WAIT_NS, self._worker.next_due_ns(), self._journal.due_ns()]
        moments.append(self._heartbeat.next_due_ns)
        if self._rounds_left != 0:
            # Before the worker is warm nothing is started: what it says wakes us.
            warm = self._worker.is_ready or now_ns >= self._warm_at_ns
            moments.append(self._schedule.next_due_ns() if warm else self._warm_at_ns)
        if self._round is not None:
            moments.append(self._round.next_look_ns(now_ns))
        elif self._rounds_left != 0:
            moments.append(self._sentinel.due_ns)
        due_ns = min(moment for moment in moments if moment is not None)
        return max(0, due_ns - now_ns) / NS

    def _start_what_is_due(self) -> None:
        now_ns = boottime_ns()
        if self._rounds_left == 0 or not (self._worker.is_ready or now_ns >= self._warm_at_ns):
            return
        self._warm_at_ns = now_ns
        for due in self._schedule.look(now_ns):
            if due.name == ROUND:
                self._begin_round(due.slot_ns)
            else:
                self._begin_beside(due)

    def _begin_round(self, slot_ns: int) -> None:
        self._journal.begin_round(worker=self._worker.pid)
        round_id = self._journal.next_round_id()
        start_ns = boottime_ns()
        self._round = RunningRound(
            self._plan,
            round_id=round_id,
            slot_ns=slot_ns,
            start_ns=start_ns,
            fingerprints=self._fingerprints,
            history=self._history.before(start_ns),
        )
        self._journal.write_state(self._schedule)
        self._tell(RoundStarted(round_id=round_id, tasks=len(self._round.tasks)))
        self._worker.submit(self._round.tasks)

    def _begin_beside(self, due: Due) -> None:
        planned = next(task for task in self._plan.tasks if task.name == due.name)
        task = Task(
            task_id=f"t/{due.name}/{due.slot_ns}",
            test=planned.test,
            target=planned.target,
            target_name=planned.name,
            options=planned.options,
            zone=planned.zone,
            start_boottime_ns=due.slot_ns,
            deadline_boottime_ns=boottime_ns() + TASK_DEADLINE_NS,
        )
        self._beside[task.task_id] = (due.name, due.slot_ns)
        self._worker.submit([task])

    def _look_around(self) -> None:
        """Ask once more what a dark round needs, or between two rounds send the sentinel's probe."""
        now_ns = boottime_ns()
        if self._round is not None:
            self._worker.submit(self._round.look(now_ns))
        if self._rounds_left != 0:
            rests = self._round is not None or not self._worker.is_ready
            self._worker.submit(self._sentinel.look(now_ns, in_round=rests))

    # What the worker says.

    def _take(self, news: News) -> None:
        match news:
            case TaskMeasured(task=task, result=result) if task.task_id.startswith(PREFIX):
                self._take_probe(task, result)
            case TaskMeasured(task=task, result=result):
                self._heartbeat.progress(boottime_ns())
                self._take_record(task, self._journal.result(task, result, slot_ns=self._slot_of(task)))
            case TaskConnected(task=task):
                if (of := self._round_of(task)) is not None:
                    of.connected(task)
            case Died(reason=reason, tasks=tasks):
                _log.warning("the measuring process died and is started again: %s", reason)
                self._journal.worker_died(reason, tasks)
                self._take_losses(tasks, Failure.WORKER_DIED, worker_ended(reason))
                self._tell(WorkerRestarted(reason=reason))
            case Unanswered(reason=reason, tasks=tasks):
                _log.warning("%d measurements were lost: %s", len(tasks), reason.code)
                self._take_losses(tasks, Failure.RESULT_LOST, reason)

    def _take_probe(self, task: Task, result: Result) -> None:
        now_ns = boottime_ns()
        reached = result.outcome.failure is None
        again, wanted = self._sentinel.take(task.task_id, reached=reached, now_ns=now_ns)
        self._worker.submit(again)
        if reached:
            self._sync.link_is_back()
        if wanted and self._round is None and self._schedule.hurry(now_ns):
            _log.info("a reference target %s: a round begins", "answers again" if reached else "fell silent")

    def _take_losses(self, tasks: Sequence[Task], failure: Failure, reason: Statement) -> None:
        for task in tasks:
            if task.task_id.startswith(PREFIX):
                self._sentinel.lost(task.task_id, boottime_ns())
                continue
            record = self._journal.lost(task, failure, reason, slot_ns=self._slot_of(task))
            self._take_record(task, record)

    def _take_record(self, task: Task, record: Record) -> None:
        now_ns = boottime_ns()
        ladder = None
        of = self._round_of(task)
        if of is not None:
            self._worker.submit(of.take(task, record, now_ns))
            ladder = of.ladder() if of is self._round else None
        name, _ = self._beside.pop(task.task_id, ("", 0))
        if name:
            carried = record.outcome.bytes_up + record.outcome.bytes_down
            self._schedule.ended(name, wire_bytes(carried), now_ns)
        self._tell(Measured(record=record, ladder=ladder))

    def _slot_of(self, task: Task) -> int:
        of = self._round_of(task)
        return task.start_boottime_ns if of is None else of.slot_of(task)

    def _round_of(self, task: Task) -> RunningRound | None:
        """Return the round that an open task is of: the present one, or one that has ended early."""
        rounds = (*(() if self._round is None else (self._round,)), *self._ended_early)
        return next((one for one in rounds if one.has(task)), None)

    # A round's end.

    def _conclude_if_over(self) -> None:
        ended, now_ns = self._round, boottime_ns()
        if ended is None:
            return
        if ended.is_over(now_ns):
            judged = ended.judge(self._history.before(now_ns), self._views())
            ladder = ended.ladder(ended=True)
        elif early := ended.early(lambda: self._history.before(now_ns), now_ns, self._views):
            judged, ladder = early
        else:
            return
        self._round = None
        if ended.out_silent:
            self._ended_early.append(ended)
        self._history.add(
            judged,
            ladder,
            started_ns=ended.start_ns,
            ended_ns=now_ns,
            utc_ns=self._journal.scene().utc_ns,
        )
        self._journal.conclude(
            ended,
            judged,
            ladder,
            ended_ns=now_ns,
            since_utc_ns=self._history.since_utc_ns,
            worker=self._worker.pid,
        )
        self._schedule.ended(ROUND, ended.cost_bytes, now_ns)
        if self._rounds_left is not None:
            self._rounds_left -= 1
        self._spread(ended, judged, ladder, now_ns)

    def _revise_what_was_refuted(self) -> None:
        """Judge again the rounds of which something came in that had been taken to be silent."""
        for ended in [one for one in self._ended_early if one.is_refuted]:
            now_ns = boottime_ns()
            before = self._history.before(now_ns, started_ns=ended.start_ns)
            revised = ended.revised(before, self._history.verdict_of(ended.start_ns), self._views)
            if revised is not None:
                self._revise(ended, *revised, now_ns)
        self._ended_early = [one for one in self._ended_early if not one.is_all_in]

    def _revise(self, ended: RunningRound, judged: RoundJudgement, ladder: Ladder, now_ns: int) -> None:
        since_utc_ns = self._history.revise(
            judged,
            ladder,
            started_ns=ended.start_ns,
            ended_ns=now_ns,
            utc_ns=self._journal.scene().utc_at(ended.start_ns),
        )
        if self._round is not None:
            self._round.reconsider()
        self._journal.conclude(
            ended,
            judged,
            ladder,
            ended_ns=now_ns,
            since_utc_ns=since_utc_ns,
            worker=self._worker.pid,
            is_revision=True,
        )
        _log.info("round %d was no silence: %s", ended.round_id, judged.verdict.verdict)
        last = self._history.last
        if last is not None and last.started_ns == ended.start_ns:
            self._spread(ended, judged, ladder, now_ns, is_revision=True)
        else:
            self._commit()

    def _spread(
        self,
        ended: RunningRound,
        judged: RoundJudgement,
        ladder: Ladder,
        now_ns: int,
        *,
        is_revision: bool = False,
    ) -> None:
        """Let everything know what the last round comes to."""
        verdict = judged.verdict
        aspect = " ".join(f"{one.name}:{one.verdict}:{one.step}" for one in judged.targets)
        word = concluded(verdict.verdict, verdict.rule_id)
        self._schedule.concluded(word, now_ns, aspect=aspect)
        self._sentinel.concluded(word, now_ns, is_quick=ended.is_quick)
        if word in GONE:
            self._sync.link_is_gone()
        elif word != VerdictWord.INCONCLUSIVE:
            self._sync.link_is_back()
        self._commit()
        self._notifier.status(f"round {ended.round_id}: {verdict.verdict}")
        self._tell(
            VerdictReached(
                round_id=ended.round_id,
                ladder=ladder,
                verdict=verdict,
                since_utc_ns=self._history.since_utc_ns,
                is_revision=is_revision,
            )
        )

    def _views(self) -> dict[str, SiteView]:
        return self._vantage.views(self._now())

    def _tell_gaps(self, *, all_of_them: bool = False) -> None:
        for gap in self._schedule.missed(boottime_ns(), all_of_them=all_of_them):
            _log.warning("%s: %d slots missed (%s)", gap.name, gap.count, gap.reason)
            self._journal.missed(gap)
            if gap.reason is Reason.BUDGET:
                self._heartbeat.progress(boottime_ns())  # keeping to the budget is what it is to do

    def _commit(self) -> None:
        before = self._journal.state.storage_fault
        if self._journal.commit():
            self._sync.wake()
            self._tell_counts()
        if (fault := self._journal.state.storage_fault) != before:
            self._tell(StorageChanged(fault=fault))
        self._journal.write_state(self._schedule)

    # The way to the collector.

    def _from_sync(self, event: Event) -> None:
        """Take an event from the sender's thread; the loop passes it on."""
        self._sync_events.put(event)
        with contextlib.suppress(OSError):  # full: the loop is awake already; closed: it has ended
            self._waker.send(b"\0")

    def _pass_on_sync_events(self) -> None:
        changed = False
        with contextlib.suppress(Empty):
            while True:
                event = self._sync_events.get_nowait()
                if isinstance(event, VantageNewsArrived):
                    refused = self._vantage.take(event.payload, self._now())
                    if refused:
                        _log.warning("news of the vantage was refused: %s", refused)
                if isinstance(event, TransportTried):
                    self._journal.transport_tried(event.tried)
                if isinstance(event, ExportEnded):
                    self._journal.carried(event.carried)
                if isinstance(event, SyncChanged):
                    self._journal.sync_changed(event)
                    changed = True
                self._tell(event)
        if changed:
            self._journal.write_state(self._schedule)

    def _tell_counts(self) -> None:
        counts = self._journal.counts()
        if counts is not None:
            self._tell(counts)

    def _now(self) -> Now:
        boottime, utc = clocks.now()
        return Now(boot_id=self._boot_id, boottime_ns=boottime, utc_ns=utc)

    # Around the loop.

    def _is_done(self) -> bool:
        """Return whether the rounds that were asked for are measured, and delivered if there is a collector."""
        if self._rounds_left != 0 or self._round is not None:
            return False
        if self._worker.open_tasks:
            return False
        if self._journal.state.sync_state != "connected":
            return True
        counts = self._journal.counts()
        lingered = boottime_ns() - self._heartbeat.progressed_ns > LINGER_NS
        return counts is None or counts.waiting == 0 or lingered

    def _end(self) -> None:
        self._notifier.stopping("stopping; what was measured is kept")
        unfinished = [task for task in self._worker.open_tasks if not task.task_id.startswith(PREFIX)]
        if unfinished:
            self._journal.interrupted(unfinished)
        self._worker.stop()
        self._tell_gaps(all_of_them=True)
        self._usb_drives.stop()
        self._pass_on_sync_events()
        if self._journal.commit_last():
            self._sync.wake()
        self._sync.stop()
        self._pass_on_sync_events()
        if self._journal.held:
            _log.error("%d results were never stored, and end with this process", self._journal.held)
        self._tell_counts()
        self._journal.write_state(self._schedule)
        signal.set_wakeup_fd(-1)
        self._notifier.close()
        self._selector.close()
        self._wake.close()
        self._waker.close()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener.on_event(event)


def _drain(sock: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while sock.recv(4096):
            pass
