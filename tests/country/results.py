"""Counts of countries as JSON lines in a file, one a country: a run that was stopped counts, and is gone on with.

A line that was cut off by a crash is no country. This file must never count anything itself.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tests.country.oracle import Mark
from tests.country.tally import Finding, Tally

Asked = tuple[int, float, int]
"""A seed, the hours and the most homes that were asked for."""


def to_line(asked: Asked, tally: Tally) -> str:
    """Return the line of a country's count."""
    seed, hours, most_homes = asked
    value: dict[str, Any] = {"seed": seed, "hours_asked": hours, "most_homes": most_homes}
    for one in fields(Tally):
        of = getattr(tally, one.name)
        if isinstance(of, Counter):
            value[one.name] = [
                [list(key) if isinstance(key, tuple) else key, count] for key, count in of.items()
            ]
        elif one.name == "findings":
            value[one.name] = [asdict(finding) for finding in of]
        else:
            value[one.name] = of
    return json.dumps(value, separators=(",", ":"))


def from_line(line: str) -> tuple[Asked, Tally]:
    """Return what was asked for in a line, and its count. Raises `ValueError` for one that is not whole."""
    value = json.loads(line)
    tally = Tally()
    for one in fields(Tally):
        of = value[one.name]
        if isinstance(getattr(tally, one.name), Counter):
            of = Counter({tuple(key) if isinstance(key, list) else key: count for key, count in of})
        elif one.name == "findings":
            of = [Finding(**{**finding, "mark": Mark(finding["mark"])}) for finding in of]
        setattr(tally, one.name, of)
    return (value["seed"], value["hours_asked"], value["most_homes"]), tally


def read(path: Path) -> Iterator[tuple[Asked, Tally]]:
    """Yield what a file holds; nothing where there is none."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield from_line(line)
        except (ValueError, KeyError, TypeError):
            continue  # cut off, or of other software: that country is played again


def append(path: Path, line: str) -> None:
    """Add one line, whole."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
