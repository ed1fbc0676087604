"""What may be asked of the store: the page's and the API's questions, each answered with typed values.

Reads only, on connections of its own, so that no reader ever holds up ingest. It must never write, and knows
nothing of HTML or HTTP. Every method may be called from any thread. Times are UTC in ns since 1970.

A round is a ladder record and the measurements that carry its number; a device's rounds are ordered as the
device made them (epoch, then seq), never by a wall clock that may have been wrong.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Final

from collector.errors import StoreError
from collector.store import headlines
from collector.store.answers import (
    DeviceRow,
    RecordFilter,
    RecordPage,
    RecordRow,
    RejectRow,
    RoundRow,
    RungCell,
    StoreCounts,
)
from collector.store.completeness import Completeness, EpochCoverage, of_device
from collector.store.retiming import Timelines, retimed, retimed_records
from firmware.judgement.round.from_records import MOST_REVISIONS, standing
from firmware.model.record import ClockQuality, ClockReading, Rung
from firmware.model.seqs import SeqRanges

MAX_PAGE: Final = 1000
"""The most records one call returns."""
MAX_ROUNDS: Final = 500


class Queries:
    """Read-only access to the database at `path`, which must exist (`Store.open` makes it)."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=ro"
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()
        self.timelines = Timelines()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def devices(self) -> tuple[DeviceRow, ...]:
        """Return every device, the one heard last first."""
        with self.reading() as connection:
            rows = connection.execute(f"{_DEVICE} ORDER BY last_seen_ns DESC, id").fetchall()
            return tuple(_device(connection, row, self.timelines) for row in rows)

    def device(self, device: str) -> DeviceRow | None:
        """Return one device, or None when it was never heard."""
        with self.reading() as connection:
            row = connection.execute(f"{_DEVICE} WHERE id = ?", (device,)).fetchone()
            return None if row is None else _device(connection, row, self.timelines)

    def rounds(self, device: str, limit: int) -> tuple[RoundRow, ...]:
        """Return the device's last rounds, newest first."""
        with self.reading() as connection:
            return _rounds(connection, device, min(limit, MAX_ROUNDS), self.timelines)

    def measurements(self, row: RoundRow) -> tuple[RecordRow, ...]:
        """Return the measurements of one round, in the order the device stored them."""
        with self.reading() as connection:
            found = connection.execute(
                f"{RECORD_COLUMNS} WHERE device = ? AND epoch = ? AND round_id = ? AND boot_id = ? ORDER BY seq",
                (row.device, row.epoch, row.round_id, row.boot_id),
            ).fetchall()
            return retimed_records(connection, [record_row(item) for item in found], self.timelines)

    def completeness(self, device: str) -> Completeness:
        """Return the device's account: what is here, what is not."""
        with self.reading() as connection:
            return _completeness(connection, device)

    def records(self, wanted: RecordFilter, *, after: int = 0, limit: int = 100) -> RecordPage:
        """Return records that arrived after the cursor `after`, in order of arrival."""
        limit = max(1, min(limit, MAX_PAGE))
        clauses, values = _where(wanted)
        where = " AND ".join(["id > ?", *clauses])
        with self.reading() as connection:
            rows = connection.execute(
                f"{RECORD_COLUMNS} WHERE {where} ORDER BY id LIMIT ?", (after, *values, limit + 1)
            ).fetchall()
            records = retimed_records(connection, [record_row(row) for row in rows[:limit]], self.timelines)
        return RecordPage(records=records, next_cursor=records[-1].id if len(rows) > limit else None)

    def record(self, device: str, epoch: str, seq: int) -> RecordRow | None:
        """Return the record with this identity, or None."""
        with self.reading() as connection:
            row = connection.execute(
                f"{RECORD_COLUMNS} WHERE device = ? AND epoch = ? AND seq = ?", (device, epoch, seq)
            ).fetchone()
            return None if row is None else retimed_records(connection, [record_row(row)], self.timelines)[0]

    def rejects(self, device: str | None = None, *, limit: int = 100) -> tuple[RejectRow, ...]:
        """Return what was refused, newest first, of one device or of all."""
        where, values = ("", ()) if device is None else ("WHERE device = ?", (device,))
        with self.reading() as connection:
            rows = connection.execute(
                f"{_REJECT} {where} ORDER BY id DESC LIMIT ?",
                (*values, max(1, min(limit, MAX_PAGE))),
            ).fetchall()
        return tuple(
            RejectRow(
                id=row[0],
                device=row[1],
                epoch=row[2],
                seq=row[3],
                reason=row[4],
                received_ns=row[5],
                topic=row[6],
                payload=row[7],
            )
            for row in rows
        )

    def counts(self) -> StoreCounts:
        """Return how much is in the store."""
        with self.reading() as connection:
            devices, rejects = connection.execute(
                "SELECT count(*), coalesce(sum(rejects), 0) FROM device"
            ).fetchone()
            (records,) = connection.execute(
                "SELECT coalesce(sum(high - low + 1), 0) FROM coverage WHERE kind = 'stored'"
            ).fetchone()
        return StoreCounts(devices=devices, records=records, rejects=rejects)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside one read transaction, so that an answer is of one moment."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._connect()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(f"the database cannot be read ({error})") from error
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(
                self._uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be opened ({error})") from error


_DEVICE: Final = "SELECT id, country, software, first_seen_ns, last_seen_ns, online, rejects FROM device"
_OF_ROUND: Final = (
    *("device", "epoch", "seq", "boot_id", "round_id", "start_utc_ns", "clock_quality", "clock_error_ns"),
    *("verdict", "rule_id", "body", "start_boottime_ns"),
)
ROUND_COLUMNS: Final = f"SELECT {', '.join(_OF_ROUND)} FROM record"  # noqa: S608 - names of our own
_REJECT: Final = "SELECT id, device, epoch, seq, reason, received_ns, topic, payload FROM reject"
_OF_RECORD: Final = (
    *("id", "device", "epoch", "seq", "received_ns", "start_utc_ns", "test", "rung", "target", "target_name"),
    *(
        "round_id",
        "failure",
        "verdict",
        "body",
        "boot_id",
        "start_boottime_ns",
        "clock_quality",
        "clock_error_ns",
    ),
)
RECORD_COLUMNS: Final = f"SELECT {', '.join(_OF_RECORD)} FROM record"  # noqa: S608 - names of our own


def _device(connection: sqlite3.Connection, row: Sequence[object], timelines: Timelines) -> DeviceRow:
    match row:
        case [str(device), str(country), str(software), int(first), int(last), online, int(rejects)]:
            (waiting,) = connection.execute(
                "SELECT waiting FROM epoch WHERE device = ? ORDER BY last_seen_ns DESC LIMIT 1", (device,)
            ).fetchone() or (None,)
            rounds = _rounds(connection, device, 1, timelines)
            return DeviceRow(
                id=device,
                country=country,
                software=software,
                first_seen_ns=first,
                last_seen_ns=last,
                online=None if online is None else bool(online),
                waiting=waiting,
                rejects=rejects,
                last_round=rounds[0] if rounds else None,
                completeness=_completeness(connection, device),
                headline=headlines.of_device(connection, device),
            )
        case _:
            raise StoreError(f"device: a row of another form: {row!r}")


def _rounds(
    connection: sqlite3.Connection, device: str, limit: int, timelines: Timelines
) -> tuple[RoundRow, ...]:
    found: list[RoundRow] = []
    for (epoch,) in connection.execute(
        "SELECT epoch FROM epoch WHERE device = ? ORDER BY first_seen_ns DESC, epoch", (device,)
    ).fetchall():
        rows = connection.execute(
            f"{ROUND_COLUMNS} WHERE device = ? AND epoch = ? AND test = 'ladder' ORDER BY seq DESC LIMIT ?",
            (device, epoch, limit - len(found) + MOST_REVISIONS),
        ).fetchall()
        found.extend(standing(map(round_row, rows), round_of)[: limit - len(found)])
        if len(found) >= limit:
            break
    return retimed(connection, found, timelines)


def round_of(row: RoundRow) -> tuple[str, int]:
    """Return which round of its device and epoch a row concludes: its boot, and when in it that began."""
    return row.boot_id, row.start_boottime_ns


def round_row(row: Sequence[object]) -> RoundRow:
    """Read a row of `ROUND_COLUMNS`."""
    of = dict(zip(_OF_ROUND, row, strict=True))
    return RoundRow(
        device=str(of["device"]),
        epoch=str(of["epoch"]),
        seq=_integer(of["seq"]),
        boot_id=str(of["boot_id"]),
        round_id=_optional_integer(of["round_id"]),
        start_utc_ns=_integer(of["start_utc_ns"]),
        clock_quality=str(of["clock_quality"]),
        clock_error_ns=_optional_integer(of["clock_error_ns"]),
        verdict=_optional_text(of["verdict"]),
        rule_id=_optional_text(of["rule_id"]),
        body=str(of["body"]),
        start_boottime_ns=_integer(of["start_boottime_ns"]),
    )


def rung_cells(connection: sqlite3.Connection, row: RoundRow) -> tuple[RungCell, ...]:
    """Count a round's measurements, rung by rung."""
    found = connection.execute(
        """SELECT rung, failure, count(*) FROM record
           WHERE device = ? AND epoch = ? AND round_id = ? AND boot_id = ? AND rung IS NOT NULL
             AND test NOT IN ('ladder', 'gap')
           GROUP BY rung, failure""",
        (row.device, row.epoch, row.round_id, row.boot_id),
    ).fetchall()
    return tuple(
        _cell(rung, [(failure, count) for word, failure, count in found if word == rung]) for rung in Rung
    )


def _cell(rung: Rung, found: Sequence[tuple[str | None, int]]) -> RungCell:
    reached = sum(count for failure, count in found if failure is None)
    tried = sum(count for _, count in found)
    state = (
        "unknown" if tried == 0 else "failed" if reached == 0 else "reached" if reached == tried else "partly"
    )
    failures = tuple(sorted({failure for failure, _ in found if failure is not None}))
    return RungCell(rung=rung, state=state, reached=reached, tried=tried, failures=failures)


def _completeness(connection: sqlite3.Connection, device: str) -> Completeness:
    epochs = connection.execute(
        "SELECT epoch, first_seen_ns, high FROM epoch WHERE device = ?", (device,)
    ).fetchall()
    (unnamed,) = connection.execute(
        "SELECT count FROM unnamed_epochs WHERE device = ?", (device,)
    ).fetchone() or (0,)
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for epoch, kind, low, high in connection.execute(
        """SELECT epoch, kind, low, high FROM coverage
           WHERE device = ? AND kind <> 'accounted' ORDER BY epoch, kind, low""",
        (device,),
    ):
        ranges.setdefault((epoch, kind), []).append((low, high))

    def of(epoch: str, kind: str) -> SeqRanges:
        return SeqRanges(tuple(ranges.get((epoch, kind), ())))

    return of_device(
        device,
        [
            EpochCoverage(
                epoch=epoch,
                first_seen_ns=first_seen_ns,
                high=high,
                stored=of(epoch, "stored"),
                tombstoned=of(epoch, "tombstoned"),
                rejected=of(epoch, "rejected"),
            )
            for epoch, first_seen_ns, high in epochs
        ],
        unnamed=unnamed,
    )


def _where(wanted: RecordFilter) -> tuple[list[str], list[str | int]]:
    clauses: list[str] = []
    values: list[str | int] = []
    for clause, value in (
        ("device = ?", wanted.device),
        ("test = ?", wanted.test),
        ("rung = ?", wanted.rung),
        ("failure = ?", wanted.failure),
        ("start_utc_ns >= ?", wanted.since_utc_ns),
        ("start_utc_ns < ?", wanted.until_utc_ns),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)
    return clauses, values


def record_row(row: Sequence[object]) -> RecordRow:
    """Read a row of `RECORD_COLUMNS`; its `start` is as the device told it."""
    of = dict(zip(_OF_RECORD, row, strict=True))
    return RecordRow(
        id=_integer(of["id"]),
        device=str(of["device"]),
        epoch=str(of["epoch"]),
        seq=_integer(of["seq"]),
        received_ns=_integer(of["received_ns"]),
        start_utc_ns=_integer(of["start_utc_ns"]),
        test=str(of["test"]),
        rung=_optional_text(of["rung"]),
        target=str(of["target"]),
        target_name=str(of["target_name"]),
        round_id=_optional_integer(of["round_id"]),
        failure=_optional_text(of["failure"]),
        verdict=_optional_text(of["verdict"]),
        body=str(of["body"]),
        boot_id=str(of["boot_id"]),
        start=ClockReading(
            boottime_ns=_integer(of["start_boottime_ns"]),
            utc_ns=_integer(of["start_utc_ns"]),
            quality=ClockQuality(str(of["clock_quality"])),
            error_ns=_optional_integer(of["clock_error_ns"]),
        ),
    )


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def _optional_integer(value: object) -> int | None:
    return None if value is None else _integer(value)


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise StoreError(f"the database holds {value!r} where a whole number belongs")
    return value
