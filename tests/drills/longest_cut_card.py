"""The SD card of the longest cut: an ext4 of its size on a loop device, the power cut under whoever writes to it.

8 GB as they are sold leave 7.4 GB for a file system, of which Raspberry Pi OS Lite takes 2.6 GB: a file of that size stands
for it. A cut is imitated as in `power_cut`: strace tells every call of the writer's last commits; what was synced by a random
one of them stays, and of what came later each write is kept, lost or torn by itself. Before, the files are copied, so that what is
lost can be put back as it was. Without root and loop devices the card is a folder, and its size not imitated: it says so.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.drills.power_cut import CALLS, Disk, File, apply, read_calls, survivors

CARD_BYTES: Final = 7_400_000_000
SYSTEM_BYTES: Final = 2_600_000_000
_WAIT_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Card:
    """The card, mounted at `folder`; `device` is its block device, "" where it is only a folder."""

    folder: Path
    image: Path
    device: str = ""

    def written_bytes(self) -> int:
        """Return what was written to the card since it was mounted: its files, their names and ext4's own journal."""
        if not self.device:
            return 0
        os.sync()
        return 512 * int(Path(f"/sys/block/{Path(self.device).name}/stat").read_text().split()[6])

    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def cool(self) -> None:
        """Forget what memory holds of the card, as after a start."""
        os.sync()
        if self.device:
            self._unmount()
            self._forget(self.image)
            self._mount()
        for path in self.folder.iterdir():
            if path.is_file():
                self._forget(path)

    @staticmethod
    def _forget(path: Path) -> None:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _mount(self) -> None:
        found = subprocess.run(
            ["losetup", "--find", "--show", str(self.image)], check=True, capture_output=True, text=True
        )
        self.device = found.stdout.strip()
        try:
            subprocess.run(["mount", "-o", "noatime", self.device, str(self.folder)], check=True)
        except subprocess.CalledProcessError:
            subprocess.run(["losetup", "--detach", self.device], check=False)
            raise

    def _unmount(self, *how: str) -> None:
        subprocess.run(["umount", *how, str(self.folder)], check=True)
        subprocess.run(["losetup", "--detach", self.device], check=True)


@contextmanager
def card(where: Path) -> Iterator[Card]:
    """Lend a card, made in `where`."""
    folder, image = where / "card", where / "card.img"
    folder.mkdir()
    made = Card(folder=folder, image=image)
    try:
        with image.open("wb") as file:
            file.truncate(CARD_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        made._mount()
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"  no loop device for it, so the card is a folder, of no size of its own ({error})", flush=True
        )
        made.device = ""
        yield made
        return
    try:
        with (folder / "system").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, SYSTEM_BYTES)
        yield made
    finally:
        made._unmount("--lazy")  # the sidecar of an outbox that was open in this process still is


@dataclass
class _Over(File):
    """A file as it stood when the tracing began, and every write since."""

    base: Path | None = None
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        self.writes += self.pending
        self.pending.clear()


class _Since(Disk):
    """The folder's files from the copies in `base` on, with what `pid` has open."""

    def __init__(self, folder: Path, base: Path, pid: int, told: int) -> None:
        super().__init__(str(folder))
        self.told = told
        for path in base.iterdir():
            self.names[path.name] = _Over(base=path)
        self.durable_names = dict(self.names)
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = entry.readlink()
            if target.parent == folder and target.name in self.names:
                self.fds[int(entry.name)] = self.names[target.name]
                self.places[int(entry.name)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a cut left: `told` records were durable; of `pending` writes `lost` were lost or torn."""

    told: int
    pending: int
    lost: int


class Tracer:
    """strace on a running writer, whose files in `folder` were copied to `base` when nothing was under way."""

    def __init__(self, folder: Path, base: Path, pid: int, told: int) -> None:
        self._folder, self._base, self._pid = folder, base, pid
        os.sync()
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        for path in folder.iterdir():
            if path.is_file() and not path.name.endswith("-shm"):
                subprocess.run(["cp", "--sparse=always", str(path), str(base / path.name)], check=True)
        self._since = _Since(folder, base, pid, told)
        self._log = base.with_suffix(".strace")
        words = ["strace", "-f", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(self._log)]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the cut
        self._strace = subprocess.Popen([*words, "-p", str(pid)], stderr=self._said)
        end_s = time.monotonic() + _WAIT_S
        while b"attached" not in os.pread(self._said.fileno(), 1000, 0):
            if time.monotonic() > end_s or self._strace.poll() is not None:
                raise RuntimeError(f"strace: {os.pread(self._said.fileno(), 1000, 0).decode()}")
            time.sleep(0.02)

    def cut(self, rng: random.Random) -> Cut:
        """Kill the writer; leave the folder as a power cut at a random call since would have."""
        os.kill(self._pid, signal.SIGKILL)
        self._strace.wait(_WAIT_S)
        self._said.close()
        calls, disk = read_calls(self._log), self._since
        self._log.unlink()
        for call in calls[: rng.randint(0, len(calls))]:
            disk.call(*call)
        pending = lost = 0
        names = dict(disk.durable_names)
        for name, one in disk.name_changes[: rng.randint(0, len(disk.name_changes))]:
            if one is None:
                names.pop(name, None)
            else:
                names[name] = one
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in names:
                path.unlink()
        for name, file in names.items():
            kept = list(survivors(file.pending, rng))
            pending, lost = pending + len(file.pending), lost + len(file.pending) - len(kept)
            _make(self._folder / name, file, kept)
        os.sync()
        return Cut(told=disk.told, pending=pending, lost=lost)


def _make(path: Path, file: File, kept: list[tuple[int, bytes | None]]) -> None:
    """Make the file anew from its copy, with what was synced since and what survived of the rest."""
    base = getattr(file, "base", None)
    if base is None:
        content = bytearray(file.durable)
        for one in kept:
            apply(content, *one)
        path.write_bytes(content)
        return
    subprocess.run(["cp", "--sparse=always", str(base), str(path)], check=True)
    with path.open("r+b") as out:
        for offset, data in [*getattr(file, "writes", []), *kept]:
            if data is None:
                out.truncate(offset)
            else:
                out.seek(offset)
                out.write(data)
