"""What an outbox says of itself on connecting: which records of an epoch it has had, and which of them wait.

It must never be of two moments: numbers that do not fit one another would be taken for lost records.
"""

import sqlite3

from appliance.storage.handle import Handle
from appliance.storage.tables import ledger
from appliance.storage.tables.ledger import SPAN
from firmware.wire.messages import Hello


def hello_of(handle: Handle, epoch: int | None, device: str, *, software: str, country: str) -> Hello:
    """Return the hello of the epoch with this number in the database; None is the present one. Raises `OutboxError`."""
    with handle.translated():
        number = "(SELECT max(id) FROM state)" if epoch is None else str(epoch)
        span = f"BETWEEN ({number} - 1) * {SPAN} AND {number} * {SPAN} - 1"
        # One statement, so that the numbers are of one moment.
        row = handle.connection.execute(
            f"SELECT {ledger.COLUMNS},"  # noqa: S608
            f" (SELECT min(seq) FROM waiting WHERE seq {span}),"
            f" (SELECT min(low) FROM tombstone WHERE low {span}) FROM state WHERE id = {number}"
        ).fetchone()
        account = ledger.account_of(row and row[:-2])
        lowest = min(
            (key - account.base for key in row[-2:] if key is not None), default=account.produced + 1
        )
        if not 1 <= lowest <= account.produced + 1 or account.waiting < 0:
            raise handle.noted(sqlite3.DatabaseError(f"the lowest that waits would be {lowest}"))
        noted = [] if epoch is not None else ledger.incarnations(handle.connection, account.epoch)
        ended, beyond = ((), 0) if epoch is not None else ledger.ended(handle.connection, account.id)
    own = handle.shared.incarnation
    if epoch is None and own and own not in [incarnation for incarnation, _ in noted]:
        noted = [(own, account.produced + 1), *noted]
    return Hello(
        device=device,
        epoch=account.epoch,
        low=lowest,
        high=account.produced,
        waiting=account.waiting,
        software=software,
        country=country,
        incarnations=tuple(noted),
        past=epoch is not None,
        ended=ended,
        ended_beyond=beyond,
    )
