"""Citizen Lab test lists: their CSV form, read strictly. Pure; knows nothing of plans.

Form (github.com/citizenlab/test-lists): a header line, then one URL a line, with its category, the day it was
added, who added it and notes. The lists are CC BY-NC-SA 4.0: an operator brings their own copy, this package
ships none.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

COLUMNS: Final = ("url", "category_code", "category_description", "date_added", "source", "notes")
CONTROL_CATEGORY: Final = "CTRL"
"""The category of URLs that nobody is expected to block."""
CATEGORIES: Final = frozenset(
    [
        "ALDR",
        "ANON",
        "COMM",
        "COMT",
        "CTRL",
        "CULTR",
        "DATE",
        "ECON",
        "ENV",
        "FILE",
        "GAME",
        "GMB",
        "GOVT",
        "GRP",
        "HACK",
        "HATE",
        "HOST",
        "HUMR",
        "IGO",
        "LGBT",
        "MILX",
        "MISC",
        "MMED",
        "NEWS",
        "POLR",
        "PORN",
        "PROV",
        "PUBH",
        "REL",
        "SRCH",
        "XED",
    ]
)
"""The codes that the published lists use (lists/00-LEGEND-new_category_codes.csv there)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """One line of a list. `line` is its line in the file, the header being line 1."""

    line: int
    url: str
    category: str
    notes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFault:
    """One line that cannot be used, and why; or one that is used, and what is odd about it."""

    line: int
    found: str
    allowed: str


def warnings(entries: Iterable[ListEntry]) -> tuple[ListFault, ...]:
    """Return the entries whose category is none that is known: they are measured like any other."""
    return tuple(
        ListFault(
            line=entry.line,
            found=f"the category {entry.category!r}" if entry.category else "no category",
            allowed="one of Citizen Lab's codes",
        )
        for entry in entries
        if entry.category not in CATEGORIES
    )


def read(text: str) -> tuple[tuple[ListEntry, ...], tuple[ListFault, ...]]:
    """Return the entries of a list and the faults in it; a URL that stands twice counts once.

    Spaces around a field and an empty line are no faults: the published lists have both.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    entries: dict[str, ListEntry] = {}
    faults: list[ListFault] = []
    try:
        header = tuple(field.strip() for field in next(rows, []))
        if header != COLUMNS:
            found = f"the header {','.join(header)!r}"
            return (), (ListFault(line=1, found=found, allowed=",".join(COLUMNS)),)
        for row in rows:
            if not any(field.strip() for field in row):
                continue
            read_row = _row(rows.line_num, [field.strip() for field in row])
            if isinstance(read_row, ListFault):
                faults.append(read_row)
            else:
                entries.setdefault(read_row.url, read_row)
    except csv.Error as error:
        faults.append(ListFault(line=rows.line_num, found=f"text that is not CSV ({error})", allowed="CSV"))
    return tuple(entries.values()), tuple(faults)


def _row(line: int, row: list[str]) -> ListEntry | ListFault:
    if len(row) != len(COLUMNS):
        return ListFault(
            line=line, found=f"{len(row)} fields", allowed=f"{len(COLUMNS)} fields: {','.join(COLUMNS)}"
        )
    url, category = row[0], row[1]
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # "Invalid IPv6 URL"
        usable = False
    if not usable:
        return ListFault(line=line, found=f"the URL {url!r}", allowed="http://HOST/… or https://HOST/…")
    return ListEntry(line=line, url=url, category=category, notes=row[5])
