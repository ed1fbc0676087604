"""A virtual machine with two disks, begun and killed again and again: the hands of the power-cut drill.

What its guest then mounts and audits is what the cut left: in the state that it goes on from
(`virtual_machine_emulator`) no byte of the disks was read.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.drills import virtual_machine_image
from tests.drills.virtual_machine_disk import Disk, Server
from tests.drills.virtual_machine_emulator import Emulator, Running

DISK_BYTES: Final = 96 * 2**20
GUEST: Final = "tests.drills.virtual_machine_guest"
_LINE: Final = re.compile(r"^(made|control) (\d+)$|^(wrong|failed) (.*)$|^(audited)$")


@dataclass
class Boot:
    """One boot, and what was read of it."""

    told: int
    """Records told to be durable, by this boot or one before."""
    control: int | None = None
    audited: bool = False
    made: bool = False
    wrong: list[str] = field(default_factory=list)


class Machine:
    """A virtual machine with two disks; `folder` is its own, for sockets, image and saved state."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._empty = empty_disk(folder / "empty")
        self._left: int | None = None
        self._running: Running | None = None
        self._servers: list[Server] = []
        self.disks: list[Disk] = []
        self.new_disks()
        kernel = virtual_machine_image.kernel()
        image, words = virtual_machine_image.image(kernel, GUEST)
        devices = [word for number in range(2) for word in virtio_disk(f"disk{number}", self._socket(number))]
        self._emulator = Emulator(folder, kernel=kernel, image=image, words=words, devices=devices)
        self._emulator.save()

    def new_disks(self, *, lie: bool = False) -> None:
        """Put in two empty disks; with `lie` they say that they flushed and do not."""
        self.close()
        self.disks = [Disk(self._empty, lies=lie) for _ in range(2)]
        self._servers = [
            Server(disk, self._socket(number), written=self._wrote) for number, disk in enumerate(self.disks)
        ]

    def close(self) -> None:
        for number, server in enumerate(self._servers):
            server.close()
            self._socket(number).unlink()
        self._servers = []

    def run(self, told: int, *, seed: int, entropy: bytes, after: int | None, from_start: bool) -> Boot:
        """Go on, and cut the power `after` so many writes since the first new record was told (or since the start).

        With `after` None the power goes once the audit is done.
        """
        boot = Boot(told=told)
        self._left = after if from_start else None
        with self._emulator.go_on(f"go {entropy.hex()} {told} {seed}") as running:
            self._running = running
            for line in running.lines():
                found = _LINE.match(line)
                if found is not None:
                    self._note(boot, found, after)
            self._cut()
        if not (boot.audited or from_start or boot.wrong):
            boot.wrong.append("it ended, or was ended for taking too long, before the audit was done")
        return boot

    def _note(self, boot: Boot, line: re.Match[str], after: int | None) -> None:
        if line[1] == "made":
            boot.told = int(line[2])
            if not boot.made and self._left is None:
                self._left = after
            boot.made = True
        elif line[1] == "control":
            boot.control = int(line[2])
        elif line[3]:
            boot.wrong.append(line[4])
            if line[3] == "failed":
                self._cut()
        elif line[5] == "audited":
            boot.audited = True
            if after is None or boot.wrong:
                self._cut()

    def _wrote(self) -> None:
        """Count a write, and cut the power when it was the last one to be."""
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._cut()

    def _cut(self) -> None:
        for disk in self.disks:
            disk.off()
        if self._running is not None:
            self._running.cut()

    def _socket(self, number: int) -> Path:
        return self._folder / f"disk-{number}"


def virtio_disk(name: str, path: Path) -> list[str]:
    """Return the emulator's words for a disk that is served at `path`, with a write cache."""
    node = f"driver=nbd,node-name={name},server.type=unix,server.path={path}"
    return ["-blockdev", node, "-device", f"virtio-blk-pci,drive={name},write-cache=on"]


def empty_disk(path: Path) -> bytes:
    """Return an empty ext4 file system."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", str(path)], check=True)
    return path.read_bytes()
