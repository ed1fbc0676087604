"""The siege's account of one device: what it called durable, by the log outside the product, and where that is now.

A record that was called durable is stored at the collector with the content it had, once, or a tombstone or a reject there
names it. Nothing at the collector has a content that was never measured, and no number was given to two contents. Read
are the log, and three tables of the collector's database. This file must never ask the product what became of a record.
"""

import bisect
import json
import sqlite3
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.drills.siege_device import digest_of

Identity: TypeAlias = tuple[str, int]
"""Epoch and seq."""


class Told:
    """The log of one device, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.measured: set[str] = set()
        self.durable: dict[Identity, str] = {}
        self.twice: list[tuple[Identity, str, str]] = []
        """Numbers given to two contents."""
        self.count = 0
        """How many were called durable, the same ones again included."""

    def read(self) -> None:
        """Take in what is new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].decode(errors="replace").splitlines():
            self._take(line.split())

    def _take(self, words: list[str]) -> None:
        match words:
            case ["m", digest] if len(digest) == 32:
                self.measured.add(digest)
            case ["d", epoch, seq, digest] if len(digest) == 32:
                self.count += 1
                identity = (epoch, int(seq))
                before = self.durable.setdefault(identity, digest)
                if before != digest:
                    self.twice.append((identity, before, digest))
            case _:
                pass  # a kill cut it off


class Shelf:
    """What one device has at the collector, read as it grows; `arrived` is what came since it was last asked for."""

    def __init__(self, database: Path, device: str) -> None:
        self._database = database
        self._device = device
        self._last = 0
        self.stored: dict[Identity, str] = {}
        self.by_content: dict[str, Identity] = {}
        self.copies: list[tuple[Identity, Identity]] = []
        """Contents stored under two identities."""
        self._tombstones: dict[str, list[tuple[int, int, str]]] = {}
        self._rejected: set[Identity] = set()

    def read(self) -> None:
        """Take in what is new."""
        try:
            connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=20)
        except sqlite3.OperationalError:
            return  # nobody has run yet
        try:
            # What is given up and what is refused first: of what moves meanwhile the stored row counts.
            self._tombstones = {}
            for epoch, low, high, reason in connection.execute(
                "SELECT epoch, low, high, reason FROM tombstone WHERE device = ? ORDER BY low",
                (self._device,),
            ):
                self._tombstones.setdefault(epoch, []).append((low, high, reason))
            self._rejected = set(
                connection.execute(
                    "SELECT epoch, seq FROM reject WHERE device = ? AND seq IS NOT NULL", (self._device,)
                )
            )
            for number, epoch, seq, body in connection.execute(
                "SELECT id, epoch, seq, body FROM record WHERE device = ? AND id > ? ORDER BY id",
                (self._device, self._last),
            ):
                self._last = number
                self._put((epoch, seq), digest_of(json.loads(body)))
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error) and "locked" not in str(error):
                raise
        finally:
            connection.close()

    def _put(self, identity: Identity, digest: str) -> None:
        self.stored[identity] = digest
        first = self.by_content.setdefault(digest, identity)
        if first != identity:
            self.copies.append((first, identity))

    def why_gone(self, identity: Identity) -> str:
        """Return why it was given up or refused, "" if it was not."""
        epoch, seq = identity
        if identity in self._rejected:
            return "rejected"
        ranges = self._tombstones.get(epoch, [])
        # Ranges may lie in one another: look at those that begin at or before it.
        for low, high, reason in reversed(ranges[: bisect.bisect_right(ranges, seq, key=lambda one: one[0])]):
            if low <= seq <= high:
                return f"tombstone: {reason}"
        return ""


@dataclass(slots=True, kw_only=True)
class Standing:
    """How a device's records stand: counts of those called durable, and what is wrong."""

    durable: int = 0
    stored: int = 0
    moved: int = 0
    """Of those stored: under another identity than they were given."""
    tombstoned: int = 0
    lost: list[Identity] = field(default_factory=list)
    changed: list[Identity] = field(default_factory=list)
    twice: list[Identity] = field(default_factory=list)
    copied: list[Identity] = field(default_factory=list)


class Account:
    """One device's. What a failure has named is not named again (`forgive`). For any thread."""

    def __init__(self, *, log: Path, database: Path, device: str) -> None:
        self.told = Told(log)
        self.shelf = Shelf(database, device)
        self.gone: dict[Identity, str] = {}
        """Given up or refused, with the reason."""
        self._open: set[Identity] = set()
        self._seen = 0
        self._checked = 0
        self._known_twice = 0
        self._known_copies = 0
        self.forgiven: set[Identity] = set()
        self.wrong: list[Identity] = []
        self._lock = threading.Lock()

    def read(self) -> None:
        """Take in what is new on both sides."""
        with self._lock:
            self.told.read()
            self.shelf.read()
            if len(self.told.durable) > self._seen:
                fresh = list(self.told.durable)[self._seen :]
                self._seen += len(fresh)
                self._open.update(fresh)
            for identity in tuple(self._open):
                if self._is_stored(identity):
                    self._open.discard(identity)
                elif why := self.shelf.why_gone(identity):
                    self._open.discard(identity)
                    self.gone[identity] = why

    def told_count(self) -> int:
        """Return how often a record was called durable so far."""
        with self._lock:
            self.told.read()
            return self.told.count

    def _is_stored(self, identity: Identity) -> bool:
        digest = self.told.durable[identity]
        return self.shelf.stored.get(identity) == digest or digest in self.shelf.by_content

    def waiting(self, among: Collection[Identity]) -> list[Identity]:
        """Return which of these are neither stored nor accounted for."""
        with self._lock:
            return sorted(self._open.intersection(among) - self.forgiven)

    def only_on(self, shelf: Shelf) -> set[Identity]:
        """Return what somebody else's shelf has, as it was called durable, and the collector's has not."""
        with self._lock:
            return {
                identity
                for identity, digest in shelf.stored.items()
                if self.told.durable.get(identity) == digest and not self._is_stored(identity)
            }

    def whereabouts(self, identities: Collection[Identity]) -> Standing:
        """Say of these, all of them called durable, what has become of them."""
        with self._lock:
            found = Standing(durable=len(identities))
            for identity in sorted(identities):
                if self._is_stored(identity):
                    found.stored += 1
                elif self.shelf.why_gone(identity):
                    found.tombstoned += 1
                else:
                    found.lost.append(identity)
            return found

    def durable(self) -> set[Identity]:
        """Return what was called durable so far."""
        with self._lock:
            return set(self.told.durable)

    def faults(self) -> list[str]:
        """Return what is wrong that is no loss, in words; each once."""
        with self._lock:
            found: list[str] = []
            twice = self.told.twice[self._known_twice :]
            self._known_twice += len(twice)
            if twice:
                found.append(f"{len(twice)} numbers given twice: {[one[0] for one in twice[:3]]}")
                self.wrong += [one[0] for one in twice]
            copies = self.shelf.copies[self._known_copies :]
            self._known_copies += len(copies)
            if copies:
                found.append(f"{len(copies)} contents stored twice: {copies[:3]}")
            fresh = list(self.shelf.stored.items())[self._checked :]
            self._checked += len(fresh)
            never = [identity for identity, digest in fresh if digest not in self.told.measured]
            if never:
                found.append(f"{len(never)} stored that were never measured so: {never[:3]}")
                self.wrong += never
            given = self.told.durable
            other = [identity for identity, digest in fresh if given.get(identity, digest) != digest]
            if other:
                found.append(f"{len(other)} stored otherwise than called durable: {other[:3]}")
            return found

    def forgive(self, identities: Collection[Identity]) -> None:
        """Do not name these again."""
        with self._lock:
            self.forgiven.update(identities)

    def standing(self) -> Standing:
        """Look at every record anew and count."""
        with self._lock:
            found = Standing(durable=len(self.told.durable), twice=[one[0] for one in self.told.twice])
            for identity, digest in self.told.durable.items():
                there = self.shelf.stored.get(identity)
                if there == digest:
                    found.stored += 1
                elif digest in self.shelf.by_content:
                    found.stored += 1
                    found.moved += 1
                elif self.shelf.why_gone(identity):
                    found.tombstoned += 1
                else:
                    found.lost.append(identity)
                if there not in (None, digest):
                    found.changed.append(identity)
            found.changed += [
                identity for identity, digest in self.shelf.stored.items() if digest not in self.told.measured
            ]
            found.copied = [second for _, second in self.shelf.copies]
            return found
