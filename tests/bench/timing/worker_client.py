"""The daemon's side of the real measuring process, as thin as it gets: hand tasks over, wait for results.

`python -m firmware.worker.process` as the device starts it, over the same socket and framing.
"""

import contextlib
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from firmware.model.record import Zone
from firmware.model.task import OptionValue, Result, Task, to_json
from firmware.net.loop import boottime_ns
from firmware.worker import framing
from tests.bench.timing import granted_worker
from tests.needs import ROOT

_LEAD_NS: Final = 15_000_000
"""How far ahead a slot is set: tasks reach the worker before they are due, as the daemon's do."""
_START_S: Final = 30.0


class WorkerError(RuntimeError):
    """The worker did not do what it must."""


class WorkerClient:
    """A worker, started. A context manager.

    `authority` is a file or a directory of those that it trusts; `compiled` a directory for compiled modules, which
    the first worker fills and later ones use, as an installed one does: compiling takes memory.
    `rtprio` is the real-time priority it is granted, as a unit's LimitRTPRIO= does; what came of it is
    `scheduling`. Where the limit may not be raised, what the limit says is stood in for, and why is in `stood_in`.
    """

    def __init__(
        self, authority: Path | None = None, *, rtprio: int = 0, compiled: Path | None = None
    ) -> None:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        if authority is not None:
            environment["SSL_CERT_DIR" if authority.is_dir() else "SSL_CERT_FILE"] = str(authority)
        if compiled is not None:
            environment["PYTHONPYCACHEPREFIX"] = str(compiled)
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.stood_in = granted_worker.refusal(rtprio) if rtprio else ""
        program = (
            ["tests.bench.timing.granted_worker", str(rtprio)]
            if self.stood_in
            else ["firmware.worker.process"]
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *program, "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env=environment,
                preexec_fn=partial(_grant, rtprio),  # noqa: PLW1509
            )
        self.pid = self._process.pid
        self._socket = ours
        self._decoder = framing.Decoder()
        self._results: dict[str, Result] = {}
        self._count = 0
        self.ready = False
        self.scheduling = ""
        self._read_until(lambda: self.ready, _START_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def task(
        self,
        test: str,
        target: str,
        options: Mapping[str, OptionValue],
        *,
        start_ns: int | None = None,
        timeout_s: float = 10.0,
    ) -> Task:
        """Return a task for the slot `start_ns` (CLOCK_BOOTTIME), or for one just ahead."""
        self._count += 1
        start = boottime_ns() + _LEAD_NS if start_ns is None else start_ns
        return Task(
            task_id=str(self._count),
            test=test,
            target=target,
            options=options,
            zone=Zone.LOCAL,
            start_boottime_ns=start,
            deadline_boottime_ns=start + round(timeout_s * 1e9),
        )

    def run(self, tasks: Sequence[Task]) -> list[Result]:
        """Hand tasks over and return their results, in the same order."""
        for task in tasks:
            self.submit(task)
        return self.collect(tasks)

    def submit(self, task: Task) -> None:
        """Hand a task over."""
        self._socket.sendall(framing.encode({"type": "task", "task": to_json(task)}))

    def collect(self, tasks: Sequence[Task]) -> list[Result]:
        """Wait for the results of tasks handed over; return them in the same order."""
        names = [task.task_id for task in tasks]
        last_s = (max(task.deadline_boottime_ns for task in tasks) - boottime_ns()) / 1e9 + 10
        self._read_until(lambda: all(name in self._results for name in names), last_s)
        return [self._results.pop(name) for name in names]

    def cpu_ns(self) -> int:
        """Return how long it has been on a processor."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0])

    def memory_bytes(self) -> dict[str, int]:
        """Return its memory, as `resident`."""
        return resident(self.pid)

    def _read_until(self, done: Callable[[], bool], limit_s: float) -> None:
        end_s = time.monotonic() + limit_s
        while not done():
            if not select.select([self._socket], [], [], max(0.0, end_s - time.monotonic()))[0]:
                raise WorkerError(f"no answer within {limit_s:.0f} s")
            data = self._socket.recv(65536)
            if not data:
                raise WorkerError("the worker has ended")
            for message in self._decoder.feed(data):
                self._take(message)

    def _take(self, message: framing.Message) -> None:
        if isinstance(message, Result):
            self._results[message.task_id] = message
        elif message["type"] == "ready":
            self.ready = True
            self.scheduling = str(message.get("scheduling", ""))
        elif message["type"] != "progress":  # which is said of a task that is out for seconds
            raise WorkerError(f"unexpected: {message}")


def resident(pid: int) -> dict[str, int]:
    """Return a process's resident memory in bytes: `rss`, `pss` (its fair part of what it shares), `anonymous` (its own alone)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in rollup.splitlines()[1:]}
    return {"rss": sizes["Rss:"], "pss": sizes["Pss:"], "anonymous": sizes["Anonymous:"]}


def _grant(priority: int) -> None:
    """Set the limit that a unit sets, where that is allowed. Runs between fork and exec."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_RTPRIO, (priority, priority))
