"""Tables of a TOML file read into classes whose fields come from `setting`, every fault told with its place. Pure.

For the files of the made country: a censor's rules and a scenario. It must never guess: a key nobody declared, a wrong type, a
value out of range are faults with file, line, place, what was found and what is allowed. Files that a value names are read.
"""

import dataclasses
import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from firmware.settings.load import declared
from firmware.settings.toml import find_lines
from firmware.settings.values import Setting, SettingFault, allowed_text, choices_of, convert, show

_WRITTEN: Final = {"sender": "from"}
"""Fields whose name in a file is a reserved word of Python."""


def keys(cls: Any) -> dict[str, Setting]:
    """Return what `cls` declares, by its name in a file."""
    return {_WRITTEN.get(place[-1], place[-1]): said for place, said in declared(cls).items()}


def near(word: object, known: Sequence[str]) -> str:
    """Return a hint at the known word that is meant, if there is one like it."""
    found = difflib.get_close_matches(str(word), known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""


class Reading:
    """One file being read: where it is at, and the faults found so far. `text` is the file's, "" for none."""

    def __init__(self, file: str, text: str, folder: Path | None) -> None:
        self.faults: list[SettingFault] = []
        self.files: dict[Path, bytes] = {}
        """What stands in the files that values name."""
        self._file = file
        self._folder = folder
        self._text = text
        self._top_lines = find_lines(text)
        self._at: tuple[str, ...] = ()
        self._below: tuple[str, ...] = ()
        self._lines: Mapping[tuple[str, ...], int] = self._top_lines

    def turn_to_top(self) -> None:
        """Place the next faults at the file's top."""
        self._at, self._below, self._lines = (), (), self._top_lines

    def turn_to(self, word: str, number: int, count: int, name: object = None) -> None:
        """Place the next faults in table `number` of the `count` under `[[word]]`, which calls itself `name`."""
        title = f'{word} {number} "{name}"' if isinstance(name, str) else f"{word} {number}"
        self._at, self._below = (title,), (word,)
        header = re.compile(rf"^[ \t]*\[\[[ \t]*{re.escape(word)}[ \t]*\]\]", re.MULTILINE)
        starts = [match.start() for match in header.finditer(self._text)]
        if len(starts) != count:  # written as an inline array: only its first line is known
            line = self._top_lines.get((word,))
            self._lines = {} if line is None else {(word,): line}
            return
        chunk = self._text[starts[number - 1] : (*starts, len(self._text))[number]]
        before = self._text.count("\n", 0, starts[number - 1])
        self._lines = {place: line + before for place, line in find_lines(chunk).items()}

    def tables(self, tree: Mapping[str, object], word: str) -> list[dict[str, Any]]:
        """Return the tables under `[[word]]`; none, and a fault, where something else stands there."""
        found = tree.get(word, [])
        if isinstance(found, list) and all(isinstance(table, dict) for table in found):
            return found
        self.turn_to_top()
        self.fault((word,), show(found), f"tables, each under a line [[{word}]]")
        return []

    def make(
        self, cls: Any, given: Mapping[str, object], place: tuple[str, ...] = (), known: Sequence[str] = ()
    ) -> Any:
        """Return a `cls` of what was given; None where that has a fault. `known` are all keys that may stand there."""
        before, said = len(self.faults), keys(cls)
        values: dict[str, object] = {}
        for key, value in given.items():
            if key not in said:
                names = known or tuple(said)
                allowed = f"one of {', '.join(names)}{near(key, names)}" if names else "no key"
                self.fault((*place, key), "a key that does not exist", allowed)
                continue
            values[said[key].place[-1]] = self._value(said[key], value, (*place, key))
        if len(self.faults) > before:
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self.fault(place, "settings that exclude each other", str(error))
            return None

    def fault(self, place: tuple[str, ...], found: str, allowed: str) -> None:
        """Note a fault at a place in the present table."""
        at = (*self._below, *place)
        line = next((self._lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self._lines), None)
        where = (*self._at, *place)
        self.faults.append(
            SettingFault(file=self._file, place=where, line=line, found=found, allowed=allowed)
        )

    def _value(self, one: Setting, value: object, place: tuple[str, ...]) -> object:
        check, form = _FORMS.get(one.place[-1], (None, ""))
        if not one.many:
            return self._part(one, value, place, check, form)
        parts = value if isinstance(value, list) else [value]
        if not parts:
            self.fault(place, "an empty array", form or allowed_text(one))
        return tuple(self._part(one, part, place, check, form) for part in parts)

    def _part(
        self,
        one: Setting,
        value: object,
        place: tuple[str, ...],
        check: Callable[[str], object] | None,
        form: str,
    ) -> object:
        made = convert(one, value, self._folder)
        if made is None or (made == "" and "" not in choices_of(one)):
            self.fault(place, show(value), form or allowed_text(dataclasses.replace(one, many=False)))
        elif check is not None:
            try:
                check(str(made))
            except ValueError:
                self.fault(place, show(value), form)
        if isinstance(made, Path):
            self._content(made, value, place)
        return made

    def _content(self, path: Path, value: object, place: tuple[str, ...]) -> None:
        try:
            self.files[path] = path.read_bytes()
        except OSError as error:
            found = f"{show(value)} ({(error.strerror or str(error)).lower()})"
            self.fault(place, found, "a file that can be read, by its path from the rules file")


def _network(text: str) -> object:
    return ipaddress.ip_network(text, strict=True)


_PREFIX: Final = (
    _network,
    'an address or a prefix without host bits: "10.0.0.1", "203.0.113.0/24", "2001:db8::/32"',
)
_ADDRESS: Final = (ipaddress.ip_address, 'an address: "10.10.34.34", "d0::11"')
_FORMS: Final[dict[str, tuple[Callable[[str], object], str]]] = {
    "sender": _PREFIX,
    "address": _PREFIX,
    "to": _PREFIX,
    "addresses": _ADDRESS,
    "resolvers": _ADDRESS,
    "router": _ADDRESS,
}
