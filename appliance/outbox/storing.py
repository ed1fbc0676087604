"""Records on their way into the outbox: gathered for a few seconds, then committed together.

One commit for many records spares the card (`python -m tests.appliance.rates` prints by how much). When the disk refuses,
records are held in memory and tried again; past a bound the oldest go, counted, and the count becomes a record
as soon as one can be stored. It must never raise for a storage fault: measuring goes on.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from appliance.outbox.box import Outbox
from appliance.outbox.file import OutboxError
from firmware.record import Record

COMMIT_NS: Final = 5_000_000_000
"""The longest a record waits for its commit: the loss window of a power cut."""
RETRY_NS: Final = 10_000_000_000
MAX_HELD: Final = 5_000
"""Records held in memory while the disk refuses them: about 10 MB, some hours of measuring."""
_log: Final = logging.getLogger(__name__)


class Store:
    """Gathers records for one outbox. `fault` is empty, or says what storage fails at.

    `account` makes the record of how many were given up, and why.
    """

    def __init__(self, outbox: Outbox, *, account: Callable[[int, str], Record]) -> None:
        self._outbox = outbox
        self._account = account
        self._held: deque[Record] = deque()
        self._due_ns: int | None = None
        self.fault = ""
        self.given_up = 0
        """How many were given up since the last commit that worked."""
        self.given_up_ever = 0

    def add(self, record: Record, now_ns: int) -> None:
        """Take a record; it is committed `COMMIT_NS` later at the latest, if the disk lets it."""
        self._held.append(record)
        if len(self._held) > MAX_HELD:
            self._held.popleft()
            self.given_up += 1
            self.given_up_ever += 1
        if self._due_ns is None:
            self._due_ns = now_ns + COMMIT_NS

    def due_ns(self) -> int | None:
        """Return when the next commit is due, None when nothing waits for one."""
        return self._due_ns

    def is_due(self, now_ns: int) -> bool:
        """Say whether a commit is due."""
        return self._due_ns is not None and now_ns >= self._due_ns

    def commit(self, now_ns: int) -> bool:
        """Commit what is held; return whether something was stored."""
        if not self._held:
            return False
        given_up = [self._account(self.given_up, self.fault)] if self.given_up else []
        try:
            self._outbox.append([*given_up, *self._held], given_up=self.given_up)
        except OutboxError as error:
            self._due_ns = now_ns + RETRY_NS
            if not self.fault:
                _log.error("results cannot be stored, and are held in memory: %s", error)
            self.fault = str(error)
            return False
        self._held.clear()
        self._due_ns = None
        if self.fault:
            _log.warning("results are stored again; %d were given up meanwhile", self.given_up)
        self.fault = ""
        self.given_up = 0
        return True
