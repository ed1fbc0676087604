"""Which records of an epoch were rejected, as every answer tells again until the device has heard it.

An answer says what is accounted for, and a device lets go of that: of a rejected record too, which it is to quarantine
instead. The ack that rejected it may have been lost, so that answers name what was rejected from the seq on that the
device's last hello began at. This file must never forget a reject: without a hello it names all of them, up to a bound.
"""

import sqlite3
from collections import OrderedDict
from typing import Final

from firmware.wire.messages import Hello, Reject

TOLD_AGAIN: Final = 256
"""An answer names at most so many beside those of its own message."""
LOWS_KEPT: Final = 10_000
_LOST: Final = "rejected before; the reason is not kept any more"


class Rejects:
    """What was rejected in the store of `connection`; `hello` says from where on a device has to be told."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lows: OrderedDict[tuple[str, str], int] = OrderedDict()

    def hello(self, hello: Hello) -> None:
        """Note what a device still holds, where there is something that it is to be told."""
        where = (hello.device, hello.epoch)
        if self._ranges(*where, 1):
            self._lows[where] = hello.low
            self._lows.move_to_end(where)
            if len(self._lows) > LOWS_KEPT:
                self._lows.popitem(last=False)

    def to_tell(self, device: str, epoch: str) -> tuple[Reject, ...]:
        """Return the rejects of an epoch that the device may not have heard of, the lowest first."""
        low = self._lows.get((device, epoch), 1)
        ranges = self._ranges(device, epoch, low)
        if not ranges:
            return ()
        reasons: dict[int, str] = dict(
            self._connection.execute(
                "SELECT seq, reason FROM reject WHERE device = ? AND epoch = ? AND seq IS NOT NULL",
                (device, epoch),
            )
        )
        seqs = [
            seq for first, last in ranges for seq in range(max(first, low), min(last, first + TOLD_AGAIN) + 1)
        ]
        return tuple(Reject(seq=seq, reason=reasons.get(seq, _LOST)) for seq in seqs[:TOLD_AGAIN])

    def _ranges(self, device: str, epoch: str, low: int) -> list[tuple[int, int]]:
        # From the range that `low` may be in: what lies before it costs nothing, however much it is.
        return self._connection.execute(
            """SELECT low, high FROM coverage WHERE device = ?1 AND epoch = ?2 AND kind = 'rejected'
                 AND low >= coalesce((SELECT max(low) FROM coverage
                     WHERE device = ?1 AND epoch = ?2 AND kind = 'rejected' AND low <= ?3), ?3)
                 AND high >= ?3 ORDER BY low LIMIT ?4""",
            (device, epoch, low, TOLD_AGAIN),
        ).fetchall()
