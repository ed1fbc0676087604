"""Power cuts one upon the other: what the first left of its last transaction is never taken for something durable.

A cut leaves any of the writes of the transaction under way, of which each frame is two: its header and its page. SQLite goes
on over them, so that behind what it writes then stands what is left of a transaction that never was, with an end of its own;
and a log that had just begun anew has headers of this use over pages of the one before.
"""

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from appliance.outbox.box import Outbox
from appliance.storage import file as database
from appliance.storage.recovery import pages
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Record, to_json
from tests.appliance.outbox import snapshots
from tests.appliance.outbox.snapshots import DEVICE, NAME, Told

WAL: Final = f"{NAME}-wal"
HEAD: Final = 32
FRAME_HEAD: Final = 24
FRAME: Final = FRAME_HEAD + 4096
LONG: Final = 200
"""Records of a transaction of many frames."""
TRIED: Final = 200
"""Choices of what a cut leaves, where there are more."""
NEVER: Final = 900_000
"""From this number on are records that the power cut took before they were told durable."""

Files: TypeAlias = dict[str, bytes]
Kept: TypeAlias = Sequence[bool]
"""Of the writes of the last transaction, which ones a cut left."""


def end_alone(writes: int) -> Kept:
    return [*[False] * (writes - 2), True, True]


def all_but_the_first(writes: int) -> Kept:
    return [False, False, *[True] * (writes - 2)]


def every_other(writes: int) -> Kept:
    """Keep the last frame, and every second one before it."""
    return [(writes - number - 1) // 2 % 2 == 0 for number in range(writes)]


def all_headers(writes: int) -> Kept:
    return [number % 2 == 0 for number in range(writes)]


def choices(writes: int) -> Iterator[Kept]:
    """Yield every choice but all of them, or `TRIED` that are drawn."""
    if 2**writes <= TRIED:
        yield from itertools.islice(itertools.product((False, True), repeat=writes), 2**writes - 1)
        return
    rng = random.Random(writes)
    for _ in range(TRIED):
        share = rng.random()
        yield [*(rng.random() < share for _ in range(writes - 1)), False]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Files as they were flushed, and the log with one transaction more, in `writes` (from, to) that are not flushed yet."""

    flushed: Files
    log: bytes
    writes: tuple[tuple[int, int], ...]

    def left(self, kept: Kept) -> Files:
        """Return what a cut leaves."""
        log = bytearray(self.flushed[WAL])
        for (start, end), stays in zip(self.writes, kept, strict=True):
            if stays:
                log.extend(bytes(max(0, start - len(log))))
                log[start:end] = self.log[start:end]
        return {**self.flushed, WAL: bytes(log)}


@dataclass(slots=True)
class Card:
    """A data directory; `told` is what was durable, known outside of it."""

    folder: Path
    layouts: int = 0
    told: dict[tuple[str, int], JsonValue] = field(default_factory=dict)

    def lay(self, files: Files) -> Path:
        """Lay these files out; return the database's path."""
        self.layouts += 1
        here = self.folder / str(self.layouts)
        here.mkdir()
        for name, content in files.items():
            (here / name).write_bytes(content)
        return here / NAME

    def commit(self, outbox: Outbox, count: int) -> None:
        """Store `count` records, which are told durable."""
        records = [snapshots.record(len(self.told) + number) for number in range(count)]
        for identity, one in zip(outbox.append(records), records, strict=True):
            assert (identity.epoch, identity.seq) not in self.told, "a number was given again"
            self.told[identity.epoch, identity.seq] = to_json(one)

    def check(self, files: Files) -> None:
        """Start from these files: nothing is found damaged, all that was told is there as it was, and nothing else is."""
        with Outbox.open(self.lay(files), device=DEVICE) as outbox:
            assert outbox.recovered is None, f"found damaged: {outbox.recovered}"
            told = Told(contents=self.told, acknowledged=frozenset())
            assert snapshots.lost(told, snapshots.look(outbox)) == 0


def files_beside(path: Path) -> Files:
    """Return what a kill leaves: the index of the log is made anew from the log, the reserve holds nothing."""
    every = [part for part in path.parent.iterdir() if not part.name.endswith(("-shm", ".reserve"))]
    return {part.name: part.read_bytes() for part in every}


def store_and_cut(path: Path, store: Callable[[], object]) -> Cut:
    """Store one transaction, which the power cuts off."""
    flushed = files_beside(path)
    store()
    log = path.with_name(WAL).read_bytes()
    assert path.read_bytes() == flushed[NAME], "the log was taken into the database meanwhile"
    # Where it began anew, its head was flushed before the first frame was written.
    before = log[:HEAD] + flushed[WAL][HEAD:]
    places = [at for at in range(HEAD, len(log), FRAME) if log[at : at + FRAME] != before[at : at + FRAME]]
    writes = [((at, at + FRAME_HEAD), (at + FRAME_HEAD, at + FRAME)) for at in places]
    return Cut(flushed={**flushed, WAL: before}, log=log, writes=tuple(itertools.chain.from_iterable(writes)))


def begin_log_anew(outbox: Outbox) -> None:
    outbox._handle.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def never_told(count: int) -> list[Record]:
    return [snapshots.record(NEVER + number) for number in range(count)]


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


@pytest.fixture(params=[False, True], ids=["in the log", "where the log began anew"])
def first(card: Card, request: pytest.FixtureRequest) -> Cut:
    """Cut in the midst of a long transaction, after others that are durable."""
    path = card.lay({})
    with Outbox.open(path, device=DEVICE) as outbox:
        for use in range(2):
            if use == 0 or request.param:
                begin_log_anew(outbox)
            for _ in range(5):
                card.commit(outbox, LONG // 5)
        if request.param:
            begin_log_anew(outbox)
        cut = store_and_cut(path, lambda: outbox.append(never_told(LONG)))
    assert (cut.writes[0][0] == HEAD) == request.param
    assert len(cut.writes) > 24, "too short: what comes after the cut would cover it"
    return cut


HOW: Final = pytest.mark.parametrize("how", [end_alone, all_but_the_first, every_other, all_headers])


def test_what_a_power_cut_leaves_is_no_damage(card: Card, first: Cut) -> None:
    for number, kept in enumerate(choices(len(first.writes))):
        files = first.left(kept)
        log = pages.log_of(card.lay(files))
        assert not log.is_damaged, f"kept {kept}: {log.dropped_commits} commits dropped"
        if number % 20 == 0:
            card.check(files)


@HOW
def test_what_two_power_cuts_leave_is_no_damage(card: Card, first: Cut, how: Callable[[int], Kept]) -> None:
    path = card.lay(first.left(how(len(first.writes))))
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is None
        card.commit(outbox, 1)
        second = store_and_cut(path, lambda: outbox.append(never_told(1)))
    assert len(second.writes) >= 4
    for number, kept in enumerate(choices(len(second.writes))):
        files = second.left(kept)
        log = pages.log_of(card.lay(files))
        assert not log.is_damaged, f"kept {kept}: {log.dropped_commits} commits dropped"
        if number % 20 == 0:
            card.check(files)


@HOW
def test_nor_is_it_where_the_log_could_not_be_begun_anew(
    card: Card, first: Cut, how: Callable[[int], Kept]
) -> None:
    """As on a disk that refused it: then what the first cut left stands behind what the second left."""
    path = card.lay(first.left(how(len(first.writes))))
    with contextlib.closing(database.connect(path)) as connection:

        def note(boot_id: str) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO boot (boot_id, last_boottime_ns, crc) VALUES (?, 0, 0)", (boot_id,)
            )
            connection.execute("INSERT INTO age_mark (ran_s, seq, crc) VALUES (?, 0, 0)", (len(boot_id),))
            connection.execute("COMMIT")

        note("durable")
        second = store_and_cut(path, lambda: note("cut off"))
    assert len(second.writes) >= 4
    for kept in choices(len(second.writes)):
        log = pages.log_of(card.lay(second.left(kept)))
        assert not log.is_damaged, f"kept {kept}: {log.dropped_commits} commits dropped"


@HOW
def test_what_a_power_cut_left_takes_the_place_of_no_record_in_a_salvage(
    card: Card, first: Cut, how: Callable[[int], Kept]
) -> None:
    """Records made after the cut bear the numbers that the cut took: a bit that flips then may not bring those back."""
    path = card.lay(first.left(how(len(first.writes))))
    with Outbox.open(path, device=DEVICE) as outbox:
        for _ in range(3):
            card.commit(outbox, 2)
        files = files_beside(path)
    damaged = bytearray(files[WAL])
    damaged[HEAD + FRAME_HEAD + 2000] ^= 1
    path = card.lay({**files, WAL: bytes(damaged)})
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        found = snapshots.look(outbox)
    assert snapshots.lost(Told(contents=card.told, acknowledged=frozenset()), found) == 0
