"""The first process of the virtual machine of the USB drive drill: a device and a collector that USB drives are plugged into.

What the system does with a USB drive (udev and systemd on a Raspberry Pi) is done here by a thread: it mounts what appears
below /dev/sd*, with the options of docs/how-to/offline-export.md, and lets go of what has vanished. All else is the product: the
watching and exporting of `appliance.delivery.removable`, and `tidegauge collector import`.

On the serial line, in: `go ENTROPY`, then `add N`; `next ROLE CACHE` for the USB drive that comes (ROLE: `device`, `collector`, or
`maker`, who puts the marker on it; CACHE: what the kernel is to think of its cache); `account`. Out: `ready`; `made N`;
`mounted KIND` or `refused ERROR`; of the device `started`, `ended RECORDS WAITING ERRNO FAULT`, `gone`; of the collector
`said …` and `imported CODE`; `marked`; `unplugged`; `has RANGES` (at the collector), `waits RANGES` (at the device),
`account WRONG`. It must never hide an exception.
"""

import contextlib
import ctypes
import io
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import anyio
import click

from appliance.delivery.removable.folder import MARKER
from appliance.delivery.removable.watch import UsbDriveWatch
from appliance.events import Event, ExportEnded, ExportStarted, UsbDriveGone
from appliance.outbox.box import Outbox
from collector.receive.bundles.command import import_
from tests.drills.exchange import Collector
from tests.drills.outbox_writer import DEVICE
from tests.drills.read_only_guest import ranges
from tests.drills.virtual_machine_guest import (
    COLLECTOR_DISK,
    DEVICE_DISK,
    mount,
    mount_disk,
    ordered,
    print_files,
    told_on_failure,
)
from tests.firmware.records import tcp_record

MEDIA: Final = Path("/media")
ELSEWHERE: Final = Path("/elsewhere")
_NOSUID_NODEV_NOEXEC: Final = 2 | 4 | 8
_OPTIONS: Final = "uid=0,umask=0077"
_DETACH: Final = 2
_LOOK_S: Final = 0.02


def main() -> None:
    """Mount, and do what is said until the power is cut."""
    with told_on_failure():
        ordered()
        mount("sysfs", Path("/sys"), "sysfs")
        mount_disk("vda", DEVICE_DISK)
        mount_disk("vdb", COLLECTOR_DISK)
        MEDIA.mkdir(exist_ok=True)
        with contextlib.closing(device(DEVICE_DISK, MEDIA)) as outbox:
            hands = Hands(COLLECTOR_DISK)
            threading.Thread(target=hands.work, daemon=True).start()
            print("ready", flush=True)
            for line in sys.stdin:
                obey(line.split(), outbox, hands, COLLECTOR_DISK)


def device(data: Path, media: Path) -> Outbox:
    """Begin the device's part: its outbox, and its watching for USB drives."""
    outbox = Outbox.open(data / "outbox.sqlite3", device=DEVICE)
    watch = UsbDriveWatch([media], outbox, software="drill", country="xx", notify=tell, identity=lambda: None)
    watch.start()
    return outbox


def tell(event: Event) -> None:
    """Return what the device's light says."""
    if isinstance(event, ExportStarted):
        print("started", flush=True)
    elif isinstance(event, ExportEnded):
        one = event.carried
        print(f"ended {one.records} {one.waiting} {one.taken} {one.fault}", flush=True)
    elif isinstance(event, UsbDriveGone):
        print("gone", flush=True)


def obey(words: list[str], outbox: Outbox, hands: "Hands", collector: Path) -> None:
    """Do one thing that is said."""
    if words[:1] == ["add"]:
        made = outbox.counts().produced
        outbox.append([tcp_record(number) for number in range(made + 1, made + int(words[1]) + 1)])
        print(f"made {outbox.counts().produced}", flush=True)
    elif words[:1] == ["next"]:
        hands.role, hands.cache = words[1], " ".join(words[2:])
        print("expected", flush=True)
    elif words[:1] == ["account"]:
        account(outbox, collector)


def account(outbox: Outbox, folder: Path) -> None:
    """Print who has which records, and what is wrong with the counters."""
    counts = outbox.counts()
    there = Collector(folder)
    stored = [json.loads(body)["round_id"] for body in there.bodies()]
    completeness = there.completeness(DEVICE)
    there.close()
    rows = outbox.oldest(10**6)
    print(f"has {ranges(set(stored))}", flush=True)
    print(f"waits {ranges(json.loads(row.body)['round_id'] for row in rows)}", flush=True)
    wrong = []
    if len(stored) != len(set(stored)):
        wrong.append("records stored twice")
    if counts.produced != counts.waiting + counts.acknowledged or counts.given_up or counts.quarantined:
        wrong.append(f"the device's counters do not add up: {counts}")
    if completeness.produced != completeness.stored and not counts.waiting:
        wrong.append(f"missing at the collector: {completeness}")
    print(f"account {'; '.join(wrong)}", flush=True)


class Hands:
    """The system's part: mounts the USB drive that appears, as `role` says, and lets go of the one that has vanished."""

    def __init__(self, collector: Path) -> None:
        self._collector = collector
        self.role = "device"
        self.cache = "write through"

    def work(self) -> None:
        """Look for USB drives, for ever."""
        there: dict[str, Path] = {}
        number = 0
        with told_on_failure():
            while True:
                time.sleep(_LOOK_S)
                seen = {entry for entry in os.listdir("/dev") if entry.startswith("sd")}  # noqa: PTH208
                for name in there.keys() - seen:
                    detach(there.pop(name))
                    print("unplugged", flush=True)
                for name in seen - there.keys():
                    number += 1
                    there[name] = (MEDIA if self.role == "device" else ELSEWHERE) / str(number)
                    self._plugged(name, there[name])

    def _plugged(self, name: str, where: Path) -> None:
        with contextlib.suppress(
            OSError
        ):  # it may have been pulled already: then it cannot be mounted either
            for cache in Path("/sys/block", name, "device", "scsi_disk").glob("*/cache_type"):
                cache.write_text(f"temporary {self.cache}")
        try:
            print(f"mounted {mount_usb_drive(name, where)}", flush=True)
        except OSError as error:
            print(f"refused {error}", flush=True)
            return
        if self.role == "maker":
            (where / MARKER).touch()
            detach(where)
            print("marked", flush=True)
        elif self.role == "collector":
            code = imported(self._collector, where)
            detach(where)
            print(f"imported {code}", flush=True)


def mount_usb_drive(name: str, where: Path) -> str:
    """Mount it by the options of the how-to; return as what. Raises `OSError`."""
    try:
        mount(f"/dev/{name}", where, "vfat", _OPTIONS, flags=_NOSUID_NODEV_NOEXEC)
    except OSError:
        mount(f"/dev/{name}", where, "exfat", _OPTIONS, flags=_NOSUID_NODEV_NOEXEC)
        return "exfat"
    return "vfat"


def detach(where: Path) -> None:
    """Unmount it, written out; one that has vanished as well."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(str(where).encode(), 0) != 0:
        libc.umount2(str(where).encode(), _DETACH)


def imported(collector: Path, usb_drive: Path) -> int:
    """Have the collector take the USB drive; return the exit status."""
    said = io.StringIO()
    code: int | None = None
    with contextlib.redirect_stdout(said):
        try:
            code = import_.main(["--data", str(collector), str(usb_drive)], standalone_mode=False)
        except click.ClickException as error:
            said.write(str(error))
            code = error.exit_code
    for line in said.getvalue().splitlines():
        print(f"said {line}", flush=True)
    return code or 0


def rehearse() -> None:
    """Do all of it once in a folder, and print the files this process needed."""
    with tempfile.TemporaryDirectory() as name:
        data, collector, usb_drive = Path(name, "device"), Path(name, "collector"), Path(name, "usb_drive")
        for folder in (data, collector, usb_drive):
            folder.mkdir()
        with contextlib.closing(device(data, Path(name))) as outbox:
            obey(["add", "10"], outbox, Hands(collector), collector)
            # What a mount would bring about.
            watch = UsbDriveWatch(
                [], outbox, software="drill", country="xx", notify=tell, identity=lambda: None
            )
            watch._carry(usb_drive)
            assert imported(collector, usb_drive) == 0
            watch._carry(usb_drive)
            account(outbox, collector)
    print_files()
    # It looks at start for modules that it loads when they are used.
    for path in Path(anyio.__file__).parent.rglob("*.py"):
        print(f"file {path}")


if __name__ == "__main__":
    rehearse() if sys.argv[1:] == ["rehearse"] else main()
