"""A virtual machine with two disks, begun and killed again and again: the hands of the power-cut drill.

It is booted once, as far as the guest's first word, and that state is saved; each later start goes on from there, for
booting under emulation takes ten times as long as what is tried. In that state no driver of the disks is loaded and no
byte of them was read: what the guest then mounts and audits is what the cut left. Its random numbers are seeded anew
by the order it gets, and its clock begins at the same moment again, as on a Pi without a battery.
"""

import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.drills.virtual_machine_disk import Disk, Server

DISK_BYTES: Final = 96 * 2**20
BOOT_LIMIT_S: Final = 400.0
_LINE: Final = re.compile(r"^(made|control) (\d+)$|^(wrong|failed) (.*)$|^(up|audited)$")


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

    def __init__(self, folder: Path, *, kernel: Path, image: bytes, words: str) -> None:
        self._folder = folder
        (self._kernel,) = kernel.glob("boot/vmlinuz-*")
        self._words = words
        (folder / "image").write_bytes(image)
        self._empty = empty_disk(folder / "empty")
        self._left: int | None = None
        self._process: subprocess.Popen[str] | None = None
        self._servers: list[Server] = []
        self.disks: list[Disk] = []
        self.new_disks()
        self._save()

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
        order = f"go {told} {seed} {entropy.hex()}"
        with self._started("-incoming", f"exec:cat {self._folder}/state") as process:
            limit = threading.Timer(BOOT_LIMIT_S, self._cut)
            limit.start()
            try:
                # Read to the end: what was told before the cut counts, also when it is read after it.
                for found in heard(process):
                    if found[5] == "up" and order:
                        assert process.stdin is not None
                        process.stdin.write(order + "\n")
                        process.stdin.flush()
                        order = ""
                    self._note(boot, found, after)
            finally:
                limit.cancel()
                self._cut()
        if not (boot.audited or from_start or boot.wrong):
            boot.wrong.append("it ended, or was ended for taking too long, before the audit was done")
        return boot

    def _save(self) -> None:
        """Boot as far as the guest's first word, and save that state."""
        control = self._folder / "control"
        with self._started("-qmp", f"unix:{control},server=on,wait=off") as process:
            limit = threading.Timer(BOOT_LIMIT_S, self._cut)
            limit.start()
            try:
                if not any(found[5] == "up" for found in heard(process)):
                    raise RuntimeError("the virtual machine did not boot")
                save(control, self._folder / "state")
            finally:
                limit.cancel()
                self._cut()

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
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _socket(self, number: int) -> Path:
        return self._folder / f"disk-{number}"

    def _started(self, *more: str) -> subprocess.Popen[str]:
        # Emulation, not KVM: stock kernels do not boot under every KVM inside a virtual machine.
        # It dies with this process, however that ends.
        words = ["setpriv", "--pdeathsig", "KILL"]
        words += ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "320"]
        words += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        words += ["-kernel", str(self._kernel), "-initrd", str(self._folder / "image")]
        words += ["-append", f"console=ttyS0 quiet loglevel=2 panic=-1 mitigations=off {self._words}"]
        for number in range(len(self.disks)):
            node = f"driver=nbd,node-name=disk{number},server.type=unix,server.path={self._socket(number)}"
            words += ["-blockdev", node, "-device", f"virtio-blk-pci,drive=disk{number},write-cache=on"]
        self._process = subprocess.Popen(
            [*words, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return self._process


def heard(process: subprocess.Popen[str]) -> Iterator[re.Match[str]]:
    """Yield the guest's lines as they come; a line that the cut broke off is none."""
    assert process.stdout is not None
    for line in process.stdout:
        found = _LINE.match(line.strip()) if line.endswith("\n") else None
        if found is not None:
            yield found


def save(control: Path, state: Path) -> None:
    """Have the emulator at the socket `control` save its state."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        lines = connection.makefile("rw")

        def asked(command: str, **arguments: object) -> dict[str, Any]:
            lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            lines.flush()
            while True:
                answer: dict[str, Any] = json.loads(lines.readline())
                if "error" in answer:
                    raise RuntimeError(f"the emulator refused {command}: {answer['error']}")
                if "return" in answer:
                    return answer

        lines.readline()  # its greeting
        asked("qmp_capabilities")
        asked("migrate", uri=f"exec:cat > {state}")
        end = time.monotonic() + BOOT_LIMIT_S
        while (status := asked("query-migrate")["return"].get("status")) != "completed":
            if status == "failed" or time.monotonic() > end:
                raise RuntimeError(f"the emulator did not save its state ({status})")
            time.sleep(0.1)


def empty_disk(path: Path) -> bytes:
    """Return an empty ext4 file system."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", str(path)], check=True)
    return path.read_bytes()
