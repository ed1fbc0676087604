"""Power cuts on both databases, imitated: what was written since the last sync is lost, torn and reordered at random.

A writer (`outbox_writer`) works under strace, which tells every write, sync, truncation, rename and removal. A cut
is a place in that list: what was synced by then is kept; of what came later to a file, each write is kept, lost or
torn at a sector's edge, independently of the others; names appear and vanish in order, up to a random one. From that
the files are made anew and opened as after a real cut. Device and collector are cut together or one of them alone.
The control is a file that the writer wrote as often and never synced: cuts that leave it behind show that the
imitation does lose what is not synced. What it cannot show: a card that lies about a flush.
"""

import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.drills.audit import audit
from tests.drills.outbox_writer import DEVICE

TICKS: Final = 60
CUTS_A_TRACE: Final = 20
SECTOR: Final = 512
CALLS: Final = "openat,close,write,pwrite64,fdatasync,fsync,ftruncate,fallocate,unlink,unlinkat,rename"
_LINE: Final = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class File:
    """A file: what is on the disk, what only the kernel has, and whether its name is durable yet."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes as (offset, data); a truncation as (size, None)."""

    def sync(self) -> None:
        for one in self.pending:
            apply(self.durable, *one)
        self.pending.clear()

    def after_cut(self, rng: random.Random) -> bytes:
        content = bytearray(self.durable)
        for one in survivors(self.pending, rng):
            apply(content, *one)
        return bytes(content)

    def now(self) -> bytes:
        content = bytearray(self.durable)
        for one in self.pending:
            apply(content, *one)
        return bytes(content)


def survivors(
    pending: list[tuple[int, bytes | None]], rng: random.Random
) -> Iterator[tuple[int, bytes | None]]:
    """Yield what a cut leaves of the writes that were not synced: each is kept, lost or torn, by itself."""
    for offset, data in pending:
        fate = rng.random()
        if fate < 0.4:
            continue
        torn = data is not None and fate < 0.6
        sectors = rng.randint(0, max(1, len(data or b"") // SECTOR))
        yield offset, data[: SECTOR * sectors] if torn and data is not None else data


def apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        if len(content) > offset:
            del content[offset:]
        else:
            content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


@dataclass
class Disk:
    """The folder as it is rebuilt, call by call."""

    folder: str
    names: dict[str, File] = field(default_factory=dict)
    durable_names: dict[str, File] = field(default_factory=dict)
    name_changes: list[tuple[str, File | None]] = field(default_factory=list)
    fds: dict[int, File] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    folders: set[int] = field(default_factory=set)
    told: int = 0

    def call(self, name: str, arguments: str, result: int) -> None:
        if result < 0:
            return
        strings = [decoded(found) for found in _STRING.findall(arguments)]
        first = int(found[0]) if (found := re.match(r"(\d+)", arguments)) else -1
        match name:
            case "openat":
                self._open(strings[0].decode(), arguments, result)
            case "close":
                self.fds.pop(first, None)
                self.folders.discard(first)
            case "write" if first == 1:
                if (made := re.search(rb"made (\d+)", strings[0])) is not None:
                    self.told = int(made[1])
            case "write" if first in self.fds:
                self.fds[first].pending.append((self.places[first], strings[0]))
                self.places[first] += len(strings[0])
            case "pwrite64" if first in self.fds:
                self.fds[first].pending.append((int(arguments.rsplit(",", 1)[1]), strings[0]))
            case "ftruncate" if first in self.fds:
                self.fds[first].pending.append((int(arguments.rsplit(",", 1)[1]), None))
            case "fsync" | "fdatasync":
                self._sync(first)
            case "unlink" | "unlinkat":
                self._rename(strings[0].decode(), None)
            case "rename":
                self._rename(strings[0].decode(), strings[1].decode())

    def _sync(self, fd: int) -> None:
        if fd in self.fds:
            self.fds[fd].sync()
            self._keep_names(self.fds[fd])
        elif fd in self.folders:
            self._keep_names(None)

    def _open(self, path: str, arguments: str, fd: int) -> None:
        self.fds.pop(fd, None)
        self.folders.discard(fd)
        if path == self.folder:
            self.folders.add(fd)
        if not path.startswith(self.folder + "/") or path.endswith("-shm"):
            return
        name = path[len(self.folder) + 1 :]
        file = self.names.get(name)
        if file is None:
            file = self.names[name] = File()
            self.name_changes.append((name, file))
        if "O_TRUNC" in arguments:
            file.pending.append((0, None))
        self.fds[fd] = file
        self.places[fd] = 0

    def _rename(self, path: str, to: str | None) -> None:
        name = path[len(self.folder) + 1 :]
        file = self.names.pop(name, None)
        if file is None or not path.startswith(self.folder + "/"):
            return
        self.name_changes.append((name, None))
        if to is not None:
            self.names[to[len(self.folder) + 1 :]] = file
            self.name_changes.append((to[len(self.folder) + 1 :], file))

    def _keep_names(self, file: File | None) -> None:
        """Make names durable: all of them when the folder was synced, as a journal does with the file's own too."""
        last = len(self.name_changes)
        if file is not None:
            last = max((i + 1 for i, (_, one) in enumerate(self.name_changes) if one is file), default=0)
        for name, one in self.name_changes[:last]:
            change(self.durable_names, name, one)
        del self.name_changes[:last]

    def cut(self, rng: random.Random, into: Path, *, torn: frozenset[str]) -> None:
        """Write the files as a cut leaves them; those whose name does not begin with one of `torn` are whole."""
        names = dict(self.durable_names)
        for name, one in self.name_changes[: rng.randint(0, len(self.name_changes))]:
            change(names, name, one)
        for name, file in names.items():
            if name.startswith(tuple(torn)):
                (into / name).write_bytes(file.after_cut(rng))
        for name, file in self.names.items():
            if not name.startswith(tuple(torn)):
                (into / name).write_bytes(file.now())


def change(names: dict[str, File], name: str, file: File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def trace(folder: Path, seed: int, ticks: int) -> list[tuple[str, str, int]]:
    """Let the writer work in `folder` and return its calls."""
    log = folder.with_suffix(".strace")
    command = [sys.executable, "-m", "tests.drills.outbox_writer", str(folder), str(seed), "none", str(ticks)]
    subprocess.run(
        ["strace", "-f", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(log), *command],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
    calls = read_calls(log)
    log.unlink()
    return calls


def read_calls(log: Path) -> list[tuple[str, str, int]]:
    """Return the calls that strace wrote down: name, arguments, result."""
    with log.open(errors="replace") as lines:
        found = [_LINE.match(line) for line in lines]
    return [(one[1], one[2], int(one[3])) for one in found if one is not None]


def drill(*, times: int, seed: int, ticks: int = TICKS) -> bool:
    """Cut the power `times` times and print what was found."""
    if shutil.which("strace") is None:
        raise SystemExit("strace is missing: apt-get install strace")
    rng = random.Random(seed)
    done, control_lost, records, kinds, ok = 0, 0, 0, {"both": 0, "device": 0, "collector": 0}, True
    torn = {
        "both": frozenset({"outbox", "collector", "control"}),
        "device": frozenset({"outbox", "control"}),
        "collector": frozenset({"collector", "control"}),
    }
    while done < times:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "disk"
            folder.mkdir()
            calls = trace(folder, rng.randrange(2**32), ticks)
            starts = next(
                (
                    i
                    for i, call in enumerate(calls)
                    if call[0] == "write" and "\\x6d\\x61\\x64\\x65" in call[1]
                ),
                0,
            )
            cuts = sorted(rng.randint(starts, len(calls)) for _ in range(min(CUTS_A_TRACE, times - done)))
            disk = Disk(str(folder))
            at = 0
            for number, cut in enumerate(cuts):
                for call in calls[at:cut]:
                    disk.call(*call)
                at = cut
                kind = rng.choice(list(torn))
                kinds[kind] += 1
                after = Path(name) / f"after-{number}"
                after.mkdir()
                disk.cut(rng, after, torn=torn[kind])
                control = after / "control"
                written = control.read_bytes().strip(b" \0") if control.exists() else b""
                control_lost += written != str(disk.told).encode()
                for line in audit(after, device=DEVICE, durable=disk.told):
                    print(f"  cut at call {cut} of {len(calls)} ({kind}): {line}")
                    ok = False
                records += disk.told
                shutil.rmtree(after)
            done += len(cuts)
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    print(f"{done} cuts ({shown}), {records:,} records durable before them: {'exact' if ok else 'NOT exact'}")
    print(f"  the control, never synced, had lost what it was told in {control_lost} of {done}")
    return ok and control_lost > 0
