"""The one clock of a country in virtual time, what is to happen when, and the worker's loop on that clock.

Nothing here waits: time is set to the next moment at which something is due. Every device of a country, its
measurements and its collector share the clock, so that what happens is one order of events. This file must never know
what the events are.
"""

import heapq
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest import mock

from appliance import device as device_module
from appliance.measuring import journal as journal_module
from firmware.clock import clocks, moment
from firmware.net import access
from firmware.net import loop as loop_module
from firmware.net.job import CancelledJobError, Job
from firmware.net.loop import Loop

NS: Final = 1_000_000_000
BEGAN_UTC_NS: Final = 1_767_830_400 * NS
"""8 January 2026, 00:00 UTC: where every country begins."""
BOOTED_NS: Final = 86_400 * NS
"""How long every machine has been up when a country begins."""


def since_s(boottime_ns: int) -> float:
    """Return a moment of CLOCK_BOOTTIME as the time since the country's beginning."""
    return (boottime_ns - BOOTED_NS) / NS


def utc_since_s(utc_ns: int) -> float:
    """Return a moment of CLOCK_REALTIME as the time since the country's beginning."""
    return (utc_ns - BEGAN_UTC_NS) / NS


class VirtualClock:
    """The time since the country's beginning, in ns, and both clocks of every machine in it."""

    def __init__(self) -> None:
        self.since_ns = 0

    @property
    def since_s(self) -> float:
        """The same in seconds."""
        return self.since_ns / NS

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""
        return BOOTED_NS + self.since_ns

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME."""
        return BEGAN_UTC_NS + self.since_ns

    def now(self) -> tuple[int, int]:
        """Return both, as `firmware.clock.clocks.now` does."""
        return self.boottime_ns(), self.utc_ns()


class Agenda:
    """What is to happen, by when, on one clock; what is due at one moment happens in the order it was asked for."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, since_ns: int, act: Callable[[], None]) -> None:
        """Have `act` called at a moment, now at the earliest."""
        self._count += 1
        heapq.heappush(self._events, (max(since_ns, self.clock.since_ns), self._count, act))

    def after(self, wait_s: float, act: Callable[[], None]) -> None:
        """Have `act` called `wait_s` from now."""
        self.at(self.clock.since_ns + round(wait_s * NS), act)

    def run(self, until_ns: int, loop: "VirtualLoop") -> None:
        """Let time go on until a moment: what is due happens, and the loop's coroutines go on at theirs."""
        while True:
            loop.go()
            event_ns = self._events[0][0] if self._events else until_ns
            timer_ns = loop.due_ns()
            next_ns = event_ns if timer_ns is None else min(event_ns, timer_ns - BOOTED_NS)
            if next_ns >= until_ns:
                self.clock.since_ns = until_ns
                return
            self.clock.since_ns = max(self.clock.since_ns, next_ns)
            while self._events and self._events[0][0] <= self.clock.since_ns:
                heapq.heappop(self._events)[2]()


class VirtualLoop(Loop):
    """The worker's loop, whose waits are moments on the virtual clock. One serves all machines of a country."""

    def due_ns(self) -> int | None:
        """Return the next moment (CLOCK_BOOTTIME) at which a coroutine goes on."""
        while self._timers and self._timers[0][3].token != self._timers[0][2]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def go(self) -> None:
        """Let every coroutine go on that is due by now, as far as it can."""
        while True:
            self._ready.extend(loop_module._due(self._timers, loop_module.boottime_ns()))
            if not self._ready:
                return
            self._step()

    def close(self) -> None:
        """End what is under way, and let go of what is held."""
        self._wind_up()
        super().close()

    def _finish(self, job: Job[Any]) -> None:
        """End a job; one that nobody waits for and that failed is a fault of ours, and ends the play."""
        super()._finish(job)
        if job.parent is None and job.error is not None and not isinstance(job.error, CancelledJobError):
            raise job.error

    async def sleep_exactly_until(self, when_ns: int) -> None:
        """Wait until a moment; no wait is late here."""
        await self.sleep_until(when_ns)


@contextmanager
def virtual(clock: VirtualClock) -> Iterator[None]:
    """Have the product's clocks be `clock`."""
    with ExitStack() as stack:
        for module in (loop_module, access, device_module, journal_module, moment):
            stack.enter_context(mock.patch.object(module, "boottime_ns", clock.boottime_ns))
        for module in (clocks, moment):
            stack.enter_context(mock.patch.object(module, "now", clock.now))
        yield
