"""SQLite's write-ahead log read frame by frame, without SQLite: what it will take, and what stands behind a bad frame.

SQLite sums the log up from its head: at the first frame that does not fit, its log ends, and what was committed after
it is dropped without a word. But each frame bears the sum that it ends with, and the next goes on from there, so that
every frame can be checked by its neighbour alone. Frames of earlier uses of the file lie behind the present ones, and
are told apart by their salts. Format: sqlite.org/fileformat2.html, section 4. It must never write.
"""

import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_VERSION: Final = 3_007_000
_FLIPPED: Final = 3
"""Bits by which flips make two pairs differ at the most. Those that were drawn differ by so few once in 700,000: of salts one
half is a counter."""
_Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One page as a transaction left it: its image stands at `offset` of the log.

    `commit_pages` is the database's size where it ends a transaction, else 0; `is_sound` says that its sum fits: of any
    other frame nothing can be believed as it is.
    """

    page: int
    commit_pages: int
    offset: int
    is_sound: bool
    is_of_present: bool
    """It bears the salts of the log's present use."""

    @property
    def ends_commit(self) -> bool:
        """Return whether a transaction ends with it, as far as can be seen."""
        return self.commit_pages > 0 and self.is_of_present


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The frames of the log's present use, in order; `taken` is how many of them SQLite takes."""

    frames: tuple[Frame, ...] = ()
    taken: int = 0
    has_head: bool = True
    """The head fits its own sum; if not, SQLite takes nothing."""

    @property
    def dropped_commits(self) -> int:
        """How many transactions SQLite drops of which the end is there."""
        return sum(frame.ends_commit for frame in self.frames[self.taken :])

    @property
    def is_damaged(self) -> bool:
        """Return whether something durable would be dropped, by what the log itself shows.

        A power cut may leave the last transaction in any order, its end without its beginning; and what an earlier cut left
        of another stands behind it, with an end of its own. A transaction that the next frame goes on from was flushed: the
        sum of that frame began with its sum, and was written after the flush. A head is flushed before the first frame.
        """
        if not self.has_head:
            return self.dropped_commits > 0
        behind = self.frames[self.taken :]
        return any(one.ends_commit and after.is_sound for one, after in itertools.pairwise(behind))

    @property
    def has_remains(self) -> bool:
        """Return whether frames of the present use stand behind those that SQLite takes: it would go on over them."""
        return len(self.frames) > self.taken

    @property
    def is_whole(self) -> bool:
        """Return whether all of it fits."""
        return self.has_head and all(frame.is_sound for frame in self.frames)

    @property
    def pages(self) -> dict[int, Frame]:
        """The last sound form of each page, up to the last commit."""
        return {frame.page: frame for frame in self.frames[: self._ended] if frame.is_sound}

    @property
    def size_pages(self) -> int:
        """How many pages the database has as of the last commit; 0 where no sound frame says it."""
        ends = [frame.commit_pages for frame in self.frames if frame.is_sound and frame.ends_commit]
        return ends[-1] if ends else 0

    @property
    def _ended(self) -> int:
        return max((at + 1 for at, frame in enumerate(self.frames) if frame.ends_commit), default=0)


def wal_path(path: Path) -> Path:
    """Return where the log of the database at `path` lies."""
    return path.with_name(path.name + "-wal")


def read(path: Path, page_bytes: int) -> Log:
    """Return the log of the database at `path`, whose pages have `page_bytes`; an empty one where none can be read."""
    try:
        fd = os.open(wal_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return Log()
    try:
        head = os.pread(fd, HEADER_BYTES, 0)
        if len(head) < HEADER_BYTES:
            return Log()
        order = _MAGIC.get(int.from_bytes(head[:4], "big"))
        logs = [_read(fd, head, page_bytes, one) for one in ("<>" if order is None else order)]
        return max(logs, key=lambda log: sum(frame.is_sound for frame in log.frames))
    except OSError:
        return Log()
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A frame as it was found: `fits` its neighbour, and whether by the sum that SQLite itself comes to."""

    page: int
    commit_pages: int
    offset: int
    salts: _Pair
    fits: bool


def _read(fd: int, head: bytes, page_bytes: int, order: str) -> Log:
    magic, version, size, _, salt_1, salt_2, *stored = struct.unpack(">8I", head)
    own = checksum(head[:24], order, (0, 0))
    has_head = (own, magic in _MAGIC, version, size) == (tuple(stored), True, _VERSION, page_bytes)
    raw, unbroken = _chained(fd, page_bytes, order, {own, (stored[0], stored[1])})
    salts = (salt_1, salt_2)
    if not has_head:
        # Of the frames that fit the first ones are the present ones: a log is written from its head on.
        salts = next((one.salts for one in raw if one.fits), salts)
    frames: list[Frame] = []
    for one in raw:
        follows = bool(frames) and frames[-1].is_sound
        # Those of an earlier use follow on frames of theirs in which a part of the present use stands, and are not of it.
        is_of_present = one.salts == salts or (one.fits and follows and _is_misspelt(one.salts, salts))
        frames.append(
            Frame(
                page=one.page,
                commit_pages=one.commit_pages,
                offset=one.offset,
                is_sound=one.fits and is_of_present,
                is_of_present=is_of_present,
            )
        )
    while frames and not frames[-1].is_of_present:
        frames.pop()
    taken = 0
    for at in range(min(unbroken, len(frames)) if has_head else 0):
        if raw[at].salts != salts:
            break
        taken = at + 1 if frames[at].commit_pages else taken
    return Log(frames=tuple(frames), taken=taken, has_head=has_head)


def _chained(fd: int, page_bytes: int, order: str, head_sums: set[_Pair]) -> tuple[list[_Raw], int]:
    """Return every frame, and how many from the first on have the sum that follows from all before them."""
    raw: list[_Raw] = []
    unbroken = 0
    before = head_sums
    last_stored: _Pair = (0, 0)
    for offset, data in _frames(fd, page_bytes):
        page, commit_pages, salt_1, salt_2, *found = struct.unpack(">6I", data[:FRAME_HEADER_BYTES])
        stored = (found[0], found[1])
        sums = {base: _frame_sum(data, order, base) for base in before}
        base = next((base for base, one in sums.items() if one == stored), None)
        if base is not None and raw and not raw[-1].fits and _is_misspelt(last_stored, base):
            # What the frame before was summed up to is right, and what stands in it as its sum is not: it is sound.
            raw[-1] = replace(raw[-1], fits=True)
        fits = base is not None and page > 0
        if fits and len(before) == 1 and unbroken == len(raw):
            unbroken += 1
        raw.append(_Raw(page, commit_pages, offset + FRAME_HEADER_BYTES, (salt_1, salt_2), fits))
        # Two at most: where the frame before was bad already, what follows from it says nothing.
        before = {stored} if fits or len(before) > 1 else {stored, *sums.values()}
        last_stored = stored
    return raw, unbroken


def _is_misspelt(found: _Pair, meant: _Pair) -> bool:
    """Return whether `found` is `meant` with a few bits flipped: two that were drawn, or summed up, differ by more."""
    return 0 < sum((one ^ other).bit_count() for one, other in zip(found, meant, strict=True)) <= _FLIPPED


def _frames(fd: int, page_bytes: int) -> Iterator[tuple[int, bytes]]:
    offset = HEADER_BYTES
    while (
        len(data := os.pread(fd, FRAME_HEADER_BYTES + page_bytes, offset)) == FRAME_HEADER_BYTES + page_bytes
    ):
        yield offset, data
        offset += len(data)


def _frame_sum(data: bytes, order: str, base: _Pair) -> _Pair:
    return checksum(data[FRAME_HEADER_BYTES:], order, checksum(data[:8], order, base))


def checksum(data: bytes, order: str, sums: _Pair) -> _Pair:
    """Return SQLite's sum over `data`, gone on with from `sums`."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
