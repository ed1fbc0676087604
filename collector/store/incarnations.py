"""Who gives numbers in an epoch: one device, or two from copies of one card.

Each start of a device's software is an incarnation, with a random name; a hello names the incarnations since the last
one that was noted here. When the newest incarnation noted is not among them, somebody else has gone on from the same
past: from there on the same number means two records, and neither may be taken for the other: a sequence conflict. This
file must never account for a record. Table and column of an incarnation are called `run`, the last shared seq of a
conflict `clash`.
"""

import sqlite3
from typing import Final

from firmware.wire.messages import Hello, end_of_incarnation

INCARNATIONS_KEPT: Final = 256
_NO_END: Final = 2**63
_INCARNATIONS: Final = "SELECT run, first FROM run WHERE device = ? AND epoch = ? ORDER BY id DESC"


def meet(connection: sqlite3.Connection, hello: Hello) -> int | None:
    """Note the incarnations of `hello`; return up to which seq both have the same when it is in sequence conflict with another, else None.

    The caller holds the transaction. An ended epoch cannot be in conflict: nothing is given a number in it.
    """
    last_shared = None if hello.past or not hello.incarnations else _last_shared(connection, hello)
    connection.execute(
        "UPDATE epoch SET clash = ? WHERE device = ? AND epoch = ?", (last_shared, hello.device, hello.epoch)
    )
    return last_shared


def _last_shared(connection: sqlite3.Connection, hello: Hello) -> int | None:
    where = (hello.device, hello.epoch)
    known = connection.execute(_INCARNATIONS, where).fetchall()
    names = {incarnation for incarnation, _ in known}
    named = {incarnation for incarnation, _ in hello.incarnations}
    fresh = [(incarnation, first) for incarnation, first in hello.incarnations if incarnation not in names]
    own = hello.incarnations[0][0]
    if hello.high < end_of_incarnation(own, known):
        return None  # it is at the point where the incarnations that are known came after it: a bundle that was carried, no copy
    begun = min((first for _, first in fresh), default=_NO_END)
    if known and known[0][0] in named and _highest(connection, *where) >= begun:
        return begun - 1  # copied while it ran: the one that ran on has given these numbers already
    if not known or known[0][0] in named:
        connection.executemany(
            "INSERT INTO run (device, epoch, run, first) VALUES (?, ?, ?, ?)",
            [(*where, incarnation, first) for incarnation, first in reversed(fresh)],
        )
        connection.execute(
            "DELETE FROM run WHERE device = ?1 AND epoch = ?2 AND id <= (SELECT id FROM run WHERE device = ?1"
            " AND epoch = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
            (*where, INCARNATIONS_KEPT),
        )
        return None
    firsts = [first for _, first in fresh]
    for incarnation, first in known:
        if incarnation in named:
            break
        firsts.append(first)
    return min(firsts) - 1


def _highest(connection: sqlite3.Connection, device: str, epoch: str) -> int:
    """Return the highest seq of the epoch that is accounted for, 0 if none is."""
    row = connection.execute(
        # The highest is the last: they do not overlap. Asked for so, it costs the same however many there are.
        "SELECT high FROM coverage WHERE device = ? AND epoch = ? AND kind = 'accounted' ORDER BY low DESC LIMIT 1",
        (device, epoch),
    ).fetchone()
    return 0 if row is None else int(row[0])


def conflict(connection: sqlite3.Connection, device: str, epoch: str) -> int | None:
    """Return the last shared seq of a conflict that the last hello of this epoch brought to light, None where there is none."""
    row = connection.execute(
        "SELECT clash FROM epoch WHERE device = ? AND epoch = ?", (device, epoch)
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def is_out_of_order(
    connection: sqlite3.Connection, device: str, epoch: str, incarnation: str, high: int
) -> bool:
    """Return whether a batch of `incarnation` up to seq `high` must wait for a hello: another incarnation gives these numbers, or may.

    So must the first batch of an epoch of which no hello was noted yet: two copies of a card that begin an epoch anew
    from the same past give it the same name, and only their hellos tell them apart. One of an incarnation that is known
    and not the newest comes from a bundle that was carried while its device went on: it is in order with what it had
    when the next incarnation began.
    """
    return bool(incarnation) and high >= end_of(connection, device, epoch, incarnation)


def end_of(connection: sqlite3.Connection, device: str, epoch: str, incarnation: str) -> int:
    """Return the first seq of which `incarnation` is told nothing: a later incarnation may have given it, maybe on another card."""
    where = (device, epoch)
    # Nearly always it is the newest, and a batch is to cost the same however often a device was started.
    newest = connection.execute(f"{_INCARNATIONS} LIMIT 1", where).fetchall()
    return end_of_incarnation(incarnation, newest) or end_of_incarnation(
        incarnation, connection.execute(_INCARNATIONS, where).fetchall()
    )
