"""`python -m tests.nation.censor.reference`: write the lists of keys in docs/how-to/censor.md from the declarations.

What stands between the marks is generated and tested against the code; the rest of the page is written by hand.
This file must never add a word about a key: that is said where it is declared.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.nation import lists
from tests.nation.censor.match import Match
from tests.nation.censor.model import ACTIONS
from tests.nation.censor.timetable import Timetable
from tests.nation.reading import keys

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "censor.md"
_COMMAND: Final = "python -m tests.nation.censor.reference"


def filled(text: str) -> str:
    """Return the page with its lists as the code has them now. Raises `ValueError` where a mark is missing."""
    return lists.filled(text, _PARTS, page=PAGE.name, command=_COMMAND)


def _match() -> str:
    return lists.table_of(Match, defaults=False)


def _timetable() -> str:
    return lists.table_of(Timetable, defaults=False)


def _actions() -> str:
    parts = []
    for word, cls in ACTIONS.items():
        parts.append(f"### `{word}`\n\n{lists.said_of(cls)}\n")
        if keys(cls):
            parts.append(lists.table_of(cls, defaults=True))
    return "\n".join(parts)


_PARTS: Final[dict[str, Callable[[], str]]] = {"match": _match, "timetable": _timetable, "actions": _actions}


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
