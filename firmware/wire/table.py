"""Records as columns, as a batch carries them: one array a key; a key that has one value in every record is kept once.

Pure. It must never change a value on the way: what is kept once is the same as JSON text, not only equal (1 is not
true, 0.0 is not -0.0).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import overload

from firmware.model.jsontypes import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTable(Sequence[JsonObject]):
    """`height` records, each with the keys of `same` and then those of `columns`, which it may be read as a sequence of."""

    same: JsonObject
    columns: Mapping[str, list[JsonValue]]
    height: int

    @classmethod
    def of(cls, records: Sequence[JsonObject]) -> "RecordTable":
        """Return the table of `records`. `ValueError` when they do not have the same keys in the same order."""
        if isinstance(records, RecordTable):
            return records
        same: JsonObject = {}
        columns: dict[str, list[JsonValue]] = {}
        keys = list(records[0]) if records else []
        if any(list(record) != keys for record in records):
            raise ValueError("the records of a batch must have the same keys in the same order")
        for key, column in zip(keys, zip(*[record.values() for record in records], strict=True), strict=True):
            if _is_one_value(column):
                same[key] = column[0]
            else:
                columns[key] = list(column)
        return cls(same=same, columns=columns, height=len(records))

    def column(self, key: str) -> Sequence[JsonValue]:
        """Return what the records have at `key`: one value when it is the same in all. Raises `KeyError`."""
        if key in self.same:
            return (self.same[key],)
        return self.columns[key]

    def spread(self, key: str) -> "repeat[JsonValue] | Sequence[JsonValue]":
        """Return what each record has at `key`, one after the other. Raises `KeyError`."""
        return repeat(self.same[key], self.height) if key in self.same else self.columns[key]

    def __len__(self) -> int:
        """Return how many records there are."""
        return self.height

    @overload
    def __getitem__(self, index: int) -> JsonObject: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[JsonObject]: ...
    def __getitem__(self, index: int | slice) -> "JsonObject | Sequence[JsonObject]":
        """Return a record, or those of a slice."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self.height))]
        place = range(self.height)[index]
        return {**self.same, **{key: column[place] for key, column in self.columns.items()}}


def _is_one_value(column: Sequence[JsonValue]) -> bool:
    """Return whether every value of `column` is the same as JSON."""
    first = column[0]
    if column.count(first) != len(column) or len(set(map(type, column))) != 1:
        return False
    # Equal is not the same for what may hold numbers within, or a sign that 0.0 has.
    return isinstance(first, str | int | None) or len(set(map(repr, column))) == 1
