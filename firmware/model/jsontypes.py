"""JSON as typed values, and a reader that refuses what does not fit, naming the place.

Used for every JSON object that crosses a process or a network. It must never guess: a missing key, a wrong
type or an unknown word is an error that says where, what was found and what is allowed.
"""

import json
from collections.abc import Sequence
from typing import Self, TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"

_SHOWN = 60


class RecordError(ValueError):
    """A JSON object is not what it should be. The message names the place, what was found, what is allowed."""


class NewerVersionError(RecordError):
    """A JSON object was made by newer software: it may be right, and what is missing is an upgrade here."""


class Reader:
    """Reads the keys of one JSON object, checking each. Every method raises `RecordError`."""

    __slots__ = ("_object", "_where")

    def __init__(self, value: JsonValue, *, where: str) -> None:
        if not isinstance(value, dict):
            raise RecordError(f"{where}: found {_show(value)}; a JSON object belongs here")
        self._object = value
        self._where = where

    @classmethod
    def of_text(cls, text: str | bytes, *, where: str) -> Self:
        """Return a reader of a JSON text's object. Raises `RecordError` for what is no JSON, or no object."""
        try:
            value: JsonValue = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{where}: not JSON ({error})") from error
        return cls(value, where=where)

    def raw(self, key: str) -> JsonValue:
        """Return what stands at `key`, which must be there."""
        if key not in self._object:
            raise RecordError(f"{self._where}: {key} is missing")
        return self._object[key]

    def has(self, key: str) -> bool:
        """Return whether `key` is there: one that an older version did not write."""
        return key in self._object

    def text(self, key: str) -> str:
        """Return a string."""
        value = self.raw(key)
        if not isinstance(value, str):
            raise self._wrong(key, value, "text")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a string, or None for null."""
        return None if self.raw(key) is None else self.text(key)

    def word(self, key: str, allowed: Sequence[str]) -> str:
        """Return a string that is one of `allowed`."""
        value = self.raw(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._wrong(key, value, "one of " + ", ".join(str(word) for word in allowed))
        return value

    def optional_word(self, key: str, allowed: Sequence[str]) -> str | None:
        """Return one of `allowed`, or None for null."""
        return None if self.raw(key) is None else self.word(key, allowed)

    def integer(self, key: str, *, low: int | None = None, high: int = 2**63 - 1) -> int:
        """Return a whole number from `low` to `high` (64-bit signed by default)."""
        value = self.raw(key)
        floor = -(2**63) if low is None else low
        if not isinstance(value, int) or isinstance(value, bool) or not floor <= value <= high:
            raise self._wrong(key, value, f"a whole number from {floor} to {high}")
        return value

    def optional_integer(self, key: str, *, low: int | None = None) -> int | None:
        """Return a whole number, or None for null."""
        return None if self.raw(key) is None else self.integer(key, low=low)

    def array(self, key: str) -> "list[JsonValue]":
        """Return an array."""
        value = self.raw(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "an array")
        return value

    def object(self, key: str) -> JsonObject:
        """Return an object."""
        value = self.raw(key)
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return value

    def child(self, key: str) -> "Reader":
        """Return a reader of the object at `key`."""
        return Reader(self.raw(key), where=f"{self._where}: {key}")

    def _wrong(self, key: str, value: JsonValue, allowed: str) -> RecordError:
        return RecordError(f"{self._where}: {key}: found {_show(value)}; allowed is {allowed}")


def _show(value: JsonValue) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
