"""What the siege does to the files of an outbox: bits, cuts, zeroes, absences, in the database, its log and its sidecars.

Each function does one thing to a data directory and returns in words what it did. They know SQLite's file formats, and no
code of the product. The log is left as a kill left it: nothing here opens the database itself for SQLite to tidy.
"""

import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

DATABASE: Final = "outbox.sqlite3"
LOG: Final = "outbox.sqlite3-wal"
INDEX: Final = "outbox.sqlite3-shm"
_NO_SIDECARS: Final = ("lock", DATABASE, LOG, INDEX, "outbox.sqlite3.reserve")
SIDECAR_BYTES: Final = 64 * 1024
"""A file beside the database that is no larger is a sidecar."""
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24

Harm: TypeAlias = "Callable[[random.Random, Path], Done]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done, in words; `put_in` says whether it was what was to be done."""

    words: str
    put_in: bool = True


# Where things are.


def sidecars(data: Path) -> list[Path]:
    """Return the small files beside the database."""
    return sorted(
        one
        for one in data.iterdir()
        if one.is_file()
        and one.name not in _NO_SIDECARS
        and not one.name.startswith("outbox.damaged")
        and one.stat().st_size <= SIDECAR_BYTES
        and not one.is_symlink()
    )


def live_frames(log: Path) -> tuple[int, list[tuple[int, int]]]:
    """Return the page size, and (offset, page number) of each frame of the log that is of its present turn."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) < _LOG_HEADER:
        return 4096, []
    size = struct.unpack(">I", data[8:12])[0]
    if not 512 <= size <= 65536:
        return 4096, []
    frames = []
    at = _LOG_HEADER
    while at + _FRAME_HEADER + size <= len(data) and data[at + 8 : at + 16] == data[16:24]:
        frames.append((at, struct.unpack(">I", data[at : at + 4])[0]))
        at += _FRAME_HEADER + size
    return size, frames


@contextmanager
def copy_of(data: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of database and log; the files themselves are left as they are."""
    with tempfile.TemporaryDirectory() as name:
        for part in (DATABASE, LOG):
            if (data / part).exists():
                shutil.copy(data / part, Path(name, part))
        connection = sqlite3.connect(Path(name, DATABASE))
        try:
            yield connection
        finally:
            connection.close()


def _roots(data: Path) -> list[tuple[str, int]]:
    with suppress(sqlite3.Error), copy_of(data) as connection:
        rows = connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall()
        return [("sqlite_master", 1), *rows]
    return [("sqlite_master", 1)]


def _used_byte(rng: random.Random, page: bytes, *, first: bool) -> int:
    """Return an offset in a b-tree page that means something: in its header, its pointers or its cells."""
    head = 100 if first else 0
    cells, content = struct.unpack(">HH", page[head + 3 : head + 7])
    content = content or 65536
    pointers = range(head, min(len(page), head + 12 + 2 * cells))
    used = range(min(content, len(page) - 1), len(page))
    return rng.choice(pointers) if rng.random() < 0.2 else rng.choice(used)


# Bits.


def _flip(path: Path, offsets: list[int], rng: random.Random) -> str:
    """Flip a bit in each of these bytes, in place, whoever has the file open."""
    done = []
    with path.open("r+b", buffering=0) as file:
        for at in offsets:
            bit = rng.randrange(8)
            (before,) = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([before ^ (1 << bit)]), at)
            done.append(f"{at}.{bit}")
    return f"{path.name}: bit {', '.join(done[:6])}{' …' if len(done) > 6 else ''} of {path.stat().st_size} bytes"


def _log_byte(rng: random.Random, data: Path) -> int:
    """Return an offset in the log: mostly in a frame that counts, else anywhere."""
    path = data / LOG
    size, frames = live_frames(path)
    kind = rng.random()
    if frames and kind < 0.8:
        at, number = rng.choice(frames)
        if kind < 0.25:
            return at + rng.randrange(_FRAME_HEADER)
        if kind < 0.5:
            page = path.read_bytes()[at + _FRAME_HEADER : at + _FRAME_HEADER + size]
            return at + _FRAME_HEADER + _used_byte(rng, page, first=number == 1)
        return at + _FRAME_HEADER + rng.randrange(size)
    return rng.randrange(max(1, path.stat().st_size))


def _database_byte(rng: random.Random, data: Path) -> int:
    """Return an offset in the database: often in some table's root, so that small tables have their share, else anywhere."""
    path = data / DATABASE
    length = path.stat().st_size
    kind = rng.random()
    if kind < 0.1:
        return rng.randrange(100)
    if kind < 0.6:
        _, root = rng.choice(_roots(data))
        content = path.read_bytes()
        size = 4096
        at = (root - 1) * size
        if at + size <= length:
            return at + _used_byte(rng, content[at : at + size], first=root == 1)
    return rng.randrange(max(1, length))


def _has(data: Path, name: str) -> bool:
    path = data / name
    return path.exists() and path.stat().st_size > 0


def _instead(done: Done) -> Done:
    return Done(words=f"there is no log, so {done.words}", put_in=False)


def flip_log(rng: random.Random, data: Path) -> Done:
    """Flip one bit of the log."""
    if not _has(data, LOG):
        return _instead(flip_database(rng, data))
    return Done(words=_flip(data / LOG, [_log_byte(rng, data)], rng))


def flip_log_bits(rng: random.Random, data: Path) -> Done:
    """Flip several bits of the log."""
    if not _has(data, LOG):
        return _instead(flip_database_bits(rng, data))
    count = rng.randint(2, 20)
    return Done(words=_flip(data / LOG, [_log_byte(rng, data) for _ in range(count)], rng))


def flip_database(rng: random.Random, data: Path) -> Done:
    """Flip one bit of the database."""
    if not _has(data, DATABASE):
        return Done(words="there is no database", put_in=False)
    return Done(words=_flip(data / DATABASE, [_database_byte(rng, data)], rng))


def flip_database_bits(rng: random.Random, data: Path) -> Done:
    """Flip several bits of the database."""
    if not _has(data, DATABASE):
        return Done(words="there is no database", put_in=False)
    count = rng.randint(2, 20)
    offsets = [_database_byte(rng, data) for _ in range(count)]
    return Done(words=_flip(data / DATABASE, offsets, rng))


def round_text(rng: random.Random, data: Path) -> Done:
    """Make the text of one of the last rounds invalid UTF-8 by one bit, in a commit of its own that is left in the log."""
    rows = []
    with suppress(sqlite3.Error), copy_of(data) as connection:
        rows = connection.execute("SELECT seq, body FROM round ORDER BY seq DESC LIMIT 60").fetchall()
    if not rows:
        return Done(words="no round is kept yet, or none can be read", put_in=False)
    key, body = rng.choice(rows)
    changed = bytearray(body.encode())
    at = rng.randrange(len(changed))
    while changed[at] >= 0x80:
        at = rng.randrange(len(changed))
    changed[at] |= 0x80
    # As a kill leaves it: the connection is never closed, so the log stays.
    program = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "connection.execute('UPDATE round SET body = CAST(? AS TEXT) WHERE seq = ?',"
        " (bytes.fromhex(sys.argv[3]), int(sys.argv[2])))\n"
        "os._exit(0)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(data / DATABASE), str(key), changed.hex()], check=True, timeout=60
    )
    return Done(words=f"round at key {key}: the top bit of byte {at} of {len(changed)} set")


# Whole files and parts of them.


def _cut(rng: random.Random, data: Path, name: str) -> Done:
    path = data / name
    if not _has(data, name):
        return Done(words=f"{name} is empty or not there", put_in=False)
    before = path.stat().st_size
    whole = before
    if name == LOG and rng.random() < 0.7:
        size, frames = live_frames(path)
        whole = _LOG_HEADER + len(frames) * (_FRAME_HEADER + size)
    length = rng.randrange(max(1, whole))
    os.truncate(path, length)
    return Done(words=f"{name} cut from {before} to {length} bytes")


def _zero(rng: random.Random, data: Path, name: str, *, part: bool) -> Done:
    path = data / name
    if not _has(data, name):
        return Done(words=f"{name} is empty or not there", put_in=False)
    length = path.stat().st_size
    first, last = 0, length
    if part:
        first = rng.randrange(length)
        if rng.random() < 0.5:
            first -= first % 4096
        last = min(length, first + rng.choice([512, 4096, 16_384, 65_536]))
    with path.open("r+b", buffering=0) as file:
        os.pwrite(file.fileno(), bytes(last - first), first)
    return Done(words=f"{name}: bytes {first} to {last} of {length} zeroed")


def _empty(data: Path, name: str) -> Done:
    path = data / name
    before = path.stat().st_size if path.exists() else 0
    path.write_bytes(b"")
    return Done(words=f"{name} emptied ({before} bytes)", put_in=bool(before))


def _delete(data: Path, *names: str) -> Done:
    gone = [name for name in names if (data / name).exists()]
    for name in gone:
        (data / name).unlink()
    return Done(words=f"deleted: {', '.join(gone) or 'nothing, none was there'}", put_in=bool(gone))


def cut_log(rng: random.Random, data: Path) -> Done:
    """Cut the log at a random length."""
    return _cut(rng, data, LOG)


def cut_database(rng: random.Random, data: Path) -> Done:
    """Cut the database at a random length."""
    return _cut(rng, data, DATABASE)


def zero_log(rng: random.Random, data: Path) -> Done:
    """Write zeroes over all of the log."""
    return _zero(rng, data, LOG, part=False)


def zero_database(rng: random.Random, data: Path) -> Done:
    """Write zeroes over all of the database."""
    return _zero(rng, data, DATABASE, part=False)


def zero_log_part(rng: random.Random, data: Path) -> Done:
    """Write zeroes over a part of the log."""
    return _zero(rng, data, LOG, part=True)


def zero_database_part(rng: random.Random, data: Path) -> Done:
    """Write zeroes over a part of the database."""
    return _zero(rng, data, DATABASE, part=True)


def empty_log(rng: random.Random, data: Path) -> Done:
    """Leave nothing in the log."""
    return _empty(data, LOG)


def empty_database(rng: random.Random, data: Path) -> Done:
    """Leave nothing in the database."""
    return _empty(data, DATABASE)


def delete_log(rng: random.Random, data: Path) -> Done:
    """Delete the log."""
    return _delete(data, LOG)


def delete_database(rng: random.Random, data: Path) -> Done:
    """Delete the database; its log stays."""
    return _delete(data, DATABASE)


def delete_outbox(rng: random.Random, data: Path) -> Done:
    """Delete database, log and index; the sidecars stay."""
    return _delete(data, DATABASE, LOG, INDEX)


# Sidecars.


def _some(rng: random.Random, found: list[Path]) -> list[Path]:
    return found if rng.random() < 0.4 else [rng.choice(found)]


def flip_sidecar(rng: random.Random, data: Path) -> Done:
    """Flip one bit of one sidecar."""
    found = [one for one in sidecars(data) if one.stat().st_size]
    if not found:
        return Done(words="there is no sidecar", put_in=False)
    path = rng.choice(found)
    return Done(words=_flip(path, [rng.randrange(path.stat().st_size)], rng))


def zero_sidecar(rng: random.Random, data: Path) -> Done:
    """Write zeroes over one sidecar, or over all of them."""
    if not (found := sidecars(data)):
        return Done(words="there is no sidecar", put_in=False)
    chosen = _some(rng, found)
    for path in chosen:
        path.write_bytes(bytes(path.stat().st_size))
    return Done(words=f"zeroed: {', '.join(path.name for path in chosen)}")


def delete_sidecar(rng: random.Random, data: Path) -> Done:
    """Delete one sidecar, or all of them."""
    if not (found := sidecars(data)):
        return Done(words="there is no sidecar", put_in=False)
    chosen = _some(rng, found)
    for path in chosen:
        path.unlink()
    return Done(words=f"deleted: {', '.join(path.name for path in chosen)}")


STOPPED: Final[dict[str, Harm]] = {
    "flip-log": flip_log,
    "flip-log-bits": flip_log_bits,
    "flip-database": flip_database,
    "flip-database-bits": flip_database_bits,
    "round-text": round_text,
    "cut-log": cut_log,
    "cut-database": cut_database,
    "zero-log": zero_log,
    "zero-database": zero_database,
    "zero-log-part": zero_log_part,
    "zero-database-part": zero_database_part,
    "empty-log": empty_log,
    "empty-database": empty_database,
    "delete-log": delete_log,
    "delete-database": delete_database,
    "delete-outbox": delete_outbox,
    "flip-sidecar": flip_sidecar,
    "zero-sidecar": zero_sidecar,
    "delete-sidecar": delete_sidecar,
}
"""Done to a device that a kill has stopped."""

RUNNING: Final[dict[str, Harm]] = {
    "flip-log-running": flip_log,
    "flip-log-bits-running": flip_log_bits,
    "flip-database-running": flip_database,
    "flip-database-bits-running": flip_database_bits,
    "zero-log-part-running": zero_log_part,
    "zero-database-part-running": zero_database_part,
    "flip-sidecar-running": flip_sidecar,
    "zero-sidecar-running": zero_sidecar,
    "delete-sidecar-running": delete_sidecar,
}
"""Done under the feet of one that runs."""
