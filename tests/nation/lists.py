"""Writes lists of keys into pages from the declarations: what stands between two marks is generated, the rest is by hand.

This file must never add a word about a key: that is said where it is declared.
"""

from collections.abc import Callable, Mapping
from typing import Any

from firmware.settings.docs import write_value
from firmware.settings.values import Setting, allowed_text
from tests.nation.reading import keys


def filled(text: str, parts: Mapping[str, Callable[[], str]], *, page: str, command: str) -> str:
    """Return a page with its lists as the code has them now. Raises `ValueError` where a mark is missing."""
    for name, made in parts.items():
        begin, end = f"<!-- begin {name}: {command} -->\n", f"<!-- end {name} -->\n"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page}: no marks for {name}")
        text = f"{before}{begin}\n{made()}\n{end}{after}"
    return text


def table_of(cls: Any, *, defaults: bool) -> str:
    """Return a table of what `cls` declares."""
    heads = ["key", "default", "allowed", "what it does"] if defaults else ["key", "allowed", "what it says"]
    rows = [heads, ["---"] * len(heads)]
    for name, one in keys(cls).items():
        default = [_default(one)] if defaults else []
        rows.append([f"`{name}`", *default, _allowed(one), one.doc])
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def said_of(cls: Any) -> str:
    """Return what the docstring of `cls` says, in one paragraph."""
    return " ".join((cls.__doc__ or "").split())


def _default(one: Setting) -> str:
    return "not set" if one.default in (None, "", ()) else f"`{write_value(one.default)}`"


def _allowed(one: Setting) -> str:
    words = allowed_text(one)
    if one.many:
        words = words.removeprefix("an array, each ") + ", or an array of such"
    return words if one.sample is None else f"{words}: `{write_value(one.sample)}`"
