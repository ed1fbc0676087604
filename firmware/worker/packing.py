"""A result as bytes, for the socket between worker and daemon: fixed fields, phases and samples packed, the rest JSON. Pure.

About half of JSON's size, a quarter for a train of pings, and quicker to write: `python -m tests.bench.packing`. Both
ends are on one machine, so numbers are in its own byte order:

    kind (1) · start, UTC, runtime (ns) · bytes up, down · length of the text, in bytes · lengths of six texts, in
        characters · how many phases · which texts are null
    for each phase: length of its name, in characters · ns · stamp class
    the text: task, version, target, uplink, failure, operation, the phases' names, and JSON: [detail, tables]
    the columns of the tables (firmware.worker.tables), which are null in the detail

This file must never trust a length or a word that came in: `unpack` refuses what does not fit, as every reader here.
"""

import json
import struct
from collections.abc import Callable
from typing import Final

from firmware.model.failures import is_failure
from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import Outcome, Phase, Stamp
from firmware.model.task import Result
from firmware.worker import tables

KIND: Final = b"\1"
"""The first byte. That of a message in JSON is `{`."""

_HEAD: Final = struct.Struct("=c5q7IHB")
_PHASE: Final = struct.Struct("=Iqb")
_TEXTS: Final = 6
_NO_FAILURE: Final = 1
_NO_OPERATION: Final = 2
_STAMPS: Final = tuple(Stamp)
_NUMBER_OF: Final = {stamp: number for number, stamp in enumerate(_STAMPS)}
_to_json: Final[Callable[[object], str]] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def pack(result: Result) -> bytes:
    """Return the result as bytes. Raises `OverflowError` for a number that no record may hold."""
    outcome = result.outcome
    failure, operation = outcome.failure, outcome.failed_operation
    texts = (
        result.task_id,
        result.test_version,
        result.target,
        result.uplink,
        failure or "",
        operation or "",
    )
    detail, described, columns = _without_tables(dict(outcome.detail))
    text = "".join([*texts, *outcome.phases, _to_json([detail, described])]).encode("utf-8", "surrogatepass")
    try:
        head = _HEAD.pack(
            KIND,
            result.start_boottime_ns,
            result.start_utc_ns,
            result.runtime_ns,
            outcome.bytes_up,
            outcome.bytes_down,
            len(text),
            *map(len, texts),
            len(outcome.phases),
            (_NO_FAILURE if failure is None else 0) | (_NO_OPERATION if operation is None else 0),
        )
        steps = [
            _PHASE.pack(len(name), phase.ns, _NUMBER_OF[phase.stamp])
            for name, phase in outcome.phases.items()
        ]
    except struct.error as error:
        raise OverflowError(f"a result holds a number that does not fit: {error}") from error
    return b"".join([head, *steps, text, *columns])


def unpack(body: bytes) -> Result:
    """Read a result from its bytes. Raises `RecordError`."""
    try:
        kind, start_ns, utc_ns, runtime_ns, up, down, size, *lengths, count, nulls = _HEAD.unpack_from(body)
        place = _HEAD.size + count * _PHASE.size
        steps = list(_PHASE.iter_unpack(body[_HEAD.size : place]))
        text = body[place : place + size].decode("utf-8", "surrogatepass")
    except (struct.error, UnicodeDecodeError) as error:
        raise RecordError(f"result: {error}") from error
    if kind != KIND or len(steps) != count or place + size > len(body):
        raise RecordError(f"result: {len(body)} bytes of kind {kind!r} do not hold what they say")
    if min(start_ns, utc_ns, runtime_ns, up, down) < 0:
        raise RecordError("result: found a time, or a number of bytes, below 0")
    words: list[str] = []
    at = 0
    for length in [*lengths, *(length for length, _, _ in steps)]:
        words.append(text[at : at + length])
        at += length
    if at > len(text):
        raise RecordError("result: its texts end within a word")
    task_id, version, target, uplink, failure, operation = words[:_TEXTS]
    if not nulls & _NO_FAILURE and not is_failure(failure):
        raise RecordError(f"result: failure: found {failure!r}, which is not on the list of failure words")
    return Result(
        task_id=task_id,
        test_version=version,
        target=target,
        uplink=uplink,
        start_boottime_ns=start_ns,
        start_utc_ns=utc_ns,
        runtime_ns=runtime_ns,
        outcome=Outcome(
            failure=None if nulls & _NO_FAILURE else failure,
            failed_operation=None if nulls & _NO_OPERATION else operation,
            phases={
                name: Phase(ns=ns, stamp=_stamp(number))
                for name, (_, ns, number) in zip(words[_TEXTS:], steps, strict=True)
            },
            bytes_up=up,
            bytes_down=down,
            detail=_with_tables(text[at:], memoryview(body)[place + size :]),
        ),
    )


def _without_tables(detail: JsonObject) -> tuple[JsonObject, list[JsonValue], list[bytes]]:
    """Return the detail with its tables null, what describes them (`[[key, rows, columns], …]`), and their bytes."""
    described: list[JsonValue] = []
    columns: list[bytes] = []
    for key, value in detail.items():
        if type(value) is list and len(value) >= tables.MIN_ROWS:
            table = tables.to_columns(value)
            if table is not None:
                described.append([key, len(value), table[0]])
                columns += table[1]
                detail[key] = None
    return detail, described, columns


def _with_tables(text: str, data: memoryview) -> JsonObject:
    """Read what `_without_tables` told apart. Raises `RecordError`."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"result: detail: {error}") from error
    match read:
        case [dict(detail), list(described)]:
            pass
        case _:
            raise RecordError("result: detail: allowed is [detail, tables]")
    for one in described:
        match one:
            case [str(key), int(rows), columns] if key in detail:
                detail[key], size = tables.from_columns(columns, rows, data)
                data = data[size:]
            case _:
                raise RecordError("result: detail: allowed for a table is [key, rows, columns]")
    if data:
        raise RecordError(f"result: {len(data)} bytes more than its tables take")
    return detail


def _stamp(number: int) -> Stamp:
    if not 0 <= number < len(_STAMPS):
        raise RecordError(f"result: found stamp class {number}; allowed are 0 to {len(_STAMPS) - 1}")
    return _STAMPS[number]
