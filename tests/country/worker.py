"""In the place of a device's measuring process: the product's measurements, each a coroutine of the country's loop.

What the same measurement brought before may stand for one (`tests.country.repertoire`), with times of its own. This file
must never make up a result.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from appliance.measuring.worker import News, TaskConnected, TaskMeasured
from firmware.model.failures import UNKNOWN_PREFIX
from firmware.model.task import Result, Task, TaskStep
from firmware.worker import runner
from tests.country.repertoire import Bearing
from tests.country.sockets import Machine, Machines
from tests.country.virtual_time import BEGAN_UTC_NS, BOOTED_NS, Agenda

_LATE_NS: Final = 3_000_000
_SOON_NS: Final = 2_000_000_000
"""Nothing is decided of a round so early, so that all of it may be told at its end."""


class VirtualWorker:
    """One device's. `bearing` says what may stand for a measurement."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        machines: Machines,
        machine: Machine,
        wake: Callable[[], None],
        bearing: Bearing,
        rng: random.Random,
    ) -> None:
        self._agenda = agenda
        self._machines = machines
        self._machine = machine
        self._wake = wake
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

    def submit(self, tasks: Iterable[Task]) -> None:
        """Begin each task at its moment. Where all are told again, soon and well, the device is told of them at once."""
        now_ns = self._agenda.clock.boottime_ns()
        known = [(task, self._bearing.again(task, now_ns)) for task in tasks]
        self._open.update((task.task_id, task) for task, _ in known)
        at_once = len(known) > 1 and all(
            one is not None and one.outcome.failure is None and one.runtime_ns < _SOON_NS for _, one in known
        )
        ended = [self._repeated(task, one, now_ns) for task, one in known if one is not None]
        for task, one in known:
            if one is None:
                job = self._machines.loop.spawn(self._run(task), name=task.task_id)
                self._machines.by_job[job] = self._machine
        for these in [ended] if at_once else [[one] for one in ended]:
            self._end_at(max(_ended_ns(result) for _, result in these), these)

    def next_due_ns(self) -> int | None:
        """Nothing is due by itself: results wake the device."""
        return None

    def tend(self) -> list[News]:
        """Return what has come."""
        news, self._news = self._news, []
        return news

    def _repeated(self, task: Task, known: Result, now_ns: int) -> tuple[Task, Result]:
        start_ns = max(task.start_boottime_ns, now_ns) + self._rng.randrange(_LATE_NS)
        result = replace(
            known,
            task_id=task.task_id,
            start_boottime_ns=start_ns,
            start_utc_ns=start_ns - BOOTED_NS + BEGAN_UTC_NS,
        )
        return task, result

    def _end_at(self, when_ns: int, these: Sequence[tuple[Task, Result]]) -> None:
        def ended() -> None:
            for task, result in these:
                self._ended(task, result)

        if these:
            self._agenda.at(when_ns - BOOTED_NS, ended)

    async def _run(self, task: Task) -> None:
        job = self._machines.loop.current()
        line = self._machines.internet.line(self._machine.home)
        lost = line.lost
        try:
            result = await runner.run_task(self._machines.loop, task, lambda step: self._told(task, step))
        finally:
            self._machines.by_job.pop(job, None)
        failure = result.outcome.failure
        if failure is not None and failure.startswith(UNKNOWN_PREFIX):
            raise AssertionError(
                f"{task.task_id}: {failure}: a fault of the virtual sockets, or of the product"
            )
        self._bearing.learn(task, result, lost=line.lost != lost)
        self._ended(task, result)

    def _told(self, task: Task, _step: TaskStep) -> bool:
        """Tell the device that a task that is still out has come so far."""
        if not self.is_off and task.task_id in self._open:
            self._news.append(TaskConnected(task=task))
            self._wake()
        return True

    def _ended(self, task: Task, result: Result) -> None:
        if not self.is_off:
            self._open.pop(task.task_id, None)
            self._news.append(TaskMeasured(task=task, result=result))
            self._wake()


def _ended_ns(result: Result) -> int:
    return result.start_boottime_ns + result.runtime_ns
