"""Records on their way into the outbox: gathered for a few seconds, then committed together.

One commit for many records spares the card (`python -m tests.appliance.rates` prints by how much). When the disk refuses,
records are held in memory and tried again; past a bound the least valuable go, counted, and the count becomes a
record as soon as one can be stored. A full disk makes room by value, a damaged database is replaced while measuring
goes on. It must never raise for a storage fault.
"""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxDamagedError, OutboxError, OutboxFullError, OutboxNotReadyError
from appliance.storage.file import Recovered
from appliance.storage.tables.priority import LastSeen, Priority, facts_of
from firmware.model.record import Record

COMMIT_NS: Final = 5_000_000_000
"""The longest a record waits for its commit: the loss window of a power cut."""
RETRY_NS: Final = 10_000_000_000
READY_NS: Final = 1_000_000_000
"""A database that is being checked or recovered is asked for so often."""
MAX_HELD: Final = 5_000
"""Records held in memory while the disk refuses them: about 35 MB, some hours of measuring."""
ROOM_EVERY: Final = 20
"""After so many commits it is looked whether there is still room."""
PATIENT_RECORDS: Final = 500
"""A full disk is often full for a while: so many records are held in memory before others are given up for them."""
ROOM_FOR: Final = 400
"""Records given up when one commit found no room."""
DELIVERED_FOR: Final = 1024 * 1024
"""Bytes of copies of what was delivered that are dropped when one commit found no room, before any record goes."""
APPENDED: Final = 250
"""Records stored in one transaction: its log must fit where the reserve was."""
MEND_PAUSES: Final = 10
"""What failed is left alone for so many times as long as it took: a large file is read whole, and rounds have to run."""
_log: Final = logging.getLogger(__name__)


class GroupCommit:
    """Gathers records for one outbox. `fault` is empty, or says what storage fails at.

    `account` makes the record of how many were given up, and why.
    """

    def __init__(self, outbox: Outbox, *, account: Callable[[int, str], Record]) -> None:
        self._outbox = outbox
        self._account = account
        self._held: deque[tuple[Record, Priority]] = deque()
        self._memory = LastSeen()
        self._added = 0
        self._owed: list[tuple[int, str]] = []
        self._due_ns: int | None = None
        self._commits = 0
        self._is_impatient = False
        self._mend_at_ns = 0
        self._mend_began_ns: int | None = None
        self.fault = ""
        self.given_up = 0
        """How many were given up since the last commit that worked."""
        self.given_up_ever = 0
        if outbox.is_open:
            self._note_recovered(outbox.recovered)

    def add(self, record: Record, now_ns: int) -> None:
        """Take a record; it is committed `COMMIT_NS` later at the latest, if the disk lets it."""
        self._added += 1
        self._held.append((record, self._memory.add(self._added, facts_of(record)).value))
        if len(self._held) > MAX_HELD:
            worst = min(range(len(self._held)), key=lambda index: (self._held[index][1], index))
            del self._held[worst]
            self.given_up += 1
            self.given_up_ever += 1
        if self._due_ns is None:
            self._due_ns = now_ns + COMMIT_NS

    @property
    def held(self) -> int:
        """How many records are not committed yet."""
        return len(self._held)

    def due_ns(self) -> int | None:
        """Return when the next commit is due, None when nothing waits for one."""
        return self._due_ns

    def is_due(self, now_ns: int) -> bool:
        """Return whether a commit is due."""
        return self._due_ns is not None and now_ns >= self._due_ns

    def commit(self, now_ns: int) -> bool:
        """Commit what is held; return whether something was stored."""
        if not self._held and not self._owed:
            return False
        if now_ns < self._mend_at_ns:
            self._due_ns = self._mend_at_ns
            return False
        given_up = self.given_up
        try:
            self._append(now_ns)
        except OutboxNotReadyError:
            self._due_ns = now_ns + READY_NS
            return False
        except OutboxError as error:
            self._due_ns = max(now_ns + RETRY_NS, self._mend_at_ns)
            if not self.fault:
                _log.error("results cannot be stored, and are held in memory: %s", error)
            self.fault = str(error)
            return False
        self._due_ns = None
        if self.fault:
            _log.warning("results are stored again; %d were given up meanwhile", given_up)
        self.fault = ""
        self._keep_within_quota(now_ns)
        return True

    def _append(self, now_ns: int) -> None:
        """Append what is held; where the disk is full or the database damaged, do something about it and try again."""
        if not self._outbox.is_open or self._outbox.is_damaged:
            self._recover(now_ns)
        try:
            self._append_once()
        except OutboxFullError:
            if self._outbox.space.drop_delivered(DELIVERED_FOR):
                _log.warning("the disk is full: copies of what was delivered were dropped")
                self._append_once()
                return
            if len(self._held) < PATIENT_RECORDS and not self._is_impatient:
                raise
            self._is_impatient = True
            gone = self._outbox.evict(ROOM_FOR)
            if not gone:
                raise
            _log.warning("the disk is full: the %d least valuable records were given up, and told of", gone)
            self._append_once()
        except OutboxDamagedError:
            self._recover(now_ns)
            self._append_once()

    def _append_once(self) -> None:
        owed = [(self.given_up, self.fault)] if self.given_up else []
        accounts = [self._account(count, reason) for count, reason in (*self._owed, *owed)]
        while accounts or self._held:
            # In parts: what was held for hours is more than a log on a full disk can take at once.
            part = [record for record, _ in itertools.islice(self._held, APPENDED)]
            self._outbox.append([*accounts, *part], given_up=self.given_up)
            accounts, self.given_up = [], 0
            self._owed.clear()
            for _ in part:
                self._held.popleft()

    def _recover(self, now_ns: int) -> None:
        """Open what could not be opened at start, or begin a new database in the place of a damaged one."""
        began_ns = self._mend_began_ns or time.monotonic_ns()
        self._mend_began_ns = None
        try:
            if not self._outbox.is_open:
                self._outbox.retry_open()
                self._note_recovered(self._outbox.recovered)
            else:
                self._recover_damaged()
        except OutboxNotReadyError:
            self._mend_began_ns = began_ns
            raise
        except OutboxError:
            self._mend_at_ns = now_ns + MEND_PAUSES * (time.monotonic_ns() - began_ns)
            raise

    def _recover_damaged(self) -> None:
        recovered = self._outbox.recover()
        if recovered is None:
            raise OutboxDamagedError(
                "the database is damaged; a new one begins as soon as the sender has let go of it",
                where="outbox",
                remedy="Nothing: it recovers by itself within seconds",
            )
        self._note_recovered(recovered)

    def _note_recovered(self, recovered: Recovered | None) -> None:
        if recovered is None:
            return
        kept = "is gone" if recovered.aside is None else f"was damaged and is kept as {recovered.aside.name}"
        reason = f"the outbox {kept}; {recovered.saved} waiting records were saved" + (
            f"; {recovered.fault}" if recovered.fault else ""
        )
        _log.error("%s, %d were lost", reason, recovered.lost)
        self._owed.append((recovered.lost, reason))

    def _keep_within_quota(self, now_ns: int) -> None:
        if self._outbox.space.restore_reserve():
            self._is_impatient = False
        self._commits += 1
        try:
            old = self._outbox.space.keep_age(now_ns)
            gone = self._outbox.space.keep_within_quota() if self._is_time_to_look() else 0
        except OutboxError as error:
            _log.warning("%s", error)
            return
        if old:
            _log.warning("%d records were too old, and were given up and told of", old)
        if gone:
            _log.warning("the outbox is full: its %d least valuable records were given up, and told of", gone)

    def _is_time_to_look(self) -> bool:
        return self._outbox.space.is_behind or self._commits % ROOM_EVERY == 1
