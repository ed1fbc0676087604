"""Damaged databases that were quarantined: kept for whoever wants to look at them, for as long as nobody needs the space.

What could be read of one is in the database that took its place, and what could not is told of there. So they are
what goes first on a full disk. This file must never touch the database in use.
"""

import contextlib
import datetime as dt
from pathlib import Path
from typing import Final

KEPT: Final = 2
"""Each may be as large as the outbox: a card at its end damages many."""
SUFFIXES: Final = ("", "-wal", "-shm")
"""A database, its log, and the log's index."""


def free_name(path: Path, *, utc_ns: int) -> Path:
    """Return a name beside the database at `path` under which nothing lies."""
    moment = dt.datetime.fromtimestamp(utc_ns / 1e9, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    name = path.with_name(f"{path.stem}.damaged-{moment}{path.suffix}")
    count = 1
    while any(name.with_name(name.name + suffix).exists() for suffix in SUFFIXES):
        count += 1
        name = path.with_name(f"{path.stem}.damaged-{moment}-{count}{path.suffix}")
    return name


def forget(path: Path, *, keep: int) -> int:
    """Delete all but the `keep` last written of those beside the database at `path`; return how many went."""
    gone = 0
    with contextlib.suppress(OSError):
        # Also a log that is alone: a power cut in the middle of quarantining parts it from its database.
        parts = path.parent.glob(f"{path.stem}.damaged-*{path.suffix}*")
        found = sorted({_whole(part) for part in parts}, key=_written)
        for name in found[: len(found) - keep]:
            for suffix in SUFFIXES:
                name.with_name(name.name + suffix).unlink(missing_ok=True)
            gone += 1
    return gone


def _whole(part: Path) -> Path:
    """Return the name of the database that `part` is, or is the log or the index of."""
    return part.with_name(part.name.removesuffix("-wal").removesuffix("-shm"))


def _written(name: Path) -> tuple[int, str]:
    parts = [name.with_name(name.name + suffix) for suffix in SUFFIXES]
    return max(part.stat().st_mtime_ns for part in parts if part.exists()), name.name
