"""How much one device may have here beside its records: a key that fell into other hands must not fill memory or disk by it.

    epochs         past the bound a new one is not begun: its device is asked to wait, and keeps what it has
    boots, points  past the bound no more are noted: the records are stored all the same, and placed by what there is

Counts of boots and points are looked up once for each device and kept. Reaching a bound is told to the operator, once while it runs. No bound
may ever cost an honest device a record, so each is many times what one comes to in years.
"""

import logging
import sqlite3
from collections import OrderedDict
from typing import Final, Literal, TypeAlias

Table: TypeAlias = Literal["epoch", "boot", "sync_point"]

MAX_OF: Final[dict[Table, int]] = {"epoch": 10_000, "boot": 100_000, "sync_point": 1_000_000}
"""An epoch begins with damage or a copied card: one a day for 27 years. 10 boots a day for 27 years. A point each 64 s for two
years, each 1024 s for 30; a million take some 250 MB when a page asks for that device's times."""
FULL_PAUSE_S: Final = 3600.0
"""How long a device is asked to wait that has too many epochs: until somebody has looked."""
COUNTS_KEPT: Final = 20_000

log = logging.getLogger(__name__)


class DeviceLimits:
    """How many rows devices have in the tables that are bounded, for the one writer of `connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counts: OrderedDict[tuple[Table, str], int] = OrderedDict()
        self._told: set[tuple[Table, str]] = set()

    def has_room(self, table: Table, device: str, more: int = 1) -> bool:
        """Return whether `more` rows of a device still fit; where they do not, it is told."""
        count = self._count(table, device)
        if count + more <= MAX_OF[table]:
            return True
        if (table, device) not in self._told:
            self._told.add((table, device))
            log.warning(
                "device %s: %d rows in %r, no more are taken; look at it, and revoke it if others have its key",
                device,
                count,
                table,
            )
        return False

    def begins(self, device: str, epoch: str) -> bool:
        """Return whether an epoch may have rows: it is known, or there is room for one more."""
        known = self._connection.execute(
            "SELECT 1 FROM epoch WHERE device = ? AND epoch = ?", (device, epoch)
        ).fetchone()
        return known is not None or self.has_room("epoch", device)

    def _count(self, table: Table, device: str) -> int:
        if (table, device) in self._counts:
            return self._counts[table, device]
        # The tables' names are ours.
        found = self._connection.execute(f"SELECT count(*) FROM {table} WHERE device = ?", (device,))  # noqa: S608
        count = int(found.fetchone()[0])
        if table != "epoch":  # few, and looked at only when one is new
            self._counts[table, device] = count
            if len(self._counts) > COUNTS_KEPT:
                self._counts.popitem(last=False)
        return count

    def added(self, table: Table, device: str, rows: int) -> None:
        """Note that rows were inserted."""
        if (table, device) in self._counts:
            self._counts[table, device] += rows

    def forget(self) -> None:
        """Count anew: what was noted was undone."""
        self._counts.clear()
