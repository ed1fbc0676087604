"""What an ack does to the rows that wait: those that are durable elsewhere leave, those that are refused are quarantined.

Statements on a connection whose transaction the caller holds. It must never let a row go that the ack does not name,
nor on the word of an ack that names what was never made.
"""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance.storage.errors import OutboxError
from appliance.storage.tables import delivered, ledger, rows
from appliance.storage.tables.delivered import Receipt
from appliance.storage.tables.ledger import Account
from firmware.wire.messages import Ack, end_of_incarnation

BUNCH: Final = 250
"""Rows let go of in one transaction: its log must fit where the reserve was."""


class AckImpossibleError(OutboxError):
    """An ack speaks of records this outbox never made."""


def is_to_this_card(connection: sqlite3.Connection, account: Account, ack: Ack, *, incarnation: str) -> bool:
    """Return whether `ack` answers an incarnation of this card, now `incarnation`, and speaks only of what that can have given.

    From a copy of the card on, the same numbers are other records on the other: an answer to its incarnations lets nothing go here.
    """
    incarnations = [(incarnation, account.produced + 1), *ledger.every_incarnation(connection, account.epoch)]
    return ack.highest < end_of_incarnation(ack.incarnation, incarnations)


def refuse_impossible(account: Account, ack: Ack, path: Path) -> None:
    """Raise `AckImpossibleError` for an ack of more than was ever made."""
    if ack.highest > account.produced:
        raise AckImpossibleError(
            f"the collector has record {ack.highest:,} of this epoch, but only {account.produced:,} were ever made here",
            where=path,
            remedy="The card was copied or restored: the next hello settles it, and a new epoch begins",
        )


def take(
    connection: sqlite3.Connection, account: Account, ack: Ack, *, utc_ns: int, receipt: Receipt | None = None
) -> tuple[int, bool]:
    """Let go of what `ack` says is durable, quarantine what it rejects; with a `receipt` so that it can be taken back.

    Return how many rows left, and whether that was all: an ack of a whole backlog is taken in parts, each of which the
    log on a nearly full disk can hold.
    """
    said_by = "collector" if receipt is None else delivered.said_by(receipt.key)
    quarantined = sum(
        rows.quarantine(connection, account, reject, said_by=said_by, utc_ns=utc_ns)
        for reject in ack.rejects
        if reject.seq > 0
    )
    removed, bound = 0, None
    for low, high in ((1, ack.upto), *ack.ranges):
        first, last = account.base + low, account.base + min(high, account.produced)
        bound = rows.nth_key(connection, first, last, BUNCH - removed)
        end = last if bound is None else bound
        if first <= end:
            rows.refuse_disorder(connection, first, end)
        if receipt is not None:
            delivered.keep(connection, first, end, receipt)
        removed += rows.delete(connection, first, end)
        ledger.settle(connection, first, end)
        if bound is not None:
            break
    if removed or quarantined:
        ledger.count(
            connection,
            replace(
                account,
                acknowledged=account.acknowledged + removed,
                quarantined=account.quarantined + quarantined,
            ),
        )
    return removed + quarantined, bound is None
