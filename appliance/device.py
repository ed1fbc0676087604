"""The daemon of one device: the one place where its objects are wired together, and the loop that runs them.

Slots become tasks, tasks become records (`loop.results`), records go to the outbox in few commits, a round's records become a
verdict (`loop.conclusions`). It decides nothing itself: `schedule`, `rounds` and `firmware.judgement.round.verdict` do. It must
never wait for the network, the worker or the collector, and never stop measuring because something else is broken.

Loss window: a record is committed at its round's end, and at the latest `group_commit.COMMIT_NS` after it came. A power
cut takes what is younger than that, and nothing else.
"""

import logging
import selectors
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance import state_file
from appliance.delivery.network.sender import Sync
from appliance.delivery.removable.watch import UsbDriveWatch
from appliance.events import (
    Event,
    ExportEnded,
    Listener,
    RoundStarted,
    StorageChanged,
    SyncChanged,
    TransportTried,
    VantageNewsArrived,
)
from appliance.loop.conclusions import Conclusions
from appliance.loop.open_rounds import OpenRounds
from appliance.loop.other_threads import OtherThreads, drain
from appliance.loop.results import Results
from appliance.loop.tasks_beside import TASK_DEADLINE_NS, TasksBeside
from appliance.measuring import records
from appliance.measuring.budget import NS, Budget
from appliance.measuring.recent_rounds import RecentRounds
from appliance.measuring.rounds import RunningRound
from appliance.measuring.schedule import ROUND
from appliance.measuring.sentinel import PREFIX, Sentinel, targets_of
from appliance.measuring.slots import Reason
from appliance.measuring.worker import Worker
from appliance.notify import Heartbeat, Notifier
from appliance.outbox.box import ROUNDS_KEPT, Outbox
from appliance.parts import bring_lists, identity_of, make_journal, make_schedule, sync_settings
from appliance.settings import DeviceSettings
from appliance.storage.datadir import DataDir
from appliance.vantage import Now, VantageNewsStore
from firmware.clock import clocks
from firmware.judgement.site.evidence import SiteView
from firmware.model.plan import Plan
from firmware.model.record import ClockQuality
from firmware.net.loop import boottime_ns

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
        self._other_threads = OtherThreads(self._waker)
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
        self._journal = make_journal(
            settings,
            plan,
            data,
            outbox,
            lists=lists,
            boot_id=boot_id,
            started_utc_ns=utc_ns,
            round_id=max([before.round_id if before else 0, *(record.round_id or 0 for record in past)]),
            budget_bytes_per_day=limit,
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
            notify=self._other_threads.put,
            identity=lambda: identity_of(data),
            clock_is_sure=lambda: self._journal.state.clock_quality == ClockQuality.SYNCHRONISED,
        )
        self._usb_drives = UsbDriveWatch(
            [Path(one) for one in settings.usb_drive.watch.split(":") if one],
            outbox,
            software=records.SOFTWARE,
            country=plan.country,
            notify=self._other_threads.put,
            identity=lambda: identity_of(data),
        )
        self._notifier = Notifier.from_environment()
        self._heartbeat = Heartbeat(
            watchdog_ns=self._notifier.watchdog_ns,
            patience_ns=2 * self._schedule.slowest_ns + TASK_DEADLINE_NS,
            progressed_ns=now_ns,
        )
        self._rounds = OpenRounds()
        self._beside = TasksBeside(plan.tasks)
        self._results = Results(
            rounds=self._rounds,
            beside=self._beside,
            worker=self._worker,
            journal=self._journal,
            schedule=self._schedule,
            sentinel=self._sentinel,
            sync=self._sync,
            heartbeat=self._heartbeat,
            tell=self._tell,
        )
        self._conclusions = Conclusions(
            rounds=self._rounds,
            history=self._history,
            worker=self._worker,
            journal=self._journal,
            schedule=self._schedule,
            sentinel=self._sentinel,
            sync=self._sync,
            notifier=self._notifier,
            views=self._views,
            commit=self._commit,
            tell=self._tell,
        )
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

    @property
    def _round(self) -> RunningRound | None:
        return self._rounds.present

    # One tick of the loop.

    def _tick(self) -> None:
        self._start_what_is_due()
        for key, _ in self._selector.select(self._wait_s()):
            if key.fileobj is self._wake:
                drain(self._wake)
        for news in self._worker.tend():
            self._results.take(news, boottime_ns())
        self._pass_on_sync_events()
        self._look_around()
        if self._conclusions.conclude_if_over(boottime_ns()) and self._rounds_left is not None:
            self._rounds_left -= 1
        self._conclusions.revise_what_was_refuted(boottime_ns())
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
                self._worker.submit([self._beside.begin(due, boottime_ns())])

    def _begin_round(self, slot_ns: int) -> None:
        self._journal.begin_round(worker=self._worker.pid)
        round_id = self._journal.next_round_id()
        start_ns = boottime_ns()
        begun = self._rounds.present = RunningRound(
            self._plan,
            round_id=round_id,
            slot_ns=slot_ns,
            start_ns=start_ns,
            fingerprints=self._fingerprints,
            history=self._history.before(start_ns),
        )
        self._journal.write_state(self._schedule)
        self._tell(RoundStarted(round_id=round_id, tasks=len(begun.tasks)))
        self._worker.submit(begun.tasks)

    def _look_around(self) -> None:
        """Ask once more what a dark round needs, or between two rounds send the sentinel's probe."""
        now_ns = boottime_ns()
        if self._round is not None:
            self._worker.submit(self._round.look(now_ns))
        if self._rounds_left != 0:
            rests = self._round is not None or not self._worker.is_ready
            self._worker.submit(self._sentinel.look(now_ns, in_round=rests))

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

    def _pass_on_sync_events(self) -> None:
        changed = False
        for event in self._other_threads.take():
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
