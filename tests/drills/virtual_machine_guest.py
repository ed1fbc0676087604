"""The first process of the virtual machine: it mounts both disks, audits what the last cut left, and writes on.

On the serial line, in: `go ENTROPY TOLD SEED` (records 1 to TOLD were told to be durable before the cut). Out: `up`; then
`control N` (what the file that was never synced holds), `wrong …` for each fault the audit finds, `audited PRODUCED`;
then the writer's lines, `made N` once records 1 to N are on the disk. The device's outbox and the collector's store
are on a disk each. Nothing here may sync the control, nor end: the power is cut.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import sqlite3
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.drills import outbox_writer
from tests.drills.audit import audit

MODULES: Final = Path("/modules")
DEVICE_DISK, COLLECTOR_DISK = Path("/device"), Path("/collector")
_FINIT_MODULE: Final = 313
_ADD_ENTROPY: Final = 0x4008_5203
_RESEED: Final = 0x5207
_FOR_EVER: Final = 10**9


def main() -> None:
    """Wait for the order, then mount, audit and write until the power is cut."""
    with told_on_failure():
        told, seed = ordered()
        mount_disk("vda", DEVICE_DISK)
        mount_disk("vdb", COLLECTOR_DISK)
        found(DEVICE_DISK, COLLECTOR_DISK, told=int(told))
        write(DEVICE_DISK, seed=int(seed), ticks=_FOR_EVER)


@contextlib.contextmanager
def told_on_failure() -> Iterator[None]:
    """Say what went wrong in the block, and never end: the first process of a machine must not."""
    try:
        yield
    except Exception:  # noqa: BLE001  # nobody is above it: what it says is the drill's finding
        print("failed " + traceback.format_exc().replace("\n", " | "), flush=True)
    time.sleep(_FOR_EVER)


def ordered() -> list[str]:
    """Wait for the order, load the drivers, and return what else the order says."""
    mount("devtmpfs", Path("/dev"), "devtmpfs")
    mount("proc", Path("/proc"), "proc")
    # Said again and again: the machine's state is saved here, and each start goes on from it.
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        print("up", flush=True)
    _, entropy, *more = sys.stdin.readline().split()
    seed_random_numbers(bytes.fromhex(entropy))
    load_modules()
    return more


def found(device: Path, collector: Path, *, told: int) -> None:
    """Print what the last cut left, and whether the account is exact; the first time, prepare the disks."""
    control = device / "control"
    if not (device / "collector.sqlite3").is_symlink():
        (device / "collector.sqlite3").symlink_to(collector / "collector.sqlite3")
        control.touch()
        os.sync()
    print(f"control {int(control.read_text().strip(chr(0) + ' ') or 0)}", flush=True)
    for path in (device / "outbox.sqlite3", device / "collector.sqlite3"):
        for line in damage(path):
            print(f"wrong {path.name}: {line}", flush=True)
    if told:
        for line in audit(device, device=outbox_writer.DEVICE, durable=told):
            print(f"wrong {line}", flush=True)
    print("audited", flush=True)


def damage(path: Path) -> list[str]:
    """Return what SQLite's own check says against a database; nothing when it is sound or not there yet."""
    if not path.exists():
        return []
    connection = sqlite3.connect(path)
    try:
        lines = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.DatabaseError as error:
        lines = [str(error)]
    finally:
        connection.close()
    return [] if lines == ["ok"] else lines


def write(folder: Path, *, seed: int, ticks: int) -> None:
    """Append, acknowledge and give up at random, as in the drill with kills."""
    before = sys.argv
    sys.argv = ["outbox_writer", str(folder), str(seed), "none", str(ticks)]
    try:
        outbox_writer.main()
    finally:
        sys.argv = before


def seed_random_numbers(entropy: bytes) -> None:
    """Make the kernel's random numbers others than at the last start from the same saved state."""
    with Path("/dev/urandom").open("wb") as pool:
        fcntl.ioctl(pool, _ADD_ENTROPY, struct.pack("ii", 8 * len(entropy), len(entropy)) + entropy)
        fcntl.ioctl(pool, _RESEED)


def load_modules() -> None:
    """Load the disks' drivers: Debian's kernel has them as modules; the names say the order."""
    libc = ctypes.CDLL(None, use_errno=True)
    for module in sorted(MODULES.iterdir()):
        with module.open("rb") as file:
            if libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0) != 0:
                raise OSError(ctypes.get_errno(), f"{module.name} was not taken")


def mount_disk(name: str, where: Path, options: str = "") -> None:
    end = time.monotonic() + 20
    while not Path("/dev", name).exists():
        if time.monotonic() > end:
            raise OSError(f"no disk {name}")
        time.sleep(0.01)
    mount(f"/dev/{name}", where, "ext4", options)


def mount(what: str, where: Path, kind: str, options: str = "", *, flags: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    where.mkdir(exist_ok=True, parents=True)
    if libc.mount(what.encode(), str(where).encode(), kind.encode(), flags, options.encode() or None) != 0:
        raise OSError(ctypes.get_errno(), f"{what} cannot be mounted")


def rehearse() -> None:
    """Do all of it once in a folder, then print the files this process needed: that is what the image is made of."""
    with tempfile.TemporaryDirectory() as name:
        device, collector = Path(name, "device"), Path(name, "collector")
        device.mkdir()
        collector.mkdir()
        found(device, collector, told=0)
        write(device, seed=1, ticks=20)
        found(device, collector, told=1)
    print_files()


def print_files() -> None:
    """Print the files that this process needed."""
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None):
            print(f"file {module.__file__}")
    for line in Path("/proc/self/maps").read_text().splitlines():
        if ".so" in line:
            print(f"file {line.split()[-1]}")


if __name__ == "__main__":
    rehearse() if sys.argv[1:] == ["rehearse"] else main()
