"""An outbox read for an export, damaged or not: what can be read of a damaged one, in a copy that is gone when it is closed.

For who looks without a right to recover: another process, while the daemon runs or is not there. The copy is SQLite's own
temporary file. It tells of no loss: whether a record is lost is for the daemon to say, which recovers. This file must never
write beside the database.
"""

import contextlib
import sqlite3
import time
from collections import Counter
from pathlib import Path

from appliance.storage import sidecar
from appliance.storage.errors import OutboxError, OutboxTooNewError, translate
from appliance.storage.file import open_read_only
from appliance.storage.recovery import salvage
from appliance.storage.tables import checked, ledger, migrations


def open_whole(path: Path) -> sqlite3.Connection:
    """Return a connection to all that can be read of the database at `path`. Raises `OutboxError`."""
    try:
        connection = open_read_only(path)
    except OutboxTooNewError:
        raise
    except OutboxError as error:
        return _copy(path, error)
    try:
        _refuse_damaged(connection)
    except sqlite3.Error as error:
        connection.close()
        return _copy(path, translate(error, path))
    return connection


def _refuse_damaged(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.Error` where something in it would end an export; a record that is damaged does not."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    for table in ("waiting", "round"):
        # Prepared, it says whether the columns still have their names.
        connection.execute(f"SELECT seq, body, crc FROM {table} LIMIT 0")  # noqa: S608 - our own words
    for account in ledger.accounts(connection):
        ledger.incarnations(connection, account.epoch)
    for row in connection.execute("SELECT low, high, reason, crc FROM tombstone"):
        ledger.tombstone_of(row)


def _copy(path: Path, reason: OutboxError) -> sqlite3.Connection:
    """Return a copy with what can be read. Raises `reason` where that is nothing."""
    try:
        noted = sidecar.read(path)
        named = Counter(salvage.devices(path)) or Counter([] if noted is None else [noted.device])
        if not named:
            raise reason
        ((device, _),) = named.most_common(1)
        found = salvage.survey(path, device=device, noted=noted)
    except OSError:
        raise reason from None
    copy = sqlite3.connect("", isolation_level=None)
    copy.text_factory = checked.text
    try:
        migrations.apply(copy)
        utc_ns = time.time_ns()
        with contextlib.suppress(OSError):  # the place that cannot be read ends it; what came before is there
            salvage.move(copy, path, found, utc_ns=utc_ns)
        salvage.settle(copy, found, utc_ns=utc_ns, tells=False)
    except sqlite3.Error as error:
        copy.close()
        raise translate(error, path) from error
    except BaseException:
        copy.close()
        raise
    return copy
