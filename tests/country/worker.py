"""In the place of a device's measuring process: the product's measurements, each a coroutine of the country's loop.

Where nothing is wrong for a home, and its line loses none of the packets that a measurement may need, what the same
measurement brought before on the same line stands for it, with times of its own: nine of ten measurements of a country
are of that kind. What a line loses is drawn packet by packet all the same (`Line.passes`), so that a measurement that
meets a loss is made. This file must never make up a result.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from appliance.measuring.worker import News, TaskMeasured
from firmware.model.failures import UNKNOWN_PREFIX
from firmware.model.task import Result, Task
from firmware.worker import runner
from tests.country.sockets import Machine, Machines
from tests.country.virtual_time import BEGAN_UTC_NS, BOOTED_NS, Agenda

_VARIANTS: Final = 12
"""So many results of one target are gathered on a line before one of them stands for another."""
_PACKETS: Final[dict[str, tuple[int, int]]] = {
    "tcp": (1, 1), "tls": (4, 6), "dns": (1, 1), "http": (4, 4), "web_connectivity": (6, 8), "ntp": (3, 3),
}  # fmt: skip
"""How many packets a measurement that meets no loss sends and gets over the line."""
_MOST: Final = 16
_LATE_NS: Final = 3_000_000


class VirtualWorker:
    """One device's. `is_calm` says whether nothing is wrong for its home for as long as a round may last."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        machines: Machines,
        machine: Machine,
        wake: Callable[[], None],
        is_calm: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        self._agenda = agenda
        self._machines = machines
        self._machine = machine
        self._wake = wake
        self._is_calm = is_calm
        self._rng = rng
        self._open: dict[str, Task] = {}
        self._news: list[News] = []
        self._known: dict[str, list[Result]] = {}
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
        """Begin each task at its moment."""
        for task in tasks:
            self._open[task.task_id] = task
            known = self._known_of(task)
            if known is None:
                job = self._machines.loop.spawn(self._run(task), name=task.task_id)
                self._machines.by_job[job] = self._machine
            else:
                self._repeat(task, known)

    def next_due_ns(self) -> int | None:
        """Nothing is due by itself: results wake the device."""
        return None

    def tend(self) -> list[News]:
        """Return what has come."""
        news, self._news = self._news, []
        return news

    def _known_of(self, task: Task) -> Result | None:
        """Return a result that may stand for this task's; None where it is to be measured."""
        known = self._known.get(_key(task), ())
        if len(known) < _VARIANTS or not self._is_calm():
            return None
        up, down = _PACKETS.get(task.test, (0, 0))
        line = self._machines.internet.line(self._machine.home)
        return (
            self._rng.choice(known)
            if line.passes(up, down, at_most=1 if task.test == "tcp" else _MOST)
            else None
        )

    def _repeat(self, task: Task, known: Result) -> None:
        now_ns = self._agenda.clock.boottime_ns()
        start_ns = max(task.start_boottime_ns, now_ns) + self._rng.randrange(_LATE_NS)
        result = replace(
            known,
            task_id=task.task_id,
            start_boottime_ns=start_ns,
            start_utc_ns=start_ns - BOOTED_NS + BEGAN_UTC_NS,
        )
        self._agenda.at(start_ns + known.runtime_ns - BOOTED_NS, lambda: self._ended(task, result))

    async def _run(self, task: Task) -> None:
        job = self._machines.loop.current()
        line = self._machines.internet.line(self._machine.home)
        was_calm, lost = self._is_calm(), line.lost
        try:
            result = await runner.run_task(self._machines.loop, task)
        finally:
            self._machines.by_job.pop(job, None)
        failure = result.outcome.failure
        if failure is not None and failure.startswith(UNKNOWN_PREFIX):
            raise AssertionError(
                f"{task.task_id}: {failure}: a fault of the virtual sockets, or of the product"
            )
        # What a clock says is true once.
        is_clean = failure is None and line.lost == lost and task.test != "ntp"
        if is_clean and was_calm and self._is_calm():
            known = self._known.setdefault(_key(task), [])
            if len(known) < _VARIANTS:
                known.append(result)
        self._ended(task, result)

    def _ended(self, task: Task, result: Result) -> None:
        if not self.is_off:
            self._open.pop(task.task_id, None)
            self._news.append(TaskMeasured(task=task, result=result))
            self._wake()


def _key(task: Task) -> str:
    return f"{task.test}/{task.target_name}"
