"""Counts of countries as JSON lines in a file, one a country: a run that was stopped counts, and is gone on with.

A line says of which rules it is: what was said under others is no count of these, and what comments and docstrings say
changes none. One that was cut off by a crash is no country. A file whose name ends in .xz is read, not added to. This file must never count anything itself.
"""

import hashlib
import json
import lzma
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.country.oracle import Mark
from tests.country.tally import Finding, Tally
from tests.needs import ROOT

PLAYED: Final = Path(__file__).with_name("played.jsonl.xz")
"""The countries on record, of which the table of numbers that ships is made."""
Asked = tuple[int, float, int]
"""A seed, the hours and the most homes that were asked for."""
_DECIDES: Final = (
    "firmware/judgement",
    "firmware/plans",
    "appliance/measuring",
    "collector/judgement",
    "collector/vantage",
    "tests/country",
)
"""Where what is said of a made country is decided, and how it is made."""
UNCALLED: Final = "firmware/judgement/throttling"
"""What of these no made country calls."""
_TELLS: Final = frozenset(
    {"__main__.py", "calibrate.py", "diagram.py", "known.py", "report.py", "results.py", "shrink.py"}
)
"""What of `tests/country` only tells of it."""
_BEGIN: Final = (tokenize.ENCODING, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
"""After which a statement begins."""
_DOCSTRING: Final = (tokenize.STRING, tokenize.NEWLINE)
"""What stands where a statement begins and is none."""


@cache
def rules() -> str:
    """Return the digest of all that decides what is said of a made country; the numbers of confidence are no part of it."""
    digest = hashlib.sha256()
    for folder in _DECIDES:
        for path in sorted((ROOT / folder).rglob("*")):
            silent = path.is_relative_to(ROOT / UNCALLED) or (
                folder == "tests/country" and path.name in _TELLS
            )
            if path.suffix in (".py", ".toml") and not path.name.startswith("test_") and not silent:
                digest.update(f"{path.relative_to(ROOT)}\n".encode())
                digest.update(statements(path).encode() if path.suffix == ".py" else path.read_bytes())
    return digest.hexdigest()[:16]


def statements(path: Path) -> str:
    """Return what a module does: its tokens without comments, docstrings and the shape of its lines."""
    told, begins = [], True
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type in (tokenize.COMMENT, tokenize.NL) or (begins and token.type in _DOCSTRING):
                continue
            begins = token.type in _BEGIN
            told.append(tokenize.tok_name[token.type] if begins else token.string)
    return "".join(told)


def to_line(asked: Asked, tally: Tally) -> str:
    """Return the line of a country's count."""
    seed, hours, most_homes = asked
    value: dict[str, Any] = {
        "seed": seed,
        "hours_asked": hours,
        "most_homes": most_homes,
        "rules": rules(),
    }
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
        if one.name not in value:
            continue  # of before it was counted
        of = value[one.name]
        if isinstance(getattr(tally, one.name), Counter):
            of = Counter({tuple(key) if isinstance(key, list) else key: count for key, count in of})
        elif one.name == "findings":
            of = [Finding(**{**finding, "mark": Mark(finding["mark"])}) for finding in of]
        setattr(tally, one.name, of)
    return (value["seed"], value["hours_asked"], value["most_homes"]), tally


def read(path: Path, *, of: str = "") -> Iterator[tuple[Asked, Tally]]:
    """Yield what a file holds, if asked of some rules alone; nothing where there is none."""
    for line in _lines(path):
        try:
            if not of or json.loads(line)["rules"] == of:
                yield from_line(line)
        except (ValueError, KeyError, TypeError):
            continue  # cut off, or of other software: that country is played again


def described(asked: Iterable[Asked]) -> str:
    """Return which countries these are, in words."""
    given = sorted(asked)
    seeds = [seed for seed, _, _ in given]
    hours = " or ".join(f"{one:g}" for one in sorted({hours for _, hours, _ in given}))
    return f"{len(given)} made countries (seeds {seeds[0]} to {seeds[-1]}, of {hours} h)"


def append(path: Path, line: str) -> None:
    """Add one line, whole."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes()).decode().splitlines()
    return path.read_text(encoding="utf-8").splitlines()
