"""Orders to die: which process is to be killed, at which named step, given while all of them run.

The driver writes an order to a file; the processes look at it at each of their steps, and the one that comes to that
step for the n-th time kills whom the order names, itself or another, with SIGKILL. Pids stand in files beside it. A step
must never say that it carried an order out when there was nobody to kill: it then waits for its next time.
"""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

HELLO_SENT = "device: hello sent"
DEVICE_STEPS = (
    "device: in the transaction that stores records",
    "device: before its commit",
    "device: after its commit",
    HELLO_SENT,
    "device: batch sent",
    "device: batch at the broker",
    "device: ack received",
    "device: in the transaction that lets records go",
    "device: records let go",
)
COLLECTOR_STEPS = (
    "collector: message received",
    "collector: in its transaction",
    "collector: before its commit",
    "collector: after its commit, before the ack",
    "collector: ack sent",
)
STEPS = DEVICE_STEPS + COLLECTOR_STEPS
VICTIMS = ("device", "worker", "broker", "collector")


def write_pid(folder: Path, victim: str, pid: int) -> None:
    """Return who is to be killed when `victim` is."""
    draft = folder / f"{victim}.pid.{os.getpid()}"
    draft.write_text(str(pid))
    draft.replace(folder / f"{victim}.pid")


def living(folder: Path, victim: str) -> int | None:
    """Return the pid of `victim`, None while there is none that lives."""
    try:
        pid = int((folder / f"{victim}.pid").read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else pid


def write_order(folder: Path, number: int, step: str, times: int, victim: str) -> None:
    """Order `victim` to be killed when somebody comes to `step` for the `times`-th time from now."""
    (folder / "carried-out").unlink(missing_ok=True)
    draft = folder / "order.new"
    draft.write_text(f"{number}\n{step}\n{times}\n{victim}\n")
    draft.replace(folder / "order")


def carried_out(folder: Path) -> int | None:
    """Return whom the present order killed, None while it was not carried out."""
    try:
        return int((folder / "carried-out").read_text())
    except (FileNotFoundError, ValueError):
        return None


def withdraw(folder: Path) -> None:
    """Take the order back."""
    (folder / "order").unlink(missing_ok=True)


class Orders:
    """The orders in `folder`, as one process sees them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "order"
        self._lock = threading.Lock()
        self._seen = 0
        self._step, self._left, self._victim = "", 0, ""

    def step(self, name: str) -> None:
        """Carry the order out, if this is its step and its time has come."""
        with self._lock:
            self._look()
            if name != self._step or self._left <= 0:
                return
            pid = living(self.folder, self._victim)
            self._left -= self._left > 1 or pid is not None
            if self._left or pid is None:
                return
            (self.folder / "carried-out").write_text(str(pid))
            os.kill(pid, signal.SIGKILL)

    def _look(self) -> None:
        try:
            number, step, times, victim = self._path.read_text().splitlines()
        except (FileNotFoundError, ValueError):
            self._step = ""  # It was withdrawn.
            return
        if int(number) != self._seen:
            self._seen = int(number)
            self._step, self._left, self._victim = step, int(times), victim


def after(cls: Any, method: str, then: Callable[[tuple[Any, ...], Any], None]) -> None:
    """Have `then` called with arguments and result whenever `cls.method` returns."""
    real = getattr(cls, method)

    @wraps(real)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        then(arguments, result)
        return result

    setattr(cls, method, wrapped)


def before(cls: Any, method: str, then: Callable[[], None]) -> None:
    """Have `then` called whenever `cls.method` is."""
    real = getattr(cls, method)

    @wraps(real)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        then()
        return real(*arguments, **options)

    setattr(cls, method, wrapped)


def watch_sql(seen: dict[str, str], orders: Orders) -> None:
    """From now on every statement of every SQLite connection passes by `seen`: its beginning gives the step.

    A step "=NAME" is remembered for the transaction, and steps "NAME|…" count only in one that has it.
    """
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        marks: set[str] = set()

        def look(sql: str) -> None:
            for beginning, step in seen.items():
                if not sql.startswith(beginning):
                    continue
                if step.startswith("="):
                    marks.add(step[1:])
                    continue
                mark, bar, name = step.rpartition("|")
                if not bar or mark in marks:
                    orders.step(name)
            if sql.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
                marks.clear()

        connection.set_trace_callback(look)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]
