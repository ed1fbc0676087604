"""Reading one table of a plan file, keeping every fault instead of stopping at the first. Pure.

A method that finds a fault notes it and returns None; the caller reads on and lets the whole table go at the
end. Nothing here knows what a plan is.
"""

import datetime as dt
import difflib
from collections.abc import Callable, Iterable, Sequence

from firmware.model.plan import PlanFault
from firmware.model.task import OptionValue
from firmware.settings.values import show


class PlanTable:
    """One TOML table at `place` (empty: the file itself); faults are appended to `faults`.

    `line_of` says in which line a key stands, or for an empty key the table itself; 0 for not known.
    """

    __slots__ = ("_asked", "_faults", "_line_of", "_place", "_values")

    def __init__(
        self, values: object, *, place: str, faults: list[PlanFault], line_of: Callable[[str], int]
    ) -> None:
        self._place = place
        self._faults = faults
        self._line_of = line_of
        self._asked: list[str] = []
        self._values: dict[str, object] = {}
        if isinstance(values, dict):
            self._values = values
        else:
            self.fault("", show(values), "a table")

    def fault(self, key: str, found: str, allowed: str = "") -> None:
        """Note a fault at `key`, or at the table itself with an empty key (`firmware.model.plan.PlanFault`)."""
        line = self._line_of(key) or self._line_of("")
        self._faults.append(PlanFault(place=self.place(key), found=found, allowed=allowed, line=line))

    def place(self, key: str = "") -> str:
        """Return how a place in this table is written: `target[3] "one-one".zone`."""
        return f"{self._place}.{key}" if self._place and key else self._place or key

    def raw(self, key: str) -> object:
        """Return what stands at `key` unjudged, None for nothing."""
        return self._values.get(key)

    def has(self, key: str) -> bool:
        """Return whether an optional key was given."""
        self._asked.append(key)
        return key in self._values

    def text(self, key: str) -> str | None:
        """Return text that is not empty."""
        value = self._take(key, "text")
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        self._wrong(key, value, "text, not empty")
        return None

    def optional_text(self, key: str) -> str:
        """Return text, empty where the key is not given."""
        return (self.text(key) or "") if self.has(key) else ""

    def word(self, key: str, allowed: Sequence[str]) -> str | None:
        """Return one of `allowed`."""
        value = self._take(key, _one_of(allowed))
        if value is None or (isinstance(value, str) and value in allowed):
            return value
        near = _nearest(value, allowed)
        self._wrong(key, value, _one_of(allowed) + (f" (did you mean {near}?)" if near else ""))
        return None

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int | None:
        """Return a whole number from `low` to `high`; `default`, if there is one, where it is not given."""
        allowed = f"a whole number from {low} to {high}"
        if default is not None and not self.has(key):
            return default
        value = self._take(key, allowed)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
            return value
        self._wrong(key, value, allowed)
        return None

    def date(self, key: str) -> dt.date | None:
        """Return a day."""
        value = self._take(key, "a day such as 2026-11-21")
        if value is None or (isinstance(value, dt.date) and not isinstance(value, dt.datetime)):
            return value
        self._wrong(key, value, "a day such as 2026-11-21, without quotes")
        return None

    def options(self, key: str) -> dict[str, OptionValue] | None:
        """Return a table of plain values, empty where it is not given."""
        if not self.has(key):
            return {}
        given = self._values[key]
        if not isinstance(given, dict):
            self.fault(key, show(given), "a table: { name = value }")
            return None
        options = {
            name: value for name, value in given.items() if isinstance(value, str | int | float | bool)
        }
        for name in given.keys() - options.keys():
            self.fault(f"{key}.{name}", show(given[name]), "text, a number, true or false")
        return options if len(options) == len(given) else None

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return an array of text, empty where it is not given."""
        if not self.has(key):
            return ()
        value = self._values[key]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._wrong(key, value, "an array of text")
        return None

    def table(self, key: str) -> "PlanTable | None":
        """Return the table at `key`, which must be there."""
        value = self._take(key, "a table")
        return None if value is None else self._inner(key, value)

    def tables(self, key: str) -> "list[object]":
        """Return what stands in an array of tables, none where it is not given."""
        if not self.has(key):
            return []
        value = self._values[key]
        if isinstance(value, list):
            return value
        self.fault(key, show(value), f"tables, each under a line [[{key}]]")
        return []

    def finish(self) -> None:
        """Note every key that nobody asked for, with the nearest one that exists."""
        known = sorted(set(self._asked))
        for key in self._values:
            if key not in known:
                near = _nearest(key, known)
                hint = f" (did you mean {near}?)" if near else ""
                self.fault(key, "a key that does not exist", _one_of(known) + hint)

    def _inner(self, key: str, values: object) -> "PlanTable":
        line = self._line_of(key) or self._line_of("")
        return PlanTable(values, place=self.place(key), faults=self._faults, line_of=lambda _key: line)

    def _take(self, key: str, allowed: str) -> object:
        self._asked.append(key)
        if key not in self._values:
            self.fault(key, "nothing", allowed)
        return self._values.get(key)

    def _wrong(self, key: str, value: object, allowed: str) -> None:
        self.fault(key, show(value), allowed)


def _one_of(words: Iterable[str]) -> str:
    return "one of " + ", ".join(str(word) for word in words)


def _nearest(word: object, words: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(str(word), [str(known) for known in words], n=1)
    return found[0] if found else None
