"""Settings: one TOML file a program, read into a frozen dataclass, every fault told at once.

A program declares its settings as dataclasses whose fields come from `setting` and `table`; nothing else says
what they are, and the reference in docs/ is generated from them (`firmware.settings.docs`). This file reads
the one file it is given and is otherwise pure. It must never guess: a key it does not know, a wrong type or a
value out of range is a fault that says file, line, key, what was found and what is allowed.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from firmware.settings.toml import find_lines, syntax_fault
from firmware.settings.values import (
    Place,
    Setting,
    SettingFault,
    SettingsError,
    allowed_text,
    convert,
    show,
    write_place,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["SettingFault", "SettingsError", "declared", "load", "setting", "table", "tables"]

T = TypeVar("T")
D = TypeVar("D", bound="DataclassInstance")

_KEY: Final = "tidegauge"
_WAS: Final = "was"
_MAX_BYTES: Final = 1 << 20
COMMAND_LINE: Final = "command line"
"""The `file` of a fault in a value that came from an option, not from the file."""


def setting(
    default: T,
    *,
    doc: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: str = "",
    form: str = "",
    sample: object = None,
) -> T:
    """Declare one setting as a dataclass field.

    `doc` says what it does; `unit` is shown beside the value; `low` and `high` bound numbers, both included;
    `choices` are the only texts allowed; `pattern` is a regular expression for the whole text and `form` says
    the same in words; `sample` is shown in the example file where the default is None or empty.
    """
    if not doc.strip():
        raise ValueError("a setting needs a doc: it is all that a user reads of it")
    if bool(pattern) != bool(form):
        raise ValueError("pattern and form go together: one for the machine, one for the reader")
    said = Setting(
        default=default,
        doc=" ".join(doc.split()),
        unit=unit,
        low=low,
        high=high,
        choices=choices,
        pattern=pattern,
        form=form,
        sample=sample,
    )
    made: T = field(default=default, metadata={_KEY: said})
    return made


def table(cls: type[D], *, was: str = "") -> D:
    """Declare a nested table as a dataclass field; the class's docstring is its documentation.

    `was` is the name it had before: whoever still writes it is told the new one.
    """
    made: D = field(default_factory=cls, metadata={_KEY: cls, _WAS: was})
    return made


def load(cls: type[D], path: Path | None, overrides: Mapping[str, object] | None = None) -> D:
    """Read `path` (None: no file, only defaults) into `cls`, and lay the options that were given over it.

    `overrides` maps dotted names (`broker.port`) to values; None means that the option was not given. A
    relative path in the file is taken from the file's own folder, one in an option from the working directory.
    A class that raises `ValueError` in `__post_init__` checks settings against each other: its message says
    what is allowed. Raises `SettingsError` with every fault; `KeyError` for an override nobody declared.
    """
    reader = _Reader(cls)
    if path is not None:
        reader.read(path)
    reader.turn_to(COMMAND_LINE)
    for name, value in (overrides or {}).items():
        chosen = reader.settings[tuple(name.split("."))]
        if value is not None:
            reader.take(chosen, value)
    reader.turn_to(COMMAND_LINE if path is None else str(path))
    made: D | None = reader.build(cls, ()) if not reader.faults else None
    if made is None or reader.faults:
        raise SettingsError(tuple(reader.faults))
    return made


def declared(cls: "type[DataclassInstance]") -> dict[Place, Setting]:
    """Return every setting `cls` and its tables declare, in order.

    Raises `TypeError` for a field without documentation, of a type settings do not have, or with a default
    that its own bounds refuse: mistakes of the program, not of its user.
    """
    return dict(_walk(cls, ()))


def tables(cls: "type[DataclassInstance]") -> "dict[Place, type[DataclassInstance]]":
    """Return `cls` at () and each nested table at its place, in order."""
    found: dict[Place, type[DataclassInstance]] = {(): cls}
    for name, nested in _tables_of(cls).items():
        found |= {(name, *place): inner for place, inner in tables(nested).items()}
    return found


def _tables_of(cls: "type[DataclassInstance]") -> "dict[str, type[DataclassInstance]]":
    said = ((item.name, item.metadata.get(_KEY)) for item in dataclasses.fields(cls))
    return {name: nested for name, nested in said if isinstance(nested, type)}


def _walk(cls: "type[DataclassInstance]", above: Place) -> Iterator[tuple[Place, Setting]]:
    hints = get_type_hints(cls)
    for item in dataclasses.fields(cls):
        place = (*above, item.name)
        said = item.metadata.get(_KEY)
        if isinstance(said, Setting):
            yield place, _complete(said, hints[item.name], place)
        elif isinstance(said, type):
            yield from _walk(said, place)
        else:
            raise TypeError(f"{cls.__name__}.{item.name} is not declared with setting() or table()")


def _complete(said: Setting, hint: Any, place: Place) -> Setting:
    """Return `said` with its field's place and type; its default and sample must pass its own bounds."""
    optional = get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    many = get_origin(hint) is tuple
    kind = get_args(hint)[0] if many else hint
    known = isinstance(kind, type) and (kind in (str, int, float, bool, Path) or issubclass(kind, StrEnum))
    if not known or (many and get_args(hint)[1:] != (Ellipsis,)):
        raise TypeError(f"{write_place(place)}: a setting cannot be of type {hint}")
    one = dataclasses.replace(said, place=place, kind=kind, many=many, optional=optional)
    for value in (one.default, one.sample):
        for part in (value or ()) if many else (value,):
            if part is not None and convert(one, part, None) is None:
                raise TypeError(
                    f"{write_place(place)}: {show(part)} breaks its own rule: {allowed_text(one)}"
                )
    if one.default is None and not (optional and one.sample is not None):
        raise TypeError(f"{write_place(place)}: without a default it must be optional and have a sample")
    return one


class _Reader:
    """Collects values and faults for one settings class, from one source after the other."""

    def __init__(self, cls: "type[DataclassInstance]") -> None:
        self.cls = cls
        self.settings = declared(cls)
        self.faults: list[SettingFault] = []
        self._values: dict[Place, object] = {}
        self.turn_to(COMMAND_LINE)

    def turn_to(
        self, file: str, lines: Mapping[Place, int] | None = None, folder: Path | None = None
    ) -> None:
        """Take the next values from `file`; `lines` says where its keys stand."""
        self._file = file
        self._lines = lines or {}
        self._folder = folder

    def read(self, path: Path) -> None:
        """Take every value in the file at `path`."""
        self.turn_to(str(path))
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._fault((), reason, "a settings file (TOML) that can be read")
            return
        if len(raw) > _MAX_BYTES:
            self._fault((), "more than 1 MiB", "a settings file (TOML) of at most 1 MiB")
            return
        try:
            text = raw.decode("utf-8")
            tree = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            line, found = syntax_fault(error, raw)
            self._fault((), found, "TOML: [table], key = value, text in quotes", line=line)
            return
        self.turn_to(str(path), find_lines(text), path.parent)
        self._take_table(self.cls, (), tree)

    def take(self, one: Setting, value: object) -> None:
        """Keep `value` as the type that `one` declares, or note a fault."""
        if not one.many:
            self._values[one.place] = self._converted(one, value, "")
        elif isinstance(value, list | tuple):
            numbered = enumerate(value, start=1)
            self._values[one.place] = tuple(
                self._converted(one, part, f" as entry {n}") for n, part in numbered
            )
        else:
            self._fault(one.place, show(value), allowed_text(one))

    def build(self, cls: "type[DataclassInstance]", above: Place) -> Any:
        """Make `cls` of the values kept for it. What its `__post_init__` refuses is a fault, and None."""
        given: dict[str, object] = {
            name: self.build(nested, (*above, name)) for name, nested in _tables_of(cls).items()
        }
        if self.faults:
            return None
        given |= {place[-1]: value for place, value in self._values.items() if place[:-1] == above}
        try:
            return cls(**given)
        except ValueError as error:
            self._fault(above, "settings that exclude each other", str(error))
            return None

    def _take_table(self, cls: "type[DataclassInstance]", above: Place, tree: Mapping[str, object]) -> None:
        nested = _tables_of(cls)
        for key, value in tree.items():
            place = (*above, key)
            if key in nested and isinstance(value, dict):
                self._take_table(nested[key], place, value)
            elif key in nested:
                self._fault(place, show(value), f"a table: [{'.'.join(place)}] on a line of its own")
            elif place in self.settings:
                self.take(self.settings[place], value)
            elif renamed := next(
                (f.name for f in dataclasses.fields(cls) if f.metadata.get(_WAS) == key), ""
            ):
                self._fault(
                    place, "a table that has another name now", f"[{'.'.join((*above, renamed))}] instead"
                )
            else:
                known = [item.name for item in dataclasses.fields(cls)]
                self._fault(place, "a setting that does not exist", self._nearest(place, known))

    def _converted(self, one: Setting, value: object, which: str) -> object:
        made = convert(one, value, self._folder)
        if made is None:
            self._fault(one.place, show(value) + which, allowed_text(one))
        return made

    def _nearest(self, place: Place, known: list[str]) -> str:
        """Return the names allowed in the table of `place`, and the one that was probably meant."""
        here = "one of " + ", ".join(known)
        close = difflib.get_close_matches(place[-1], known, n=1)
        if close:
            return f"{here} (did you mean {close[0]}?)"
        elsewhere = [write_place(other) for other in self.settings if other[-1] == place[-1]]
        return f"{here} (did you mean {elsewhere[0]}?)" if elsewhere else here

    def _fault(self, place: Place, found: str, allowed: str, *, line: int | None = None) -> None:
        for end in range(len(place), 0, -1):
            line = line or self._lines.get(place[:end])  # the key's own line, else its table's
        self.faults.append(
            SettingFault(file=self._file, place=place, line=line, found=found, allowed=allowed)
        )
