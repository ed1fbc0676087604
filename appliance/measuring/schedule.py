"""When to measure: the slots of the rounds and of the tasks beside them, within the budget of bytes. Pure.

Times are CLOCK_BOOTTIME in ns and come as arguments, so neither a wall clock that is set nor a suspend moves a
slot. A slot is never silently skipped: it is run, or told once as missed, with the reason. Only a device's very first round
starts at once. Nothing here may spend more than `appliance.measuring.budget` allows.

It leaves room for a task that must run alone (a throughput test): `look` is where it would be refused a slot
while anything else is under way.
"""

import heapq
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from appliance.measuring.budget import NS, Budget
from appliance.measuring.pace import RoundPace
from appliance.measuring.slots import Due, Grid, JobSlots, Missed, Reason, ScheduledJob

ROUND: Final = "round"
"""The name of the round among the jobs and in `gap` records."""
LATE_NS: Final = 15 * NS
"""A slot that is noticed later than this is missed: what is measured then is not what was to be measured."""
GAP_HELD_NS: Final = 300 * NS
"""Slots missed one after the other for one reason are told as one gap, at the latest this long after the first."""


class Schedule:
    """The slots of one device: of its rounds, and of the `tasks` beside them.

    `calm` is the round at its calm period; `quick_ns` its period after the start, after a change of verdict and
    while all is not well, as far as the budget bears it; where it does not bear the calm period either, since rounds cost
    more than they usually do, it is longer. The first round is due at once, so that a verdict comes
    within 30 s. `beside_bytes_per_day` is what others spend of the same budget. `settled_ns` is where an earlier run of the same boot left off (`settled` says it), else None.
    """

    def __init__(
        self,
        *,
        device: str,
        calm: ScheduledJob,
        quick_ns: int,
        tasks: Iterable[ScheduledJob] = (),
        budget: Budget,
        now_ns: int,
        settled_ns: int | None = None,
        beside_bytes_per_day: float = 0.0,
    ) -> None:
        self._device = device
        self.budget = budget
        self._calm = calm
        self._running: dict[str, int] = {}
        self._open: dict[str, tuple[Missed, int]] = {}
        self._closed: list[Missed] = []
        tasks = tuple(tasks)
        beside_bytes = beside_bytes_per_day + sum(job.bytes_per_day for job in tasks)
        self._pace = RoundPace(calm=calm, quick_ns=quick_ns, beside_bytes=beside_bytes, budget=budget)
        self._slots = {
            job.name: JobSlots(job, Grid.of(device, job.name, job.period_ns), now_ns, 0)
            for job in (calm, *tasks)
        }
        if settled_ns is not None:
            for slots in self._slots.values():
                self._miss(slots, settled_ns, now_ns, reason=Reason.STOPPED, now_ns=now_ns)
        for slots in self._slots.values():
            slots.settle(now_ns)
        # The first round stands for the slots of the period that begins with it.
        first = self._slots[calm.name]
        first.grid = Grid.of(device, calm.name, self._pace.wanted_ns(now_ns))
        first.due_ns = now_ns
        self._heap = [(slots.due_ns, name) for name, slots in self._slots.items()]
        heapq.heapify(self._heap)
        self._first: int | None = now_ns

    @property
    def period_ns(self) -> int:
        """The round's present period."""
        return self._slots[self._calm.name].grid.period_ns

    @property
    def calm_ns(self) -> int:
        """The round's period when all is well."""
        return self._calm.period_ns

    @property
    def slowest_ns(self) -> int:
        """The round's longest period."""
        return self._pace.slowest_ns

    def next_due_ns(self) -> int:
        """Return when `look` is to be called next."""
        return self._heap[0][0]

    def look(self, now_ns: int) -> list[Due]:
        """Return what is to be started now; its bytes are reserved until `ended`. Every slot up to now is settled."""
        due: list[Due] = []
        while self._heap[0][0] <= now_ns:
            when_ns, name = heapq.heappop(self._heap)
            slots = self._slots[name]
            if when_ns != slots.due_ns:
                continue  # the round's period has changed since
            due += self._take_first(slots, now_ns) if self._first is not None else self._take(slots, now_ns)
            heapq.heappush(self._heap, (slots.due_ns, name))
        self._set_pace(now_ns)
        return due

    def ended(self, name: str, count: int, now_ns: int) -> None:
        """Take note that what `look` gave for `name` has ended, and cost `count` bytes."""
        self._running.pop(name, None)
        self.budget.settle(name, count, now_ns)
        if name == self._calm.name:
            self._pace.cost(count)

    def hurry(self, now_ns: int) -> bool:
        """Make a round due now, and those after it quick ones; return whether it was not so already, and can be afforded.

        It stands for the slots of the period that begins with it, as the first one does.
        """
        slots = self._slots[self._calm.name]
        if self._calm.name in self._running or self._first is not None or slots.due_ns <= now_ns:
            return False
        if not self._pace.bears_one_more(now_ns):
            return False
        self._pace.hurry()
        self._set_pace(now_ns)
        slots.due_ns = self._first = now_ns
        heapq.heappush(self._heap, (now_ns, self._calm.name))
        return True

    def concluded(self, verdict: str, now_ns: int, *, aspect: str = "") -> None:
        """Take note of a round's verdict: it sets the pace of the rounds to come.

        `aspect` is whatever else of it is news when it changes, as what is said of single platforms.
        """
        self._pace.concluded(verdict, aspect)
        self._set_pace(now_ns)

    def missed(self, now_ns: int, *, all_of_them: bool = False) -> list[Missed]:
        """Return the gaps that are to be told now, each once."""
        for name, (_, since_ns) in list(self._open.items()):
            if all_of_them or now_ns - since_ns >= GAP_HELD_NS:
                self._close(name)
        told, self._closed = self._closed, []
        return told

    def settled(self, now_ns: int) -> int:
        """Return the moment up to which every slot is dealt with for good: neither under way nor still to be told."""
        pending = [slot_ns - 1 for slot_ns in self._running.values()]
        pending += [gap.first_ns - 1 for gap, _ in self._open.values()]
        pending += [gap.first_ns - 1 for gap in self._closed]
        return min(now_ns, *pending) if pending else now_ns

    def _take_first(self, slots: JobSlots, now_ns: int) -> list[Due]:
        if slots.job is not self._calm:
            return self._take(slots, now_ns)
        slot_ns, self._first = slots.due_ns, None
        slots.settle(slot_ns + min(slots.grid.period_ns, self._calm.period_ns) - 1)
        reason = self._refusal(slots.job, now_ns)
        if reason is not None:
            self._add(Missed(name=ROUND, first_ns=slot_ns, last_ns=slot_ns, count=1, reason=reason), now_ns)
            return []
        return [self._run(slots.job.name, slot_ns)]

    def _take(self, slots: JobSlots, now_ns: int) -> list[Due]:
        """Settle every slot up to now; return the newest if it is to be run."""
        before_ns, newest_ns = slots.settled_ns, slots.grid.until(now_ns)
        slots.settle(newest_ns)
        if now_ns - newest_ns > LATE_NS:
            self._miss(slots, before_ns, newest_ns, reason=Reason.STALLED, now_ns=now_ns)
            return []
        self._miss(slots, before_ns, newest_ns - 1, reason=Reason.STALLED, now_ns=now_ns)
        reason = self._refusal(slots.job, now_ns)
        if reason is not None:
            self._miss(slots, newest_ns - 1, newest_ns, reason=reason, now_ns=now_ns)
            return []
        return [self._run(slots.job.name, newest_ns)]

    def _refusal(self, job: ScheduledJob, now_ns: int) -> Reason | None:
        if job.name in self._running:
            return Reason.RUNNING
        return None if self.budget.reserve(job.name, job.most_bytes, now_ns) else Reason.BUDGET

    def _run(self, name: str, slot_ns: int) -> Due:
        self._running[name] = slot_ns
        self._close(name)
        return Due(name=name, slot_ns=slot_ns)

    def _set_pace(self, now_ns: int) -> None:
        slots, wanted_ns = self._slots[self._calm.name], self._pace.wanted_ns(now_ns)
        # A slot that is due already belongs to the period it came with: it is dealt with first.
        if wanted_ns == slots.grid.period_ns or self._first is not None or slots.due_ns <= now_ns:
            return
        slots.grid = Grid.of(self._device, self._calm.name, wanted_ns)
        slots.settle(max(slots.settled_ns, now_ns))
        heapq.heappush(self._heap, (slots.due_ns, self._calm.name))

    def _miss(self, slots: JobSlots, after_ns: int, until_ns: int, *, reason: Reason, now_ns: int) -> None:
        grid, name = slots.grid, slots.job.name
        count = grid.count(after_ns, until_ns)
        if count:
            first_ns, last_ns = grid.after(after_ns), grid.until(until_ns)
            self._add(
                Missed(name=name, first_ns=first_ns, last_ns=last_ns, count=count, reason=reason), now_ns
            )

    def _add(self, missed: Missed, now_ns: int) -> None:
        """Merge with the gap it follows on, if that has the same reason."""
        held = self._open.get(missed.name)
        if held is not None and held[0].reason is missed.reason:
            gap, since_ns = held
            gap = replace(gap, last_ns=missed.last_ns, count=gap.count + missed.count)
            self._open[missed.name] = (gap, since_ns)
            return
        self._close(missed.name)
        self._open[missed.name] = (missed, now_ns)

    def _close(self, name: str) -> None:
        held = self._open.pop(name, None)
        if held is not None:
            self._closed.append(held[0])
