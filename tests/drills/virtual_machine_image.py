"""What the virtual machine boots: Debian's kernel, and a file system in memory with this Python and this product.

The image holds the files that a rehearsal of the guest had loaded, compiled, at the paths they have here; no
distribution is installed, and nothing of this machine is changed. The kernel's package is downloaded with apt once
and kept in the cache folder, unpacked.
"""

import importlib.util
import marshal
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "linux-image-cloud-amd64"
"""Debian's kernel for virtual machines: small, and knows no USB."""
DRIVERS: Final = ("virtio_pci", "virtio_blk")
_DEPENDS: Final = re.compile(rb"\0depends=([^\0]*)\0")
_FOLDER, _FILE, _LINK, _CHARACTERS = 0o040755, 0o100755, 0o120777, 0o020600


class Archive:
    """A cpio archive in the kernel's form (newc), made in memory."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names: set[str] = set()

    def add(self, path: str, mode: int, data: bytes = b"", *, device: tuple[int, int] = (0, 0)) -> None:
        """Add an entry and the folders above it; one that is there already stays."""
        name = path.strip("/")
        if name in self._names:
            return
        if "/" in name:
            self.add(name.rpartition("/")[0], _FOLDER)
        self._names.add(name)
        self._entry(name, mode, data, device)

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int]) -> None:
        raw = name.encode() + b"\0"
        numbers = (len(self._names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + raw
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def bytes(self) -> bytes:
        self._entry("TRAILER!!!", 0, b"", (0, 0))
        return b"".join(self._parts)


def image(kernel: Path, guest: str, drivers: Sequence[str] = DRIVERS) -> tuple[bytes, str]:
    """Return the initramfs, and the words of the kernel's command line that start the module `guest` in it."""
    archive = Archive()
    archive.add("/dev/console", _CHARACTERS, device=(5, 1))
    for folder in ("/proc", "/tmp"):
        archive.add(folder, _FOLDER)
    for number, module in enumerate(modules(kernel, drivers)):
        archive.add(f"/modules/{number:03}-{module.stem}", _FILE, module.read_bytes())
    python = Path(sys.executable).resolve()
    archive.add(str(python), _FILE, python.read_bytes())
    for path in sorted(loaded(guest)):
        _add_loaded(archive, path)
    home = Path(sys.base_prefix)
    archive.add(f"{home}/lib/python3.{sys.version_info.minor}/lib-dynload", _FOLDER)
    paths = ":".join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])
    words = (
        f"PYTHONHOME={home} PYTHONPATH={paths} PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/lib"
    )
    return archive.bytes(), f"rdinit={python} {words} -- -m {guest}"


def modules(kernel: Path, drivers: Sequence[str]) -> list[Path]:
    """Return the files of `drivers` and of what they depend on, in the order they are to be loaded."""
    files = {path.stem.replace("-", "_"): path for path in kernel.glob("lib/modules/**/*.ko")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = files[name.replace("-", "_")]
        named = _DEPENDS.search(path.read_bytes())
        for needed in named[1].decode().split(",") if named and named[1] else ():
            add(needed)
        if path not in ordered:
            ordered.append(path)

    for driver in drivers:
        add(driver)
    return ordered


def loaded(guest: str) -> set[Path]:
    """Return the files that a rehearsal of the guest had loaded: modules and shared libraries."""
    command = [sys.executable, "-m", guest, "rehearse"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    return {Path(path) for path in re.findall(r"^file (/.*)$", done.stdout, re.MULTILINE)}


def _add_loaded(archive: Archive, path: Path) -> None:
    if path.suffix == ".py":
        # Compiled beforehand: the emulated machine would take long over it.
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 1, 0, 0)
        archive.add(str(path.with_suffix(".pyc")), _FILE, head + marshal.dumps(code))
    elif path.name.startswith("ld-linux"):
        archive.add(f"/lib64/{path.name}", _FILE, path.read_bytes())
    elif path.name.startswith("lib"):
        archive.add(f"/lib/{path.name}", _FILE, path.read_bytes())
        for other in path.parent.glob(path.name.partition(".so")[0] + ".so*"):
            if other.is_symlink() and other.resolve() == path.resolve():
                archive.add(f"/lib/{other.name}", _LINK, path.name.encode())
    else:
        archive.add(str(path), _FILE, path.read_bytes())


def kernel(package: str = PACKAGE) -> Path:
    """Return a folder with a kernel of Debian's, unpacked; downloaded the first time."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tidegauge-drills"
    cache = caches / package
    if not list(cache.glob("boot/vmlinuz-*")):
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        told = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=False)
        named = re.search(r"Depends: (linux-image-\S+)", told.stdout)
        if named is None:
            raise SystemExit(f"apt knows no {package}: run apt-get update, on Debian for amd64")
        subprocess.run(
            ["apt-get", "download", named[1]], cwd=cache, check=True, stdout=sys.stderr, timeout=600
        )
        (archive,) = cache.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=cache, check=True)
        archive.unlink()
    return cache
