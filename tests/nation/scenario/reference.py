"""`python -m tests.nation.scenario.reference`: write the lists of keys in docs/how-to/scenarios.md from the declarations.

What stands between the marks is generated and tested against the code; the rest of the page is written by hand.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from firmware.model.verdict_words import VerdictWord
from tests.nation import lists
from tests.nation.changes import CHANGES
from tests.nation.reading import keys
from tests.nation.scenario.model import (
    Delay,
    DeviceAt,
    Expected,
    General,
    HomeAt,
    NatAt,
    SecondVantageAt,
    Timing,
)
from tests.nation.sites import FAULTS

PAGE: Final = Path(__file__).parents[3] / "docs" / "how-to" / "scenarios.md"
_COMMAND: Final = "python -m tests.nation.scenario.reference"
_WORDS: Final = ", ".join(f'"{word}"' for word in VerdictWord)
_LINK: Final = "the words of [verdicts](../reference/verdicts.md)"


def filled(text: str) -> str:
    """Return the page with its lists as the code has them now. Raises `ValueError` where a mark is missing."""
    made = lists.filled(text, _PARTS, page=PAGE.name, command=_COMMAND)
    return made.replace(_WORDS, _LINK)  # a page of their own lists them


def _said_table(cls: Any) -> Callable[[], str]:
    return lambda: f"{lists.said_of(cls)}\n\n{lists.table_of(cls, defaults=True)}"


def _changes() -> str:
    parts = []
    for word, kind in CHANGES.items():
        undone = "It can be undone." if kind.undo is not None else "Nothing undoes it."
        parts.append(f"#### `{word}`\n\n{lists.said_of(kind.form)} {undone}\n")
        if keys(kind.form):
            parts.append(lists.table_of(kind.form, defaults=True))
    return "\n".join(parts)


def _faults() -> str:
    rows = [f"| `{word}` | {said} |\n" for word, said in FAULTS.items() if word]
    return "".join(["| fault | what it is |\n", "| --- | --- |\n", *rows])


_PARTS: Final[dict[str, Callable[[], str]]] = {
    "top": _said_table(General),
    "home": _said_table(HomeAt),
    "device": _said_table(DeviceAt),
    "delay": _said_table(Delay),
    "nat": _said_table(NatAt),
    "second_vantage": _said_table(SecondVantageAt),
    "timing": _said_table(Timing),
    "change": _changes,
    "faults": _faults,
    "expected": _said_table(Expected),
}


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
