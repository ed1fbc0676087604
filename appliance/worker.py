"""The daemon's end of the measuring process: starts it, hands it tasks, takes its results, replaces it when it dies.

A task that was with a worker that died is handed back, so that nothing measured or unmeasured is silently
missing. It must never make the daemon wait: the socket is non-blocking and what does not fit is kept.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from firmware import framing
from firmware.failures import UNKNOWN_PREFIX
from firmware.jsontypes import JsonObject, Reader, RecordError
from firmware.task import Result, Task, result_from_json, to_json

NS: Final = 1_000_000_000
STUCK_NS: Final = 10 * NS
"""A worker that has not answered this long after a task's deadline is taken for stuck and is killed."""
RESTART_WAITS_S: Final = (0.1, 1.0, 5.0, 30.0)
"""The wait before the first, second, … restart without a result in between."""
_STOP_TIMEOUT_S: Final = 5.0
_READ_BYTES: Final = 65536
_KEPT_VARIABLES: Final = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "TZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A task's result."""

    task: Task
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker died with these tasks on its hands; another is started at `restart_ns`."""

    reason: str
    tasks: tuple[Task, ...]
    restart_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The worker had to drop `count` results that the daemon did not read in time."""

    count: int


News: TypeAlias = "Measured | Lost | Dropped"


class Worker:
    """The measuring process, started with `start` and looked after with `tend`.

    `clock_ns` is CLOCK_BOOTTIME. Register it with the daemon's selector through `watch`.
    """

    def __init__(self, selector: selectors.BaseSelector, *, clock_ns: Callable[[], int]) -> None:
        self._selector = selector
        self._clock_ns = clock_ns
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._decoder = framing.Decoder()
        self._unsent = bytearray()
        self._tasks: dict[str, Task] = {}
        self._deaths_in_a_row = 0
        self._restart_ns: int | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The measuring process's id, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def in_flight(self) -> int:
        """How many tasks it has and has not answered."""
        return len(self._tasks)

    def start(self) -> None:
        """Start the process. It ends with ours: its end of the socket then reads as closed."""
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "firmware.worker", "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            )
        self._socket = ours
        self._decoder = framing.Decoder()
        self._unsent.clear()
        self._restart_ns = None
        self._selector.register(ours, selectors.EVENT_READ, self)

    def submit(self, task: Task) -> None:
        """Hand it a task. With no worker alive the task is handed back as lost by the next `tend`."""
        self._tasks[task.task_id] = task
        if self._socket is not None:
            self._unsent += framing.encode({"type": "task", "task": to_json(task)})
            self._flush()

    def tend(self) -> list[News]:
        """Read what has come, send what can be sent, notice a death, restart what is due. Never waits."""
        news: list[News] = []
        if self._socket is not None:
            self._flush()
            news += self._read()
        if self._socket is not None and (reason := self._stuck()) is not None:
            news.append(self._bury(reason))
        if self._socket is None and self._restart_ns is not None:
            if self._tasks:
                news.append(self._hand_back("no worker was running"))
            if self._clock_ns() >= self._restart_ns:
                self.restarts += 1
                self.start()
        return news

    def next_due_ns(self) -> int | None:
        """Return when `tend` must be called even if nothing comes: a restart, or a task overdue."""
        if self._restart_ns is not None:
            return self._restart_ns
        return min((task.deadline_boottime_ns + STUCK_NS for task in self._tasks.values()), default=None)

    def stop(self) -> None:
        """End the process, kindly and then not."""
        if self._socket is not None:
            self._unsent += framing.encode({"type": "stop"})
            self._flush()
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self._restart_ns = None
        if self._process is not None:
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _flush(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._socket, wanted, self)

    def _read(self) -> list[News]:
        assert self._socket is not None
        news: list[News] = []
        try:
            while data := self._socket.recv(_READ_BYTES):
                for message in self._decoder.feed(data):
                    news += self._understand(message)
        except BlockingIOError:
            return news
        except (ConnectionResetError, framing.FramingError, RecordError) as error:
            return [*news, self._bury(f"its answers could not be read: {error}")]
        return [*news, self._bury(self._how_it_ended())]

    def _understand(self, message: JsonObject) -> list[News]:
        match message.get("type"):
            case "result":
                result = result_from_json(message.get("result"))
                task = self._tasks.pop(result.task_id, None)
                self._deaths_in_a_row = 0
                return [] if task is None else [Measured(task=task, result=result)]
            case "dropped":
                return [Dropped(count=Reader(message, where="worker").integer("count", low=0))]
            case _:
                return []

    def _stuck(self) -> str | None:
        now_ns = self._clock_ns()
        if any(task.deadline_boottime_ns + STUCK_NS < now_ns for task in self._tasks.values()):
            return f"no answer {STUCK_NS // NS} s after a deadline"
        return None

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "it closed its end and did not exit"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def _bury(self, reason: str) -> Lost:
        assert self._socket is not None
        assert self._process is not None
        self._selector.unregister(self._socket)
        self._socket.close()
        self._socket = None
        self._process.kill()
        self._process.wait()
        self._process = None
        wait_s = RESTART_WAITS_S[min(self._deaths_in_a_row, len(RESTART_WAITS_S) - 1)]
        self._deaths_in_a_row += 1
        self._restart_ns = self._clock_ns() + int(wait_s * NS)
        return self._hand_back(reason)

    def _hand_back(self, reason: str) -> Lost:
        assert self._restart_ns is not None
        tasks = tuple(self._tasks.values())
        self._tasks.clear()
        return Lost(reason=reason, tasks=tasks, restart_ns=self._restart_ns)


def dropped_failure(count: int) -> str:
    """Return the failure word of results that the worker measured and could not hand over."""
    return f"{UNKNOWN_PREFIX}{count} results dropped between worker and daemon"
