"""Lists of fingerprints that an operator brings, joined with those that come along; and what is to be said of that.

A row that stands in two lists counts once. A name that stands for two different patterns, as three do between OONI's
list of DNS answers and that of pages, stands for both. A file that cannot be read must never take the others away.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.judgement.fingerprints.load import FingerprintError, ReadList, builtin, read
from firmware.judgement.fingerprints.table import Fingerprint, FingerprintList, Fingerprints

_PATTERN: Final = "*.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """All that is gone by: the fingerprints joined, the lists that were brought, and the files that could not be read."""

    fingerprints: Fingerprints
    brought: tuple[ReadList, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the lists that were brought as records name them."""
        return tuple(one.of.label for one in self.brought)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return a sentence for everything that was meant and is not there."""
        return (*self.faults, *(sentence for one in self.brought for sentence in one.left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRow:
    """Something that two lists have: a row that is the same in both, or a name for two different patterns."""

    first: Fingerprint
    second: Fingerprint

    @property
    def is_same(self) -> bool:
        """Return whether both are one row, of which the later list's counts."""
        return self.first.key == self.second.key


def files_of(path: Path) -> tuple[Path, ...]:
    """Return a file itself, or the lists (`*.csv`) in a directory by name."""
    return tuple(sorted(path.glob(_PATTERN))) if path.is_dir() else (path,)


def bring(paths: Iterable[Path]) -> Lists:
    """Read the lists at `paths`, files or directories of them, and join them with those that come along."""
    found, brought, faults = builtin(), list[ReadList](), list[str]()
    for path in paths:
        files = files_of(path)
        if not files:
            faults.append(f"{path} holds no list ({_PATTERN})")
        for file in files:
            try:
                one = read(file)
            except FingerprintError as error:
                faults.append(str(error))
                continue
            brought.append(one)
            found += one.fingerprints
    return Lists(fingerprints=found, brought=tuple(brought), faults=tuple(faults))


def shared(lists: Iterable[Fingerprints]) -> tuple[SharedRow, ...]:
    """Return what stands in more than one of `lists`, in their order."""
    named: dict[str, list[Fingerprint]] = {}
    found: list[SharedRow] = []
    for rows in lists:
        for row in rows.rows:
            others = [one for one in named.get(row.name, ()) if one.of != row.of]
            same = next((one for one in others if one.key == row.key), None)
            other = same or (others[0] if others else None)
            if other is not None:
                found.append(SharedRow(first=other, second=row))
        for row in rows.rows:
            named.setdefault(row.name, []).append(row)
    return tuple(found)


def builtin_lists() -> tuple[FingerprintList, ...]:
    """Return the lists that come along."""
    return builtin().lists
