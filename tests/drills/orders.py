"""Orders to die: which process is to be killed, at which named step, given while all of them run.

The driver writes an order to a file; the processes look at it at each of their steps, and the one that comes to that
step for the n-th time kills whom the order names, itself or another, with SIGKILL. Pids stand in files beside it.
"""

import os
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

DEVICE_STEPS = (
    "device: in the transaction that stores records",
    "device: before its commit",
    "device: after its commit",
    "device: hello sent",
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
    """Say who is to be killed when `victim` is."""
    draft = folder / f"{victim}.pid.new"
    draft.write_text(str(pid))
    draft.replace(folder / f"{victim}.pid")


def read_pid(folder: Path, victim: str) -> int | None:
    try:
        return int((folder / f"{victim}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def write_order(folder: Path, number: int, step: str, times: int, victim: str) -> None:
    draft = folder / "order.new"
    draft.write_text(f"{number}\n{step}\n{times}\n{victim}\n")
    draft.replace(folder / "order")


class Orders:
    """The orders in `folder`, as one process sees them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
            self._left -= 1
            if self._left:
                return
        (self._folder / "carried-out").write_text(name)
        pid = read_pid(self._folder, self._victim)
        if pid is not None and pid > 1:
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
