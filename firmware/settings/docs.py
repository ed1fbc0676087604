"""What settings look like to a reader: the reference as Markdown, an example file as commented TOML. Pure.

Both come from the declarations alone, so they cannot lie. This file must never add a word about a single
setting: what is to be said of it is said where it is declared.
"""

import inspect
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.settings.load import declared, tables
from firmware.settings.values import Place, Setting, allowed_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def reference(cls: "type[DataclassInstance]") -> str:
    """Return Markdown: a heading and a table of settings for `cls` and each table in it."""
    parts = []
    for place, inner in tables(cls).items():
        own = _own(cls, place)
        if place:
            parts.append(f"### `[{'.'.join(place)}]`\n\n{_doc(inner)}\n")
        else:
            parts.append(f"{_doc(inner)}\n")
        if own:
            parts.append(
                "| setting | default | allowed | what it does |\n|---|---|---|---|\n"
                + "".join(map(_row, own))
            )
    return "\n".join(parts)


def example(cls: "type[DataclassInstance]") -> str:
    """Return a TOML file that holds every setting, commented out at its default, with what it does above it."""
    parts = [_comment(_doc(cls))]
    for place in tables(cls):
        if place:
            parts.append(f"{_comment(_doc(tables(cls)[place]))}[{'.'.join(place)}]\n")
        parts.extend(_commented(one) for one in _own(cls, place))
    return "\n".join(parts)


def write_value(value: Any) -> str:
    """Write a setting's value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case tuple():
            return "[" + ", ".join(write_value(part) for part in value) + "]"
        case _:
            # JSON's text is TOML's, but for DEL, which TOML wants escaped
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")


def _own(cls: "type[DataclassInstance]", place: Place) -> list[Setting]:
    return [one for at, one in declared(cls).items() if at[:-1] == place]


def _doc(cls: "type[DataclassInstance]") -> str:
    """Return the class's docstring; a dataclass without one gets its signature, which says nothing."""
    doc = cls.__doc__ or ""
    if not doc or doc.startswith(f"{cls.__name__}("):
        raise TypeError(f"{cls.__name__} needs a docstring: it is what a reader sees above its settings")
    # From Python 3.13 on the compiler has taken its indentation away.
    return inspect.cleandoc(doc)


def _row(one: Setting) -> str:
    default = "not set" if one.default is None else f"`{write_value(one.default)}`"
    cells = (f"`{one.place[-1]}`", default, allowed_text(one), " ".join(one.doc.split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _commented(one: Setting) -> str:
    allowed = f"Allowed: {allowed_text(one)}."
    not_set = " Not set by default." if one.default is None else ""
    shown = one.sample if one.default in (None, (), "", Path()) and one.sample is not None else one.default
    return f"{_comment(' '.join(one.doc.split()))}{_comment(allowed + not_set)}#{one.place[-1]} = {write_value(shown)}\n"


def _comment(text: str) -> str:
    lines = (line for paragraph in text.split("\n") for line in textwrap.wrap(paragraph, 98) or [""])
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)
