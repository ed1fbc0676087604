"""What an ack does to the rows that wait: those that are durable elsewhere leave, those that are refused are set aside.

Statements on a connection whose transaction the caller holds. It must never let a row go that the ack does not name,
nor on the word of an ack that names what was never made.
"""

import sqlite3
from pathlib import Path

from appliance.outbox import ledger, rows
from appliance.outbox.file import OutboxError
from appliance.outbox.ledger import Account
from firmware.exchange import Ack


class AckImpossibleError(OutboxError):
    """An ack speaks of records this outbox never made."""


def refuse_impossible(account: Account, ack: Ack, path: Path) -> None:
    """Raise `AckImpossibleError` for an ack of more than was ever made."""
    highest = max([ack.upto, *(high for _, high in ack.ranges), *(one.seq for one in ack.rejects)])
    if highest > account.produced:
        raise AckImpossibleError(
            f"the collector has record {highest:,} of this epoch, but only {account.produced:,} were ever made here",
            where=path,
            remedy="The card was copied or restored: the next hello settles it, and a new epoch begins",
        )


def take(connection: sqlite3.Connection, account: Account, ack: Ack, *, utc_ns: int) -> int:
    """Let go of what `ack` says is durable, quarantine what it rejects; return how many rows left."""
    quarantined = sum(
        rows.quarantine(connection, account, reject, said_by="collector", utc_ns=utc_ns)
        for reject in ack.rejects
        if reject.seq > 0
    )
    removed = 0
    for low, high in ((1, ack.upto), *ack.ranges):
        first, last = account.base + low, account.base + min(high, account.produced)
        removed += rows.delete(connection, first, last)
        ledger.settle(connection, first, last)
    if removed or quarantined:
        connection.execute(
            "UPDATE state SET acknowledged = acknowledged + ?, quarantined = quarantined + ? WHERE id = ?",
            (removed, quarantined, account.id),
        )
    return removed + quarantined
