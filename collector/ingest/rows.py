"""A record's JSON as a row of the store: checked, with the columns that questions are asked of. Pure.

Nothing passes that the database or the page could choke on: text that is not Unicode, numbers that are not
JSON, a record so large that a small batch would fill the disk.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from operator import itemgetter
from typing import Any, Final, cast

from collector.ingest.arrivals import Row
from firmware import record as records
from firmware.jsontypes import JsonObject, JsonValue, RecordError
from firmware.record_columns import all_records

MAX_RECORD_BYTES: Final = 64 * 1024
"""A record of more, as JSON, is refused."""


_SEAM: Final = secrets.token_hex(8)
_columns: Final[Callable[[JsonObject], tuple[Any, ...]]] = itemgetter(*Row._fields[1:-3])
_encode: Final[Callable[[object], str]] = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def to_rows(seqs: Sequence[int], values: Sequence[JsonObject], *, room: int) -> tuple[Row, ...] | None:
    """Return the rows of a batch's records, for which there are `room` bytes, if nothing is wrong with any of them.

    None where something is: `to_row` then tells which record it is, and what.
    """
    if not values or not all_records(values):
        return None
    try:
        bodies = _bodies(values)
        sizes = [len(body.encode()) for body in bodies]
    except (ValueError, RecursionError):
        return None
    if max(sizes) > MAX_RECORD_BYTES or sum(sizes) > room:
        return None
    return tuple(map(_row, seqs, values, bodies))


def to_row(seq: int, value: JsonObject, *, room: int = MAX_RECORD_BYTES) -> Row:
    """Return the row of the record `value`, for which `room` bytes are left in its batch.

    Raises `NewerVersionError` when it was made by newer software, `RecordError` when it is not a record.
    """
    if room <= 0:
        raise RecordError("record: the records before it in its batch were too large together")
    records.from_json(value)
    return _row(seq, value, _body(value))


def _row(seq: int, value: JsonObject, body: str) -> Row:
    """Return the row of a record that was found sound."""
    verdict = cast("dict[str, str] | None", value["verdict"])
    if verdict is None:
        return Row._make((seq, *_columns(value), None, None, body))
    return Row._make((seq, *_columns(value), verdict["verdict"], verdict["rule_id"], body))


def _bodies(values: Sequence[JsonObject]) -> list[str]:
    """Return each record as JSON, in the order of its keys. What all begin with alike is written once.

    Alike are values that are the very same object, as `exchange.decode_batch` leaves them. Raises as JSON does.
    """
    first = values[0]
    keys = list(first)
    if any(list(value) != keys for value in values):
        return [_encode(value) for value in values]
    fields = [tuple(value.values()) for value in values]
    columns = zip(*fields, strict=True)
    same = sum(1 for _ in takewhile(lambda column: len(set(map(id, column))) == 1, columns))
    rest = keys[same:]
    if not same or not rest:
        return [_encode(value) for value in values]
    head = _encode(dict(zip(keys[:same], fields[0], strict=False)))[:-1] + ","
    # One call for all, cut apart where a word stands that nobody outside this process can know.
    parted: list[JsonValue] = []
    for values_of_one in fields:
        parted += (dict(zip(rest, values_of_one[same:], strict=True)), _SEAM)
    bodies = [head + text[1:] for text in _encode(parted)[1:-1].split(f',"{_SEAM}",')]
    bodies[-1] = bodies[-1].removesuffix(f',"{_SEAM}"')
    return bodies


def fits_store(texts: Iterable[str]) -> bool:
    """Say whether every text is Unicode (JSON can spell half a surrogate pair, which is not)."""
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
