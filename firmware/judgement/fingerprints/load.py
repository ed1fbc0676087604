"""Read fingerprints from OONI's blocking-fingerprints CSV, and the few that come along.

A file is taken whole or not at all: a fingerprint that was meant and is not there is a verdict that is not said.
Errors say line, column, what was found and what is allowed. Format: github.com/ooni/blocking-fingerprints.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from firmware.judgement.fingerprints.table import (
    Fingerprint,
    Fingerprints,
    FingerprintScope,
    PatternType,
    canonical,
    repeats,
)

COLUMNS: Final = (
    "name",
    "scope",
    "other_names",
    "location_found",
    "pattern_type",
    "pattern",
    "confidence_no_fp",
    "expected_countries",
    "source",
    "exp_url",
    "notes",
)
_NEEDED: Final = frozenset(COLUMNS[:8]) - {"other_names"}
_LOCATION: Final = re.compile(r"dns|body|header\.[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_PATTERN: Final = 4096


class FingerprintError(Exception):
    """A fingerprint file that cannot be used; the message names file, line, column, what was found, what may be."""


@cache
def builtin() -> Fingerprints:
    """Return the fingerprints that come along."""
    found = Fingerprints()
    for file in sorted(resources.files(__package__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".csv"):
            found += parse(file.read_text(encoding="utf-8"), where=file.name)
    return found


def load(path: Path) -> Fingerprints:
    """Read a file. Raises `FingerprintError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FingerprintError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise FingerprintError(f"{path} is not UTF-8 text (byte {error.start})") from error
    return parse(text, where=str(path))


def parse(text: str, *, where: str = "fingerprints") -> Fingerprints:
    """Read CSV text. Raises `FingerprintError`, with `where` for the file's name."""
    lines = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = next(lines, None)
        if header is None:
            raise FingerprintError(f"{where}: line 1: found nothing, where the names of the columns belong")
        _check_header(header, where)
        return Fingerprints(tuple(_rows(lines, header, where)))
    except csv.Error as error:
        raise FingerprintError(f"{where}: line {lines.line_num}: this is not CSV ({error})") from error


def _rows(lines: Iterator[list[str]], header: list[str], where: str) -> Iterator[Fingerprint]:
    number = 2
    named: dict[str, int] = {}
    for row in lines:
        here, number = number, lines.line_num + 1  # type: ignore[attr-defined]  # a csv reader counts its lines
        if not row:
            continue
        if len(row) != len(header):
            raise FingerprintError(
                f"{where}: line {here}: found {len(row)} columns, where the header has {len(header)}"
            )
        one = _fingerprint(dict(zip(header, row, strict=True)), f"{where}: line {here}")
        if one.name in named:
            raise FingerprintError(
                f"{where}: line {here}: name: found {one.name!r}, which line {named[one.name]} has already"
            )
        named[one.name] = here
        yield one


def _check_header(header: list[str], where: str) -> None:
    missing = sorted(_NEEDED - set(header))
    if missing:
        raise FingerprintError(
            f"{where}: line 1: found no column {', '.join(missing)}; the columns are {', '.join(COLUMNS)}"
        )


def _fingerprint(row: Mapping[str, str], where: str) -> Fingerprint:
    scope = _word(row, "scope", tuple(FingerprintScope), where)
    kind = PatternType(_word(row, "pattern_type", tuple(PatternType), where))
    location, pattern = row["location_found"], row["pattern"]
    if not row["name"]:
        raise FingerprintError(f"{where}: name: found nothing, where a name of its own belongs")
    if not _LOCATION.fullmatch(location):
        raise FingerprintError(
            f"{where}: location_found: found {location!r}; allowed are dns, body and header.NAME"
        )
    if not pattern or len(pattern) > _MAX_PATTERN:
        raise FingerprintError(
            f"{where}: pattern: found {len(pattern)} characters; allowed are 1 to {_MAX_PATTERN}"
        )
    confidence = row["confidence_no_fp"]
    if not re.fullmatch(r"[0-9]|10", confidence):
        raise FingerprintError(f"{where}: confidence_no_fp: found {confidence!r}; allowed are 0 to 10")
    countries = [code.strip() for code in row["expected_countries"].split(",") if code.strip()]
    for code in countries:
        if not re.fullmatch(r"[A-Z]{2}", code):
            raise FingerprintError(
                f"{where}: expected_countries: found {code!r}; allowed are codes of two capitals, with commas between"
            )
    return Fingerprint(
        name=row["name"],
        scope=FingerprintScope(scope),
        location=location.lower(),
        pattern_type=kind,
        pattern=canonical(pattern) if location == "dns" and kind is PatternType.FULL else pattern,
        confidence=int(confidence),
        countries=frozenset(countries),
        source=row.get("source", ""),
        regexp=_compiled(pattern, where) if kind is PatternType.REGEXP else None,
    )


def _compiled(pattern: str, where: str) -> re.Pattern[str]:
    try:
        repeats(pattern)
        return re.compile(pattern)
    except re.error as error:
        raise FingerprintError(
            f"{where}: pattern: found {pattern!r}, which does not compile ({error})"
        ) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise FingerprintError(
            f"{where}: pattern: found {pattern!r}, which could take for ever on a page made for it ({error})"
        ) from error


def _word(row: Mapping[str, str], column: str, allowed: tuple[str, ...], where: str) -> str:
    if row[column] not in allowed:
        words = ", ".join(word or "nothing" for word in allowed)
        raise FingerprintError(f"{where}: {column}: found {row[column]!r}; allowed are {words}")
    return row[column]
