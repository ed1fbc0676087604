"""What becomes of what was delivered, by the newest trust list: let go of for good, kept, or taken back to be sent again.

    final     the list is newer than the one the ack was taken under, was issued `VOUCHED_AFTER_NS` after the ack by the
              latest the ack can have been, and the key that signed it still counts
    owed      the key counts no longer: the records wait again under the numbers they have, what it had rejected too
    kept      neither yet

In transactions small enough for a full disk, each of them whole, and done again from where a power cut left off. A record
that is sent twice does no harm: the collector keeps one. It must never let go of a record on the word of a list that may
have been issued before the ack.
"""

import functools
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from appliance.storage.handle import Handle
from appliance.storage.tables import delivered, ledger
from appliance.storage.tables.delivered import Receipt
from firmware.wire.messages import Ack
from firmware.wire.trust_list import TrustList

DAY_NS: Final = 86_400_000_000_000
VOUCHED_AFTER_NS: Final = 14 * DAY_NS
"""A list vouches for acks this much older than itself: so long somebody has to notice that a machine was taken."""
KEPT_NS: Final = 90 * DAY_NS
"""Bodies of what was delivered longer ago go, heard of or not: a seized card shows no more than that."""
BACK_UPTO: Final = 20_000
"""So many records may wait while more are taken back: what a collector turns out to have need never be unpacked."""
_WINDOW: Final = 100
"""Parcels dealt with in one transaction: its log must fit where the reserve was."""
_STEPS: Final = 20
Latest: TypeAlias = Callable[[str, int], int]
"""Gives the latest (UTC, ns) that a moment of a boot can have been."""
_log: Final = logging.getLogger(__name__)


class Reclaim:
    """One connection's view of what was delivered. Used by the thread that has the connection."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._owed: list[str] = []
        self._asked_over: set[int] = set()

    @property
    def owes(self) -> bool:
        """Return whether there is something to take back."""
        return bool(self._owed)

    def settle(self, trust: TrustList | None, *, latest_ns: Latest, now_low_ns: Callable[[], int]) -> None:
        """Go by `trust`, the newest list there is: let go of what is final, note what is owed. Raises `OutboxError`."""
        self._owed, self._asked_over = [], set()
        connection = self._handle.connection
        with self._handle.translated():
            keys = delivered.signers(connection) | delivered.rejecters(connection)
        if trust is not None:
            self._owed = sorted(key for key in keys if not trust.counts(key))
        if self._owed:
            _log.warning("what was delivered to a collector that counts no longer is sent again")
            self._handle.with_reserve(self._forget_confirmations)
        above, now_ns = 0, 0
        while True:
            with self._handle.translated():
                window = delivered.receipts(connection, above, _WINDOW)
            if not window:
                return
            above = window[-1][0]
            now_ns = now_ns or now_low_ns()
            latest = {number: latest_ns(one.boot_id, one.boottime_ns) for number, one, _ in window}
            final = [number for number, one, _ in window if _is_final(one, trust, latest[number])]
            old = [
                number
                for number, _, has_bodies in window
                if has_bodies and latest[number] + KEPT_NS < now_ns and number not in set(final)
            ]
            if final or old:
                self._handle.with_reserve(functools.partial(self._settle_window, final, old))

    def bring_back(self, *, upto: int = BACK_UPTO, steps: int = _STEPS) -> int:
        """Let what is owed wait again, while fewer than `upto` records wait; return how many do now.

        In `steps` transactions, and more only until the first record: 0 says that none is owed, or that enough wait. Ask
        again while `owes`. Raises `OutboxError`.
        """
        again = done = 0
        # Any number of parcels without copies may lie before the first that has some.
        while self._owed and (done < steps or not again):
            with self._handle.translated():
                waiting = sum(account.waiting for account in ledger.accounts(self._handle.connection))
            if waiting >= upto:
                break
            again += self._handle.with_reserve(functools.partial(self._bring_back, self._owed[0]))
            done += 1
        return again

    def taken_over(self, account: ledger.Account, ack: Ack, receipt: Receipt) -> None:
        """Let an ack by one who counts stand for what is owed and wholly in it: that need not be sent again.

        Looked at once for each epoch after each list: a collector's first answer says all it has. Raises `OutboxError`.
        """
        if not self._owed or receipt.key in self._owed or account.id in self._asked_over:
            return
        self._asked_over.add(account.id)
        for key in self._owed:
            above = 0
            while True:
                with self._handle.translated():
                    found = delivered.parcels(self._handle.connection, key, limit=_WINDOW, above=above)
                if not found:
                    break
                above = found[-1].id
                over = [one.id for one in found if _is_in(one, account, ack)]
                if over:
                    self._handle.with_reserve(functools.partial(self._sign_over, over, receipt))

    def _settle_window(self, final: list[int], old: list[int]) -> None:
        with self._handle.transaction() as connection:
            delivered.drop(connection, final)
            for number in old:
                delivered.strip_one(connection, number)

    def _bring_back(self, key: str) -> int:
        handle = self._handle
        with handle.transaction() as connection:
            utc_ns = handle.shared.utc_ns()
            found = delivered.parcels(connection, key, limit=1)
            if found:
                again, lost = delivered.put_back(connection, found[0], utc_ns=utc_ns)
            else:
                again, lost = delivered.un_quarantine(connection, key, limit=_WINDOW, utc_ns=utc_ns), 0
            # Giving up goes through the queue from where it last got to; these stand before that.
            connection.execute("DELETE FROM given_up_to")
        if not found and not again:
            self._owed.remove(key)
        if lost:
            _log.warning("%d records are lost: acknowledged with a revoked key, and no copy was kept", lost)
        return again

    def _sign_over(self, numbers: list[int], receipt: Receipt) -> None:
        with self._handle.transaction() as connection:
            for number in numbers:
                delivered.sign_over(connection, number, receipt)

    def _forget_confirmations(self) -> None:
        with self._handle.transaction() as connection:
            ledger.unconfirm_incarnations(connection)


def _is_final(receipt: Receipt, trust: TrustList | None, latest_ns: int) -> bool:
    return (
        trust is not None
        and trust.number > receipt.number
        and trust.issued_utc_ns >= latest_ns + VOUCHED_AFTER_NS
        and trust.counts(receipt.key)
    )


def _is_in(parcel: delivered.Parcel, account: ledger.Account, ack: Ack) -> bool:
    """Return whether all of a parcel is of this epoch and in `ack`; one whose numbers are damaged is not."""
    spans = [*parcel.seqs, *((low, high) for low, high, _ in parcel.told)]
    if not spans:
        return False
    for first, last in spans:
        low, high = first - account.base, last - account.base
        if low < 1 or high > account.produced:
            return False
        beyond = max(low, ack.upto + 1)
        if beyond <= high and ack.ranges.gaps(beyond, high):
            return False
    return True
