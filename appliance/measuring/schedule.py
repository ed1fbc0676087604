"""When to measure: the slots of the rounds and of the tasks beside them, within the budget of bytes. Pure.

Times are CLOCK_BOOTTIME in ns and come as arguments, so neither a wall clock that is set nor a suspend moves a
slot. A slot is never silently skipped: it is run, or told once as missed, with the reason. Slots are spread as
Netrics spreads its fleet, by a hash of device and task, so that ten thousand devices that get their power back
in one second do not fire in unison; only a device's very first round starts at once. Nothing here may spend
more than `appliance.measuring.budget` allows.

It leaves room for a task that must run alone (a throughput test): `look` is where it would be refused a slot
while anything else is under way.
"""

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from appliance.measuring.budget import DAY_NS, NS, Budget
from firmware.model.verdict_words import VerdictWord

ROUND: Final = "round"
"""The name of the round among the jobs and in `gap` records."""
QUICK_ROUNDS: Final = 20
"""How many rounds come at the quick cadence after the start and after a change of verdict: ten minutes of them."""
LATE_NS: Final = 15 * NS
"""A slot that is noticed later than this is missed: what is measured then is not what was to be measured."""
NEWS_ROUNDS: Final = 2
"""How many quick rounds after a change of verdict may draw on what is kept for news: they confirm it."""
KEPT_ROUNDS: Final = 20
"""The bytes of so many rounds are left over for news, however long all is not well."""
SLOW: Final = 2
"""A calm day that costs more than the budget bears is measured so many times more slowly, rather than not to its end."""
_MEMORY: Final = 8
"""What a round costs of late is known from about so many."""
GAP_HELD_NS: Final = 300 * NS
"""Slots missed one after the other for one reason are told as one gap, at the latest this long after the first."""


STEADY: Final = frozenset(
    {
        VerdictWord.OK,
        VerdictWord.BLOCKED_DNS,
        VerdictWord.BLOCKED_TCP,
        VerdictWord.BLOCKED_TLS,
        VerdictWord.BLOCKED_HTTP,
        VerdictWord.SERVICE_DOWN,
    }
)
"""Verdicts under which the line itself is well: once they are no news, they need no quick rounds."""


class Reason(StrEnum):
    """Why a slot was missed."""

    RUNNING = "running"
    """What the slot before had started was still under way."""
    BUDGET = "budget"
    """The bytes of the day were spent."""
    STALLED = "stalled"
    """The device slept, or was too busy to look in time."""
    STOPPED = "stopped"
    """The daemon was not running, in the same boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Slots of `name` that were not run: `count` of them from `first_ns` to `last_ns`, all for one reason."""

    name: str
    first_ns: int
    last_ns: int
    count: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A slot that is to be run now."""

    name: str
    slot_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """Something with slots: its period, about what one run costs in bytes, and what it may cost at most."""

    name: str
    period_ns: int
    usual_bytes: int
    most_bytes: int

    @property
    def bytes_per_day(self) -> float:
        """About what it costs in 24 hours."""
        return self.usual_bytes * DAY_NS / self.period_ns


@dataclass(frozen=True, slots=True)
class Grid:
    """The slots of one job at one period: `phase_ns` and every `period_ns` from there."""

    period_ns: int
    phase_ns: int

    @classmethod
    def of(cls, device: str, name: str, period_ns: int) -> "Grid":
        """Return a device's grid: its phase is SHA-256 of `device/name`, the first 8 bytes, modulo the period.

        So the grid of a period that divides another holds all of the other's slots.
        """
        digest = hashlib.sha256(f"{device}/{name}".encode()).digest()
        return cls(period_ns, int.from_bytes(digest[:8]) % period_ns)

    def after(self, moment_ns: int) -> int:
        """Return the first slot later than `moment_ns`."""
        return self.phase_ns + self._number(moment_ns) * self.period_ns + self.period_ns

    def until(self, moment_ns: int) -> int:
        """Return the last slot not later than `moment_ns`."""
        return self.phase_ns + self._number(moment_ns) * self.period_ns

    def count(self, after_ns: int, until_ns: int) -> int:
        """Return how many slots are later than `after_ns` and not later than `until_ns`."""
        return max(0, self._number(until_ns) - self._number(after_ns))

    def _number(self, moment_ns: int) -> int:
        return (moment_ns - self.phase_ns) // self.period_ns


@dataclass(slots=True)
class _Slots:
    """A job's slots: every one up to `settled_ns` was run, or told as missed, or is none of ours."""

    job: ScheduledJob
    grid: Grid
    settled_ns: int
    due_ns: int

    def settle(self, until_ns: int) -> None:
        self.settled_ns = until_ns
        self.due_ns = self.grid.after(until_ns)


class Schedule:
    """The slots of one device: of its rounds, and of the `tasks` beside them.

    `calm` is the round at its calm period; `quick_ns` its period after the start, after a change of verdict and
    while all is not well, as far as the budget bears it. Where it does not bear the calm period either, since rounds cost
    more than they usually do, that is doubled until it does. The first round is due at once, so that a verdict comes
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
        self._quick_ns = quick_ns
        self._quick_left = QUICK_ROUNDS
        self._verdict: str | None = None
        self._aspect = ""
        self._running: dict[str, int] = {}
        self._open: dict[str, tuple[Missed, int]] = {}
        self._closed: list[Missed] = []
        tasks = tuple(tasks)
        self._beside_bytes = beside_bytes_per_day + sum(job.bytes_per_day for job in tasks)
        self._round_bytes = float(calm.usual_bytes)
        self._slots = {
            job.name: _Slots(job, Grid.of(device, job.name, job.period_ns), now_ns, 0)
            for job in (calm, *tasks)
        }
        if settled_ns is not None:
            for slots in self._slots.values():
                self._miss(slots, settled_ns, now_ns, reason=Reason.STOPPED, now_ns=now_ns)
        for slots in self._slots.values():
            slots.settle(now_ns)
        # The first round stands for the slots of the period that begins with it.
        first = self._slots[calm.name]
        first.grid = Grid.of(device, calm.name, self._wanted_ns(now_ns))
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
        return SLOW * self._calm.period_ns

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
            mean = self._round_bytes + (count - self._round_bytes) / _MEMORY
            self._round_bytes = max(mean, float(self._calm.usual_bytes))

    def hurry(self, now_ns: int) -> bool:
        """Make a round due now, and those after it quick ones; return whether it was not so already, and can be afforded.

        It stands for the slots of the period that begins with it, as the first one does.
        """
        slots = self._slots[self._calm.name]
        if self._calm.name in self._running or self._first is not None or slots.due_ns <= now_ns:
            return False
        if not self._bears_one_more(now_ns):
            return False
        self._quick_left = QUICK_ROUNDS
        self._set_pace(now_ns)
        slots.due_ns = self._first = now_ns
        heapq.heappush(self._heap, (now_ns, self._calm.name))
        return True

    def concluded(self, verdict: str, now_ns: int, *, aspect: str = "") -> None:
        """Take note of a round's verdict: it sets the pace of the rounds to come.

        `aspect` is whatever else of it is news when it changes, as what is said of single platforms.
        """
        changed = self._verdict is not None and (verdict, aspect) != (self._verdict, self._aspect)
        self._aspect = aspect
        self._quick_left = QUICK_ROUNDS if changed else max(0, self._quick_left - 1)
        self._verdict = verdict
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

    def _take_first(self, slots: _Slots, now_ns: int) -> list[Due]:
        if slots.job is not self._calm:
            return self._take(slots, now_ns)
        slot_ns, self._first = slots.due_ns, None
        slots.settle(slot_ns + slots.grid.period_ns - 1)
        reason = self._refusal(slots.job, now_ns)
        if reason is not None:
            self._add(Missed(name=ROUND, first_ns=slot_ns, last_ns=slot_ns, count=1, reason=reason), now_ns)
            return []
        return [self._run(slots.job.name, slot_ns)]

    def _take(self, slots: _Slots, now_ns: int) -> list[Due]:
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
        slots, wanted_ns = self._slots[self._calm.name], self._wanted_ns(now_ns)
        # A slot that is due already belongs to the period it came with: it is dealt with first.
        if wanted_ns == slots.grid.period_ns or self._first is not None or slots.due_ns <= now_ns:
            return
        slots.grid = Grid.of(self._device, self._calm.name, wanted_ns)
        slots.settle(max(slots.settled_ns, now_ns))
        heapq.heappush(self._heap, (slots.due_ns, self._calm.name))

    def _wanted_ns(self, now_ns: int) -> int:
        well = self._verdict is None or self._verdict in STEADY
        is_news = self._quick_left > QUICK_ROUNDS - NEWS_ROUNDS
        hurried = self._quick_left > 0 or not well
        kept = 0 if is_news else KEPT_ROUNDS * self._calm.usual_bytes
        if hurried and self._bears_one_more(now_ns, kept=kept):
            return self._quick_ns
        is_borne = self.budget.sustains(self._calm.most_bytes, self._bytes_per_day, now_ns)
        return self._calm.period_ns if is_borne else self.slowest_ns

    def _bears_one_more(self, now_ns: int, *, kept: int = 0) -> bool:
        """Return whether one round more than the calm ones can be paid for, and `kept` bytes are left over."""
        # Beside that round itself, the next calm one at its dearest, and one more: grids do not meet evenly.
        count = 2 * self._calm.usual_bytes + self._calm.most_bytes + kept
        return self.budget.sustains(count, self._bytes_per_day, now_ns)

    @property
    def _bytes_per_day(self) -> float:
        """About what the calm rounds, at what they cost of late, and all beside them cost in 24 hours."""
        return self._beside_bytes + self._round_bytes * DAY_NS / self._calm.period_ns

    def _miss(self, slots: _Slots, after_ns: int, until_ns: int, *, reason: Reason, now_ns: int) -> None:
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
