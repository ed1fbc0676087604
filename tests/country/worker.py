"""In the place of a device's measuring process: the product's measurements, each a coroutine of the country's loop.

What the same measurement brought before may stand for one (`tests.country.repertoire`), with times of its own. This file
must never make up a result.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from appliance.measuring.worker import News, TaskConnected, TaskMeasured
from firmware.model.failures import UNKNOWN_PREFIX
from firmware.model.task import Result, Task
from tests.country.repertoire import Bearing, measured_by
from tests.country.sockets import Machine, Machines
from tests.country.virtual_time import BOOTED_NS, Agenda

_LATE_NS: Final = 3_000_000
_SOON_NS: Final = 2_000_000_000
"""Nothing is decided of a round so early, so that all of it may be told at its end."""


class VirtualWorker:
    """One device's. `bearing` says what may stand for a measurement, `is_expected` of which end it need not be woken to hear."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        machines: Machines,
        machine: Machine,
        wake: Callable[[], None],
        is_expected: Callable[[Task, Result], bool],
        bearing: Bearing,
        rng: random.Random,
    ) -> None:
        self._agenda = agenda
        self._machines = machines
        self._machine = machine
        self._wake = wake
        self._is_expected = is_expected
        self._bearing = bearing
        self._rng = rng
        self._open: dict[str, Task] = {}
        self._news: list[News] = []
        self.pid: int | None = None
        self.is_ready = True
        self.is_off = False

    @property
    def open_tasks(self) -> tuple[Task, ...]:
        """What is under way."""
        return tuple(self._open.values())

    def start(self) -> None:
        """Nothing: there is no process."""

    def stop(self) -> None:
        """Nothing: there is no process."""

    def submit(self, tasks: Sequence[Task]) -> None:
        """Begin each task at its moment. What is told again, soon and well, the device is told of at once."""
        if not tasks:
            return
        now_ns = self._agenda.clock.boottime_ns()
        known = [(task, self._bearing.again(task, now_ns)) for task in tasks]
        self._open.update((task.task_id, task) for task, _ in known)
        soon: list[tuple[Task, Result]] = []
        for task, one in known:
            if one is None:
                job = self._machines.loop.spawn(self._run(task), name=task.task_id)
                self._machines.by_job[job] = self._machine
                continue
            result = one.at(task, max(task.start_boottime_ns, now_ns) + self._rng.randrange(_LATE_NS))
            if result.outcome.failure is None and result.runtime_ns < _SOON_NS:
                soon.append((task, result))
                continue
            if one.connected_ns is not None:
                self._at(result.start_boottime_ns + one.connected_ns, partial(self._connected, task))
            self._end_at(_ended_ns(result), [(task, result)])
        if soon:
            self._end_at(max(_ended_ns(result) for _, result in soon), soon)

    def next_due_ns(self) -> int | None:
        """Nothing is due by itself: results wake the device."""
        return None

    def tend(self) -> list[News]:
        """Return what has come."""
        news, self._news = self._news, []
        return news

    def _end_at(self, when_ns: int, these: Sequence[tuple[Task, Result]]) -> None:
        def ended() -> None:
            for task, result in these:
                self._ended(task, result)

        self._at(when_ns, ended)

    def _at(self, when_ns: int, act: Callable[[], None]) -> None:
        self._agenda.at(when_ns - BOOTED_NS, act)

    async def _run(self, task: Task) -> None:
        measured = await measured_by(self._machines, task, partial(self._connected, task))
        failure = measured.result.outcome.failure
        if failure is not None and failure.startswith(UNKNOWN_PREFIX):
            raise AssertionError(
                f"{task.task_id}: {failure}: a fault of the virtual sockets, or of the product"
            )
        self._bearing.learn(task, measured)
        self._ended(task, measured.result)

    def _connected(self, task: Task) -> None:
        """Tell the device that a task that is still out has connected."""
        if not self.is_off and task.task_id in self._open:
            self._news.append(TaskConnected(task=task))
            self._wake()

    def _ended(self, task: Task, result: Result) -> None:
        if self.is_off:
            return
        self._open.pop(task.task_id, None)
        self._news.append(TaskMeasured(task=task, result=result))
        if not self._is_expected(task, result):
            self._wake()


def _ended_ns(result: Result) -> int:
    return result.start_boottime_ns + result.runtime_ns
