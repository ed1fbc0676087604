"""A disk that goes read-only under a device that stores, for real: in a virtual machine, on ext4, with its kernel.

    python -m tests.drills read-only --times 30

Every second time the disk begins to answer writes with an input/output error, as a card does at its end; where that
meets the journal, ext4 gives it up and is read-only (errors=remount-ro), and only another boot makes it writable.
The other times the kernel remounts everything read-only (sysrq `u`). Meanwhile the product must go on taking records and
say what is wrong; in half of the cases its memory holds so few that some are given up. Then the disk can be written
again, by a remount or after a power cut and a boot. The judge is here, outside of the machine: each record that was
told to be stored is at the collector after the next boot, no other is but those of a commit that the cut met, and the
gap records there count exactly those that memory gave up. The seed gives the same orders, not the same instants.
"""

import errno
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.drills import virtual_machine, virtual_machine_image
from tests.drills.virtual_machine_boot import empty_disk, virtio_disk
from tests.drills.virtual_machine_disk import Disk, Server
from tests.drills.virtual_machine_emulator import Emulator, Running

GUEST: Final = "tests.drills.read_only_guest"
TIMES_A_DISK: Final = 5
ROOMY: Final = 5_000
NARROW: Final = 60
WRITES: Final = 150
TICKS_REFUSED: Final = 25
_CUT_MEANWHILE: Final = 0.3
_READ_ONLY: Final = str(errno.EROFS)


@dataclass
class Found:
    """What a run of the drill has seen so far."""

    times: int = 0
    errors: int = 0
    read_only: int = 0
    in_place: int = 0
    booted: int = 0
    meanwhile: int = 0
    records: int = 0
    held: int = 0
    counted: int = 0
    not_numbered: int = 0


@dataclass
class Judge:
    """What the device told of its records, held against what the collector has after the next boot."""

    durable: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    """Added and not told to be stored: they may be stored by a commit that the cut met."""
    counted: int = 0
    maybe_counted: int = 0
    wrong: list[str] = field(default_factory=list)

    def added(self, numbers: set[int]) -> None:
        self.waiting |= numbers

    def stored(self, numbers: set[int], gone: int) -> None:
        """Take what was told of a commit: together with those counted as given up, it is all that was added."""
        if len(self.waiting) - len(numbers) != gone or not numbers <= self.waiting:
            self.wrong.append(f"{len(self.waiting)} added, {len(numbers)} stored, {gone} told to be given up")
        self.durable |= numbers
        self.waiting = set()
        self.counted += gone
        self.maybe_counted = 0

    def booted(self, there: set[int], gaps: int, unstored: int) -> int:
        """Compare with what is at the collector now; return how many never got a number."""
        if lost := self.durable - there:
            self.wrong.append(f"{len(lost)} told to be stored are gone, the first is {min(lost)}")
        if beyond := there - self.durable - self.waiting:
            self.wrong.append(f"{len(beyond)} that nobody held are there, the first is {min(beyond)}")
        if gaps != unstored:
            self.wrong.append(f"gap records count {gaps}, the outbox {unstored}")
        if gaps not in (self.counted, self.counted + self.maybe_counted):
            self.wrong.append(f"gap records count {gaps}, told were {self.counted}")
        never = len(self.waiting - there)
        self.durable, self.waiting, self.counted, self.maybe_counted = there, set(), gaps, 0
        return never


class Trial:
    """One time: the disk is taken away and given back while the device stores, then the power is cut."""

    def __init__(self, running: Running, disk: Disk, judge: Judge, found: Found, rng: random.Random) -> None:
        self._running = running
        self._disk = disk
        self._judge = judge
        self._found = found
        self._writes = rng.randint(1, WRITES)
        self._refused_ticks = rng.randint(1, TICKS_REFUSED)
        self._ticks_after = rng.randint(1, 6)
        self._there: set[int] = set()
        self._gaps = 0
        self._is_cut_meanwhile = rng.random() < _CUT_MEANWHILE
        self._is_refused = self._is_asked = self._is_read_only = self._is_over = False
        self.audited = False

    def last_long(self) -> None:
        """Have it last until a narrow memory gives up records, and end without a cut."""
        self._refused_ticks += NARROW // 5
        self._is_cut_meanwhile = False

    def wrote(self) -> None:
        """Count a write of the device's since it began to store, and refuse from the last one on."""
        if self.audited and not self._is_asked:
            self._writes -= 1
            if self._writes == 0:
                self._disk.refuses = True

    def take(self, line: str) -> None:
        """Take a line of the guest's."""
        what, _, rest = line.partition(" ")
        words = rest.split(" ")
        if what in ("wrong", "failed"):
            self._judge.wrong.append(rest)
            if what == "failed":
                self._running.cut()
        elif what in ("has", "gaps", "counts", "audited"):
            self._audit(what, rest)
        elif what == "added":
            self._judge.added(set(range(int(words[0]), int(words[1]) + 1)))
            self._ticked()
        elif what == "stored":
            self._stored(numbers(words[0]), int(words[1]))
        elif what == "held":
            self._held(int(words[0]), int(words[1]), words[2] == _READ_ONLY, " ".join(words[3:]))
        elif what == "emergency":
            self._is_refused = True
        elif what == "rw":
            self._is_over = True
        elif what == "stuck":
            self._found.booted += 1
            self._running.cut()

    def _audit(self, what: str, rest: str) -> None:
        if what == "has":
            self._there = numbers(rest)
        elif what == "gaps":
            self._gaps = int(rest)
        elif what == "counts":
            self._found.not_numbered += self._judge.booted(self._there, self._gaps, int(rest))
        self.audited = what == "audited"

    def _stored(self, those: set[int], gone: int) -> None:
        self._judge.stored(those, gone)
        self._found.records += len(those)
        self._found.counted += gone
        if self._is_over:
            self._found.in_place += self._ticks_after == 1
            self._ticks_after -= 1
            if self._ticks_after <= 0:
                self._disk.off()
                self._running.cut()

    def _held(self, held: int, gone: int, is_read_only: bool, fault: str) -> None:
        self._found.held = max(self._found.held, held)
        self._judge.maybe_counted = gone
        if not fault:
            self._judge.wrong.append("records are held, and it is not said why")
        self._is_refused = True
        if is_read_only and not self._is_read_only:
            self._found.read_only += 1
            self._is_read_only = True

    def _ticked(self) -> None:
        """Count a tick since the disk was taken away; after the last one, give it back or cut the power."""
        self._refused_ticks -= self._is_refused
        if self._refused_ticks > 0 or self._is_asked:
            return
        self._is_asked = True
        if self._is_cut_meanwhile:
            self._found.meanwhile += 1
            self._running.cut()
        else:
            self._disk.refuses = False
            self._running.say("writable")


def drill(*, times: int, seed: int) -> bool:
    """Take the disk away `times` times, and print what was found."""
    virtual_machine.need()
    rng = random.Random(seed)
    found, wrong = Found(), 0
    kernel = virtual_machine_image.kernel()
    image, words = virtual_machine_image.image(kernel, GUEST)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = empty_disk(folder / "empty")
        sockets = [folder / "disk-0", folder / "disk-1"]
        devices = [word for number in range(2) for word in virtio_disk(f"disk{number}", sockets[number])]
        disks = [Disk(empty) for _ in sockets]
        current: list[Trial] = []
        servers = [
            Server(disks[0], sockets[0], written=lambda: current[-1].wrote() if current else None),
            Server(disks[1], sockets[1], written=lambda: None),
        ]
        try:
            emulator = Emulator(folder, kernel=kernel, image=image, words=words, devices=devices)
            emulator.save()
            while found.times < times:
                for disk in disks:
                    disk.fill(empty)
                judge = Judge()
                series = min(TIMES_A_DISK, times - found.times)
                for number in range(series + 1):
                    trial(emulator, disks, current, judge, found, rng, last=number == series)
                    if judge.wrong:
                        break
                for line in judge.wrong:
                    print(f"  time {found.times}: {line}", flush=True)
                wrong += len(judge.wrong)
                print(f"  {found.times} times, {found.records:,} records", flush=True)
        finally:
            for server in servers:
                server.close()
    print(
        f"{found.times} times ({found.errors} by input/output errors, the rest by the kernel's emergency remount), "
        f"{found.read_only} of them seen as read-only by the kernel: {'NOT exact' if wrong else 'exact'}"
    )
    print(
        f"  {found.records:,} records told to be stored, up to {found.held:,} held in memory, {found.counted:,} given up "
        f"from there and counted by gap records; {found.not_numbered:,} went with the power, none of them numbered"
    )
    print(
        f"  storing went on in place in {found.in_place}, after another boot in {found.booted}, "
        f"the power went meanwhile in {found.meanwhile}"
    )
    return not wrong and (times < 4 or (found.in_place > 0 and found.counted > 0))


def trial(  # noqa: PLR0917
    emulator: Emulator,
    disks: list[Disk],
    current: list[Trial],
    judge: Judge,
    found: Found,
    rng: random.Random,
    *,
    last: bool,
) -> None:
    """Audit what the time before left and, unless it was the last, take the disk away once more and cut the power."""
    by_error, bound = found.times % 2 == 0, NARROW if found.times // 2 % 2 == 0 else ROOMY
    tick = 0 if by_error or last else rng.randint(1, 30)
    disks[0].refuses = False
    with emulator.go_on(f"go {rng.randbytes(32).hex()} {rng.randrange(2**32)} {bound} {tick}") as running:
        one = Trial(running, disks[0], judge, found, rng)
        if not by_error and bound == NARROW:
            one.last_long()  # to its end: that is where a gap record has to count
        if by_error and not last:
            current[:] = [one]
        else:
            current.clear()
        for line in running.lines():
            one.take(line)
            if one.audited and last:
                running.cut()
    for disk in disks:
        disk.off()
        disk.cut(rng)
    if not one.audited:
        judge.wrong.append("it ended, or was ended for taking too long, before the audit was done")
    found.times += not last
    found.errors += by_error and not last


def numbers(text: str) -> set[int]:
    """Return what a guest's `1-3,7-9` says; nothing for "-"."""
    found: set[int] = set()
    for run in () if text == "-" else text.split(","):
        first, last = run.split("-")
        found.update(range(int(first), int(last) + 1))
    return found
