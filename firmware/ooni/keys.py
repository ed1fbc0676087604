"""The keys of one JSON object that somebody else wrote: missing is allowed, a wrong type is an error with its path.

OONI's probes of ten years left out, added and renamed keys, so that only what is read is looked at, and what is
not there has a default. This file must never guess a value from one of the wrong type.
"""

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Final, Self

from firmware.model.jsontypes import JsonObject, JsonValue

_SHOWN: Final = 60
_BASE64: Final = "base64"


class OoniError(ValueError):
    """A measurement is not what it should be. The message has the key's path, what was found, what is allowed."""


class Keys:
    """Reads the keys of one object; `path` is where it stands (`test_keys.queries[0]`). Raises `OoniError`.

    null and a missing key are the same, as they are for OONI's own readers.
    """

    __slots__ = ("_object", "path")

    def __init__(self, value: JsonValue, path: str = "") -> None:
        if not isinstance(value, dict):
            raise OoniError(f"{path or 'measurement'}: found {shown(value)}; allowed is an object")
        self._object: JsonObject = value
        self.path = path

    def __contains__(self, key: str) -> bool:
        return self._object.get(key) is not None

    def has(self, key: str) -> bool:
        """Return whether the key is there, be it with null."""
        return key in self._object

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        found = self.optional_text(key)
        return default if found is None else found

    def optional_text(self, key: str) -> str | None:
        """Return a string, or None."""
        value = self._object.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(key, "text or null")

    def boolean(self, key: str) -> bool | None:
        """Return true or false, or None."""
        value = self._object.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(key, "true, false or null")

    def integer(self, key: str, *, low: int = -(2**63), high: int = 2**63 - 1) -> int | None:
        """Return a whole number (1.0 is one too: some writers make every number a float), or None."""
        value = self._object.get(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}, or null")
        return value

    def seconds_ns(self, key: str) -> int | None:
        """Return a time in seconds as ns, or None."""
        value = self._object.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
            raise self.wrong(key, "a number of seconds or null")
        return round(value * 1e9)

    def raw(self, key: str) -> JsonValue:
        """Return whatever stands there, for keys whose type has changed over the years."""
        return self._object.get(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of strings."""
        return tuple(
            item if isinstance(item, str) else self._raise_item(key, index, item, "text")
            for index, item in enumerate(self._array(key))
        )

    def child(self, key: str) -> Self | None:
        """Return the object at `key`, or None."""
        value = self._object.get(key)
        return None if value is None else type(self)(value, self.path_of(key))

    def children(self, key: str) -> tuple[Self, ...]:
        """Return an array of objects."""
        return tuple(
            type(self)(item, f"{self.path_of(key)}[{index}]") for index, item in enumerate(self._array(key))
        )

    def named_children(self, key: str) -> Iterator[tuple[str, Self]]:
        """Yield name and object of an object of objects."""
        value = self._object.get(key)
        if value is None:
            return
        if not isinstance(value, dict):
            raise self.wrong(key, "an object or null")
        for name, item in value.items():
            yield name, type(self)(item, f"{self.path_of(key)}[{shown(name)}]")

    def binary(self, key: str) -> bytes:
        """Return text's UTF-8 or what `{"format": "base64", "data": …}` holds; b"" for null."""
        return _bytes(self._object.get(key), self.path_of(key))

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return headers from `headers_list` (pairs) or else `headers` (a map), bytes as ISO 8859-1.

        Before 2017 `headers` were pairs, and a header that came several times had an array of values.
        """
        mapped = self._object.get("headers")
        key = "headers" if isinstance(mapped, list) else "headers_list"
        if pairs := self._array(key):
            return tuple(
                self._pair(pair, f"{self.path_of(key)}[{index}]") for index, pair in enumerate(pairs)
            )
        if isinstance(mapped, list):
            return ()
        if mapped is None:
            return ()
        if not isinstance(mapped, dict):
            raise self.wrong("headers", "an object or null")
        path = self.path_of("headers")
        return tuple((name, _header(value, f"{path}[{shown(name)}]")) for name, value in mapped.items())

    def path_of(self, key: str) -> str:
        """Return the path of a key of this object."""
        return f"{self.path}.{key}" if self.path else key

    def wrong(self, key: str, allowed: str) -> OoniError:
        """Return the error for what stands at `key`."""
        return OoniError(f"{self.path_of(key)}: found {shown(self._object.get(key))}; allowed is {allowed}")

    def _array(self, key: str) -> list[JsonValue]:
        value = self._object.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, "an array or null")
        return value

    def _raise_item(self, key: str, index: int, item: JsonValue, allowed: str) -> str:
        raise OoniError(f"{self.path_of(key)}[{index}]: found {shown(item)}; allowed is {allowed}")

    @staticmethod
    def _pair(pair: JsonValue, path: str) -> tuple[str, str]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise OoniError(f"{path}: found {shown(pair)}; allowed is a pair of a name and a value")
        return _header(pair[0], path), _header(pair[1], path)


def shown(value: JsonValue) -> str:
    """Return what was found as a reader would name it, in printable characters, never long."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "an object"
        case list():
            return "an array"
        case float() if not math.isfinite(value):
            return "a number that is not finite"
        case int() if abs(value) >= 10**_SHOWN:
            return "a number of too many digits"
    told = ascii(value)
    return told if len(told) <= _SHOWN else told[:_SHOWN] + "…"


def _header(value: JsonValue, path: str) -> str:
    if isinstance(value, list):
        return ", ".join(_header(one, path) for one in value if not isinstance(one, list))
    return value if isinstance(value, str) else _bytes(value, path).decode("latin-1")


def _bytes(value: JsonValue, path: str) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not isinstance(value, dict):
        allowed = 'text, {"format": "base64", "data": …} or null'
        raise OoniError(f"{path}: found {shown(value)}; allowed is {allowed}")
    kind, data = value.get("format"), value.get("data")
    if kind != _BASE64:
        raise OoniError(f"{path}.format: found {shown(kind)}; allowed is {shown(_BASE64)}")
    if not isinstance(data, str):
        raise OoniError(f"{path}.data: found {shown(data)}; allowed is text in base64")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OoniError(f"{path}.data: found {shown(data)}; allowed is text in base64 ({error})") from error
