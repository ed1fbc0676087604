"""The messages that devices sent, kept as they came: by them it can be shown later what a device said, and that it said it.

Kept is what changed the account: a batch that brought a record, a tombstone or a rejected seq; of hellos, for each
epoch, the one that named the highest seq, be it the epoch's own or a later one's that names it as ended. Written in the transaction that stores what they say. It must never change a
byte of a message, and never decide what is in one: `collector.audit` reads them.
"""

import sqlite3

from collector.store.arrivals import BatchArrived, HelloArrived


def keep(connection: sqlite3.Connection, batch: BatchArrived) -> int | None:
    """Keep the message a batch came in; return its number, None where there is no message to keep."""
    if not batch.came:
        return None
    leaf = batch.topic.rpartition("/")[2]
    return connection.execute(
        "INSERT INTO envelope (device, epoch, leaf, received_ns, data) VALUES (?, ?, ?, ?, ?)",
        (batch.device, batch.epoch, leaf, batch.received_ns, batch.came),
    ).lastrowid


def keep_hello(connection: sqlite3.Connection, arrived: HelloArrived) -> None:
    """Keep a hello for each epoch it names, if no other named a higher seq of that."""
    if arrived.came:
        hello = arrived.hello
        connection.executemany(
            """INSERT INTO hello VALUES (?, ?, ?, ?, ?) ON CONFLICT (device, epoch) DO UPDATE SET
               high = excluded.high, received_ns = excluded.received_ns, data = excluded.data
               WHERE excluded.high > high""",
            [
                (hello.device, epoch, high, arrived.received_ns, arrived.came)
                for epoch, high in ((hello.epoch, hello.high), *(() if hello.past else hello.ended))
            ],
        )
