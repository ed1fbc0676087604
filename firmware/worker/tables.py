"""Rows with the same keys as columns: what a measurement repeats, such as samples, small enough for its way. Pure.

A list of objects becomes a description, itself JSON (`[[name, form, extra], …]`), and bytes. Whole numbers are in
this machine's own byte order, of 4 or 8 bytes; texts and nulls are a byte each, their place among the different
ones; any other column stays JSON. This file must never lose a type or an order that JSON keeps.
"""

from array import array
from collections.abc import Sequence
from itertools import repeat
from typing import Final, cast

from firmware.model.jsontypes import JsonObject, JsonValue, RecordError

MIN_ROWS: Final = 8
"""A shorter list is as small, and as quick, in JSON."""

_INT: Final = "i"
_LONG: Final = "q"
_WORDS: Final = "w"
_JSON: Final = "j"
_MAX_WORDS: Final = 256
_TEXT_OR_NULL: Final = frozenset({str, type(None)})


def to_columns(rows: Sequence[JsonValue]) -> tuple[list[JsonValue], list[bytes]] | None:
    """Return the description and the bytes of each packed column; None for rows that are no table."""
    first = rows[0]
    if type(first) is not dict or not first:
        return None
    names = list(first)
    values: list[tuple[JsonValue, ...]] = []
    for row in rows:
        if type(row) is not dict or list(row) != names:
            return None
        values.append(tuple(row.values()))
    described: list[JsonValue] = []
    packed: list[bytes] = []
    for name, column in zip(names, zip(*values, strict=True), strict=True):
        form, extra, data = _pack(column)
        described.append([name, form, extra])
        packed.append(data)
    return described, packed


def from_columns(described: JsonValue, rows: int, data: memoryview) -> tuple[list[JsonValue], int]:
    """Return the rows, and how many bytes of `data` they took. Raises `RecordError`."""
    if not isinstance(described, list) or not described or rows < 1:
        raise RecordError("a table without columns or rows")
    names: list[str] = []
    columns: list[Sequence[JsonValue]] = []
    place = 0
    for one in described:
        match one:
            case [str(name), str(form), extra]:
                column, size = _unpack(form, extra, rows, data[place:])
            case _:
                raise RecordError(f"found {one!r} for a column; allowed is [name, form, extra]")
        names.append(name)
        columns.append(column)
        place += size
    found: list[JsonValue] = [
        _row(name_values) for name_values in map(zip, repeat(names), zip(*columns, strict=True))
    ]
    return found, place


def _row(name_values: "zip[tuple[str, JsonValue]]") -> JsonObject:
    return dict(name_values)


def _pack(column: tuple[JsonValue, ...]) -> tuple[str, JsonValue, bytes]:
    types = set(map(type, column))
    if types == {int}:
        for form in (_INT, _LONG):
            try:
                return form, None, array(form, cast("tuple[int, ...]", column)).tobytes()
            except OverflowError:
                continue
    elif types <= _TEXT_OR_NULL:
        words = list(dict.fromkeys(column))
        if len(words) <= _MAX_WORDS:
            number_of = {word: number for number, word in enumerate(words)}
            return _WORDS, words, bytes(map(number_of.__getitem__, column))
    return _JSON, list(column), b""


def _unpack(form: str, extra: JsonValue, rows: int, data: memoryview) -> tuple[Sequence[JsonValue], int]:
    if form in (_INT, _LONG):
        numbers = array(form)
        size = rows * numbers.itemsize
        if size > len(data):
            raise RecordError(f"a column of {rows} numbers in {len(data)} bytes")
        numbers.frombytes(data[:size])
        return numbers, size
    if not isinstance(extra, list):
        raise RecordError(f"found {extra!r} for a column's values; allowed is an array")
    if form == _JSON:
        if len(extra) != rows:
            raise RecordError(f"a column of {len(extra)} values in a table of {rows} rows")
        return extra, 0
    if form != _WORDS:
        raise RecordError(
            f"found a column of the form {form!r}; allowed are {_INT}, {_LONG}, {_WORDS}, {_JSON}"
        )
    if rows > len(data) or max(data[:rows]) >= len(extra):
        raise RecordError("a column of words that are not among those named")
    return [extra[number] for number in data[:rows]], rows
