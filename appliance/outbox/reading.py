"""Reading rows that wait, past what is spoilt: a row that its checksum does not fit is quarantined, or passed over by who only looks.

It must never return a spoilt row, nor take a hidden one for none.
"""

import logging
import sqlite3
from collections.abc import Callable
from typing import Final

from appliance.storage.handle import Handle
from appliance.storage.tables import rows
from appliance.storage.tables.ledger import Account
from appliance.storage.tables.rows import LAST_SEQ, WaitingRow

SPOILT: Final = "damaged on the card: its checksum does not fit"
_log: Final = logging.getLogger(__name__)


def read(
    handle: Handle,
    account: Account,
    order: str,
    *,
    above: int,
    below: int,
    limit: int,
    max_bytes: int,
    quarantine: Callable[[int, str], bool],
) -> list[WaitingRow]:
    """Return up to `limit` waiting rows of an epoch with above < seq < below, in an `order` of SQL by seq.

    Reading stops after the row whose body takes the sum past `max_bytes`. `quarantine` takes a spoilt row, and why, and returns
    whether it was waiting. Raises `OutboxError`.
    """
    while True:
        with handle.translated():
            found, spoilt = rows.read(
                handle.connection, account, order, above=above, below=below, limit=limit, max_bytes=max_bytes
            )
        for seq in spoilt:
            if handle.shared.looks:
                _log.warning("record %d of epoch %s: %s", seq, account.epoch, SPOILT)
            elif not quarantine(seq, SPOILT):
                raise handle.noted(sqlite3.DatabaseError(f"record {seq} is not where it stands"))
        if not found and not spoilt and above <= 0 and below >= LAST_SEQ:
            with handle.translated():
                rows.refuse_hidden(handle.connection, account.id)
        if found or not spoilt:
            return found
        above, below = (above, min(spoilt)) if order.endswith("DESC") else (max(spoilt), below)
