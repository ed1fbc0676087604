"""Epochs that a device's hello names though they have ended: noted, so that what never came of them shows as missing.

After damage or a copied card an outbox goes on in a new epoch, beside what is left of the ones before. Those have a
hello of their own; a device that goes away before it said them would leave an account that looks whole. It must never
say that a device was heard in such an epoch, nor that anything of it is here.
"""

import sqlite3

from collector.store.arrivals import HelloArrived
from firmware.wire.messages import Hello


def place(connection: sqlite3.Connection, hello: Hello, received_ns: int) -> None:
    """Place an ended epoch that speaks of itself, and was not known, before all that are: it is nothing new of the device.

    The caller holds the transaction.
    """
    connection.execute(
        """INSERT INTO epoch (device, epoch, first_seen_ns, last_seen_ns)
           SELECT ?1, ?2, min(first_seen_ns) - 1, ?3 FROM epoch WHERE device = ?1 GROUP BY device
           ON CONFLICT (device, epoch) DO NOTHING""",
        (hello.device, hello.epoch, received_ns),
    )


def note(connection: sqlite3.Connection, arrived: HelloArrived) -> None:
    """Note what a hello says of ended epochs. The caller holds the transaction, and has noted the hello's own epoch.

    One that was not known is placed before the epoch that named it, since it ended before that began.
    """
    hello = arrived.hello
    if hello.past:
        return  # it speaks of itself alone
    for place, (epoch, high) in enumerate(hello.ended, start=1):
        connection.execute(
            """INSERT INTO epoch (device, epoch, first_seen_ns, last_seen_ns, high)
               SELECT ?1, ?2, first_seen_ns - ?4, first_seen_ns - ?4, ?3 FROM epoch
               WHERE device = ?1 AND epoch = ?5
               ON CONFLICT (device, epoch) DO UPDATE SET high = max(high, excluded.high)""",
            (hello.device, epoch, high, place, hello.epoch),
        )
    (high,) = connection.execute(
        "SELECT high FROM epoch WHERE device = ? AND epoch = ?", (hello.device, hello.epoch)
    ).fetchone()
    if hello.high < high:
        return  # carried by hand and overtaken: how many it had not named is of then
    if hello.ended_beyond:
        connection.execute(
            """INSERT INTO unnamed_epochs VALUES (?, ?, ?) ON CONFLICT (device) DO UPDATE SET
               epoch = excluded.epoch, count = excluded.count""",
            (hello.device, hello.epoch, hello.ended_beyond),
        )
    else:
        connection.execute("DELETE FROM unnamed_epochs WHERE device = ?", (hello.device,))
