"""What devices said ahead of their records: the last headline of each, kept and read.

It is the device's own word, not a record: it must never be counted as one, and is replaced by the next.
The table of transitions is called `turn`.
"""

import sqlite3

from firmware.model.record import ClockQuality
from firmware.wire.messages import Hello, Transition


def keep(connection: sqlite3.Connection, hello: Hello, received_ns: int) -> None:
    """Keep a hello's headline in place of the device's last one; a hello without one changes nothing."""
    if not hello.headline:
        return
    connection.execute("DELETE FROM turn WHERE device = ?", (hello.device,))
    connection.executemany(
        "INSERT INTO turn VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                hello.device,
                place,
                transition.since_utc_ns,
                transition.error_ns,
                transition.quality,
                transition.verdict,
                transition.rule_id,
                received_ns,
            )
            for place, transition in enumerate(hello.headline)
        ],
    )


def of_device(connection: sqlite3.Connection, device: str) -> tuple[Transition, ...]:
    """Return a device's last headline, newest transition first."""
    rows = connection.execute(
        "SELECT since_utc_ns, error_ns, quality, verdict, rule_id FROM turn WHERE device = ? ORDER BY place",
        (device,),
    ).fetchall()
    return tuple(
        Transition(
            since_utc_ns=since,
            error_ns=error,
            quality=ClockQuality(quality),
            verdict=verdict,
            rule_id=rule,
        )
        for since, error, quality, verdict, rule in rows
    )
