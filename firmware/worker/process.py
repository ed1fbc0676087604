"""The measuring process: `python -m firmware.worker.process --fd N [--source ADDRESS]`. Tasks in, results out, over a stream socket.

One thread and one loop, so that nothing holds the interpreter while a probe is timed; no garbage collection
while one is on its way. Where its unit grants real-time priority it takes a low one (docs/explanation/stamps.md).
With a source address all it sends leaves from that address. It must never wait for the daemon: what the daemon does not read is kept up to a bound, then dropped, and the
count told.

Messages (firmware.worker.framing): in `{"type": "task", "task": …}`, `{"type": "stop"}`; out `{"type": "ready", "pid",
"version", "scheduling"}` (`fifo` or `other`), `{"type": "dropped", "count"}`, `{"type": "progress", "task_id", "step"}`
(`firmware.model.task.TaskStep`), and results. The end of the stream is a stop.
"""

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from firmware.worker.lean import held_back

with held_back("inspect"), held_back("copy"):
    import dataclasses  # noqa: F401  # here first, so that it is the one that gets the stand-ins

# ruff: isort: split
import firmware
from firmware.model.failures import UNKNOWN_PREFIX
from firmware.model.jsontypes import JsonObject, RecordError
from firmware.model.task import Result, Task, TaskStep, from_json
from firmware.net.loop import READABLE, Loop, boottime_ns
from firmware.net.targets import family_of
from firmware.net.timestamp_keepalive import TimestampKeepalive
from firmware.worker import framing, runner, warmup
from firmware.worker.outlet import Outlet

_TIMER_SLACK: Final = "/proc/self/timerslack_ns"
_READ_BYTES: Final = 65536
_CONFIRM_NS: Final = 500_000_000
_GOODBYE_NS: Final = 1_000_000_000
"""How long a stop waits for the daemon to take what is unsent."""

_QUIET_NS: Final = 100_000_000
"""Garbage is collected only when the next probe is further off than this: a collection takes milliseconds."""

_TASKS_A_COLLECTION: Final = 20

_WARM_NS: Final = 300_000_000
"""Libraries are loaded ahead only when the next probe is further off than this."""

_PRIORITY: Final = 5
"""Above everything ordinary, below whatever else was given real-time priority on purpose."""
_RUNAWAY_US: Final = 3_000_000
"""A worker at real-time priority that runs this long without a wait is killed by the kernel."""


class WorkerProcess:
    """Takes tasks off a socket, runs each at its slot, puts results on it."""

    def __init__(
        self, loop: Loop, sock: socket.socket, outlet: Outlet, *, scheduling: str = "other", source: str = ""
    ) -> None:
        self._loop = loop
        self._source = source
        self._scheduling = scheduling
        self._socket = sock
        self._outlet = outlet
        self._starts: dict[int, int] = {}
        self._coming: set[str] = set()
        self._warm: set[str] = set()
        self._taken = 0
        self._ended = 0
        self._modules = 0

    async def serve(self, keeper: TimestampKeepalive) -> None:
        """Work until told to stop, or the daemon is gone. Raises `FramingError` or `RecordError` for a stream that is not ours."""
        self._loop.spawn(self._outlet.run(), name="outlet")
        await keeper.confirm(self._loop, deadline_ns=boottime_ns() + _CONFIRM_NS)
        self._freeze()
        gc.disable()
        self._outlet.put(
            {
                "type": "ready",
                "pid": os.getpid(),
                "version": firmware.__version__,
                "scheduling": self._scheduling,
            }
        )
        decoder = framing.Decoder()
        while True:
            await self._loop.wait(self._socket.fileno(), READABLE, deadline_ns=None)
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return
            for message in decoder.feed(data):
                if isinstance(message, Result):
                    raise framing.FramingError("found a result; allowed are tasks and a stop")
                if message.get("type") == "stop":
                    await self._outlet.drain(deadline_ns=boottime_ns() + _GOODBYE_NS)
                    return
                self._take(message)
            if not data:
                return
            self._warm_up_if_quiet()

    def _take(self, message: JsonObject) -> None:
        if message.get("type") != "task":
            sys.stderr.write(f"worker: a message of type {message.get('type')!r} is not for me\n")
            return
        value = message.get("task")
        try:
            task = from_json(value)
        except RecordError as error:
            task_id = value.get("task_id") if isinstance(value, dict) else None
            self._put(_fault(str(task_id or ""), error))
            return
        self._taken += 1
        self._starts[self._taken] = task.start_boottime_ns
        self._coming.add(task.test)
        self._loop.spawn(self._run(task, self._taken), name=task.task_id)

    async def _run(self, task: Task, number: int) -> None:
        try:
            tell = partial(self._tell, task.task_id)
            self._put(await runner.run_task(self._loop, task, tell, source=self._source))
        except Exception as error:  # noqa: BLE001  # the outermost loop: a fault of ours becomes a result, and on we go
            sys.excepthook(type(error), error, error.__traceback__)
            self._put(_fault(task.task_id, error, test=task.test, target=task.target))
        del self._starts[number]
        self._ended += 1
        if self._ended % _TASKS_A_COLLECTION == 0:
            self._collect_if_quiet()
        self._warm_up_if_quiet()

    def _tell(self, task_id: str, step: TaskStep) -> bool:
        return self._outlet.offer({"type": "progress", "task_id": task_id, "step": step})

    def _put(self, result: Result) -> None:
        self._outlet.put(result)

    def _is_quiet(self, for_ns: int) -> bool:
        return all(start_ns > boottime_ns() + for_ns for start_ns in self._starts.values())

    def _warm_up_if_quiet(self) -> None:
        """Load what coming tasks need, a test's part at a time, while none is due and none is on its way."""
        while (cold := self._coming - self._warm) and self._is_quiet(_WARM_NS):
            test = min(cold)
            self._warm.add(test)
            warmup.load(test)

    def _collect_if_quiet(self) -> None:
        if self._is_quiet(_QUIET_NS):
            gc.collect()
            if len(sys.modules) != self._modules:
                self._freeze()  # a library came in: it need never be looked at again

    def _freeze(self) -> None:
        gc.collect()
        gc.freeze()
        self._modules = len(sys.modules)


def _fault(task_id: str, error: Exception, *, test: str = "", target: str = "") -> Result:
    failure = f"{UNKNOWN_PREFIX}{type(error).__name__}: {error}"
    return runner.failed_result(task_id, test, target, failure=failure, operation="run")


def main(argv: Sequence[str]) -> int:
    """Run the worker on the descriptor that `--fd` names; return the exit status."""
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    is_known = options.keys() in ({"--fd"}, {"--fd", "--source"}) and len(argv) == 2 * len(options)
    source = options.get("--source", "")
    if not is_known or not options["--fd"].isdigit() or (source and family_of(source) is None):
        sys.stderr.write(
            "usage: python -m firmware.worker.process --fd N [--source ADDRESS]\n"
            "  N: a stream socket to the daemon; ADDRESS: an address of this host, which all it sends leaves from\n"
        )
        return 2
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole terminal: the daemon tells us when
    _sharpen_timers()
    scheduling = _take_priority()
    loop, keeper = Loop(), TimestampKeepalive()
    try:
        with socket.socket(fileno=int(options["--fd"])) as sock, sock.dup() as writing:
            sock.settimeout(0)
            worker = WorkerProcess(loop, sock, Outlet(loop, writing), scheduling=scheduling, source=source)
            loop.run(worker.serve(keeper))
    except (framing.FramingError, RecordError) as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"worker: --fd {options['--fd']}: {error}; a stream socket belongs there\n")
        return 2
    finally:
        keeper.close()
        loop.close()
    return 0


def _sharpen_timers() -> None:
    """Take away the 50 µs by which the kernel may delay a timer (0 would mean: the default)."""
    try:
        with open(_TIMER_SLACK, "w", encoding="ascii") as file:  # noqa: PTH123  # see firmware.net.files
            file.write("1")
    except OSError as error:
        sys.stderr.write(f"worker: timers keep their slack of 50 µs: {error}\n")


def _take_priority() -> str:
    """Take a low real-time priority where RLIMIT_RTPRIO grants one (LimitRTPRIO= of the unit); say what it is.

    Children never have it, and a runaway is killed rather than let it hold a processor.
    """
    granted, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if granted != resource.RLIM_INFINITY and granted < 1:
        return "other"
    priority = _PRIORITY if granted == resource.RLIM_INFINITY else min(_PRIORITY, granted)
    try:
        _, hard_us = resource.getrlimit(resource.RLIMIT_RTTIME)
        resource.setrlimit(resource.RLIMIT_RTTIME, (_RUNAWAY_US, hard_us))
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except (OSError, ValueError):
        return "other"
    return "fifo"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
