"""An outbox's database opened, checked, recovered: on the spot where that is quick, else in a thread of its own.

A large one may take minutes, and measuring must not wait for it: until it is over nobody else touches the file, and what
is measured is held in memory. This file must never decide what is done to a database: `appliance.storage.file` does.
"""

import functools
import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Final, TypeAlias

from appliance.storage.errors import OutboxNotReadyError, translate
from appliance.storage.file import Recovered, connect, open_or_begin
from appliance.storage.shared import Shared

LARGE_BYTES: Final = 64 * 1024 * 1024
"""To read so much takes a card some 2 s, and a salvage of it some 10: what is smaller is done on the spot."""
_Opening: TypeAlias = Callable[[], tuple[sqlite3.Connection, Recovered | None]]
_log: Final = logging.getLogger(__name__)


class Recovery:
    """Opens the database at `path`, again and again if need be; for the thread that owns it."""

    def __init__(self, path: Path, shared: Shared) -> None:
        self._path = path
        self._shared = shared
        self._future: Future[Recovered | None] | None = None

    @property
    def is_at_work(self) -> bool:
        """Return whether a thread has been begun whose result was not asked for yet."""
        return self._future is not None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the thread, if there is one; return whether it is over."""
        return self._future is None or bool(wait_for([self._future], timeout_s).done)

    def recover(self, *, damaged: bool) -> tuple[sqlite3.Connection, Recovered | None]:
        """Return a connection to a sound database, and what became of a damaged one (None: there was none).

        It is the caller's to see that nobody else has it open. Raises `OutboxNotReadyError` while a thread is at it
        (ask again), and what `open_or_begin` raises.
        """
        if self._future is None:
            if not is_large(self._path):
                return self._opening(damaged=damaged)()
            # However quick the thread is, what comes of it is for the next call: who begins it only wants it begun.
            self._begin(damaged=damaged)
            raise not_ready(self._path)
        if not self._future.done():
            raise not_ready(self._path)
        future, self._future = self._future, None
        recovered = future.result()
        try:
            return connect(self._path), recovered
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise translate(error, self._path) from error

    def _begin(self, *, damaged: bool) -> None:
        what = "recovered" if damaged else "checked"
        _log.info("%s is being %s; measuring goes on", self._path, what)
        self._future = Future()
        opening = self._opening(damaged=damaged)
        # As a daemon: a process that ends is a power cut to it, and it survives those.
        threading.Thread(target=_run, args=(self._future, opening), name="outbox", daemon=True).start()

    def _opening(self, *, damaged: bool) -> _Opening:
        """Return what opens it in the thread that calls it."""
        return functools.partial(
            open_or_begin,
            self._path,
            device=self._shared.device,
            utc_ns=self._shared.utc_ns(),
            make_space=self._shared.quota.release,
            noted=self._shared.sidecar,
            damaged=damaged,
        )


def is_large(path: Path) -> bool:
    """Return whether to read all of the database at `path` takes long."""
    try:
        return path.stat().st_size >= LARGE_BYTES
    except OSError:
        return False


def not_ready(path: Path) -> OutboxNotReadyError:
    """Return what is said while a thread is at work."""
    return OutboxNotReadyError(
        "the database is being read through: it is large",
        where=path,
        remedy="Nothing: results are held in memory meanwhile",
    )


def _run(future: "Future[Recovered | None]", opening: _Opening) -> None:
    """Have it sound, so that `connect` is all that is left to do."""
    try:
        connection, recovered = opening()
        connection.close()
        future.set_result(recovered)
    except BaseException as error:  # noqa: BLE001 - a thread's outermost: who asks for the result is told
        future.set_exception(error)
