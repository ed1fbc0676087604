"""The daemon's end of the measuring process: starts it, hands it tasks, takes its results, replaces it when it dies.

A task that was with a worker that died is handed back, so that nothing is silently missing; one that was handed
over while no worker ran waits for the next. It must never make the daemon wait: the socket is non-blocking and
what does not fit is kept.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Final, TypeAlias

from firmware.model.jsontypes import Reader, RecordError
from firmware.model.statement import Statement, stated
from firmware.model.task import Result, Task, TaskStep, to_json
from firmware.worker import framing

NS: Final = 1_000_000_000
STUCK_NS: Final = 10 * NS
"""A worker that has not answered this long after a task's deadline is taken for stuck and is killed."""
RESTART_WAITS_S: Final = (0.1, 1.0, 5.0, 30.0)
"""The wait before the first, second, … restart without a result in between."""
_AWAY_NS: Final = NS
"""A daemon that is this late for what it had to do was away (stopped, swapped out, asleep with the machine)."""
_STOP_TIMEOUT_S: Final = 5.0
_EXIT_TIMEOUT_S: Final = 0.5
"""How long a worker that closed its end of the socket may take to be gone: it is exiting, or it is killed."""
_READ_BYTES: Final = 65536
_WORDS_KEPT: Final = 3
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "TZ")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMeasured:
    """A task's result."""

    task: Task
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConnected:
    """A task that has been out for seconds has had its TCP connection accepted: what it asks may be slow, not silent."""

    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The worker died, for `reason`, with these tasks on its hands; another is started in a moment."""

    reason: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """Tasks of which no result will come, though the worker lives or none ran: why (a statement of `GAPS`)."""

    reason: Statement
    tasks: tuple[Task, ...]


News: TypeAlias = "TaskMeasured | TaskConnected | Died | Unanswered"


class Worker:
    """The measuring process, started with `start` and looked after with `tend`.

    `clock_ns` is CLOCK_BOOTTIME. It registers itself with the daemon's `selector`: call `tend` whenever that
    wakes, and at `next_due_ns`. `command` is the process to run, for `stuck_ns` see `STUCK_NS`.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        *,
        clock_ns: Callable[[], int],
        command: tuple[str, ...] = (sys.executable, "-m", "firmware.worker.process"),
        stuck_ns: int = STUCK_NS,
    ) -> None:
        self._selector = selector
        self._clock_ns = clock_ns
        self._command = command
        self._stuck_ns = stuck_ns
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._words: IO[bytes] | None = None
        self._last_words: deque[str] = deque(maxlen=_WORDS_KEPT)
        self._decoder = framing.Decoder()
        self._unsent = bytearray()
        self._tasks: dict[str, Task] = {}
        self._not_handed_over: dict[str, Task] = {}
        self._dropped = 0
        self._deaths_in_a_row = 0
        self._restart_ns: int | None = None
        self._back_ns = 0
        self.is_ready = False
        """Whether the present process has said that it measures."""

    @property
    def pid(self) -> int | None:
        """The measuring process's id, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def open_tasks(self) -> tuple[Task, ...]:
        """The tasks that have no answer yet."""
        return (*self._tasks.values(), *self._not_handed_over.values())

    def start(self) -> None:
        """Start the process. It ends with ours, however ours ends: its end of the socket then reads as closed."""
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                # A Ctrl-C in the terminal is for the daemon, which ends the worker in its own time.
                process_group=0,
            )
        self._socket, self._words = ours, self._process.stderr
        if self._words is not None:
            os.set_blocking(self._words.fileno(), False)
            self._selector.register(self._words, selectors.EVENT_READ, self)
        self._last_words.clear()
        self._decoder = framing.Decoder()
        self._unsent.clear()
        self._dropped = 0
        self._restart_ns = None
        self._selector.register(ours, selectors.EVENT_READ, self)
        waiting, self._not_handed_over = self._not_handed_over, {}
        self.submit(waiting.values())

    def submit(self, tasks: Iterable[Task]) -> None:
        """Hand it tasks, now or as soon as there is a worker."""
        for task in tasks:
            if self._socket is None:
                self._not_handed_over[task.task_id] = task
            else:
                self._tasks[task.task_id] = task
                self._unsent += framing.encode({"type": "task", "task": to_json(task)})
        self._flush()

    def tend(self) -> list[News]:
        """Read what has come, send what can be sent, notice a death, restart what is due.

        It waits for nothing but the last half second of a worker that is exiting.
        """
        news: list[News] = []
        due_ns, now_ns = self.next_due_ns(), self._clock_ns()
        if due_ns is not None and now_ns > due_ns + _AWAY_NS:
            self._back_ns = now_ns
        if self._socket is not None:
            self._flush()
            self._listen()
            news += self._read()
        news += self._overdue()
        if self._restart_ns is not None and self._clock_ns() >= self._restart_ns:
            self.start()
        return news

    def next_due_ns(self) -> int | None:
        """Return when `tend` must be called even if nothing comes: a restart, or a task overdue."""
        due = [max(task.deadline_boottime_ns, self._back_ns) + self._stuck_ns for task in self.open_tasks]
        if self._restart_ns is not None:
            due.append(self._restart_ns)
        return min(due, default=None)

    def stop(self) -> None:
        """End the process, kindly and then not. Takes seconds at most."""
        if self._socket is not None:
            self._unsent += framing.encode({"type": "stop"})
            self._flush()
        self._disconnect()
        self._restart_ns = None
        if self._process is not None:
            with self._process as process:
                try:
                    process.wait(_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            self._process = None

    def _flush(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._socket, wanted, self)

    def _listen(self) -> None:
        """Take what the worker says to its operator: into the log, and the last of it into a reason."""
        if self._words is None or (said := self._words.read(_READ_BYTES)) is None:
            return
        if not said:
            self._selector.unregister(self._words)  # at its end it would wake the daemon for ever
            self._words = None
        for line in said.decode("utf-8", "replace").splitlines():
            _log.warning("worker: %s", line)
            self._last_words.append(line.strip())

    def _read(self) -> list[News]:
        news: list[News] = []
        try:
            # A reset is an end too: of a worker that had not read all that it was given.
            with contextlib.suppress(ConnectionResetError):
                while self._socket is not None and (data := self._socket.recv(_READ_BYTES)):
                    for message in self._decoder.feed(data):
                        news += self._understand(message)
        except BlockingIOError:
            return news
        except (framing.FramingError, RecordError) as error:
            return [*news, self._bury(f"its answers could not be read: {error}")]
        return [*news, self._bury(self._how_it_ended())]

    def _understand(self, message: framing.Message) -> list[News]:
        if isinstance(message, Result):
            task = self._tasks.pop(message.task_id, None)
            self._deaths_in_a_row = 0
            return [] if task is None else [TaskMeasured(task=task, result=message)]
        match message.get("type"):
            case "ready":
                self.is_ready = True
            case "progress":
                told = Reader(message, where="worker")
                task = self._tasks.get(told.text("task_id"))
                told.word("step", tuple(TaskStep))
                return [] if task is None else [TaskConnected(task=task)]
            case "dropped":
                self._dropped += Reader(message, where="worker").integer("count", low=0)
        return []

    def _overdue(self) -> list[News]:
        """Give up what is long past its deadline, and the worker with it unless it said that it dropped results.

        After an absence of our own every answer gets that time anew: they may all be on their way.
        """
        limit_ns = self._clock_ns() - self._stuck_ns
        if self._back_ns > limit_ns:
            return []
        late = [task for task in self._tasks.values() if task.deadline_boottime_ns < limit_ns]
        unsent = [task for task in self._not_handed_over.values() if task.deadline_boottime_ns < limit_ns]
        news: list[News] = []
        if unsent:
            self._not_handed_over = {
                name: task for name, task in self._not_handed_over.items() if task not in unsent
            }
            news.append(Unanswered(reason=stated("no-worker"), tasks=tuple(unsent)))
        if late and len(late) <= self._dropped:
            self._dropped -= len(late)
            for task in late:
                del self._tasks[task.task_id]
            news.append(Unanswered(reason=stated("read-too-slowly"), tasks=tuple(late)))
        elif late:
            news.append(self._bury(f"no answer {self._stuck_ns / NS:g} s after a deadline"))
        return news

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "it is gone"
        try:
            status = self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "it closed its end and did not exit"
        self._listen()
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"{how}: {self._last_words[-1]}" if status > 0 and self._last_words else how

    def _bury(self, reason: str) -> Died:
        self._disconnect()
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None
        wait_s = RESTART_WAITS_S[min(self._deaths_in_a_row, len(RESTART_WAITS_S) - 1)]
        self._deaths_in_a_row += 1
        self._restart_ns = self._clock_ns() + int(wait_s * NS)
        tasks = tuple(self._tasks.values())
        self._tasks.clear()
        return Died(reason=reason, tasks=tasks)

    def _disconnect(self) -> None:
        self.is_ready = False
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        if self._words is not None:
            self._selector.unregister(self._words)
            self._words = None  # closed with the process
