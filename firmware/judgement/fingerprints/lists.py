"""Lists of fingerprints that an operator brings, joined with those that come along; and what is to be said of that.

A row that stands in two lists counts once. A name that stands for two different patterns stands for both, in one list too:
OONI's list of pages has such names (`cp.fp_x_scientology`). A file that cannot be read must never take the others away.
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
    """Two rows of one name: a row that two lists have, or a name for two different patterns, in two lists or in one."""

    first: Fingerprint
    second: Fingerprint

    @property
    def is_same(self) -> bool:
        """Return whether both are one row, of which the later list's counts."""
        return self.first.key == self.second.key

    @property
    def is_of_one_list(self) -> bool:
        """Return whether one list itself has both."""
        return self.first.of == self.second.of


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
    """Return the rows whose name stands in an earlier one of `lists`, or further up in their own, in their order."""
    named: dict[str, list[Fingerprint]] = {}
    found: list[SharedRow] = []
    for row in (row for rows in lists for row in rows.rows):
        others = named.setdefault(row.name, [])
        same = next((one for one in others if one.key == row.key), None)
        other = same or (others[0] if others else None)
        if other is not None:
            found.append(SharedRow(first=other, second=row))
        others.append(row)
    return tuple(found)


def builtin_lists() -> tuple[FingerprintList, ...]:
    """Return the lists that come along."""
    return builtin().lists
