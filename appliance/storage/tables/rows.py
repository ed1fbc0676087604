"""The outbox's rows: how a record becomes one, is read back, quarantined and given up. Statements, no transactions.

Each function works on a connection whose transaction the caller holds; keys are `appliance.storage.tables.ledger`'s. Nothing here
may cost more because the backlog is long.
"""

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.storage.tables import checked, ledger, packed
from appliance.storage.tables.ledger import SPAN, Account
from appliance.storage.tables.priority import LastSeen, Priority, Ranking, facts_of, pick, to_ranges
from firmware.judgement.round.from_records import MOST_REVISIONS, standing
from firmware.model.record import Record, from_json, to_json
from firmware.wire.messages import Reject

ROUNDS_KEPT: Final = 60
"""How many rounds' conclusions stay after they were acknowledged."""
LADDER_TEST: Final = "ladder"
REMEMBERED: Final = 300
"""After a start, so many of the last records say what was last measured of each target."""
LAST_SEQ: Final = SPAN - 1
_WINDOW: Final = 500
_WINDOWS: Final = 20
"""Windows looked at in one transaction until there is something to give up: each costs a flush of the card."""
_AROUND: Final = 64
"""Rows looked at on either side of those that leave: those of three pages at the least."""
_REASON_LENGTH: Final = 500
_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A record that waits: its seq and its JSON text."""

    seq: int
    body: str


def body_of(record: Record) -> str:
    """Return a record's JSON text, in characters that any reader of UTF-8 takes."""
    text = _ENCODE(to_json(record))
    if text.isascii():
        return text
    # Half a surrogate pair can reach us inside what a server said; left in, it could never be stored or sent.
    return text.encode("utf-8", "replace").decode()


def insert(
    connection: sqlite3.Connection,
    records: Sequence[Record],
    bodies: Sequence[str],
    rankings: Sequence[Ranking],
    *,
    first: int,
    utc_ns: int,
) -> None:
    """Store `records` at the keys from `first` on, and the rounds' conclusions among them once more."""
    connection.executemany(
        "INSERT INTO waiting (seq, body, test, rung, failure, verdict, start_utc_ns, stored_utc_ns, value, crc)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                first + index,
                stored,
                record.test,
                None if record.rung is None else record.rung.value,  # SQLite takes a plain str without asking
                record.outcome.failure,
                None if record.verdict is None else record.verdict.verdict,
                record.start.utc_ns,
                utc_ns,
                worth.value.value,
                checked.body_mark(first + index, stored.encode()),
            )
            for index, (record, stored, worth) in enumerate(
                zip(records, _packed(records, bodies), rankings, strict=True)
            )
        ],
    )
    for worth in rankings:
        if worth.promoted is not None:
            _promote(connection, worth.promoted)
    rounds = [
        (
            first + index,
            record.round_id,
            bodies[index],
            checked.body_mark(first + index, bodies[index].encode()),
        )
        for index, record in enumerate(records)
        if record.test == LADDER_TEST
    ]
    if rounds:
        connection.executemany("INSERT INTO round (seq, round_id, body, crc) VALUES (?, ?, ?, ?)", rounds)
        connection.execute(
            "DELETE FROM round WHERE seq <= (SELECT seq FROM round ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (ROUNDS_KEPT,),
        )


def _packed(records: Sequence[Record], bodies: Sequence[str]) -> list[str]:
    return [
        packed.pack(body, test=record.test, failed=record.outcome.failure is not None)
        for record, body in zip(records, bodies, strict=True)
    ]


def read(
    connection: sqlite3.Connection,
    account: Account,
    order: str,
    *,
    above: int,
    below: int,
    limit: int,
    max_bytes: int,
) -> tuple[list[WaitingRow], list[int]]:
    """Return waiting rows with above < seq < below, and the seqs of those whose text is not what was stored.

    Reading stops after the row whose body takes the sum past `max_bytes`. Raises `sqlite3.DatabaseError` where it is the seq
    that is not what it was, or a row does not stand where its seq belongs: a page's pointer to it is damaged, and what
    was there is hidden.
    """
    rows: list[WaitingRow] = []
    spoilt: list[int] = []
    total = 0
    base = account.base
    step = -1 if order.endswith("DESC") else 1
    last: int | None = None
    cursor = connection.execute(
        # One more than is wanted: its key shows whether the last one is followed by what may follow it.
        f"SELECT seq, body, crc FROM waiting WHERE seq > ? AND seq < ? {order} LIMIT ?",  # noqa: S608 - our own words
        (base + max(0, above), base + min(below, LAST_SEQ), limit + 1),
    )
    for key, stored, crc in cursor:
        if last is None:
            _refuse_disorder_before(connection, key, step)
        last = _after(last, key, step)
        if len(rows) + len(spoilt) == limit or total > max_bytes:
            break
        body = body_in(key, stored, crc)
        if body is None:
            _refuse_moved(connection, key, stored, crc)
            spoilt.append(key - base)
            continue
        rows.append(WaitingRow(key - base, body))
        total += len(body)
    cursor.close()
    return rows, spoilt


def refuse_disorder(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Raise `sqlite3.DatabaseError` where the keys from `first` to `last`, and those around them, are not in order.

    To be asked before rows leave: SQLite then fits what is left into the pages beside, by their pointers, and a damaged
    one has it write over rows that are whole.
    """
    before = connection.execute(
        "SELECT seq FROM waiting WHERE seq < ? ORDER BY seq DESC LIMIT ?", (first, _AROUND)
    ).fetchall()
    latest, beyond = None, 0
    for (key,) in reversed(before):
        latest = _after(latest, key)
    # Without an upper bound: a key that is too large would end the search before what it hides.
    for (key,) in connection.execute("SELECT seq FROM waiting WHERE seq >= ? ORDER BY seq", (first,)):
        latest = _after(latest, key)
        beyond += key > last
        if beyond == _AROUND:
            break


def _after(latest: int | None, key: int, step: int = 1) -> int:
    """Return `key`. Raises `sqlite3.DatabaseError` where it does not come after `latest`, read backwards with `step` -1."""
    if latest is not None and (key - latest) * step <= 0:
        raise sqlite3.DatabaseError(f"key {key} stands behind key {latest}")
    return key


def _refuse_disorder_before(connection: sqlite3.Connection, key: int, step: int) -> None:
    """Raise `sqlite3.DatabaseError` where what stands before `key`, read backwards, is not in order.

    A search that meets a key that is too small passes over what stands there.
    """
    sign, order = ("<", "DESC") if step > 0 else (">", "ASC")
    before = connection.execute(
        f"SELECT seq FROM waiting WHERE seq {sign} ? ORDER BY seq {order} LIMIT 2",  # noqa: S608 - our own words
        (key,),
    ).fetchall()
    latest = None
    for (found,) in reversed(before):
        latest = _after(latest, found, step)
    _after(latest, key, step)


def _refuse_moved(
    connection: sqlite3.Connection, key: int, stored: checked.Value, crc: checked.Value
) -> None:
    """Raise `sqlite3.DatabaseError` where a row that is not what was stored at `key` is not that key's row at all."""
    if checked.moved_from(key, stored, crc) is not None:
        raise sqlite3.DatabaseError(f"the record at key {key} is another's")
    sought = connection.execute("SELECT body, crc FROM waiting WHERE seq = ?", (key,)).fetchall()
    if sought != [(stored, crc)]:
        raise sqlite3.DatabaseError(f"a row says that it is key {key}, and is not found there")
    (is_outermost,) = connection.execute(
        "SELECT ?1 IN ((SELECT min(seq) FROM waiting), (SELECT max(seq) FROM waiting))", (key,)
    ).fetchone()
    if is_outermost:
        # There any key too small or too large is in order: only the pages tell whether the row has bytes of its own.
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise sqlite3.DatabaseError(fault)


def refuse_hidden(connection: sqlite3.Connection, number: int) -> None:
    """Raise `sqlite3.DatabaseError` where an epoch's account has records waiting and no row is found."""
    # One statement, so that both are of one moment.
    waiting, found = connection.execute(
        "SELECT produced - acknowledged - quarantined - given_up,"
        " EXISTS (SELECT 1 FROM waiting WHERE seq BETWEEN ?2 AND ?3) FROM state WHERE id = ?1",
        (number, (number - 1) * SPAN, number * SPAN - 1),
    ).fetchone()
    if waiting and not found:
        raise sqlite3.DatabaseError(f"{waiting} records wait in epoch {number}, and none is found")


def remembered(connection: sqlite3.Connection, account: Account) -> LastSeen:
    """Return what was last said of each target, by the last records that wait."""
    memory = LastSeen()
    last = connection.execute(
        "SELECT seq, body, crc FROM waiting WHERE seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
        (account.base, account.base + SPAN, REMEMBERED),
    ).fetchall()
    for key, stored, crc in reversed(last):
        if (record := record_in(key, stored, crc)) is not None:
            memory.add(key, facts_of(record))
    return memory


def recent_rounds(connection: sqlite3.Connection, limit: int) -> list[Record]:
    """Return the last rounds' conclusions, newest first, each as it was last revised; what is damaged is passed over."""
    rows = connection.execute(
        "SELECT seq, body, crc FROM round ORDER BY seq DESC LIMIT ?", (limit + MOST_REVISIONS,)
    ).fetchall()
    sound = [record for row in rows if (record := record_in(*row)) is not None]
    return standing(sound, lambda one: (one.boot_id, one.start.boottime_ns))[:limit]


def boots_and_points(
    connection: sqlite3.Connection,
) -> tuple[list[str], dict[str, list[tuple[int, int, int]]]]:
    """Return the boots in their order, and of each the points of its clock ((boottime, utc, error), in ns).

    What is not as it was written is passed over.
    """
    boots = connection.execute("SELECT boot_id, last_boottime_ns, crc FROM boot ORDER BY id").fetchall()
    points: dict[str, list[tuple[int, int, int]]] = {}
    for *values, crc in connection.execute(
        "SELECT boot_id, boottime_ns, utc_ns, error_ns, crc FROM sync_point ORDER BY id"
    ):
        if crc == checked.mark(*values):
            points.setdefault(values[0], []).append((values[1], values[2], values[3]))
    return [name for name, last, crc in boots if crc == checked.mark(name, last)], points


def body_in(key: int, stored: checked.Value, crc: checked.Value) -> str | None:
    """Return a record's JSON text where the row is what was stored, else None."""
    whole = checked.whole(key, stored, crc)
    if whole is None:
        return None
    try:
        body = packed.unpack(whole)
    except ValueError:  # one without a mark, changed
        return None
    return None if body.startswith(packed.MARK) else body


def record_in(key: int, stored: checked.Value, crc: checked.Value) -> Record | None:
    """Return the record that a row holds, None where it is not what was stored."""
    body = body_in(key, stored, crc)
    if body is not None:
        with contextlib.suppress(ValueError, RecursionError):
            return from_json(json.loads(body))
    return None


def nth_key(connection: sqlite3.Connection, first: int, last: int, count: int) -> int | None:
    """Return the key of the last of `count` waiting rows from `first` on, None where there are no more than that to `last`."""
    found = connection.execute(
        "SELECT seq FROM waiting WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT 2 OFFSET ?",
        (first, last, max(0, count - 1)),
    ).fetchall()
    return int(found[0][0]) if len(found) > 1 else None


def delete(connection: sqlite3.Connection, first: int, last: int) -> int:
    """Let go of the rows with keys from `first` to `last`; return how many there were."""
    return connection.execute("DELETE FROM waiting WHERE seq BETWEEN ? AND ?", (first, last)).rowcount


def quarantine(
    connection: sqlite3.Connection, account: Account, reject: Reject, *, said_by: str, utc_ns: int
) -> int:
    """Quarantine one row; return whether it was waiting (1) or not (0)."""
    key = account.base + min(reject.seq, LAST_SEQ)
    found = connection.execute("SELECT body FROM waiting WHERE seq = ?", (key,)).fetchone()
    if found is not None:
        # Bits that flipped may have made it another type, which the table does not take.
        body = found[0].decode("utf-8", "replace") if isinstance(found[0], bytes) else str(found[0] or "")
        with contextlib.suppress(ValueError):  # what is damaged goes as it is, for whoever looks
            body = packed.unpack(body)
        connection.execute(
            "INSERT OR IGNORE INTO quarantine (seq, body, reason, said_by, moved_utc_ns) VALUES (?, ?, ?, ?, ?)",
            (key, body.encode("utf-8", "replace").decode(), reject.reason[:_REASON_LENGTH], said_by, utc_ns),
        )
    refuse_disorder(connection, key, key)
    return delete(connection, key, key)


def evict(connection: sqlite3.Connection, memory: LastSeen, *, wanted: int, reason: str) -> int | None:
    """Evict at most `wanted` of the least valuable records of a few windows; None when nothing is left."""
    open_failures = memory.open_failures
    looked = 0
    for level in Priority:
        upto = _given_up_to(connection, level)
        while looked < _WINDOWS and (window := _window(connection, upto)):
            looked += 1
            picked = pick(window, level=level, wanted=wanted, open_failures=open_failures)
            upto = picked.upto
            for key in picked.promoted:
                _promote(connection, key)
            connection.execute(
                "INSERT OR REPLACE INTO given_up_to (value, seq, crc) VALUES (?, ?, ?)",
                (int(level), upto, checked.mark(int(level), upto)),
            )
            if picked.chosen:
                _evict_all(connection, picked.chosen, reason)
                return len(picked.chosen)
        if looked == _WINDOWS:
            return 0
    return None


def _given_up_to(connection: sqlite3.Connection, level: Priority) -> int:
    """Return up to which key giving up got for a value; from the beginning again where the note is not as it was written."""
    found = connection.execute(
        "SELECT seq, crc FROM given_up_to WHERE value = ?", (int(level),)
    ).fetchone() or (0, None)
    return int(found[0]) if found[1] == checked.mark(int(level), found[0]) else 0


def _window(connection: sqlite3.Connection, above: int) -> list[tuple[int, Priority]]:
    rows = connection.execute(
        # Older rows have none; and what stands there is in no checksum, so it may be anything.
        "SELECT seq, iif(value BETWEEN 0 AND 3, value, ?) FROM waiting WHERE seq > ? ORDER BY seq LIMIT ?",
        (int(Priority.FAILING), above, _WINDOW),
    ).fetchall()
    return [(key, Priority(value)) for key, value in rows]


def evict_upto(connection: sqlite3.Connection, key: int, *, wanted: int, reason: str) -> int:
    """Evict at most `wanted` records, whatever they are worth, up to `key`; return how many."""
    found = connection.execute(
        "SELECT seq FROM waiting WHERE seq <= ? ORDER BY seq LIMIT ?", (key, wanted)
    ).fetchall()
    _evict_all(connection, [one for (one,) in found], reason)
    return len(found)


def _evict_all(connection: sqlite3.Connection, keys: Sequence[int], reason: str) -> None:
    if keys:
        refuse_disorder(connection, keys[0], keys[-1])
    for low, high in to_ranges(keys):
        number = low // SPAN + 1
        base = (number - 1) * SPAN
        gone = delete(connection, low, high)
        ledger.add_tombstone(connection, base, low - base, high - base, reason)
        account = ledger.by_id(connection, number)
        ledger.count(connection, replace(account, given_up=account.given_up + gone))


def _promote(connection: sqlite3.Connection, key: int) -> None:
    connection.execute("UPDATE waiting SET value = ? WHERE seq = ?", (int(Priority.KEPT), key))
