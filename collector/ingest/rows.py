"""A record's JSON as a row of the store: checked, with the columns that questions are asked of. Pure.

Nothing passes that the database or the page could choke on: text that is not Unicode, numbers that are not
JSON, a record so large that a small batch would fill the disk.
"""

import json
from collections.abc import Iterable
from typing import Final

from collector.ingest.arrivals import Row
from firmware import record as records
from firmware.jsontypes import JsonObject, RecordError

MAX_RECORD_BYTES: Final = 64 * 1024
"""A record of more, as JSON, is refused."""


def to_row(seq: int, value: JsonObject, *, room: int = MAX_RECORD_BYTES) -> Row:
    """Return the row of the record `value`, for which `room` bytes are left in its batch.

    Raises `NewerVersionError` when it was made by newer software, `RecordError` when it is not a record.
    """
    if room <= 0:
        raise RecordError("record: the records before it in its batch were too large together")
    record = records.from_json(value)
    return Row(
        seq=seq,
        start_utc_ns=record.start.utc_ns,
        clock_quality=str(record.start.quality),
        clock_error_ns=record.start.error_ns,
        boot_id=record.boot_id,
        start_boottime_ns=record.start.boottime_ns,
        test=record.test,
        rung=None if record.rung is None else str(record.rung),
        zone=str(record.zone),
        target=record.target,
        target_name=record.target_name,
        round_id=record.round_id,
        runtime_ns=record.runtime_ns,
        failure=record.outcome.failure,
        verdict=None if record.verdict is None else record.verdict.verdict,
        rule_id=None if record.verdict is None else record.verdict.rule_id,
        body=_body(value),
    )


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
        body = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
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
