"""One setting and its value: what is declared of it, which values it takes, what is wrong with one. Pure.

This file must never look at a file or at a program's other settings: those belong to `firmware.settings.load`.
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

Place: TypeAlias = tuple[str, ...]
"""Where a setting stands: the tables' names and its own, `("broker", "port")`."""

_INTEGER_MAX: Final = 2**63 - 1
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declared setting: what `setting` was told, and the type of the field it stands in.

    `kind` is str, int, float, bool, Path or a StrEnum; `many` says that it is a tuple of them, `optional` that
    it may be left out and is None then.
    """

    place: Place = ()
    kind: type = str
    many: bool = False
    optional: bool = False
    default: Any
    doc: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    sample: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingFault:
    """One thing that is wrong: where, what was found, what is allowed. `line` is None where it is not known."""

    file: str
    place: Place = ()
    line: int | None = None
    found: str
    allowed: str

    def __str__(self) -> str:
        """Return it in one line, as an editor's error list wants it."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        place = f"{write_place(self.place)}: " if self.place else ""
        return f"{where}: {place}found {self.found}; allowed is {self.allowed}"


class SettingsError(ValueError):
    """Settings that cannot be used. `faults` are all of them, in the file's order; the message has a line each."""

    def __init__(self, faults: tuple[SettingFault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def write_place(place: Place) -> str:
    """Write a place as a reader of TOML knows it: `port`, `[broker].port`."""
    return place[-1] if len(place) == 1 else f"[{'.'.join(place[:-1])}].{place[-1]}"


def allowed_text(one: Setting) -> str:
    """Return in words which values `one` takes."""
    words = _allowed_one(one)
    unit = f", in {one.unit}" if one.unit else ""
    return f"an array, each {words}{unit}" if one.many else words + unit


def _allowed_one(one: Setting) -> str:
    choices = choices_of(one)
    if choices:
        return "one of " + ", ".join(f'"{choice}"' for choice in choices)
    if one.kind is bool:
        return "true or false"
    if one.kind in (int, float):
        number = "a whole number" if one.kind is int else "a number"
        if one.low is not None and one.high is not None:
            return f"{number} from {one.low} to {one.high}"
        if one.low is not None:
            return f"{number}, at least {one.low}"
        return number if one.high is None else f"{number}, at most {one.high}"
    if one.kind is Path:
        return 'a path without "~", in quotes'
    return f"{one.form}, in quotes" if one.form else "text, in quotes"


def choices_of(one: Setting) -> tuple[str, ...]:
    """Return the only texts `one` takes; empty where it is not that kind of setting."""
    return tuple(one.kind) if issubclass(one.kind, StrEnum) else one.choices


def convert(one: Setting, value: object, folder: Path | None) -> object:
    """Return `value` as `one.kind`, or None where it is not one."""
    if one.kind is Path:
        return _path(value, folder)
    if one.kind is bool:
        return value if isinstance(value, bool) else None
    if one.kind in (int, float):
        return _number(one, value)
    if not isinstance(value, str):
        return None
    if choices_of(one):
        return one.kind(value) if value in choices_of(one) else None
    return value if not one.pattern or re.fullmatch(one.pattern, value) else None


def _number(one: Setting, value: object) -> int | float | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INTEGER_MAX
    if not whole and not (one.kind is float and isinstance(value, float) and math.isfinite(value)):
        return None
    assert isinstance(value, int | float)
    if (one.low is not None and value < one.low) or (one.high is not None and value > one.high):
        return None
    return float(value) if one.kind is float else value


def _path(value: object, folder: Path | None) -> Path | None:
    if isinstance(value, Path):
        return value
    # "~" would make a folder of that name: no shell stands between the file and us
    if not isinstance(value, str) or not value or "\0" in value or value.startswith("~"):
        return None
    return Path(value) if folder is None else folder / value


def show(value: object) -> str:
    """Return what was found, in TOML's words, cut short where it is long."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            shown = f'the text "{value}"'
        case int() if abs(value) > _INTEGER_MAX:
            shown = "a number that is too large"
        case int() | float():
            shown = f"the number {value}"
        case dict():
            return "a table"
        case list():
            shown = f"the array {value}"
        case _:
            shown = f"the {type(value).__name__} {value}"
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
