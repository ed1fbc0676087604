"""The daemon of one device: the one place where its objects are wired together, and the loop that runs them.

Slots become tasks, tasks become records, records go to the outbox in few commits, a round's records become a
verdict. It decides nothing itself: `schedule`, `rounds` and `firmware.verdict` do. It must never wait for the
network, the worker or the collector, and never stop measuring because something else is broken.

Loss window: a record is committed at its round's end, and at the latest `COMMIT_NS` after it came. A power cut
takes what is younger than that, and nothing else.
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Final

from appliance import health, records, state_file
from appliance.datadir import DataDir
from appliance.events import (
    Event,
    Listener,
    Measured,
    OutboxChanged,
    RoundStarted,
    SyncChanged,
    VerdictReached,
    WorkerRestarted,
)
from appliance.mqtt_link import SyncSettings
from appliance.notify import Heartbeat, Notifier
from appliance.outbox import Outbox
from appliance.rounds import NS, History, Round
from appliance.schedule import Budget, Missed, Periodic, Reason, Schedule
from appliance.settings import DeviceSettings
from appliance.storing import Store
from appliance.sync import Sync
from appliance.worker import Dropped, Lost, News, Worker, dropped_failure
from appliance.worker import Measured as TaskMeasured
from firmware import clock
from firmware.clock import ClockTracker
from firmware.failures import UNKNOWN_PREFIX, Failure
from firmware.loop import boottime_ns
from firmware.plan_model import Plan, PlannedTask
from firmware.record import Record, Verdict
from firmware.task import Result, Task

TASK_DEADLINE_NS: Final = 60 * NS
TASK_MAX_BYTES: Final = 600_000
"""What a task beside the rounds is booked at before it has run: a page at the body cap, and the handshake."""
LINGER_NS: Final = 10 * NS
"""How long a run of a given number of rounds waits at its end for what it measured to be acknowledged."""
MAX_WAIT_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


class Device:
    """One device, wired. `run` it to its end; `stop` it from a signal handler."""

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
        self._plan = plan
        self._data = data
        self._listeners = listeners
        self._rounds_left = rounds
        self._boot_id = clock.read_boot_id()
        self._clock = ClockTracker()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._worker = Worker(self._selector, clock_ns=boottime_ns)
        self._store = Store(outbox, account=self._account)
        self._outbox = outbox
        self._sync_events: SimpleQueue[Event] = SimpleQueue()
        self._sync = Sync(
            SyncSettings(
                host=settings.broker.host,
                port=settings.broker.port,
                keepalive_s=settings.broker.keepalive_s,
                retry_max_s=settings.broker.retry_max_s,
            ),
            outbox,
            software=records.SOFTWARE,
            country=plan.country,
            notify=self._from_sync,
        )
        self._notifier = Notifier.from_environment()
        last_state = state_file.read(data.path)
        budget_limit = settings.schedule.budget_bytes_per_day or plan.cadence.budget_bytes_per_day
        self._schedule = Schedule(
            device=data.device,
            calm_ns=(settings.schedule.calm_s or plan.cadence.calm_s) * NS,
            transition_ns=(settings.schedule.transition_s or plan.cadence.transition_s) * NS,
            round_max_bytes=plan.round.max_bytes,
            tasks=[_periodic(task) for task in plan.tasks],
            budget=Budget(budget_limit, state_file.spent_before(last_state, boot_id=self._boot_id)),
            now_ns=boottime_ns(),
        )
        self._tasks_by_name = {task.name: task for task in plan.tasks}
        self._round: Round | None = None
        self._round_id = _last_round_id(outbox)
        self._history = History()
        self._before = self._look()
        self._stopping = False
        self._heartbeat = Heartbeat(
            watchdog_ns=self._notifier.watchdog_ns,
            patience_ns=2 * self._schedule.calm_ns + TASK_DEADLINE_NS,
            progressed_ns=boottime_ns(),
        )
        self._task_number = 0
        _, utc_ns = clock.now()
        self._state = state_file.State(
            pid=os.getpid(),
            software=records.SOFTWARE,
            boot_id=self._boot_id,
            plan=plan.label,
            started_utc_ns=utc_ns,
            written_utc_ns=utc_ns,
        )

    def run(self) -> None:
        """Measure until stopped, or for as many rounds as were asked."""
        self._wake.settimeout(0)
        self._waker.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._worker.start()
        self._sync.start()
        self._notifier.ready("the first round is being measured")
        self._tell_counts()
        try:
            while not self._stopping and not self._is_done():
                self._turn()
        finally:
            self._end()

    def stop(self) -> None:
        """Ask `run` to end. Safe in a signal handler."""
        self._stopping = True

    # One turn of the loop.

    def _turn(self) -> None:
        self._start_what_is_due()
        for key, _ in self._selector.select(self._wait_s()):
            if key.fileobj is self._wake:
                _drain(self._wake)
        for news in self._worker.tend():
            self._take(news)
        self._pass_on_sync_events()
        self._conclude_if_over()
        if self._store.is_due(boottime_ns()):
            self._commit()
        if self._heartbeat.beat(boottime_ns()):
            self._notifier.alive()

    def _wait_s(self) -> float:
        moments = [self._schedule.next_due_ns(), self._worker.next_due_ns(), self._store.due_ns()]
        moments.append(self._heartbeat.next_due_ns)
        if self._round is not None:
            moments.append(self._round.ends_ns())
        due_ns = min(moment for moment in moments if moment is not None)
        return min(MAX_WAIT_S, max(0.0, (due_ns - boottime_ns()) / NS))

    def _start_what_is_due(self) -> None:
        now_ns = boottime_ns()
        if self._schedule.next_due_ns() > now_ns or self._rounds_left == 0:
            return
        due = self._schedule.due(now_ns, round_running=self._round is not None)
        self._heartbeat.progress(now_ns)
        for missed in due.missed:
            self._miss(missed)
        if due.round_slot_ns is not None:
            self._begin_round(due.round_slot_ns)
        for name, slot_ns in due.task_slots_ns.items():
            self._task_number += 1
            self._worker.submit(_task(self._tasks_by_name[name], number=self._task_number, slot_ns=slot_ns))

    def _miss(self, missed: Missed) -> None:
        self._state = replace(self._state, missed_slots=self._state.missed_slots + missed.count)
        self._store.add(records.of_missed(self._scene(), missed), boottime_ns())
        if missed.reason is not Reason.BUSY:
            _log.warning("%s: %d slots missed: %s", missed.name, missed.count, missed.reason)

    def _begin_round(self, slot_ns: int) -> None:
        self._read_clock()
        self._before = self._look()
        self._round_id += 1
        self._round = Round(self._plan, round_id=self._round_id, slot_ns=slot_ns, start_ns=boottime_ns())
        self._tell(RoundStarted(round_id=self._round_id, tasks=len(self._round.tasks)))
        for task in self._round.tasks:
            self._worker.submit(task)

    # What the worker says.

    def _take(self, news: News) -> None:
        match news:
            case TaskMeasured():
                self._take_result(news.task, news.result)
            case Lost():
                self._take_loss(news)
            case Dropped():
                self._fault("worker", dropped_failure(news.count), news.count, "the daemon read too slowly")

    def _take_result(self, task: Task, result: Result) -> None:
        self._heartbeat.progress(boottime_ns())
        record = records.of_result(self._scene(), task, result, context=health.context(self._before))
        self._store.add(record, boottime_ns())
        ladder = None
        if self._round is not None and self._round.has(task):
            again = self._round.take(task, result, boottime_ns())
            for repeated in again:
                self._worker.submit(repeated)
            ladder = self._round.ladder()
        elif task.rung is None:
            spent = result.outcome.bytes_up + result.outcome.bytes_down
            self._schedule.budget.spend(boottime_ns(), spent - TASK_MAX_BYTES)
        self._tell(Measured(record=record, ladder=ladder))

    def _take_loss(self, lost: Lost) -> None:
        _log.warning("the measuring process died: %s", lost.reason)
        self._fault("worker", Failure.WORKER_DIED, len(lost.tasks), lost.reason)
        now_ns, utc_ns = clock.now()
        for task in lost.tasks:
            self._take_result(
                task, records.lost_result(task, boottime_ns=now_ns, utc_ns=utc_ns, reason=lost.reason)
            )
        self._state = replace(self._state, worker_restarts=self._state.worker_restarts + 1)
        self._tell(WorkerRestarted(reason=lost.reason))

    def _fault(self, target: str, failure: str, count: int, reason: str) -> None:
        record = records.of_fault(self._scene(), target=target, failure=failure, count=count, reason=reason)
        self._store.add(record, boottime_ns())

    def _account(self, count: int, reason: str) -> Record:
        """Return the record of results that were measured and given up because the disk refused them."""
        failure = f"{UNKNOWN_PREFIX}results could not be stored"
        return records.of_fault(self._scene(), target="storage", failure=failure, count=count, reason=reason)

    # A round's end.

    def _conclude_if_over(self) -> None:
        now_ns = boottime_ns()
        ended = self._round
        if ended is None or not ended.is_over(now_ns):
            return
        self._round = None
        verdict, ladder = ended.verdict(self._history.before(now_ns)), ended.ladder(ended=True)
        spent = ended.bytes_up + ended.bytes_down
        self._schedule.budget.spend(now_ns, spent - self._plan.round.max_bytes)
        summary = health.summary(self._before, self._look(), own_bytes=spent)
        scene = self._scene()
        self._store.add(
            records.of_round(
                scene,
                round_id=ended.round_id,
                slot_ns=ended.slot_ns,
                start_ns=ended.start_ns,
                uplink=ended.uplink,
                ladder=ladder,
                verdict=verdict,
                health=summary,
                traffic=(ended.bytes_up, ended.bytes_down),
            ),
            now_ns,
        )
        self._commit()
        if self._history.add(now_ns, verdict, ladder):
            self._schedule.verdict_changed(now_ns)
        if self._rounds_left is not None:
            self._rounds_left -= 1
        self._announce(ended, verdict, scene)

    def _announce(self, ended: Round, verdict: Verdict, scene: records.Scene) -> None:
        since_utc_ns = scene.utc_at(self._history.since_ns)
        self._state = replace(self._state, round_id=ended.round_id, verdict_since_utc_ns=since_utc_ns)
        self._write_state()
        self._notifier.status(f"round {ended.round_id}: {verdict.verdict}")
        self._tell(
            VerdictReached(
                round_id=ended.round_id,
                ladder=ended.ladder(ended=True),
                verdict=verdict,
                since_utc_ns=since_utc_ns,
            )
        )

    def _commit(self) -> None:
        if self._store.commit(boottime_ns()):
            self._sync.wake()
            self._tell_counts()
        if self._store.fault != self._state.storage_fault:
            self._state = replace(self._state, storage_fault=self._store.fault)
            self._write_state()

    # The way to the collector.

    def _from_sync(self, event: Event) -> None:
        """Take an event from the sender's thread; the loop passes it on."""
        self._sync_events.put(event)
        try:
            self._waker.send(b"\0")
        except (BlockingIOError, OSError):
            return  # the loop is awake already, or gone

    def _pass_on_sync_events(self) -> None:
        while True:
            try:
                event = self._sync_events.get_nowait()
            except Empty:
                return
            if isinstance(event, SyncChanged):
                _, utc_ns = clock.now()
                self._state = replace(
                    self._state,
                    sync_state=event.state,
                    sync_message=event.message,
                    sync_since_utc_ns=utc_ns
                    if event.state != self._state.sync_state
                    else self._state.sync_since_utc_ns,
                )
                self._write_state()
            self._tell(event)

    def _tell_counts(self) -> None:
        counts = self._outbox.counts()
        self._tell(
            OutboxChanged(
                waiting=counts.waiting, acknowledged=counts.acknowledged, quarantined=counts.quarantined
            )
        )

    # Around the loop.

    def _is_done(self) -> bool:
        if self._rounds_left != 0 or self._round is not None:
            return False
        if self._worker.in_flight or self._state.sync_state != "connected":
            return not self._worker.in_flight
        return self._outbox.counts().waiting == 0 or boottime_ns() - self._heartbeat.progressed_ns > LINGER_NS

    def _end(self) -> None:
        self._notifier.stopping("stopping; what was measured is kept")
        unfinished = self._worker.in_flight
        if unfinished:
            self._fault("device", Failure.INTERRUPTED, unfinished, "stopped while these were being measured")
        self._worker.stop()
        self._store.commit(boottime_ns())
        self._sync.stop()
        self._pass_on_sync_events()
        self._write_state()
        signal.set_wakeup_fd(-1)
        self._notifier.close()
        self._selector.close()
        self._wake.close()
        self._waker.close()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener.on_event(event)

    def _scene(self) -> records.Scene:
        now_ns, utc_ns = clock.now()
        return records.Scene(
            boot_id=self._boot_id, plan=self._plan, clock=self._clock, boottime_ns=now_ns, utc_ns=utc_ns
        )

    def _read_clock(self) -> None:
        point = clock.read_timesync()
        if point is not None:
            self._clock = self._clock.with_point(point)
        now_ns, utc_ns = clock.now()
        reading = self._clock.reading(boottime_ns=now_ns, utc_ns=utc_ns)
        self._state = replace(
            self._state, clock_quality=str(reading.quality), clock_error_ns=reading.error_ns
        )

    def _look(self) -> health.Reading:
        return health.read(
            boottime_ns=boottime_ns(),
            data=self._data.path,
            pids={"daemon": os.getpid(), "worker": self._worker.pid},
        )

    def _write_state(self) -> None:
        self._state = replace(
            self._state, written_utc_ns=time.time_ns(), spent_by_hour=self._schedule.budget.by_hour()
        )
        state_file.write(self._data.path, self._state)


def _periodic(task: PlannedTask) -> Periodic:
    return Periodic(name=task.name, period_ns=task.every_s * NS, max_bytes=TASK_MAX_BYTES)


def _task(planned: PlannedTask, *, number: int, slot_ns: int) -> Task:
    start_ns = max(slot_ns, boottime_ns())
    return Task(
        task_id=f"t{number}/{planned.name}",
        test=planned.test,
        target=planned.target,
        target_name=planned.name,
        options=planned.options,
        zone=planned.zone,
        start_boottime_ns=slot_ns,
        deadline_boottime_ns=start_ns + TASK_DEADLINE_NS,
    )


def _last_round_id(outbox: Outbox) -> int:
    last = outbox.recent_rounds(1)
    return 0 if not last or last[0].round_id is None else last[0].round_id


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        return
