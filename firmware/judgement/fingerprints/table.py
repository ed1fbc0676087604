"""The fingerprints themselves and how an answer is matched with them. Pure; no file is read here.

A match names one of the censor's own answers, so it is evidence by itself; hence a pattern that is known to match
innocent answers (scope `fp`) takes every other match at that place away. No pattern, and no page made to order, may
take more than about a second (`expressions`).
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from firmware.judgement.fingerprints.expressions import MAX_TEXT, Expression

SURE: Final = 5
"""The highest `confidence_no_fp` of most rows: the pattern is taken never to match anything else."""
_SURE_OF_TEN: Final = 10
"""The highest of those whose scale has ten steps: Citizen Lab's, where 8 is the Location `index2.php?ucat=`, and Sinar Project's.

5 is there "no blockpage, suspected as it directs to a private IP address".
"""
_CITIZEN_LAB: Final = "cl."
"""How the names of Citizen Lab's rows begin."""
_SINAR_PROJECT: Final = "sinarproject"
"""The source of Sinar Project's rows, whose names are like OONI's own."""


class FingerprintScope(StrEnum):
    """Whose answer it is (the words of Citizen Lab and OONI)."""

    NATIONAL = "nat"
    ISP = "isp"
    PROVIDER = "prov"
    PRODUCT = "prod"
    INSTITUTION = "inst"
    VAGUE = "vbw"
    INJECTED = "injb"
    FALSE_POSITIVE = "fp"
    UNKNOWN = ""


STRONG_SCOPES: Final = frozenset({FingerprintScope.NATIONAL, FingerprintScope.ISP, FingerprintScope.PROVIDER})
"""Answers of a country or a provider. A product, a school or vague words say nothing of either by themselves.

Nor does what was injected: the one such row known, `cl.injb_routerupdate`, is a home router's word on its own update.
"""


class PatternType(StrEnum):
    """How the pattern is compared."""

    FULL = "full"
    PREFIX = "prefix"
    CONTAINS = "contains"
    REGEXP = "regexp"


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintList:
    """Which list a fingerprint is of: its file's name, its day, and what makes it certain.

    `day` is ISO 8601, from the file's name where that has one, else when the file was last written; `digest` begins the
    SHA-256 of its bytes, in hexadecimal.
    """

    name: str
    day: str
    digest: str

    @property
    def label(self) -> str:
        """Return it as records and people name it: `fingerprints_dns.csv 2026-11-20 3f2a9c01b7de`."""
        return f"{self.name} {self.day} {self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One row. `location` is `dns`, `body` or `header.NAME` (small letters); `countries` are ISO 3166-1 codes.

    `source` is the row's own; `of` the list that it stands in, None for one that was made by hand.
    """

    name: str
    scope: FingerprintScope
    location: str
    pattern_type: PatternType
    pattern: str
    confidence: int
    countries: frozenset[str] = frozenset()
    source: str = ""
    of: FingerprintList | None = None
    regexp: Expression | None = field(default=None, compare=False, repr=False)

    @property
    def is_strong(self) -> bool:
        """Return whether a match is evidence of blocking without a vantage."""
        is_of_ten = self.name.startswith(_CITIZEN_LAB) or self.source == _SINAR_PROJECT
        sure = _SURE_OF_TEN if is_of_ten else SURE
        return self.confidence >= sure and self.scope in STRONG_SCOPES

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return what makes two rows the same: name, place and pattern. OONI's list of pages uses some names twice."""
        return self.name, self.location, self.pattern_type, self.pattern

    def matches(self, text: str) -> bool:
        """Return whether `text` carries it."""
        match self.pattern_type:
            case PatternType.FULL:
                return text == self.pattern
            case PatternType.PREFIX:
                return text.startswith(self.pattern)
            case PatternType.CONTAINS:
                return self.pattern in text
            case PatternType.REGEXP:
                assert self.regexp is not None
                return self.regexp.is_in(text)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """A set of fingerprints, asked place by place. The first strong match counts, else the first of any kind."""

    rows: tuple[Fingerprint, ...] = ()
    _at: Mapping[str, tuple[Fingerprint, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the rows by place: two thousand of them are asked of each header of a page."""
        at: dict[str, list[Fingerprint]] = {}
        for row in self.rows:
            at.setdefault(row.location, []).append(row)
        object.__setattr__(self, "_at", {place: tuple(rows) for place, rows in at.items()})

    def __add__(self, other: "Fingerprints") -> "Fingerprints":
        """Return both together, each row once: of two that are the same (`Fingerprint.key`), the later."""
        return Fingerprints(tuple({row.key: row for row in (*self.rows, *other.rows)}.values()))

    @property
    def lists(self) -> tuple[FingerprintList, ...]:
        """Return the lists that its rows are of, each once, in order."""
        return tuple(dict.fromkeys(row.of for row in self.rows if row.of is not None))

    def in_answer(self, values: Iterable[str]) -> Fingerprint | None:
        """Return what a DNS answer (addresses, names) is known by, or None."""
        return self._best("dns", [canonical(value) for value in values])

    def in_page(self, headers: Iterable[tuple[str, str]], body: bytes) -> Fingerprint | None:
        """Return what an HTTP answer is known by, or None."""
        found = self._best("body", _texts(body[:MAX_TEXT])) if body else None
        for name, value in headers:
            one = self._best(f"header.{name.lower()}", [value[:MAX_TEXT]])
            if one is not None and (found is None or (one.is_strong and not found.is_strong)):
                found = one
        return found

    def _best(self, location: str, texts: Sequence[str]) -> Fingerprint | None:
        hits = [row for row in self._at.get(location, ()) if any(map(row.matches, texts))]
        if any(row.scope is FingerprintScope.FALSE_POSITIVE for row in hits):
            return None
        return next((row for row in hits if row.is_strong), hits[0] if hits else None)


def _texts(body: bytes) -> tuple[str, ...]:
    """Return a body's text; what is no UTF-8, as both of OONI's matchers see it: by its bytes, and read as Latin-1.

    A byte that is no letter never becomes U+FFFD: a row of OONI's takes two of those for an innocent page.
    """
    try:
        return (body.decode(),)
    except UnicodeDecodeError:
        return body.decode("utf-8", "surrogateescape"), body.decode("latin-1")


def canonical(value: str) -> str:
    """Return an address in its one form, a name in small letters without the last dot."""
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return value.strip().lower().removesuffix(".")
