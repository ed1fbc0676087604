"""A new epoch after a sequence conflict: somebody else gives numbers in this one too, from a copy of this card.

Up to the last shared number both have the same records: those keep their identity and wait in the epoch that has ended;
the collector knows them by it and keeps each once. What came after it is this device's alone and gets new numbers in a
new epoch. That is named by the incarnation that made them: should they in turn be on two cards, both give them the same
identity. It must never let a record go, and never leave a number without an account.
"""

import hashlib
import sqlite3
from dataclasses import replace

from appliance.storage.tables import checked, ledger
from appliance.storage.tables.ledger import SPAN, Account


def begin(connection: sqlite3.Connection, account: Account, last_shared: int, *, utc_ns: int) -> str:
    """End `account`'s epoch at `last_shared` and begin a new one with what comes after; return its name.

    The caller holds the transaction.
    """
    last_shared = max(0, min(last_shared, account.produced))
    first, last = account.base + last_shared + 1, account.base + SPAN - 1
    ledger.cut(connection, first)
    moved = account.produced - last_shared
    waiting = _count(connection, "waiting", first, last)
    quarantined = _count(connection, "quarantine", first, last)
    (buried,) = connection.execute(
        "SELECT coalesce(sum(high - low + 1), 0) FROM tombstone WHERE low BETWEEN ? AND ?", (first, last)
    ).fetchone()
    # A seq quarantined by the device has both: it has its row there, and its tombstone is on its way.
    (both,) = connection.execute(
        "SELECT count(*) FROM quarantine q JOIN tombstone t ON q.seq BETWEEN t.low AND t.high"
        " WHERE q.seq BETWEEN ? AND ?",
        (first, last),
    ).fetchone()
    given_up = buried - both
    gone = moved - waiting - quarantined - given_up
    # Of a seq that has left nothing says how: what cannot have been acknowledged was given up, and the collector knew.
    from_acknowledged = min(gone, account.acknowledged)
    new = replace(
        account,
        id=account.id + 1,
        epoch=_name(connection, account.epoch, last_shared),
        produced=moved,
        acknowledged=0,
        quarantined=quarantined,
        given_up=given_up + gone,
        unstored=0,
    )
    old = replace(
        account,
        produced=last_shared,
        quarantined=account.quarantined - quarantined,
        given_up=account.given_up - given_up - (gone - from_acknowledged),
        acknowledged=account.acknowledged - from_acknowledged,
    )
    holes = (
        ledger.holes(connection, first, account.base + account.produced, counted=("waiting", "quarantine"))
        if gone
        else []
    )
    shift = new.base + 1 - first
    connection.create_function("moved", 4, _moved, deterministic=True)
    for table, marked in (("waiting", True), ("quarantine", False), ("round", True)):
        again = ", crc = moved(seq, seq + ?1, CAST(body AS BLOB), crc)" if marked else ""
        connection.execute(
            f"UPDATE {table} SET seq = seq + ?1{again} WHERE seq BETWEEN ?2 AND ?3",  # noqa: S608 - our own words
            (shift, first, last),
        )
    ledger.shift_tombstones(connection, first, last, shift)
    ledger.write(connection, old, created_utc_ns=utc_ns)
    ledger.write(connection, new, created_utc_ns=utc_ns)
    for low, high in holes:
        reason = f"acknowledged as a record of epoch {account.epoch}"
        ledger.add_tombstone(connection, new.base, low + shift - new.base, high + shift - new.base, reason)
    connection.execute("DELETE FROM given_up_to")
    # The incarnations that made what was moved go with it; the one that was under way at the last shared number has its part in both.
    for incarnation, begun in ledger.incarnations_from(connection, account.epoch, last_shared + 1):
        ledger.put_incarnation(connection, new.epoch, incarnation, max(1, begun - last_shared))
    return new.epoch


def _name(connection: sqlite3.Connection, epoch: str, last_shared: int) -> str:
    """Return the new epoch's name, by the incarnation that made the first record after the last shared one."""
    (incarnation, begun), *_ = [*ledger.incarnations_from(connection, epoch, last_shared + 1), ("", 0)]
    if begun > last_shared + 1:
        incarnation = ""
    return hashlib.blake2b(f"{epoch} {incarnation} {last_shared}".encode(), digest_size=8).hexdigest()


def _moved(key: int, to: int, body: bytes, crc: int | None) -> int | None:
    """Return the mark of a record at its new key. One that does not fit its row stays one that does not."""
    return crc if checked.whole(key, body, crc) is None or crc is None else checked.body_mark(to, body)


def _count(connection: sqlite3.Connection, table: str, first: int, last: int) -> int:
    (count,) = connection.execute(
        f"SELECT count(*) FROM {table} WHERE seq BETWEEN ? AND ?",  # noqa: S608 - our own words
        (first, last),
    ).fetchone()
    return int(count)
