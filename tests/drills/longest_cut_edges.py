"""The edges of a device in virtual time: its clocks, and what stands in the place of worker, sender and USB drives.

Time passes when the device's loop waits, by as much as it would have waited. This file must never store anything.
"""

import heapq
import random
import selectors
from collections.abc import Callable, Iterable
from typing import Any, Final

from appliance.events import Event, TransportTried
from appliance.measuring.worker import News, TaskMeasured
from appliance.transports import ConnectionAttempt, Ports, endpoints
from firmware.model.task import Task
from tests.drills.longest_cut_line import Line, result

NS: Final = 1_000_000_000
BEGAN_UTC_NS: Final = 1_767_830_400_000_000_000
"""8 January 2026, 00:00 UTC."""
BOOT_NS: Final = 20 * NS
"""How long a device has been running when its daemon starts."""
TOLD_NS: Final = NS // 4
"""The daemon is told of results so often: each time it looks around costs more than the results."""
HOST: Final = "collector.example"


class Time:
    """The device's clocks: `since_ns` is the time since the drill's beginning, whatever the boot."""

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self._boot_ns = since_ns - BOOT_NS

    def boottime_ns(self) -> int:
        return self.since_ns - self._boot_ns

    def utc_ns(self) -> int:
        return BEGAN_UTC_NS + self.since_ns

    def now(self) -> tuple[int, int]:
        return self.boottime_ns(), self.utc_ns()


class VirtualWorker:
    """In the place of the measuring process: hands back what the line brings, when it does."""

    def __init__(self, line: Line, passed: Time, rng: random.Random) -> None:
        self._line, self._time, self._rng = line, passed, rng
        self._out: list[tuple[int, int, Task, TaskMeasured]] = []
        self._count = 0
        self.pid: int | None = None
        self.is_ready = True

    @property
    def open_tasks(self) -> tuple[Task, ...]:
        return tuple(task for _, _, task, _ in self._out)

    def start(self) -> None:
        """Nothing: there is no process."""

    def stop(self) -> None:
        """Nothing: there is no process."""

    def submit(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            begins_ns = max(task.start_boottime_ns, self._time.boottime_ns()) + self._rng.randrange(3_000_000)
            ahead_ns = begins_ns - self._time.boottime_ns()
            outcome, took_ns = self._line.measured(task, self._time.since_ns + ahead_ns, self._rng)
            told = result(
                task,
                outcome,
                start_ns=begins_ns,
                start_utc_ns=self._time.utc_ns() + ahead_ns,
                runtime_ns=took_ns,
            )
            ends_ns = min(begins_ns + took_ns, max(begins_ns, task.deadline_boottime_ns))
            ends_ns += -ends_ns % TOLD_NS
            self._count += 1
            heapq.heappush(self._out, (ends_ns, self._count, task, TaskMeasured(task=task, result=told)))

    def next_due_ns(self) -> int | None:
        return self._out[0][0] if self._out else None

    def tend(self) -> list[News]:
        news: list[News] = []
        while self._out and self._out[0][0] <= self._time.boottime_ns():
            news.append(heapq.heappop(self._out)[3])
        return news


class SilentSync:
    """In the place of the sender: the collector does not answer. Where the outside seems to be back it is tried at."""

    def __init__(self, passed: Time, notify: Callable[[Event], None], rng: random.Random) -> None:
        self._time, self._notify, self._rng = passed, notify, rng
        self._is_gone = False
        self._try_at_ns = 0

    def start(self) -> None:
        """Nothing: there is no thread."""

    def stop(self) -> None:
        """Nothing: there is no thread."""

    def wake(self) -> None:
        """Take note of new records, as after each commit; try, if it is time."""
        if self._is_gone or self._time.since_ns < self._try_at_ns:
            return
        self._try_at_ns = self._time.since_ns + self._rng.randrange(300 * NS)
        for way in endpoints(HOST, Ports(), has_identity=True):
            began_ns = self._time.boottime_ns()
            tried = ConnectionAttempt(
                endpoint=way,
                failure="generic_timeout_error",
                operation="connect",
                start_boottime_ns=began_ns,
                runtime_ns=20 * NS,
            )
            self._notify(TransportTried(tried=tried))

    def link_is_gone(self) -> None:
        self._is_gone = True

    def link_is_back(self) -> None:
        self._is_gone = False


class NoSticks:
    """In the place of the watch for USB drives."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Watch nothing."""

    def start(self) -> None:
        """Nothing: there is no thread."""

    def stop(self) -> None:
        """Nothing: there is no thread."""


class VirtualSelector(selectors.DefaultSelector):
    """The loop's wait: time passes by as much as it would wait."""

    passed: Time
    paused: Callable[[], None]
    """Asked before each wait: it returns when the drill lets time go on."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.paused()
        self.passed.since_ns += max(1, round((timeout or 0.0) * NS))
        return super().select(0)
