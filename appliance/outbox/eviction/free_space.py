"""Space for the outbox: what is too much or too old is given up, by what it is worth, and told of.

In transactions small enough for a full disk, each of them whole. What is worth least `appliance.storage.tables.priority`
decides, how much room there is `appliance.storage.quota`. It must never read the wall clock: it may jump.
"""

import functools
import itertools
from typing import Final

from appliance.outbox.eviction.last_seen import LastSeenCache
from appliance.storage.handle import Handle
from appliance.storage.recovery import quarantined_files
from appliance.storage.tables import delivered, ledger, rows
from appliance.storage.tables.priority import FULL_AFTER, rows_to_evict

NO_SPACE: Final = "no room"
TOO_OLD: Final = "too old"
AGE_EVERY_NS: Final = 3_600_000_000_000
_BUNCH: Final = 250
"""Records given up in one transaction: its log must fit where the reserve was."""
_STEPS: Final = 20
"""Transactions of one look: the thread that gives up has rounds to run as well."""
_STRIPPED: Final = 20
"""Parcels of what was delivered whose bodies go in one transaction."""
DELIVERED_SHARE: Final = 16
"""What was delivered takes at most this part of the room: 192 MiB of the default's 3 GiB, a million records and less."""
_NS: Final = 1_000_000_000


class Evictor:
    """Keeps one outbox within its room; used by the thread that appends."""

    def __init__(self, handle: Handle, last_seen: LastSeenCache) -> None:
        self._handle = handle
        self._last_seen = last_seen
        self._aged_ns: int | None = None
        self._is_tight = False
        self._too_old = 0
        self.is_behind = False
        """The last look could not give up all it wanted in its steps: the next one should come soon."""

    def evict(self, wanted: int, reason: str = NO_SPACE, *, steps: int | None = None) -> int:
        """Evict the `wanted` least valuable records, oldest first among equals; return how many went.

        Each is in a tombstone from then on. Takes several transactions, each of them whole; at most `steps`.
        """
        gone = 0
        for _ in itertools.count() if steps is None else range(steps):
            if gone >= wanted:
                break
            bunch = min(_BUNCH, wanted - gone)
            count = self._handle.with_reserve(functools.partial(self._evict, bunch, reason))
            if count is None:
                break
            gone += count
        return gone

    def keep_within_quota(self) -> int:
        """Evict what does not fit in the room there is, as far as a few steps go; return how many records went."""
        handle, quota = self._handle, self._handle.shared.quota
        with handle.translated():
            kept = delivered.bytes_kept(handle.connection)
        if kept > (most := quota.cap_bytes // DELIVERED_SHARE):
            self.drop_delivered(kept - most + most // DELIVERED_SHARE)
        size, pages, spare, waiting = self._fill()
        allowed = quota.allowed_bytes(pages * size)
        if allowed < quota.cap_bytes and quarantined_files.forget(handle.path, keep=0):
            allowed = quota.allowed_bytes(pages * size)
        was_tight, self._is_tight = self._is_tight, allowed < quota.cap_bytes
        if self._is_tight and not was_tight:
            return 0  # others fill the disk, perhaps for a while: the next look decides
        wanted = rows_to_evict(used_bytes=(pages - spare) * size, cap_bytes=allowed, rows=waiting)
        if wanted and self.drop_delivered(int((pages - spare) * size - FULL_AFTER * allowed)):
            size, pages, spare, waiting = self._fill()
            wanted = rows_to_evict(used_bytes=(pages - spare) * size, cap_bytes=allowed, rows=waiting)
        gone = self.evict(wanted, steps=_STEPS) if wanted else 0
        self.is_behind = gone < wanted
        return gone

    def drop_delivered(self, wanted_bytes: int) -> int:
        """Drop copies of what was delivered, the oldest first; return how many bytes went, in a few steps at most.

        They go before any record that waits; what they are copies of stays accounted for.
        """
        freed = 0
        for _ in range(_STEPS):
            gone = self._handle.with_reserve(functools.partial(self._drop_delivered, wanted_bytes - freed))
            freed += gone
            if not gone or freed >= wanted_bytes:
                break
        return freed

    def _drop_delivered(self, wanted_bytes: int) -> int:
        with self._handle.translated():
            if not delivered.bytes_kept(self._handle.connection):
                return 0
        with self._handle.transaction() as connection:
            return delivered.strip(connection, wanted_bytes=wanted_bytes, limit=_STRIPPED)

    def _fill(self) -> tuple[int, int, int, int]:
        """Return a page's size, how many pages there are, how many of them are free, and how many records wait."""
        with self._handle.translated():
            connection = self._handle.connection
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (spare,) = connection.execute("PRAGMA freelist_count").fetchone()
            waiting = sum(account.waiting for account in ledger.accounts(connection))
        return size, pages, spare, waiting

    def keep_age(self, now_ns: int) -> int:
        """Evict what is too old at `now_ns` (CLOCK_BOOTTIME), as far as a few steps go; return how many records went.

        What that is, is looked at once an hour.
        """
        limit_s = self._handle.shared.quota.max_age_s
        if limit_s and (self._aged_ns is None or now_ns - self._aged_ns >= AGE_EVERY_NS):
            passed_s = 0 if self._aged_ns is None else (now_ns - self._aged_ns) // _NS
            with self._handle.transaction() as connection:
                account = ledger.current(connection)
                last = account.base + account.produced
                ran_s = ledger.mark_age(connection, passed_s=passed_s, key=last)
                self._too_old = ledger.last_before(connection, ran_s - limit_s)
            self._aged_ns = now_ns
        gone = 0
        for _ in range(_STEPS if self._too_old else 0):
            with self._handle.transaction() as connection:
                count = rows.evict_upto(connection, self._too_old, wanted=_BUNCH, reason=TOO_OLD)
            gone += count
            if count < _BUNCH:
                self._too_old = 0
                break
        return gone

    def restore_reserve(self) -> bool:
        """Make the reserve again, where there is space for it; return whether there is a reserve."""
        quota = self._handle.shared.quota
        quota.restore()
        return quota.has_reserve()

    def _evict(self, wanted: int, reason: str) -> int | None:
        with self._handle.transaction() as connection:
            memory = self._last_seen.lend(connection, ledger.current(connection))
            return rows.evict(connection, memory, wanted=wanted, reason=reason)
