"""The outbox's database as one thread has it: opened, or shut until it can be, recovered when damaged, closed.

One object is one SQLite connection and belongs to the thread that opened it (sqlite3 enforces it); `clone` makes another
thread its own. This file must never lose what a database holds: what is damaged is put aside, and what can be read of it
goes into the next.
"""

import contextlib
import secrets
import sqlite3
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Self

from appliance.outbox.damaged_copy import open_whole
from appliance.storage.errors import OutboxError, OutboxForeignError, OutboxNotReadyError, OutboxTooNewError
from appliance.storage.file import Recovered, open_or_begin, open_read_only, refuse_foreign
from appliance.storage.handle import Handle
from appliance.storage.opening import Recovery, is_large, not_ready
from appliance.storage.quota import Quota
from appliance.storage.shared import Shared
from appliance.storage.sidecar import SidecarFile
from appliance.storage.tables import ledger
from appliance.storage.tables.ledger import Account


class OpenedOutbox:
    """What is open, and which epoch of it is spoken of: `number` is an ended one's, None for the present."""

    def __init__(
        self, handle: Handle, *, number: int | None = None, recovered: Recovered | None = None
    ) -> None:
        self._handle = handle
        self._shared = handle.shared
        self._number = number
        self._recovery = Recovery(handle.path, handle.shared)
        self.recovered = recovered
        self.device, self.epoch = handle.shared.device, ""
        if self.is_open:
            account = self._account()
            self.device, self.epoch = account.device, account.epoch

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: str,
        utc_ns: Callable[[], int] = time.time_ns,
        quota: Quota | None = None,
        patient: bool = False,
    ) -> Self:
        """Open the outbox of `device`, made if it is missing; a damaged one is quarantined and a new epoch begins.

        Raises `OutboxTooNewError`, `OutboxForeignError`, `OutboxReadOnlyError`, `OutboxFullError`, `OutboxError`. With
        `patient` only the first two: what else the disk refuses leaves it shut, until `retry_open` has opened it, and so
        does a database so large that to check it takes long.
        """
        shared = Shared(
            quota=quota or Quota(path=path),
            sidecar=SidecarFile(path),
            incarnation=secrets.token_hex(8),
            device=device,
            utc_ns=utc_ns,
        )
        if patient and is_large(path):
            refuse_foreign(path, device=device)
            shut = cls._shut(path, shared, not_ready(path))
            with contextlib.suppress(OutboxNotReadyError):
                shut.retry_open()
            return shut
        try:
            connection, recovered = open_or_begin(
                path,
                device=device,
                utc_ns=utc_ns(),
                make_space=shared.quota.release,
                noted=shared.sidecar,
            )
        except (OutboxTooNewError, OutboxForeignError):
            raise
        except OutboxError as error:
            if not patient:
                raise
            return cls._shut(path, shared, error)
        shared.quota.restore()
        return cls._around(Handle(connection, path, shared, owner=True), recovered=recovered)

    @classmethod
    def _shut(cls, path: Path, shared: Shared, reason: OutboxError) -> Self:
        shared.shut = reason
        return cls(Handle(sqlite3.connect(":memory:"), path, shared, owner=True))

    @property
    def is_open(self) -> bool:
        """Return whether there is a database to read and write; if not, everything but `retry_open` raises `OutboxError`."""
        return self._shared.shut is None

    def retry_open(self) -> None:
        """Open what could not be opened at start; only for the thread that tried. Raises `OutboxError` where it still cannot be.

        `OutboxNotReadyError` while it is being checked.
        """
        connection, self.recovered = self._recovery.recover(damaged=False)
        self._shared.quota.restore()
        self._handle.connection.close()
        self._shared.is_open_at_last()
        self._handle.renew(connection)
        self._handle.bound_log()
        self.epoch = self._account().epoch

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for a check or a recovery that is under way; return whether there is none any more."""
        return self._recovery.wait(timeout_s)

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open an outbox only to read it, also while a daemon holds it: what is spoilt is passed over. Raises `OutboxError`."""
        shared = Shared(quota=Quota(path=path), sidecar=SidecarFile(path), looks=True)
        return cls._around(Handle(open_read_only(path), path, shared, owner=False))

    @classmethod
    def open_for_export(cls, path: Path) -> Self:
        """Do as `open_read_only`, for who reads all of it; of a damaged one, what can be read is read from a copy. Raises `OutboxError`."""
        shared = Shared(quota=Quota(path=path), sidecar=SidecarFile(path), looks=True)
        return cls._around(Handle(open_whole(path), path, shared, owner=False))

    def clone(self) -> Self:
        """Return the same outbox on a connection of the calling thread's own. May be called from any thread."""
        return self._around(self._handle.clone())

    def past(self) -> list[Self]:
        """Return the ended epochs of which something waits, oldest first, on this connection (do not close them)."""
        with self._handle.translated():
            connection = self._handle.connection
            return [
                type(self)(self._handle, number=account.id)
                for account in ledger.accounts(connection)[:-1]
                if account.waiting or ledger.tombstones(connection, account.base, 1)
            ]

    @classmethod
    def _around(cls, handle: Handle, *, recovered: Recovered | None = None) -> Self:
        try:
            if not handle.shared.looks:
                handle.bound_log()
            return cls(handle, recovered=recovered)
        except BaseException:
            handle.close()
            raise

    def close(self) -> None:
        """Close this connection (from the thread that opened it)."""
        self._handle.close()
        self._shared.sidecar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    @property
    def incarnation(self) -> str:
        """The name of this start of the software; "" for an ended epoch."""
        return self._shared.incarnation if self._number is None else ""

    @property
    def quarantined_file(self) -> Path | None:
        """Where a damaged predecessor was put when this one was opened, else None."""
        return None if self.recovered is None else self.recovered.aside

    @property
    def generation(self) -> int:
        """Which database it is: another number after one has taken another's place, or was opened late."""
        return self._shared.generation

    @property
    def is_damaged(self) -> bool:
        """Return whether some thread has found the database damaged."""
        return self._shared.damaged

    def recover(self) -> Recovered | None:
        """Quarantine the damaged database and begin a new one with what could be read of it.

        None when the sender still has the old one open (it lets go at its next step): ask again. So it is where
        `OutboxNotReadyError` is raised: a large one is recovered in a thread of its own. Only for the thread and the
        object that opened the outbox first. Raises `OutboxError` when no new one can be made.
        """
        if not self._recovery.is_at_work:
            if not self._shared.may_replace():
                return None
            self._handle.close_damaged()
        # Where this fails the database stays known as damaged, and it is tried again.
        connection, recovered = self._recovery.recover(damaged=True)
        self._shared.replaced()
        self._handle.renew(connection)
        self._forget()
        self.recovered = recovered
        self.epoch = self._account().epoch
        return recovered

    def _forget(self) -> None:
        """Forget what is known of a database that another has taken the place of."""

    def _account(self) -> Account:
        """Return the account of the epoch this object speaks for."""
        with self._handle.translated():
            if self._number is None:
                return ledger.current(self._handle.connection)
            return ledger.by_id(self._handle.connection, self._number)
