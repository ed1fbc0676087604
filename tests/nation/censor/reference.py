"""`python -m tests.nation.censor.reference`: write the lists of keys in docs/how-to/censor.md from the declarations.

What stands between the marks is generated and tested against the code; the rest of the page is written by hand.
This file must never add a word about a key: that is said where it is declared.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from firmware.settings.docs import write_value
from firmware.settings.values import Setting, allowed_text
from tests.nation.censor.match import Match
from tests.nation.censor.model import ACTIONS
from tests.nation.censor.rules import keys
from tests.nation.censor.timetable import Timetable

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "censor.md"
_BEGIN: Final = "<!-- begin {}: python -m tests.nation.censor.reference -->\n"
_END: Final = "<!-- end {} -->\n"


def filled(text: str) -> str:
    """Return the page with its lists as the code has them now. Raises `ValueError` where a mark is missing."""
    for name, made in _PARTS.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE.name}: no marks for {name}")
        text = f"{before}{begin}\n{made()}\n{end}{after}"
    return text


def _match() -> str:
    return _table(Match, defaults=False)


def _timetable() -> str:
    return _table(Timetable, defaults=False)


def _actions() -> str:
    parts = []
    for word, cls in ACTIONS.items():
        said = " ".join((cls.__doc__ or "").split())
        parts.append(f"### `{word}`\n\n{said}\n")
        if keys(cls):
            parts.append(_table(cls, defaults=True))
    return "\n".join(parts)


def _table(cls: Any, *, defaults: bool) -> str:
    heads = ["key", "default", "allowed", "what it does"] if defaults else ["key", "allowed", "what it says"]
    rows = [heads, ["---"] * len(heads)]
    for name, one in keys(cls).items():
        default = [_default(one)] if defaults else []
        rows.append([f"`{name}`", *default, _allowed(one), one.doc])
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def _default(one: Setting) -> str:
    return "not set" if one.default in (None, "", ()) else f"`{write_value(one.default)}`"


def _allowed(one: Setting) -> str:
    words = allowed_text(one)
    if one.many:
        words = words.removeprefix("an array, each ") + ", or an array of such"
    return words if one.sample is None else f"{words}: `{write_value(one.sample)}`"


_PARTS: Final[dict[str, Callable[[], str]]] = {"match": _match, "timetable": _timetable, "actions": _actions}


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
