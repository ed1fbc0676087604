"""What was last said of each target, as the outbox's last commit left it: by this, new records get their worth.

Kept in memory, and read again from the last records that wait after a start or a new epoch. It must never know of a
record whose transaction failed: a copy is lent, and taken back once it is committed.
"""

import sqlite3

from appliance.storage.tables import rows
from appliance.storage.tables.ledger import Account
from appliance.storage.tables.priority import LastSeen


class LastSeenCache:
    """The memory of the epoch that new records go into."""

    def __init__(self) -> None:
        self._kept: tuple[int, LastSeen] | None = None

    def lend(self, connection: sqlite3.Connection, account: Account) -> LastSeen:
        """Return a copy, which may be thrown away if storing fails. The caller holds the transaction."""
        if self._kept is not None and self._kept[0] == account.id:
            return self._kept[1].copy()
        return rows.remembered(connection, account)

    def keep(self, account: Account, memory: LastSeen) -> None:
        """Take a copy back: what it was told of is committed."""
        self._kept = (account.id, memory)

    def forget(self) -> None:
        """Begin anew: another database stands in the place of the one it was read from."""
        self._kept = None
