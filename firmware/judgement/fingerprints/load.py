"""Read fingerprints from OONI's blocking-fingerprints CSV, and the few that come along.

What comes along is taken whole or not at all. Of a list that somebody brings, what can be used is used and what cannot is
named, line and column, with what was found and what is allowed: OONI adds words to its format, and one new word must
not take two thousand fingerprints away. Format: github.com/ooni/blocking-fingerprints.
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from firmware.judgement.fingerprints.expressions import Expression, compiled
from firmware.judgement.fingerprints.table import (
    Fingerprint,
    FingerprintList,
    Fingerprints,
    FingerprintScope,
    PatternType,
    canonical,
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
_MOST_BYTES: Final = 16 * 2**20
_DIGEST: Final = 12
_DAY: Final = re.compile(r"\d{4}-[01]\d-[0-3]\d")
"""A day in a file's name, by which people keep lists apart."""


class FingerprintError(Exception):
    """A fingerprint file or row that cannot be used; the message names file, line, column, what was found, what may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadList:
    """A list that was read: which it is, what it holds, and a sentence for each row that was left out."""

    of: FingerprintList
    fingerprints: Fingerprints
    left_out: tuple[str, ...]


@cache
def builtin() -> Fingerprints:
    """Return the fingerprints that come along."""
    found = Fingerprints()
    for file in sorted(resources.files(__package__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".csv"):
            raw = file.read_bytes()
            of = _identity(file.name, raw, written_day="")
            found += parse(raw.decode(), where=file.name, of=of)
    return found


def read(path: Path) -> ReadList:
    """Read a file, leaving out the rows that cannot be used.

    Raises `FingerprintError` where none can: no file, no text, no such columns.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
            written_s = os.fstat(file.fileno()).st_mtime
        text = raw.decode("utf-8-sig")  # spreadsheets begin a file with a mark
    except OSError as error:
        raise FingerprintError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise FingerprintError(f"{path} is not UTF-8 text (byte {error.start})") from error
    if len(raw) > _MOST_BYTES:
        raise FingerprintError(f"{path} is larger than {_MOST_BYTES // 2**20} MiB")
    of = _identity(path.name, raw, written_day=f"{datetime.fromtimestamp(written_s, UTC):%Y-%m-%d}")
    found = tuple(_rows(text, where=str(path), of=of))
    return ReadList(
        of=of,
        fingerprints=Fingerprints(tuple(one for one in found if isinstance(one, Fingerprint))),
        left_out=tuple(str(one) for one in found if isinstance(one, FingerprintError)),
    )


def parse(text: str, *, where: str = "fingerprints", of: FingerprintList | None = None) -> Fingerprints:
    """Read CSV text whole. Raises `FingerprintError`, with `where` for the file's name, at the first fault."""
    found: list[Fingerprint] = []
    for one in _rows(text, where=where, of=of):
        if isinstance(one, FingerprintError):
            raise one
        found.append(one)
    return Fingerprints(tuple(found))


def _identity(name: str, raw: bytes, *, written_day: str) -> FingerprintList:
    named = _DAY.search(name)
    return FingerprintList(
        name=name, day=named[0] if named else written_day, digest=hashlib.sha256(raw).hexdigest()[:_DIGEST]
    )


def _rows(text: str, *, where: str, of: FingerprintList | None) -> Iterator[Fingerprint | FingerprintError]:
    """Yield each row, or why it cannot be used. Raises `FingerprintError` where no row can."""
    # not `splitlines`: of a page's text a line separator (U+2028) or a form feed ends no row
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    number, named = 1, dict[tuple[str, str, str, str], int]()
    try:
        header = next(lines, None)
        if header is None:
            raise FingerprintError(f"{where}: line 1: found nothing, where the names of the columns belong")
        _check_header(header, where)
        number = lines.line_num + 1
        for row in lines:
            here, number = number, lines.line_num + 1
            if not row:
                continue
            try:
                one = _fingerprint(_cells(row, header, f"{where}: line {here}"), f"{where}: line {here}", of)
            except FingerprintError as error:
                yield error
                continue
            if one.key in named:
                yield FingerprintError(
                    f"{where}: line {here}: name: found {one.name!r} with the same pattern, which line "
                    f"{named[one.key]} has already"
                )
                continue
            named[one.key] = here
            yield one
    except csv.Error as error:
        fault = FingerprintError(
            f"{where}: line {lines.line_num}: this is not CSV ({error}): nothing from line {number} on is read"
        )
        if number == 1:
            raise fault from error
        yield fault


def _cells(row: list[str], header: list[str], where: str) -> dict[str, str]:
    if len(row) != len(header):
        raise FingerprintError(f"{where}: found {len(row)} columns, where the header has {len(header)}")
    return dict(zip(header, row, strict=True))


def _check_header(header: list[str], where: str) -> None:
    missing = sorted(_NEEDED - set(header))
    if missing:
        raise FingerprintError(
            f"{where}: line 1: found no column {', '.join(missing)}; the columns are {', '.join(COLUMNS)}"
        )


def _fingerprint(row: Mapping[str, str], where: str, of: FingerprintList | None) -> Fingerprint:
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
        of=of,
        regexp=_compiled(pattern, where) if kind is PatternType.REGEXP else None,
    )


def _compiled(pattern: str, where: str) -> Expression:
    try:
        return compiled(pattern)
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
