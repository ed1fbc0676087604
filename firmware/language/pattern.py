"""A sentence of the catalogue with values put in: `{name}`, or `{name:kind}` where the kind says how it is shown. Pure.

Kinds: `ms`, `s`, `min`, `h` (a time, from the ns or s that the value's name ends in, with `.1` for a decimal),
`percent` (of a share, with `.2` for two decimals), `id` (a number as it is: a status, a round). Without a kind a number is grouped, a list is
listed, and text is itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Final

from firmware.language.numbers import Numbers

_UNIT_NS: Final[Mapping[str, int]] = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NS_OF_SUFFIX: Final[Mapping[str, int]] = {"ns": 1, "s": 1_000_000_000}
_FLOAT_PLACES: Final = 1

Lookup = Callable[[str], str | None]
"""What returns the pattern under a key, None where there is none."""


class PatternError(ValueError):
    """A sentence of a catalogue cannot be filled: a kind that does not exist, or one that does not fit its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """Puts values into the sentences of one language."""

    numbers: Numbers
    lookup: Lookup

    def fill(self, pattern: str, values: Mapping[str, object], escape: Callable[[object], str] = str) -> str:
        """Return `pattern` with `values` in it, pattern and values alike passed through `escape`.

        Raises `KeyError` for a value that is lacking, `PatternError` for a kind that does not fit.
        """
        shown: list[object] = []
        for literal, name, kind in parts_of(pattern):
            if literal:
                shown.append(literal)
            if name is not None:
                value = values[name]
                shown.append(value if not kind and isinstance(value, str) else self._shown(name, kind, value))
        return "".join(map(escape, shown))

    def unit(self, unit: str, value: float, *, places: int = 0) -> str:
        """Return `value` with its unit, as `unit.…` of the catalogue has it."""
        return self.fill(self._pattern(f"unit.{unit}"), {"n": self.numbers.decimal(value, places)})

    def _shown(self, name: str, kind: str, value: object) -> object:
        if not kind:
            return self._plain(value)
        if kind == "id":
            return str(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PatternError(f"{name}: found {value!r}; {kind!r} takes a number")
        unit, _, places = kind.partition(".")
        if unit == "percent":
            return self.unit("percent", value * 100, places=int(places or 0))
        given_ns = _NS_OF_SUFFIX.get(name.rpartition("_")[2])
        if unit not in _UNIT_NS or given_ns is None:
            raise PatternError(f"{name}: no kind {kind!r} for a value of that name")
        return self.unit(unit, value * given_ns / _UNIT_NS[unit], places=int(places or 0))

    def _plain(self, value: object) -> object:
        match value:
            case bool() | None:
                return str(value)
            case int():
                return self.numbers.decimal(value, 0)
            case float():
                return self.numbers.decimal(value, _FLOAT_PLACES)
            case list() | tuple():
                return self.listed([str(self._plain(one)) for one in value])
            case _:
                return value

    def listed(self, items: list[str]) -> str:
        """Return items one after the other."""
        pattern = self._pattern("unit.list")
        listed = items[-1] if items else ""
        for item in reversed(items[:-1]):
            listed = self.fill(pattern, {"first": item, "rest": listed})
        return listed

    def _pattern(self, key: str) -> str:
        pattern = self.lookup(key)
        if pattern is None:
            raise PatternError(f"no {key!r} in the catalogue")
        return pattern


@lru_cache(maxsize=4096)
def parts_of(pattern: str) -> tuple[tuple[str, str | None, str], ...]:
    """Return a pattern as (literal, name, kind) each; the name is None after the last value. Raises `PatternError`."""
    try:
        parts = tuple(Formatter().parse(pattern))
    except ValueError as error:
        raise PatternError(f"{pattern!r} is no pattern ({error})") from error
    return tuple((literal, name, kind or "") for literal, name, kind, _ in parts)
