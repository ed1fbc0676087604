"""The collector's store: what arrived, made durable in one transaction, and what may be acknowledged after it.

`Store` is the whole interface between ingest and storage: `commit` takes what arrived and returns, for each
arrival, what is accounted for. Nothing outside this file writes what devices sent (the vantage's log, tables of its
own, is `collector.store.vantage_log`), and nothing in it decides what is acceptable: that is `collector.receive.validation`. It must never return from `commit` before the data is on the disk.

SQLite here, with WAL and synchronous=FULL: a commit survives a power cut if the disk honours a flush. One
writer, one thread; readers (`collector.store.queries`) have their own connections and never wait for it.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

from sqlite_utils.db import Database

from collector.errors import NewerDatabaseError, StoreError
from collector.store import (
    asked_columns,
    ended_epochs,
    headlines,
    incarnations,
    provenance,
    remedies,
    timings,
    writing,
)
from collector.store.arrivals import (
    Accounted,
    Arrival,
    BatchArrived,
    HelloArrived,
    PresenceArrived,
    Refusal,
    RefusedArrived,
)
from collector.store.bounds import FULL_PAUSE_S, DeviceLimits
from collector.store.chain import TELL_EVERY_S, Chain
from collector.store.covered import RECEIVED
from collector.store.migrations import MIGRATIONS
from collector.store.rejects import Rejects
from firmware.files.durable import is_read_only
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Tombstone

MAX_ACK_RANGES: Final = 64
"""An ack names at most this many ranges beside those its own message touched."""
REJECTS_KEPT: Final = 200
"""How many rejected payloads are kept for inspection of each device; the oldest go first."""
PAYLOAD_KEPT_BYTES: Final = 16 * 1024
"""How much of a rejected payload is kept."""
log = logging.getLogger(__name__)


class Store:
    """The SQLite store. Open it with `Store.open`, close it with `close`; used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._rejects = Rejects(connection)
        self._bounds = DeviceLimits(connection)
        self._chain = Chain(connection, RECEIVED, kind="received", tell_every_s=TELL_EVERY_S)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the database at `path`, made and brought to the present form as needed.

        Raises `NewerDatabaseError` or `StoreError`.
        """
        connection = writing.connect(path)
        try:
            _prepare(connection, path)
            return cls(connection, path)
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(remedies.in_words(path, error)) from error
        except StoreError:
            connection.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def commit(self, arrivals: Sequence[Arrival]) -> tuple[Accounted | None, ...]:
        """Make `arrivals` durable in one transaction; return for each what is accounted for after it.

        The answer to a batch names every range its seqs are in; the answer to a hello the lowest ranges from
        the device's `low`. None for what is not answered here. Raises `StoreError`: then nothing was stored.
        """
        try:
            with self._forgetting_bounds(), self._chain.transaction():
                conflicts = self._write(arrivals)
                accounted = tuple(
                    self._accounted(arrival, conflicts.get(place)) for place, arrival in enumerate(arrivals)
                )
        except sqlite3.Error as error:
            raise StoreError(f"the database took nothing ({error})") from error
        _refuse_read_only(self._path)
        return accounted

    def newest_epoch(self, device: str) -> str | None:
        """Return the epoch last heard of, None where the device was never heard. Raises `StoreError`."""
        try:
            row = self._connection.execute(
                "SELECT epoch FROM epoch WHERE device = ? ORDER BY last_seen_ns DESC LIMIT 1", (device,)
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be read ({error})") from error
        return None if row is None else str(row[0])

    @contextmanager
    def _forgetting_bounds(self) -> Iterator[None]:
        """Count anew what was counted in a transaction that came to nothing."""
        try:
            yield
        except BaseException:
            self._bounds.forget()
            raise

    def _write(self, arrivals: Sequence[Arrival]) -> dict[int, int]:
        """Store what arrived; return the last shared seq of each sequence conflict, by the place of the hello that brought it to light."""
        conflicts: dict[int, int] = {}
        batches: list[BatchArrived] = []
        envelopes: list[int | None] = []
        for place, arrival in enumerate(arrivals):
            match arrival:
                case HelloArrived(hello=hello, received_ns=received_ns):
                    self._seen(hello.device, received_ns, country=hello.country, software=hello.software)
                    if not self._bounds.begins(hello.device, hello.epoch):
                        continue
                    # Seen first, so that there is a row to note a conflict in; what one in conflict counts to is nothing.
                    if hello.past:
                        ended_epochs.place(self._connection, hello, received_ns)
                    self._epoch_seen(hello.device, hello.epoch, received_ns, 0, None)
                    last_shared = incarnations.meet(self._connection, hello)
                    if last_shared is None:
                        self._epoch_seen(hello.device, hello.epoch, received_ns, hello.high, hello.waiting)
                        headlines.keep(self._connection, hello, received_ns)
                        named = self._with_ended_there_is_room_for(arrival)
                        ended_epochs.note(self._connection, named)
                        provenance.keep_hello(self._connection, named)
                        self._rejects.hello(hello)
                    else:
                        conflicts[place] = last_shared
                        log.warning(
                            "device %s: its card was copied or restored; it begins a new epoch", hello.device
                        )
                case BatchArrived():
                    if not self._is_out_of_order(arrival) and self._bounds.begins(
                        arrival.device, arrival.epoch
                    ):
                        changed = self._batch(arrival)
                        batches.append(arrival)
                        envelopes.append(provenance.keep(self._connection, arrival) if changed else None)
                case PresenceArrived(device=device, online=online, received_ns=received_ns):
                    self._seen(device, received_ns, online=online)
                case RefusedArrived(device=device, received_ns=received_ns, topic=topic, refusals=refusals):
                    self._keep_refused(device, received_ns, topic, refusals)
        self._connection.executemany(_INSERT_RECORD, _record_values(batches, envelopes))
        timings.note(self._connection, batches, self._bounds)
        return conflicts

    def _with_ended_there_is_room_for(self, arrival: HelloArrived) -> HelloArrived:
        """Return a hello as it was, or with the ended epochs that it names counted as not named."""
        hello = arrival.hello
        if not hello.ended or self._bounds.has_room("epoch", hello.device, len(hello.ended)):
            return arrival
        beyond = hello.ended_beyond + len(hello.ended)
        return replace(arrival, hello=replace(hello, ended=(), ended_beyond=beyond))

    def _batch(self, batch: BatchArrived) -> bool:
        """Note a batch; return whether it says anything that was not known."""
        self._seen(batch.device, batch.received_ns)
        stored = SeqRanges.of(map(_SEQ, batch.rows))
        rejected = SeqRanges.of(batch.rejected)
        known = self._ranges_at(batch.device, batch.epoch, "rejected", rejected)
        highest = max((ranges.ranges[-1][1] for ranges in (stored, rejected) if ranges), default=0)
        self._epoch_seen(batch.device, batch.epoch, batch.received_ns, highest, None)
        changed = [
            self._cover(batch.device, batch.epoch, "stored", stored),
            self._cover(batch.device, batch.epoch, "rejected", rejected),
            *[self._tombstone(batch, tombstone) for tombstone in batch.tombstones],
        ]
        # What is sent again because its ack was lost is kept once.
        again = all(seq in known for seq in batch.rejected)
        fresh = [one for one in batch.refusals if (not again if one.seq is None else one.seq not in known)]
        self._keep_refused(batch.device, batch.received_ns, batch.topic, fresh)
        return any(changed)

    def _tombstone(self, batch: BatchArrived, tombstone: Tombstone) -> bool:
        inserted = self._connection.execute(
            "INSERT INTO tombstone VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                batch.device,
                batch.epoch,
                tombstone.low,
                tombstone.high,
                tombstone.count,
                tombstone.reason,
                batch.received_ns,
            ),
        ).rowcount
        # A tombstone over part of its range does not say which part: acknowledging the whole range would
        # make the device delete records it still holds.
        if tombstone.count == tombstone.high - tombstone.low + 1:
            self._cover(
                batch.device, batch.epoch, "tombstoned", SeqRanges(((tombstone.low, tombstone.high),))
            )
        return inserted > 0

    def _seen(
        self, device: str, now_ns: int, *, country: str = "", software: str = "", online: bool | None = None
    ) -> None:
        self._connection.execute(
            """INSERT INTO device (id, first_seen_ns, last_seen_ns, country, software, online)
               VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET
                   last_seen_ns = max(last_seen_ns, excluded.last_seen_ns),
                   country = CASE excluded.country WHEN '' THEN country ELSE excluded.country END,
                   software = CASE excluded.software WHEN '' THEN software ELSE excluded.software END,
                   online = coalesce(excluded.online, online)""",
            (device, now_ns, now_ns, country, software, online),
        )

    def _epoch_seen(self, device: str, epoch: str, now_ns: int, high: int, waiting: int | None) -> None:
        self._connection.execute(
            """INSERT INTO epoch (device, epoch, first_seen_ns, last_seen_ns, high, waiting)
               VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (device, epoch) DO UPDATE SET
                   last_seen_ns = max(last_seen_ns, excluded.last_seen_ns),
                   high = max(high, excluded.high),
                   waiting = coalesce(excluded.waiting, waiting)""",
            (device, epoch, now_ns, now_ns, high, waiting),
        )

    def _keep_refused(self, device: str, received_ns: int, topic: str, refusals: Sequence[Refusal]) -> None:
        if not refusals:
            return
        if device:
            self._seen(device, received_ns)
            self._connection.execute(
                "UPDATE device SET rejects = rejects + ? WHERE id = ?", (len(refusals), device)
            )
        self._connection.executemany(
            """INSERT INTO reject (device, epoch, seq, reason, received_ns, topic, payload)
               VALUES (?, ?, ?, ?, ?, ?, ?)""",
            [
                (
                    device,
                    refusal.epoch,
                    refusal.seq,
                    refusal.reason,
                    received_ns,
                    topic,
                    refusal.payload[:PAYLOAD_KEPT_BYTES],
                )
                for refusal in refusals
            ],
        )
        self._connection.execute(
            """DELETE FROM reject WHERE device = ?1 AND id <=
               (SELECT id FROM reject WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)""",
            (device, REJECTS_KEPT),
        )

    def _cover(self, device: str, epoch: str, kind: str, ranges: SeqRanges) -> bool:
        """Add `ranges` to what is covered by `kind`, and to what is accounted for at all; say if any is new to `kind`."""
        changed = False
        for low, high in ranges:
            changed |= self._merge(device, epoch, kind, low, high)
            self._merge(device, epoch, "accounted", low, high)
        return changed

    def _merge(self, device: str, epoch: str, kind: str, low: int, high: int) -> bool:
        # The cost is that of the ranges touched, however many gaps the epoch has.
        touched = self._overlapping(device, epoch, kind, low - 1, high + 1)
        merged = SeqRanges(touched).add(low, high).ranges
        if merged == touched:
            return False
        self._connection.executemany(
            "DELETE FROM coverage WHERE device = ? AND epoch = ? AND kind = ? AND low = ?",
            [(device, epoch, kind, first) for first, _ in touched],
        )
        self._connection.executemany(
            "INSERT INTO coverage VALUES (?, ?, ?, ?, ?)",
            [(device, epoch, kind, first, last) for first, last in merged],
        )
        return True

    def _overlapping(
        self, device: str, epoch: str, kind: str, low: int, high: int
    ) -> tuple[tuple[int, int], ...]:
        """Return the ranges that have a seq in `low`–`high`, ascending."""
        rows = self._connection.execute(
            """SELECT low, high FROM coverage WHERE device = ?1 AND epoch = ?2 AND kind = ?3
                 AND low >= coalesce((SELECT max(low) FROM coverage
                     WHERE device = ?1 AND epoch = ?2 AND kind = ?3 AND low <= ?4), ?4)
                 AND low <= ?5 AND high >= ?4 ORDER BY low""",
            (device, epoch, kind, low, high),
        ).fetchall()
        return tuple((first, last) for first, last in rows)

    def _ranges_at(self, device: str, epoch: str, kind: str, wanted: SeqRanges) -> SeqRanges:
        result = SeqRanges()
        for low, high in wanted:
            if low in result and high in result and not result.gaps(low, high):
                continue
            for first, last in self._overlapping(device, epoch, kind, low, high):
                result = result.add(first, last)
        return result

    def _accounted(self, arrival: Arrival, last_shared: int | None) -> Accounted | None:
        match arrival:
            case HelloArrived(hello=hello):
                if not self._bounds.begins(hello.device, hello.epoch):
                    return Accounted(upto=0, ranges=SeqRanges(), pause_s=FULL_PAUSE_S)
                incarnation = hello.incarnations[0][0] if hello.incarnations and not hello.past else ""
                if last_shared is not None:
                    return Accounted(
                        upto=0, ranges=SeqRanges(), conflict=last_shared, incarnation=incarnation
                    )
                return self._told(
                    hello.device,
                    hello.epoch,
                    incarnation,
                    self._answer(hello.device, hello.epoch, (), low=hello.low),
                )
            case BatchArrived() if self._is_out_of_order(arrival):
                # Nothing is said of its seqs: they may be another's. The sender asks with a hello, and is told.
                return Accounted(upto=0, ranges=SeqRanges())
            case BatchArrived() if not self._bounds.begins(arrival.device, arrival.epoch):
                return Accounted(upto=0, ranges=SeqRanges(), pause_s=FULL_PAUSE_S)
            case BatchArrived():
                return self._told(
                    arrival.device,
                    arrival.epoch,
                    arrival.incarnation,
                    self._answer(arrival.device, arrival.epoch, _seqs(arrival)),
                )
            case RefusedArrived() | PresenceArrived():
                return None

    def _is_out_of_order(self, batch: BatchArrived) -> bool:
        where = (self._connection, batch.device, batch.epoch)
        return incarnations.conflict(*where) is not None or incarnations.is_out_of_order(
            *where, batch.incarnation, max(_seqs(batch), default=0)
        )

    def _told(self, device: str, epoch: str, incarnation: str, known: Accounted) -> Accounted:
        """Return what of `known` is told to `incarnation`: what a later incarnation gave may be another's, on a copy of the card."""
        if not incarnation:
            return known
        end = incarnations.end_of(self._connection, device, epoch, incarnation)
        return replace(
            known,
            upto=max(0, min(known.upto, end - 1)),
            ranges=known.ranges.below(end),
            rejects=tuple(one for one in known.rejects if one.seq < end),
            incarnation=incarnation,
        )

    def _answer(self, device: str, epoch: str, seqs: Iterable[int], *, low: int = 1) -> Accounted:
        first = self._overlapping(device, epoch, "accounted", 1, 1)
        upto = first[0][1] if first else 0
        rows = self._connection.execute(
            """SELECT low, high FROM coverage WHERE device = ? AND epoch = ? AND kind = 'accounted'
                 AND low > ? ORDER BY low LIMIT ?""",
            (device, epoch, max(upto, low - 1), MAX_ACK_RANGES),
        ).fetchall()
        ranges = SeqRanges(tuple((lowest, highest) for lowest, highest in rows))
        above = SeqRanges.of(seq for seq in seqs if seq > upto and seq not in ranges)
        return Accounted(
            upto=upto,
            ranges=ranges.union(self._ranges_at(device, epoch, "accounted", above)),
            rejects=self._rejects.to_tell(device, epoch),
        )


_SEQ: Final = attrgetter("seq")


def _seqs(batch: BatchArrived) -> list[int]:
    """Return the seqs whose fate the answer must tell; of a tombstone its ends, which its range holds."""
    seqs = [*map(_SEQ, batch.rows), *batch.rejected]
    for tombstone in batch.tombstones:
        seqs += [tombstone.low, tombstone.high]
    return seqs


_RECORD: Final = ("device", "epoch", "seq", "received_ns", "body", "envelope", *asked_columns.NAMES)
_INSERT_RECORD: Final = (
    f"INSERT INTO record ({', '.join(_RECORD)}) VALUES ({', '.join('?' * len(_RECORD))})"  # noqa: S608 - names of our own
    " ON CONFLICT (device, epoch, seq) DO NOTHING"
)


def _record_values(
    batches: Iterable[BatchArrived], envelopes: Iterable[int | None] = repeat(None)
) -> Iterator[tuple[str | int | None, ...]]:
    """Yield what `_INSERT_RECORD` takes, in the order of `_RECORD`."""
    for batch, envelope in zip(batches, envelopes, strict=False):
        device, epoch, received_ns = batch.device, batch.epoch, batch.received_ns
        for row in batch.rows:
            yield (device, epoch, row.seq, received_ns, row.body, envelope, *row.asked)


def _refuse_read_only(path: Path) -> None:
    """Raise `StoreError` where the disk has been mounted read-only under the open database.

    After its emergency remount (sysrq u) ext4 goes on taking writes into open files and says of each flush that it
    worked. So it is asked after the commit: what was flushed before the disk changed is durable, the rest is sent again.
    """
    with suppress(OSError):
        if is_read_only(path.parent):
            raise StoreError("the database took nothing (its disk is mounted read-only)")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -16384"):
        connection.execute(f"PRAGMA {pragma}")
    database = Database(connection)
    applied = {migration.name for migration in MIGRATIONS.applied(database)}
    pending = {migration.name for migration in MIGRATIONS.pending(database)}
    # What is applied and not ours: the names known to this version are those pending and those applied.
    unknown = applied - (_known_steps() | pending)
    if unknown:
        raise NewerDatabaseError(
            f"{path}: was written by a newer version of this software (step {min(unknown)}): "
            "upgrade the collector, or give another directory with --data"
        )
    MIGRATIONS.apply(database)


def _known_steps() -> frozenset[str]:
    """Return the names of all steps this version knows: those pending on an empty database."""
    with sqlite3.connect(":memory:") as empty:
        names = frozenset(migration.name for migration in MIGRATIONS.pending(Database(empty)))
    empty.close()
    return names
