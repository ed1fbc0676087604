"""The outbox's database as a file: opened, checked, migrated, quarantined when damaged.

A damaged database is never deleted and never repaired in place: it is moved into quarantine whole, what can be read of it
goes into a new one, and a new epoch begins, so that measuring goes on. This file must never read or write a record:
`appliance.storage.recovery.salvage` does.
"""

import contextlib
import errno
import os
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.storage import sidecar
from appliance.storage.errors import (
    BUSY_TIMEOUT_S,
    OutboxDamagedError,
    OutboxError,
    OutboxForeignError,
    OutboxFullError,
    OutboxReadOnlyError,
    OutboxTooNewError,
    damage_found,
    translate,
)
from appliance.storage.recovery import pages, quarantined_files, salvage, wal
from appliance.storage.sidecar import SidecarFile
from appliance.storage.tables import checked, ledger, migrations
from appliance.storage.tables.ledger import SPAN, Account
from firmware.files.durable import is_read_only, sync_directory
from firmware.wire.messages import EPOCH_PATTERN

_WAL_LIMIT_BYTES: Final = 4 * 1024 * 1024
_DRAFT_LOG_PAGES: Final = 64
"""A log that a small reserve can take in, while a new database is filled from a damaged one."""
_RESERVE_BYTES: Final = 1024 * 1024
"""Kept free meanwhile, so that it can be brought to an end on a disk that has become full: a log, and the last rows."""
_EPOCH_BYTES: Final = 8


def refuse_read_only(path: Path, folder: str) -> None:
    """Raise `OutboxReadOnlyError` where the kernel has mounted the disk of `folder` read-only, also under open files.

    After its emergency remount (sysrq u) ext4 goes on taking writes into such a file, and says of each fsync that it
    worked although nothing was written: only the mount says so.
    """
    with contextlib.suppress(OSError):
        if is_read_only(folder):
            raise OutboxReadOnlyError(
                "cannot be written (its disk is mounted read-only)",
                where=path,
                remedy="Mount its disk read-write, as our own",
            )


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection for the calling thread, with the outbox's pragmas. Raises `sqlite3.Error`.

    WAL lets the sender read while the daemon writes. FULL flushes at every commit: NORMAL may lose the last
    commits in a power cut, and the last records before a power cut are the ones we are here for. Its price is
    a flush a commit, so a round is stored in few commits, not in one a record (12,684 against 444 bytes a row).
    """
    connection = _connect(path, mode="mode=rwc")
    try:
        _set_durable(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )
    connection.text_factory = checked.text
    return connection


def _set_durable(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise OutboxError(
            f"its file system cannot hold a write-ahead log (SQLite stays in {mode!r} mode)",
            where=path,
            remedy="Put the data directory on a local disk with --data",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    # What SQLite may not open for writing it opens for reading, and stays so. Asked for a write it says so, and is opened again.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA user_version = 0")
    connection.execute("ROLLBACK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A damaged database was put at `aside`; of its waiting records `saved` are in the new one, `lost` are not.

    `aside` None: there was nothing left to put anywhere.
    """

    aside: Path | None
    saved: int = 0
    lost: int = 0
    fault: str = ""
    """Why not all was looked at ("": all was)."""


def open_or_begin(
    path: Path,
    *,
    device: str,
    utc_ns: int,
    make_space: Callable[[], bool],
    noted: SidecarFile,
    damaged: bool = False,
) -> tuple[sqlite3.Connection, Recovered | None]:
    """Return a connection to a checked, migrated database, and what became of a damaged one (None: it was sound).

    `damaged` says that it is known to be; `make_space` is called where the disk is too full, and says whether it made
    any; `noted` is its sidecar, which is written anew. Raises `OutboxTooNewError`, `OutboxForeignError`, `OutboxReadOnlyError`, `OutboxFullError` or `OutboxError`.
    """
    refuse_read_only(path, str(path.parent))
    try:
        return _open_or_begin(
            path, device=device, utc_ns=utc_ns, make_space=make_space, noted=noted, damaged=damaged
        )
    except OutboxFullError:
        # On a full disk SQLite does not even open: the index of the log has to be made.
        if not (quarantined_files.forget(path, keep=0) + make_space()):
            raise
    return _open_or_begin(
        path, device=device, utc_ns=utc_ns, make_space=make_space, noted=noted, damaged=damaged
    )


def refuse_foreign(path: Path, *, device: str) -> None:
    """Raise `OutboxTooNewError` or `OutboxForeignError` where a look is enough to see it."""
    try:
        connection = open_read_only(path)
    except OutboxTooNewError:
        raise
    except OutboxError:
        return
    try:
        found = ledger.current(connection).device
    except (sqlite3.Error, UnicodeDecodeError, TypeError):
        return
    finally:
        connection.close()
    if found != device and not salvage.is_misspelt(found, device):
        raise _foreign(path, found, device)


def _open_or_begin(
    path: Path,
    *,
    device: str,
    utc_ns: int,
    make_space: Callable[[], bool],
    noted: SidecarFile,
    damaged: bool,
) -> tuple[sqlite3.Connection, Recovered | None]:
    try:
        if _recovered(path).exists():  # the power failed in the middle of the exchange below
            _exchange(path, utc_ns=utc_ns)
        if not damaged:
            with contextlib.suppress(OutboxDamagedError):
                has_remains = _refuse_incomplete(path, device=device).has_remains
                return _open_checked(
                    path, device=device, utc_ns=utc_ns, noted=noted, log_anew=has_remains
                ), None
        quarantined_files.forget(path, keep=quarantined_files.KEPT - 1)
        saved, lost, fault = _salvage(path, device=device, utc_ns=utc_ns, make_space=make_space)
        name = _exchange(path, utc_ns=utc_ns)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    except OSError as error:
        kind = OutboxFullError if error.errno == errno.ENOSPC else OutboxError
        raise kind(
            f"a new one cannot be made beside the damaged one ({error.strerror})",
            where=path,
            remedy="Mount its disk read-write, or free some space",
        ) from error
    connection = _open_checked(path, device=device, utc_ns=utc_ns, noted=noted)
    return connection, Recovered(aside=name, saved=saved, lost=lost, fault=fault)


def _salvage(path: Path, *, device: str, utc_ns: int, make_space: Callable[[], bool]) -> tuple[int, int, str]:
    """Make a new database beside the damaged one, with what can be read of it; return saved, lost and a fault.

    On a disk too full for all of it the rest is given up, and told of: measuring has to go on.
    """
    found = salvage.survey(path, device=device, noted=sidecar.read(path))
    if found.foreign:
        raise _foreign(path, found.foreign, device)
    draft = path.with_name(path.name + ".new")
    for suffix in ("", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)
    reserve = draft.with_name(draft.name + "-reserve")
    connection: sqlite3.Connection | None = None
    try:
        with reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
        connection = connect(draft)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_DRAFT_LOG_PAGES}")
        migrations.apply(connection)
        fault = ""
        try:
            salvage.move(connection, path, found, utc_ns=utc_ns)
        except sqlite3.Error as error:
            refused = translate(error, draft)
            if not isinstance(refused, OutboxFullError):
                raise
            fault = str(refused)
            quarantined_files.forget(path, keep=0)
            make_space()
            reserve.unlink()
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        saved, lost = salvage.settle(connection, found, utc_ns=utc_ns)
        _begin_epoch(connection, device=device, utc_ns=utc_ns)
    finally:
        if connection is not None:
            connection.close()
        reserve.unlink(missing_ok=True)
    log = draft.with_name(draft.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        raise OSError(errno.ENOSPC, "the disk is too full to take in its log")
    draft.rename(_recovered(path))
    sync_directory(path.parent)
    return saved, lost, fault


def _recovered(path: Path) -> Path:
    return path.with_name(path.name + ".healed")


def _exchange(path: Path, *, utc_ns: int) -> Path | None:
    """Move the damaged database, its log and its index aside under one new name, and the new one into its place.

    Return that name; None where there was nothing to move.

    Until the last step the new one stands ready under its own name, so a power cut leaves something to go on with.
    The old log must be gone by then: SQLite would take it for the new one's.
    """
    name = quarantined_files.free_name(path, utc_ns=utc_ns)
    moved = False
    for suffix in quarantined_files.SUFFIXES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(name.with_name(name.name + suffix))
            moved = True
    sync_directory(path.parent)
    _recovered(path).rename(path)
    sync_directory(path.parent)
    return name if moved else None


def open_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, for another process to look. Raises `OutboxError`."""
    try:
        return _look(path, mode="mode=ro")
    except OutboxReadOnlyError:
        # Where nothing may be written, SQLite cannot make the index of a log. Without a log it needs none, and
        # nobody has the database open either: then it may be read as a file that does not change.
        log = path.with_name(path.name + "-wal")
        if not path.exists() or (log.exists() and log.stat().st_size > 0):
            raise
    return _look(path, mode="immutable=1")


def _look(path: Path, *, mode: str) -> sqlite3.Connection:
    try:
        connection = _connect(path, mode=mode)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        refuse_newer(connection, path)
        _refuse_unfinished(connection, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise translate(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_unfinished(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `OutboxError` for a database that is only just being made."""
    made = bool(migrations.applied(connection))
    if not made or connection.execute("SELECT id FROM state WHERE id = 1").fetchone() is None:
        if sidecar.read(path) is not None:
            raise damage_found(path, "it says that it was never made, and its sidecar that it was")
        raise OutboxError(
            "not made yet: a device is being started here, or was stopped while it began",
            where=path,
            remedy="Ask again in a moment; if it stays so, start the device",
        )


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `OutboxTooNewError` when the database has had a migration beyond those this version knows.

    An unknown one among those is none: a bit of its name fell over, and it is `OutboxDamagedError`.
    """
    had, known = migrations.applied(connection), migrations.NAMES
    if had[: len(known)] != known[: len(had)]:
        raise damage_found(path, f"it has had migrations {', '.join(had)[:200]!r}, which never were")
    if len(had) > len(known):
        raise OutboxTooNewError(
            f"written by a newer version (it has had migration {had[-1]!r}, unknown here)",
            where=path,
            remedy="Upgrade tidegauge",
        )


def _refuse_incomplete(path: Path, *, device: str) -> wal.Log:
    """Return the log as it is. Raise `OutboxDamagedError` where SQLite would open less than what was durable.

    It only reads: SQLite removes a log that it has closed, and with it what it did not take of it.
    """
    log = pages.log_of(path)
    if log.is_damaged:
        raise damage_found(
            path, f"its log is damaged, and {log.dropped_commits} commits stand behind the damage"
        )
    is_empty = not path.exists() or path.stat().st_size == 0
    if is_empty and log.frames:
        raise damage_found(path, "it is empty, and its log is not")
    noted = sidecar.read(path)
    if noted is not None and noted.device == device:
        missing = noted.missing_from([] if is_empty else _accounts(path))
        if missing:
            raise damage_found(path, missing)
    return log


def _accounts(path: Path) -> list[Account]:
    """Return the epochs of a database that nobody has open, read without a write. Raises `OutboxError`."""
    try:
        with contextlib.closing(_connect(path, mode="mode=ro")) as connection:
            return ledger.accounts(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise translate(error, path) from error


def _open_checked(
    path: Path, *, device: str, utc_ns: int, noted: SidecarFile, log_anew: bool = False
) -> sqlite3.Connection:
    """Return a connection to what is sound and ours.

    `log_anew` says that what a power cut left of a transaction stands in the log: written over in part, it would look like
    something that was durable, under numbers that were given again.
    """
    try:
        connection = connect(path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise translate(error, path) from error
    try:
        _check(connection, path)
        if log_anew:
            begin_log_anew(connection, empty=True)
        _migrate(connection, path)
        noted.write(_own(connection, path, device=device, utc_ns=utc_ns))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise translate(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def begin_log_anew(connection: sqlite3.Connection, *, empty: bool = False) -> None:
    """Take the log into the database, so that the next commit begins it anew, under other salts: if the disk lets us.

    It keeps its space. A log of which SQLite takes nothing gets other salts only where it is made `empty`.
    """
    with contextlib.suppress(sqlite3.Error):
        connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if empty else 'RESTART'})").fetchall()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damage_found(path, str(found))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    refuse_newer(connection, path)
    if migrations.applied(connection) != migrations.NAMES:
        migrations.apply(connection)


def _begin_epoch(connection: sqlite3.Connection, *, device: str, utc_ns: int) -> None:
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM state").fetchone()
    account = Account(
        id=last + 1,
        device=device,
        epoch=secrets.token_hex(_EPOCH_BYTES),
        produced=0,
        acknowledged=0,
        quarantined=0,
        given_up=0,
        unstored=0,
    )
    ledger.write(connection, account, created_utc_ns=utc_ns)


def _own(connection: sqlite3.Connection, path: Path, *, device: str, utc_ns: int) -> list[Account]:
    """Write who we are into a new database; refuse one whose counters and rows, or whose device, do not fit.

    Return its epochs, oldest first.
    """
    (highest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM waiting").fetchone()
    (begun,) = connection.execute("SELECT count(*) FROM state").fetchone()
    if not begun and highest == 0:
        _begin_epoch(connection, device=device, utc_ns=utc_ns)
        sync_directory(path.parent)
    accounts = {account.id: account for account in ledger.accounts(connection)}
    # The first epochs may be gone without a trace: where no row waits there is none whose account could lack.
    holder = accounts[max(accounts)] if not highest else accounts.get(highest // SPAN + 1)
    fits = holder is not None and highest - holder.base <= holder.produced
    fits = fits and all(account.is_possible for account in accounts.values())
    if not fits or not all(EPOCH_PATTERN.fullmatch(account.epoch) for account in accounts.values()):
        raise damage_found(path, "its counters contradict its rows")
    last = accounts[max(accounts)]
    if last.device != device:
        if salvage.is_misspelt(last.device, device):
            raise damage_found(path, f"it names device {last.device}, one letter from our own")
        raise _foreign(path, last.device, device)
    return list(accounts.values())


def _foreign(path: Path, found: str, device: str) -> OutboxForeignError:
    return OutboxForeignError(
        f"holds the records of device {found}, but device.json says {device}",
        where=path,
        remedy=f"Put {found}'s device.json back, or move the outbox away to begin anew",
    )
