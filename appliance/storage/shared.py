"""What the threads of one process share of one outbox: which database it is, and who has it open.

SQLite removes a log by its name when the last connection closes. A database that is quarantined while another thread
has it open would so take the new one's log with it; hence nobody replaces it before the others have let go. This
file must never touch the database itself.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.storage.errors import OutboxBusyError, OutboxDamagedError, OutboxError, damage_found
from appliance.storage.quota import Quota
from appliance.storage.sidecar import SidecarFile


@dataclass(slots=True, kw_only=True)
class Shared:
    """Shared by every `Outbox` of one process. `incarnation` names this start of the software; `looks` says that it only reads."""

    quota: Quota
    sidecar: SidecarFile
    looks: bool = False
    incarnation: str = ""
    device: str = ""
    utc_ns: Callable[[], int] = time.time_ns
    generation: int = 0
    damaged: bool = False
    """Some thread has found the database damaged."""
    conflicts: int = 0
    """How many sequence conflicts signed acks have told of since the start."""
    shut: OutboxError | None = None
    """Why it could not be opened at start, as long as it could not."""
    _open: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextlib.contextmanager
    def opening(self, path: Path) -> Iterator[None]:
        """Hold off a replacement while a connection is opened."""
        with self._lock:
            self._refuse_shut(path)
            if self.damaged:
                raise self._replaced(path)
            yield

    def opened(self) -> None:
        """Count a connection."""
        with self._lock:
            self._open += 1

    def closed(self) -> None:
        """Count one less."""
        with self._lock:
            self._open -= 1

    def note(self, error: OutboxError) -> None:
        """Remember that the database is damaged, whoever found it."""
        if isinstance(error, OutboxDamagedError):
            self.damaged = True

    def refuse_replaced(self, generation: int, path: Path, *, owner: bool) -> None:
        """Raise for an object whose database has been replaced, or is about to be: only its owner may stay."""
        self._refuse_shut(path)
        if generation != self.generation or (self.damaged and not owner):
            raise self._replaced(path)

    def may_replace(self) -> bool:
        """Return whether the caller is the only one who has it open; if not, the others are asked to let go."""
        with self._lock:
            self.damaged = True
            if self._open <= 1:
                self.generation += 1
                return True
            return False

    def replaced(self) -> None:
        """Note that a new database stands in the old one's place."""
        with self._lock:
            self.damaged = False

    def is_open_at_last(self) -> None:
        """Note that what could not be opened at start has been."""
        with self._lock:
            self.shut = None
            self.generation += 1

    def _refuse_shut(self, path: Path) -> None:
        shut = self.shut
        if shut is not None:
            raise OutboxBusyError(
                f"not open yet ({shut.what})",
                where=path,
                remedy=f"{shut.remedy}: it is tried again and again",
            )

    def _replaced(self, path: Path) -> OutboxError:
        if self.looks:
            # Nobody in this process replaces it: who asks has to read what can be read.
            return damage_found(path, "an earlier question met damage")
        return OutboxBusyError(
            "the database is damaged, and is being replaced by a new one",
            where=path,
            remedy="Nothing: it recovers by itself",
        )
