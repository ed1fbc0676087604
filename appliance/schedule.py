"""When to measure: the slots of the rounds and of the tasks beside them, within the day's budget of bytes. Pure.

Times are CLOCK_BOOTTIME in ns and come as arguments. A slot is never silently skipped: it is run, or told as
missed with the reason. Devices are spread over a period by a hash of device and task, as Netrics spreads its
fleet, so that ten thousand of them do not fire in one second. It must never ask for more bytes than the budget.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
HOUR_NS: Final = 3600 * NS
TRANSITION_NS: Final = 600 * NS
"""How long after a change of verdict rounds come at the quick cadence."""
ROUND: Final = "round"
"""The name of the round among the things that have slots; a plan's targets and tasks cannot have it."""


class Reason(StrEnum):
    """Why a slot was missed."""

    BUSY = "the round before was still being measured"
    BUDGET = "the day's budget of bytes was spent"
    STALLED = "the device was asleep, stalled or stopped"


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
    """What is to be started now: the slot of the round (None: none), and the slots of tasks by name."""

    round_slot_ns: int | None
    task_slots_ns: Mapping[str, int]
    missed: tuple[Missed, ...]


def phase_ns(device: str, name: str, period_ns: int) -> int:
    """Return where in its period a device's slot of `name` lies: the first 8 bytes of SHA-256, as a fraction."""
    digest = hashlib.sha256(f"{device}/{name}".encode()).digest()
    return int.from_bytes(digest[:8]) * period_ns >> 64


def next_slot_ns(phase: int, period_ns: int, after_ns: int) -> int:
    """Return the first slot later than `after_ns`."""
    return phase + ((after_ns - phase) // period_ns + 1) * period_ns


class Budget:
    """Bytes spent in the last day, by the hour, so that a day's budget holds over any 24 hours.

    The hour that is only partly within the last day counts whole: the account errs to the careful side.
    """

    def __init__(self, bytes_per_day: int, spent: Mapping[int, int] | None = None) -> None:
        self._limit = bytes_per_day
        self._by_hour: dict[int, int] = dict(spent or {})

    def spend(self, now_ns: int, count: int) -> None:
        """Book `count` bytes at `now_ns`; a negative count gives back what was booked and not used."""
        hour = now_ns // HOUR_NS
        self._by_hour[hour] = self._by_hour.get(hour, 0) + count

    def spent(self, now_ns: int) -> int:
        """Return what was spent in the 24 hours before `now_ns`."""
        oldest = (now_ns - DAY_NS) // HOUR_NS
        self._by_hour = {hour: count for hour, count in self._by_hour.items() if hour >= oldest}
        return sum(self._by_hour.values())

    def allows(self, now_ns: int, count: int) -> bool:
        """Say whether `count` more bytes fit."""
        return self.spent(now_ns) + count <= self._limit

    def by_hour(self) -> dict[int, int]:
        """Return the account, to be kept over a restart within one boot."""
        return dict(self._by_hour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """Something with slots: its name, its period, and the bytes one run may cost."""

    name: str
    period_ns: int
    max_bytes: int


class _Slots:
    """The slots of one periodic thing: where the next is, and which passed."""

    def __init__(self, device: str, periodic: Periodic, *, first_ns: int) -> None:
        self.periodic = periodic
        self.next_ns = first_ns
        self._last_ns: int | None = None
        self._device = device

    def take(self, now_ns: int) -> tuple[int, int, int]:
        """Return the latest slot that is due, and the first and count of those before it that were passed over."""
        first = self.next_ns
        following = self._following(first)
        period = self.periodic.period_ns
        skipped = 0 if following > now_ns else (now_ns - following) // period + 1
        latest = first if skipped == 0 else following + (skipped - 1) * period
        self._last_ns = latest
        self.next_ns = self._following(latest)
        return latest, first, skipped

    def last_before(self, slot_ns: int, *, first_ns: int, count: int) -> int:
        """Return the last of `count` slots that were passed over before `slot_ns`."""
        return first_ns if count == 1 else slot_ns - self.periodic.period_ns

    def change_period(self, period_ns: int, now_ns: int) -> None:
        """Go over to another period from now on."""
        self.periodic = Periodic(
            name=self.periodic.name, period_ns=period_ns, max_bytes=self.periodic.max_bytes
        )
        following = now_ns if self._last_ns is None else self._following(self._last_ns)
        self.next_ns = following if following > now_ns else self._after(now_ns)

    def _following(self, slot_ns: int) -> int:
        """Return the first slot of the grid a whole period after one that may lie off it (the very first)."""
        return self._after(slot_ns + self.periodic.period_ns - 1)

    def _after(self, after_ns: int) -> int:
        period = self.periodic.period_ns
        return next_slot_ns(phase_ns(self._device, self.periodic.name, period), period, after_ns)


class Schedule:
    """The slots of one device. The first round is due at once, so that a verdict comes within 30 s of the start.

    `calm_ns` and `transition_ns` are the round's two periods; `tasks` are measured beside it.
    """

    def __init__(
        self,
        *,
        device: str,
        calm_ns: int,
        transition_ns: int,
        round_max_bytes: int,
        tasks: Iterable[Periodic] = (),
        budget: Budget,
        now_ns: int,
    ) -> None:
        self.budget = budget
        self.calm_ns = calm_ns
        self._transition_ns = transition_ns
        self._quick_until_ns = now_ns + TRANSITION_NS
        self._round = _Slots(
            device,
            Periodic(name=ROUND, period_ns=transition_ns, max_bytes=round_max_bytes),
            first_ns=now_ns,
        )
        self._tasks = [
            _Slots(
                device,
                task,
                first_ns=next_slot_ns(phase_ns(device, task.name, task.period_ns), task.period_ns, now_ns),
            )
            for task in tasks
        ]

    @property
    def period_ns(self) -> int:
        """The round's present period."""
        return self._round.periodic.period_ns

    def next_due_ns(self) -> int:
        """Return when something is due next."""
        return min(slots.next_ns for slots in (self._round, *self._tasks))

    def due(self, now_ns: int, *, round_running: bool) -> Due:
        """Return what is due at `now_ns` and what was missed until then. Slots it returns are gone."""
        missed: list[Missed] = []
        round_slot = self._take(self._round, now_ns, missed, busy=round_running)
        task_slots = {}
        for slots in self._tasks:
            slot = self._take(slots, now_ns, missed, busy=False)
            if slot is not None:
                task_slots[slots.periodic.name] = slot
        self._set_pace(now_ns)
        return Due(round_slot_ns=round_slot, task_slots_ns=task_slots, missed=tuple(missed))

    def verdict_changed(self, now_ns: int) -> None:
        """Quicken the rounds for a while: what comes after a change is what people will ask about."""
        self._quick_until_ns = now_ns + TRANSITION_NS
        self._set_pace(now_ns)

    def _set_pace(self, now_ns: int) -> None:
        wanted = self._transition_ns if now_ns < self._quick_until_ns else self.calm_ns
        if wanted != self.period_ns:
            self._round.change_period(wanted, now_ns)

    def _take(self, slots: _Slots, now_ns: int, missed: list[Missed], *, busy: bool) -> int | None:
        if slots.next_ns > now_ns:
            return None
        name = slots.periodic.name
        slot, first, passed = slots.take(now_ns)
        if passed:
            last = slots.last_before(slot, first_ns=first, count=passed)
            missed.append(
                Missed(name=name, first_ns=first, last_ns=last, count=passed, reason=Reason.STALLED)
            )
        reason = self._refusal(slots.periodic, now_ns, busy=busy)
        if reason is not None:
            missed.append(Missed(name=name, first_ns=slot, last_ns=slot, count=1, reason=reason))
            return None
        self.budget.spend(now_ns, slots.periodic.max_bytes)
        return slot

    def _refusal(self, periodic: Periodic, now_ns: int, *, busy: bool) -> Reason | None:
        if busy:
            return Reason.BUSY
        return None if self.budget.allows(now_ns, periodic.max_bytes) else Reason.BUDGET
