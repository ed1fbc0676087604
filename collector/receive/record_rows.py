"""A record's JSON as a row of the store: checked, with the columns that questions are asked of. Pure.

Nothing passes that the database or the page could choke on: text that is not Unicode, numbers that are not
JSON, a record so large that a small batch would fill the disk.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from collector.store.arrivals import IngestRow
from collector.store.asked_columns import row_of, rows_of
from firmware.model import record as records
from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.wire.record_columns import all_records
from firmware.wire.table import RecordTable

MAX_RECORD_BYTES: Final = 64 * 1024
"""A record of more, as JSON, is refused."""


_SEAM: Final = secrets.token_hex(8)
_encode: Final[Callable[[object], str]] = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def to_rows(seqs: Sequence[int], table: RecordTable, *, room: int) -> tuple[IngestRow, ...] | None:
    """Return the rows of a batch's records, for which there are `room` bytes, if nothing is wrong with any of them.

    None where something is: `to_row` then tells which record it is, and what.
    """
    if not table.height or not all_records(table):
        return None
    try:
        bodies = _bodies(table)
        sizes = [len(body.encode()) for body in bodies]
    except (ValueError, RecursionError):
        return None
    if max(sizes) > MAX_RECORD_BYTES or sum(sizes) > room:
        return None
    return tuple(map(IngestRow._make, zip(seqs, bodies, rows_of(table), strict=True)))


def to_row(seq: int, value: JsonObject, *, room: int = MAX_RECORD_BYTES) -> IngestRow:
    """Return the row of the record `value`, for which `room` bytes are left in its batch.

    Raises `NewerVersionError` when it was made by newer software, `RecordError` when it is not a record.
    """
    if room <= 0:
        raise RecordError("record: the records before it in its batch were too large together")
    records.from_json(value)
    return IngestRow(seq=seq, body=_body(value), asked=row_of(value))


def _bodies(table: RecordTable) -> list[str]:
    """Return each record as JSON. What is the same in all is written once. Raises as JSON does."""
    head = _encode(table.same)[:-1]
    if not table.columns:
        return [head + "}"] * table.height
    if table.same:
        head += ","
    # One call for all, cut apart where a word stands that nobody outside this process can know.
    parted: list[JsonValue] = []
    for values in zip(*table.columns.values(), strict=True):
        parted += (dict(zip(table.columns, values, strict=True)), _SEAM)
    bodies = [head + text[1:] for text in _encode(parted)[1:-1].split(f',"{_SEAM}",')]
    bodies[-1] = bodies[-1].removesuffix(f',"{_SEAM}"')
    return bodies


def fits_store(texts: Iterable[str]) -> bool:
    """Return whether every text is Unicode (JSON can spell half a surrogate pair, which is not)."""
    return all(_is_unicode(text) for text in texts)


def kept(value: JsonObject) -> bytes:
    """Return a refused record's JSON as bytes to keep, whatever is in it."""
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        return f"(cannot be written as JSON: {error})".encode()


def _body(value: JsonObject) -> str:
    try:
        body = _encode(value)
        size = len(body.encode())
    except (ValueError, RecursionError) as error:
        raise RecordError(f"record: cannot be written as JSON ({error})") from error
    if size > MAX_RECORD_BYTES:
        raise RecordError(f"record: {size} bytes of JSON, and {MAX_RECORD_BYTES} are the most that is taken")
    return body


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
