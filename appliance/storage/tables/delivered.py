"""What a collector has acknowledged and the authority has not spoken of since: kept, so that it can be taken back.

A key that was taken with a collector's machine can sign acks for what nobody stored. So a row that leaves on a signed ack
goes into a parcel here, compressed, with the key that signed, the number of the trust list held then and the moment; so do
the tombstones that the ack says are known. What becomes of a parcel the trust lists decide (`appliance.outbox.reclaim`).

Statements on a connection whose transaction the caller holds. It must never put back a row that is not what was stored,
and never forget the numbers of a parcel before it is final, even where its bodies had to go.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.storage.tables import checked, ledger
from appliance.storage.tables.ledger import SPAN
from appliance.storage.tables.packed import pack
from appliance.storage.tables.rows import body_in
from firmware.model.jsontypes import RecordError
from firmware.model.record import Record, from_json
from firmware.model.seqs import SeqRanges

GONE: Final = "acknowledged with a key that was revoked, and no copy was kept"
_COLLECTOR: Final = "collector "
_LEVEL: Final = 6
# What nearly every record has, for zlib to begin with: a parcel often holds only a few. It must never change.
_DICTIONARY: Final = (
    b'"context":{"cpu_percent":,"memory_percent":,"verdict":{"verdict":"ok","rule_id":"evidence":[],"overturned_by":'
    b'{"schema":1,"software":"tidegauge 0.1.0","boot_id":"-4","test":"ladder","tls","http","dns","ping","tcp",'
    b'"test_version":"0.1.0","target":":443","target_name":"","zone":"domestic","zone":"international",'
    b'"rung":"platforms","rung":"international","rung":"isp_resolver","rung":"gateway","uplink":"ethernet","wifi",'
    b'"round_id":,"slot_boottime_ns":000000,"start_boottime_ns":,"start_utc_ns":17,"clock_quality":"synchronised",'
    b'"clock_error_ns":000000,"runtime_ns":,"failure":null,"failed_operation":null,"phases":{"connect":{"ns":,"stamp":'
    b'"tcp_info"}},"bytes_up":0,"bytes_down":0,"detail":{"family":4,"retransmissions":0},"context":{"cpu_percent":},'
    b'"verdict":null}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Who acknowledged (the first 16 hex digits of the key), under which trust list (0: none), and when by the boot's clock."""

    key: str
    number: int
    boot_id: str = ""
    boottime_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What left on one ack: the keys of its rows, the tombstones settled with it, and its size (0: the bodies are gone)."""

    id: int
    receipt: Receipt
    seqs: SeqRanges
    told: tuple[tuple[int, int, str], ...]
    size: int


def keep(connection: sqlite3.Connection, first: int, last: int, receipt: Receipt) -> None:
    """Put the rows that wait from key `first` to `last` into a parcel, and the tombstones there; nothing is deleted."""
    if last < first:
        return
    rows = connection.execute(
        "SELECT seq, body, crc, value FROM waiting WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
    ).fetchall()
    ledger.cut(connection, first)
    ledger.cut(connection, last + 1)
    told = [
        ledger.tombstone_of(row)
        for row in connection.execute(
            "SELECT low, high, reason, crc FROM tombstone WHERE low BETWEEN ? AND ? ORDER BY low",
            (first, last),
        ).fetchall()
    ]
    sound = [
        (key, body, value)
        for key, stored, crc, value in rows
        if (body := body_in(key, stored, crc)) is not None
    ]
    if sound or told:
        seqs = SeqRanges.of(key for key, _, _ in sound)
        packed = _pack([(body, value) for _, body, value in sound]) if sound else None
        _insert(connection, receipt, seqs, told, packed)
    if len(sound) < len(rows):
        # Changed on the card while they waited: what was sent of them was sound, so they are numbers here, no bodies.
        kept = {key for key, _, _ in sound}
        _insert(connection, receipt, SeqRanges.of(row[0] for row in rows if row[0] not in kept), [], None)


def signers(connection: sqlite3.Connection) -> frozenset[str]:
    """Return whose acks parcels are here by."""
    return frozenset(key for (key,) in connection.execute("SELECT DISTINCT signer FROM delivered"))


def receipts(connection: sqlite3.Connection, above: int, limit: int) -> list[tuple[int, Receipt, bool]]:
    """Return number, receipt and whether there are bodies, of up to `limit` parcels numbered above `above`."""
    found = connection.execute(
        f"SELECT {_COLUMNS}, coalesce(length(packed), 0) FROM delivered WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608
        (above, limit),
    ).fetchall()
    return [(one.id, one.receipt, one.size > 0) for one in map(_parcel, found)]


def parcels(connection: sqlite3.Connection, key: str, *, limit: int, above: int = 0) -> list[Parcel]:
    """Return up to `limit` parcels acknowledged with `key`, oldest first. One that is damaged has nothing in it."""
    found = connection.execute(
        f"SELECT {_COLUMNS}, coalesce(length(packed), 0) FROM delivered"  # noqa: S608 - our own words
        " WHERE signer = ? AND id > ? ORDER BY id LIMIT ?",
        (key, above, limit),
    ).fetchall()
    return [_parcel(row) for row in found]


def drop(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Let go of parcels for good."""
    connection.executemany("DELETE FROM delivered WHERE id = ?", [(number,) for number in numbers])


def last_moments(connection: sqlite3.Connection) -> dict[str, int]:
    """Return of each boot the last moment at which something was acknowledged."""
    last: dict[str, int] = {}
    for row in connection.execute(f"SELECT {_COLUMNS}, 0 FROM delivered"):  # noqa: S608 - our own words
        receipt = _parcel(row).receipt
        last[receipt.boot_id] = max(last.get(receipt.boot_id, 0), receipt.boottime_ns)
    return last


def sign_over(connection: sqlite3.Connection, number: int, receipt: Receipt) -> None:
    """Note that another collector has acknowledged all of a parcel."""
    (seqs, told) = connection.execute("SELECT seqs, told FROM delivered WHERE id = ?", (number,)).fetchone()
    connection.execute(
        "UPDATE delivered SET signer = ?, list = ?, boot_id = ?, boottime_ns = ?, crc = ? WHERE id = ?",
        (*_written(receipt), _mark(receipt, seqs, told), number),
    )


def bytes_kept(connection: sqlite3.Connection) -> int:
    """Return how many bytes the bodies take."""
    (size,) = connection.execute("SELECT coalesce(sum(length(packed)), 0) FROM delivered").fetchone()
    return int(size)


def strip(connection: sqlite3.Connection, *, wanted_bytes: int, limit: int) -> int:
    """Drop the bodies of the oldest parcels, up to `limit` of them; return how many bytes that were (0: there are none).

    Their numbers stay, joined with those of others by the same key under the same list.
    """
    found = connection.execute(
        "SELECT id, length(packed) FROM delivered WHERE packed IS NOT NULL ORDER BY id LIMIT ?", (limit,)
    ).fetchall()
    freed = 0
    for number, size in found:
        if freed >= wanted_bytes:
            break
        freed += size
        strip_one(connection, number)
    return freed


def strip_one(connection: sqlite3.Connection, number: int) -> None:
    """Drop the bodies of one parcel; its numbers stay."""
    row = connection.execute(
        f"SELECT {_COLUMNS}, 0 FROM delivered WHERE id = ?",  # noqa: S608 - our own words
        (number,),
    ).fetchone()
    parcel = _parcel(row)
    host = connection.execute(
        f"SELECT {_COLUMNS}, 0 FROM delivered"  # noqa: S608 - our own words
        " WHERE packed IS NULL AND signer = ? AND list = ? AND id < ? ORDER BY id DESC LIMIT 1",
        (parcel.receipt.key, parcel.receipt.number, number),
    ).fetchone()
    drop(connection, [number])
    receipt, seqs, told = parcel.receipt, parcel.seqs, list(parcel.told)
    if host is not None:
        other = _parcel(host)
        drop(connection, [other.id])
        # The later moment is the new parcel's, whose id is the higher one.
        seqs, told = other.seqs.union(seqs), [*other.told, *told]
    _insert(connection, receipt, seqs, told, None, number=number)


def put_back(connection: sqlite3.Connection, parcel: Parcel, *, utc_ns: int) -> tuple[int, int]:
    """Let a parcel's rows wait again, under the numbers they have; return how many do, and how many are lost.

    What has no body any more gets a tombstone, and its settled tombstones are to be told of again. Of a parcel whose
    numbers were changed on the card nothing can be told: it only goes.
    """
    (packed,) = connection.execute("SELECT packed FROM delivered WHERE id = ?", (parcel.id,)).fetchone()
    bodies = None if packed is None else _bodies(packed)
    again: list[int] = []
    # A salvage may find a parcel that was put back before: what waits already is neither put back nor lost.
    there = _waiting(connection, parcel.seqs)
    if bodies is not None and len(bodies) == len(parcel.seqs):
        keys = (key for low, high in parcel.seqs for key in range(low, high + 1))
        again = [
            key
            for key, (body, value) in zip(keys, bodies, strict=True)
            if key not in there and _wait_again(connection, key, body, value, utc_ns=utc_ns)
        ]
    returned = SeqRanges.of(again)
    for low, high in returned:
        _uncount(connection, low, high)
    lost = parcel.seqs.minus(returned).minus(there)
    for low, high in lost:
        _lose(connection, low, high)
    for low, high, reason in parcel.told:
        base = low // SPAN * SPAN
        ledger.add_tombstone(connection, base, low - base, high - base, reason)
    drop(connection, [parcel.id])
    return len(returned), len(lost)


def un_quarantine(connection: sqlite3.Connection, key: str, *, limit: int, utc_ns: int) -> int:
    """Let up to `limit` records that `key` had rejected wait again; return how many do."""
    rows = connection.execute(
        "SELECT seq, body FROM quarantine WHERE said_by = ? ORDER BY seq LIMIT ?", (said_by(key), limit)
    ).fetchall()
    for seq, body in rows:
        connection.execute("DELETE FROM quarantine WHERE seq = ?", (seq,))
        account = ledger.by_id(connection, seq // SPAN + 1)
        ledger.count(
            connection,
            replace(account, quarantined=account.quarantined - 1, acknowledged=account.acknowledged + 1),
        )
        if _wait_again(connection, seq, body, None, utc_ns=utc_ns):
            _uncount(connection, seq, seq)
        else:
            _lose(connection, seq, seq)
    return len(rows)


def _waiting(connection: sqlite3.Connection, seqs: SeqRanges) -> SeqRanges:
    return SeqRanges.of(
        key
        for low, high in seqs
        for (key,) in connection.execute("SELECT seq FROM waiting WHERE seq BETWEEN ? AND ?", (low, high))
    )


def rejecters(connection: sqlite3.Connection) -> frozenset[str]:
    """Return whose rejects are in the quarantine."""
    found = connection.execute("SELECT DISTINCT said_by FROM quarantine").fetchall()
    return frozenset(one.removeprefix(_COLLECTOR) for (one,) in found if one.startswith(_COLLECTOR))


def said_by(key: str) -> str:
    """Return what stands in the quarantine for a reject that `key` signed."""
    return _COLLECTOR + key


def _wait_again(
    connection: sqlite3.Connection, key: int, body: str, value: int | None, *, utc_ns: int
) -> bool:
    """Let one row wait again; return whether it is one."""
    try:
        record = from_json(json.loads(body))
    except (RecordError, ValueError, RecursionError):
        return False
    stored = pack(body, test=record.test, failed=record.outcome.failure is not None)
    connection.execute(
        "INSERT INTO waiting (seq, body, test, rung, failure, verdict, start_utc_ns, stored_utc_ns, value, crc)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, stored, *_columns(record), utc_ns, value, checked.body_mark(key, stored.encode())),
    )
    return True


def _columns(record: Record) -> tuple[str, str | None, str | None, str | None, int]:
    return (
        record.test,
        None if record.rung is None else record.rung.value,
        record.outcome.failure,
        None if record.verdict is None else record.verdict.verdict,
        record.start.utc_ns,
    )


def _lose(connection: sqlite3.Connection, low: int, high: int) -> None:
    """Give up what was acknowledged from key `low` to `high` and has no copy here."""
    base = low // SPAN * SPAN
    _uncount(connection, low, high)
    ledger.add_tombstone(connection, base, low - base, high - base, GONE)
    account = ledger.by_id(connection, base // SPAN + 1)
    ledger.count(connection, replace(account, given_up=account.given_up + high - low + 1))


def _uncount(connection: sqlite3.Connection, low: int, high: int) -> None:
    """Take keys out of what is accounted for: they are acknowledged no longer.

    Where a sequence conflict has ended the epoch before them meanwhile, it reaches to them again; what lies between was given other
    numbers then, and is in a later epoch.
    """
    account = ledger.by_id(connection, low // SPAN + 1)
    count, top = high - low + 1, high - account.base
    if top > account.produced:
        between = top - account.produced
        ledger.add_tombstone(
            connection, account.base, account.produced + 1, top, "given another number in a later epoch"
        )
        account = replace(account, produced=top, given_up=account.given_up + between)
    buried = sum(
        min(high, end) - max(low, start) + 1
        for start, end in connection.execute(
            "SELECT low, high FROM tombstone WHERE low <= ? AND high >= ?", (high, low)
        )
    )
    ledger.settle(connection, low, high)
    given_up = min(account.given_up, buried)
    acknowledged = min(account.acknowledged, count - given_up)
    account = replace(
        account,
        given_up=account.given_up - given_up,
        acknowledged=account.acknowledged - acknowledged,
    )
    # Counters that a damaged card has left short: what is missing is taken from what was given up.
    short = count - given_up - acknowledged
    account = replace(account, given_up=max(0, account.given_up - short))
    ledger.count(connection, account)


def _insert(
    connection: sqlite3.Connection,
    receipt: Receipt,
    seqs: SeqRanges,
    told: Sequence[Sequence[object]],
    packed: bytes | None,
    *,
    number: int | None = None,
) -> None:
    ranges = json.dumps([list(pair) for pair in seqs], separators=(",", ":"))
    settled = json.dumps([list(one) for one in told], separators=(",", ":"))
    connection.execute(
        "INSERT INTO delivered (id, signer, list, boot_id, boottime_ns, seqs, told, packed, crc)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, *_written(receipt), ranges, settled, packed, _mark(receipt, ranges, settled)),
    )


_COLUMNS: Final = "id, signer, list, boot_id, boottime_ns, seqs, told, crc"


def _written(receipt: Receipt) -> tuple[str, int, str, int]:
    return receipt.key, receipt.number, receipt.boot_id, receipt.boottime_ns


def _mark(receipt: Receipt, seqs: str, told: str) -> int:
    return checked.mark(*_written(receipt), seqs, told)


def _parcel(row: Sequence[checked.Value]) -> Parcel:
    """Return the parcel in a row of `_COLUMNS` and its size; of a changed one nothing but its number and its size is believed."""
    number, *values, size = row
    assert isinstance(number, int)
    length = size if isinstance(size, int) else 0
    match values:
        case [str(key), int(listed), str(boot_id), int(boottime), str(seqs), str(told), _] if is_whole(
            values
        ):
            return Parcel(
                id=number,
                receipt=Receipt(key=key, number=listed, boot_id=boot_id, boottime_ns=boottime),
                seqs=SeqRanges(tuple((low, high) for low, high in json.loads(seqs))),
                told=tuple((low, high, reason) for low, high, reason in json.loads(told)),
                size=length,
            )
    return Parcel(id=number, receipt=Receipt(key="", number=0), seqs=SeqRanges(), told=(), size=length)


def is_whole(values: Sequence[checked.Value]) -> bool:
    """Return whether a parcel's row (from `signer` on, without `packed`) is what was stored; its bodies have zlib's own checksum."""
    *others, crc = values
    return crc == checked.mark(*others)


def _pack(rows: Sequence[tuple[str, int | None]]) -> bytes:
    """Return rows compressed: a character of value for each, then the bodies, a line each (JSON has no bare line feed)."""
    values = "".join("-" if value is None else str(value)[:1] for _, value in rows)
    packer = zlib.compressobj(_LEVEL, zdict=_DICTIONARY)
    text = "\n".join([values, *(body for body, _ in rows)])
    return packer.compress(text.encode()) + packer.flush()


def _bodies(packed: bytes) -> list[tuple[str, int | None]] | None:
    """Return what `_pack` was given, None where it was changed on the card."""
    unpacker = zlib.decompressobj(zdict=_DICTIONARY)
    try:
        values, *bodies = (unpacker.decompress(packed) + unpacker.flush()).decode().split("\n")
    except (zlib.error, UnicodeDecodeError):
        return None
    if len(values) != len(bodies):
        return None
    return [
        (body, int(value) if value.isdigit() else None) for value, body in zip(values, bodies, strict=True)
    ]
