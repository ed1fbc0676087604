"""The slots of a job: its grid, what was run of it and what was missed, and why. Pure.

Slots are spread as Netrics spreads its fleet, by a hash of device and job, so that ten thousand devices that get their power
back in one second do not fire in unison. Times are CLOCK_BOOTTIME in ns.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from appliance.measuring.budget import DAY_NS


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
    """JobSlots of `name` that were not run: `count` of them from `first_ns` to `last_ns`, all for one reason."""

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
class JobSlots:
    """A job's slots: every one up to `settled_ns` was run, or told as missed, or is none of ours."""

    job: ScheduledJob
    grid: Grid
    settled_ns: int
    due_ns: int

    def settle(self, until_ns: int) -> None:
        """Take note that every slot up to then is dealt with."""
        self.settled_ns = until_ns
        self.due_ns = self.grid.after(until_ns)
