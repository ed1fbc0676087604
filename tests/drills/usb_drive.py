"""A real USB drive, pulled in mid-export: FAT and exFAT on an emulated USB drive, in a virtual machine with Debian's kernel.

    python -m tests.drills usb-drive --times 30

A device exports onto the USB drive by itself, as the product does, and the USB drive is pulled after a random number of writes to it,
or the power of the whole machine goes, or it is pulled the moment the light says that it may be. A USB drive loses what was
in its cache: one kind has none (each write that was answered is there), the other has one and honours a flush
(`virtual_machine_disk`). Then `tidegauge collector import` takes what is on it, sometimes pulled out too, and it goes
back to the device with the answers. At the end come USB drives that say they flushed and did not: that is to be noticed.

The judge is here, outside of the machine: what the light promised is at the collector after the import; at every moment
each record is at the collector or still waits at the device; at the end all are at the collector, once. The seed gives
the same orders, not the same instants.
"""

import random
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.drills import virtual_machine, virtual_machine_image
from tests.drills.read_only import numbers
from tests.drills.virtual_machine_boot import empty_disk, virtio_disk
from tests.drills.virtual_machine_disk import Disk, Server
from tests.drills.virtual_machine_emulator import Emulator, Running

GUEST: Final = "tests.drills.usb_drive_guest"
PACKAGE: Final = "linux-image-amd64"
DRIVERS: Final = (
    *("virtio_pci", "virtio_blk", "crc32c_generic", "ext4"),
    *("crct10dif_generic", "crc64_rocksoft_generic", "xhci_pci", "sd_mod", "usb_storage"),
    *("nls_cp437", "nls_ascii", "nls_utf8", "vfat", "exfat"),
)
USB_DRIVE_BYTES: Final = 48 * 2**20
MAKERS: Final = {
    "vfat": ["/sbin/mkfs.vfat", "-n", "TIDEGAUGE"],
    "exfat": ["/sbin/mkfs.exfat", "-L", "TIDEGAUGE"],
}
SORTS: Final = tuple((kind, cache) for cache in ("write back", "write through") for kind in ("vfat", "exfat"))
"""The sorts of USB drives that take turns: file system, and what cache there is."""
TIMES_A_USB_DRIVE: Final = 2
RECORDS: Final = 1500
WRITES: Final = 16
_LIMIT_S: Final = 900.0


@dataclass
class Found:
    """What a run of the drill has seen so far."""

    times: int = 0
    pulled: int = 0
    midway: int = 0
    cut: int = 0
    pulled_importing: int = 0
    promised: int = 0
    partly: int = 0
    torn: int = 0
    unusable: int = 0
    noticed: int = 0
    lost_writes: int = 0
    records: int = 0
    kinds: dict[str, int] = field(default_factory=dict)


class Scene:
    """The machine that runs, the USB drive that is in it, and what was told so far."""

    def __init__(self, folder: Path, rng: random.Random, found: Found) -> None:
        self._folder = folder
        self._rng = rng
        self._found = found
        empty = empty_disk(folder / "empty")
        sockets = [folder / "disk-0", folder / "disk-1"]
        self._disks = [Disk(empty) for _ in sockets]
        self._servers = [
            Server(disk, path, written=lambda: None) for disk, path in zip(self._disks, sockets, strict=True)
        ]
        devices = [word for number in range(2) for word in virtio_disk(f"disk{number}", sockets[number])]
        kernel = virtual_machine_image.kernel(PACKAGE)
        image, words = virtual_machine_image.image(kernel, GUEST, DRIVERS)
        self._emulator = Emulator(
            folder, kernel=kernel, image=image, words=words, devices=[*devices, "-device", "qemu-xhci,id=usb"]
        )
        self._emulator.save()
        self._plugs = self._usb_drives = 0
        self._running: Running
        self._lines: Iterator[str] = iter(())
        self._left: int | None = None
        self._at_zero = "pull"
        self._pull = threading.Lock()
        self._is_in = self._was_cut = False
        self.usb_drive: Disk
        self.kind = self.cache = ""
        self.wrong: list[str] = []
        self.said: list[str] = []
        self.made = 0

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def new_usb_drive(self) -> None:
        """Take a USB drive out of the shop."""
        self.kind, self.cache = SORTS[self._usb_drives % len(SORTS)]
        self._usb_drives += 1
        path = self._folder / "usb_drive"
        with path.open("wb") as file:
            file.truncate(USB_DRIVE_BYTES)
        subprocess.run([*MAKERS[self.kind], str(path)], check=True, capture_output=True)
        self.usb_drive = Disk(path.read_bytes(), through=self.cache == "write through")

    def boots(self) -> Iterator[None]:
        """Begin the machine, again and again: each time the caller comes back, its power has gone."""
        while True:
            order = f"go {self._rng.randbytes(32).hex()}"
            with self._emulator.go_on(order, limit_s=_LIMIT_S) as running:
                self._running, self._lines = running, running.lines()
                self._is_in = self._was_cut = False
                self.until("ready")
                yield
                running.cut()
            for disk in self._disks:
                disk.off()
                disk.cut(self._rng)

    def until(self, *words: str) -> list[str] | None:
        """Read until a line begins with one of `words`, and return it; None where the machine has ended."""
        for line in self._lines:
            what = line.split(" ")
            if what[0] in ("failed", "wrong"):
                self.wrong.append(line)
                return None
            if what[0] == "said":
                self.said.append(line)
            if what[0] in words:
                return what
        if not self._was_cut:
            self.wrong.append(f"the machine ended, or took too long, before {words[0]}")
        return None

    def say(self, line: str) -> None:
        self._running.say(line)

    def plug(self, role: str, *, after: int | None = None, at_zero: str = "pull") -> None:
        """Plug the USB drive in for `role`; after so many writes to it, it is pulled or the power goes."""
        self.say(f"next {role} {self.cache}")
        self.until("expected")
        self._plugs += 1
        name = f"USB drive{self._plugs}"
        self._left, self._at_zero = after, at_zero
        self.said = []
        path = self._folder / name
        self._servers.append(Server(self.usb_drive, path, written=self._wrote))
        self.usb_drive.refuses = False
        self._is_in = True
        self._running.ask(
            "blockdev-add",
            **{"driver": "nbd", "node-name": name, "server": {"type": "unix", "path": str(path)}},
        )
        words: dict[str, object] = {"write-cache": "on" if self.cache == "write back" else "off"}
        words |= {"driver": "usb-storage", "bus": "usb.0", "id": f"u{name}", "drive": name, "removable": True}
        self._running.ask("device_add", **words)

    def pull(self, *, gently: bool = False) -> None:
        """Pull the USB drive, and have it lose what it had only in its cache, or nothing where that is done gently."""
        with self._pull:
            if not self._is_in:
                return
            if gently:
                self.usb_drive.flush()
            self._is_in = False
            # From here on the USB drive takes nothing; an answer still comes, for the emulator waits for one.
            self.usb_drive.refuses = True
            name = f"USB drive{self._plugs}"
            self._running.ask("device_del", id=f"u{name}")
            self._running.await_event("DEVICE_DELETED")
            self._found.lost_writes += self.usb_drive.cut(self._rng)[1]

    def cut(self) -> None:
        """Take the power of the whole machine."""
        self._left = None
        self._is_in = False
        self._was_cut = True
        self.usb_drive.refuses = True
        for disk in self._disks:
            disk.off()
        self._running.cut()
        self._found.lost_writes += self.usb_drive.cut(self._rng)[1]

    def _wrote(self) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left > 0:
            return
        self._left = None
        self.usb_drive.refuses = True
        # Not from here: the emulator waits for this very answer before it lets go of the USB drive.
        threading.Thread(target=self.pull if self._at_zero == "pull" else self.cut, daemon=True).start()


class Trial:
    """One time: an export that is interrupted or not, an import, and the way back."""

    def __init__(self, scene: Scene, rng: random.Random, found: Found) -> None:
        self._scene = scene
        self._rng = rng
        self._found = found
        self._promised = 0

    def export(self) -> bool:
        """Plug the USB drive into the device and pull it some time; False where the machine has ended."""
        scene, rng = self._scene, self._rng
        after = rng.randint(1, WRITES) if rng.random() < 0.75 else None
        at_zero = "pull" if rng.random() < 0.7 else "cut"
        scene.plug("device", after=after, at_zero=at_zero)
        told = scene.until("ended", "refused", "unplugged")
        if told is not None and told[0] == "ended":
            is_whole = " ".join(told[4:]) == "" and told[1] == told[2]
            if is_whole:
                # The light says that it may be pulled: so it is, at once.
                self._promised = scene.made
                self._found.promised += 1
            self._found.partly += not is_whole
        scene.pull()
        if told is None:
            self._found.cut += 1
            return False
        self._found.pulled += 1
        self._found.midway += not self._promised
        if told[0] == "refused":
            self._found.unusable += 1
            scene.until("unplugged")
        elif told[0] == "ended":
            scene.until("unplugged")
        return True

    def import_(self) -> bool:
        """Have the collector take the USB drive, sometimes pulled out of it too; False where the machine has ended."""
        scene, rng = self._scene, self._rng
        if rng.random() < 0.2:
            self._found.pulled_importing += 1
            scene.plug("collector", after=rng.randint(1, 6))
            if scene.until("imported", "refused") is None:
                return False
            scene.pull()
            scene.until("unplugged")
        scene.plug("collector")
        told = scene.until("imported", "refused")
        if told is None:
            return False
        if told[0] == "refused":
            scene.wrong.append(f"a USB drive that was pulled cannot be mounted: {' '.join(told)}")
        self._found.torn += told == ["imported", "1"]
        if told not in (["imported", "0"], ["imported", "1"], ["imported", "2"]):
            scene.wrong.append(f"the import ended with {told}")
        scene.pull()
        return scene.until("unplugged") is not None

    def judge(self) -> bool:
        """Hold who has which records against what was promised; False where the machine has ended."""
        scene = self._scene
        scene.say("account")
        has, waits, account = scene.until("has"), scene.until("waits"), scene.until("account")
        if has is None or waits is None or account is None:
            return False
        at_collector, at_device = numbers(has[1]), numbers(waits[1])
        if missing := set(range(1, self._promised + 1)) - at_collector:
            scene.wrong.append(
                f"the light promised {self._promised}, {len(missing)} are not at the collector"
            )
        if lost := set(range(1, scene.made + 1)) - at_collector - at_device:
            scene.wrong.append(f"{len(lost)} records are nowhere, the first is {min(lost)}")
        if account[1:]:
            scene.wrong.append(" ".join(account[1:]))
        return True


def drill(*, times: int, seed: int) -> bool:
    """Interrupt `times` exports, and print what was found."""
    virtual_machine.need((MAKERS["vfat"][0], "dosfstools"), (MAKERS["exfat"][0], "exfatprogs"))
    rng = random.Random(seed)
    found = Found()
    with tempfile.TemporaryDirectory() as name:
        scene = Scene(Path(name), rng, found)
        try:
            for _ in scene.boots():
                if boot(scene, rng, found, times):
                    break
        finally:
            scene.close()
        for line in scene.wrong:
            print(f"  time {found.times}: {line}", flush=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.kinds.items()))
    print(
        f"{found.times} times ({kinds}): pulled from the device {found.pulled} times, "
        f"{found.midway} of them before it was done, {found.cut} times its power went, "
        f"{found.pulled_importing} times pulled from the collector: {'NOT exact' if scene.wrong else 'exact'}"
    )
    print(
        f"  the light said {found.promised} times that all is on the USB drive, and so it was; {found.partly} times that it is not; "
        f"{found.torn} imports found something torn; {found.unusable} times a USB drive was refused by the system"
    )
    print(f"  {scene.made:,} records, {found.lost_writes:,} writes lost or torn in the USB drives' caches")
    print(f"  USB drives that lie about a flush: noticed in {found.noticed} of 3")
    return not scene.wrong and found.noticed > 0 and (times < 5 or found.promised > 0)


def boot(scene: Scene, rng: random.Random, found: Found, times: int) -> bool:
    """Go on until the power goes or something is wrong; return whether it is all done."""
    trial = Trial(scene, rng, found)
    if scene.wrong:
        return True
    if found.cut and not (trial.import_() and trial.judge()):
        return bool(scene.wrong)
    while found.times < times:
        if found.times % TIMES_A_USB_DRIVE == 0:
            bought(scene)
        found.times += 1
        name = f"{scene.kind}, {scene.cache}"
        found.kinds[name] = found.kinds.get(name, 0) + 1
        scene.say(f"add {rng.randint(1, RECORDS)}")
        told = scene.until("made")
        if told is None:
            return bool(scene.wrong)
        scene.made = int(told[1])
        trial = Trial(scene, rng, found)
        if not (trial.export() and trial.import_() and trial.judge()) or scene.wrong:
            return bool(scene.wrong)
        print(f"  {found.times} times, {scene.made:,} records", flush=True)
    control(scene, found)
    return last(scene)


def bought(scene: Scene) -> None:
    """Have a new USB drive with the marker on it."""
    scene.new_usb_drive()
    scene.plug("maker")
    scene.until("marked")
    scene.pull(gently=True)
    scene.until("unplugged")


def control(scene: Scene, found: Found) -> None:
    """Pull a USB drive that lies about its flushes, as soon as the light says so: what is gone must be noticed."""
    for _ in range(3):
        bought(scene)
        scene.usb_drive.lie()
        scene.say("add 100")
        scene.until("made")
        scene.made += 100
        scene.plug("device")
        scene.until("ended")
        scene.pull()
        scene.until("unplugged")
        scene.plug("collector")
        scene.until("imported")
        scene.pull()
        scene.until("unplugged")
        scene.say("account")
        has, waits, account = scene.until("has"), scene.until("waits"), scene.until("account")
        if has is not None and waits is not None and account is not None:
            found.noticed += scene.made not in numbers(has[1])
    bought(scene)


def last(scene: Scene) -> bool:
    """Carry all of it, there and back, undisturbed: then the account has to be exact and nothing waits."""
    for role, word in (("device", "ended"), ("collector", "imported"), ("device", "ended")):
        scene.plug(role)
        if scene.until(word) is None:
            return True
        scene.pull()
        scene.until("unplugged")
    scene.say("account")
    has, waits, account = scene.until("has"), scene.until("waits"), scene.until("account")
    if has is None or waits is None or account is None:
        return True
    if numbers(has[1]) != set(range(1, scene.made + 1)) or waits[1] != "-" or account[1:]:
        scene.wrong.append(f"{scene.made} made; {' '.join(has)}; {' '.join(waits)}; {' '.join(account)}")
    return True
