"""A USB drive plugged into a running device, every part real: the process, the mount, the lines that say when it may be pulled."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firmware.wire import bundle as wire_bundle
from firmware.wire.messages import decode_batch
from tests import namespaces
from tests.appliance.world import Device, records, run, status, world

pytestmark = pytest.mark.namespace


def plug(device: str, folder: Path, *, size: str = "32m", marker: str | None = "") -> Path:
    """Mount a file system of its own below what is watched, with the marker on it as one made elsewhere has it."""
    made, media = folder / f"{device}-made", folder / "media" / device
    for path in (made, media):
        path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(made)], check=True)
    if marker is not None:
        (made / "TIDEGAUGE").write_text(marker)
    subprocess.run(["mount", "--bind", str(made), str(media)], check=True)
    return media


def pull(media: Path) -> None:
    """Take it out: a file that is still open would refuse it."""
    subprocess.run(["umount", str(media)], check=True)


def visits(folder_name: str) -> Any:
    folder = Path(folder_name)
    (folder / "media").mkdir()
    with world(folder) as settings:
        settings.write_text(settings.read_text() + f'[usb_drive]\nwatch = "{folder / "media"}"\n')
        with Device(settings) as device:
            device.await_line("verdict", times=2)
            other = plug("other", folder, marker=None)
            foreign = plug("foreign", folder, marker="zzzzzzzzzzzzzzzz\n")
            small = plug("small", folder, size="1m")
            device.await_line("the USB drive is full")
            pull(small)
            device.await_line("USB drive: pulled")
            whole = plug("whole", folder, marker="# any device\n")
            device.await_line("the USB drive may be pulled", times=2)
            bundles = [path.read_bytes() for path in whole.glob("tidegauge-bundles/*")]
            names = [path.name for path in whole.glob("tidegauge-bundles/*")]
            pull(whole)
            device.await_line("USB drive: pulled", times=2)
            imported = run(
                "collector", "--data", str(folder / "collector"), "import", str(folder / "whole-made")
            )
            # A round that ends now: else nothing may wait when the drive comes back, and none would be written onto it.
            device.await_more("verdict")
            subprocess.run(["mount", "--bind", str(folder / "whole-made"), str(whole)], check=True)
            device.await_line("answered by the collector")
            pull(whole)
            device.await_line("USB drive: pulled", times=3)
            device.await_line("verdict", times=4)
            code = device.end()
            return {
                "code": code,
                "errors": device.errors,
                "names": names,
                "seqs": [_seqs(bundle) for bundle in bundles],
                "untouched": [sorted(path.name for path in one.iterdir()) for one in (other, foreign)],
                "left": [path.name for path in (folder / "small-made").glob("tidegauge-bundles/*")],
                "kept": [
                    [
                        one.target_name,
                        one.outcome.failure,
                        one.outcome.failed_operation,
                        dict(one.outcome.detail),
                    ]
                    for one in records(device.data)
                    if one.test == "transport" and one.target == "usb_drive"
                ],
                "imported": imported.stdout,
                "acknowledged": status(device.data)["acknowledged"],
                "seqs_later": [
                    _seqs(path.read_bytes()) for path in (folder / "whole-made").glob("tidegauge-bundles/*")
                ],
                "device": json.loads((device.data / "device.json").read_text())["device"],
            }


def _seqs(bundle: bytes) -> list[int]:
    read = wire_bundle.decode(bundle)
    assert not read.fault
    return [
        seq
        for message in read.messages
        if message.leaf == "bulk"
        for seq in sorted(decode_batch(message.payload).seqs, reverse=True)
    ]


def test_a_usb_drive_with_the_marker_is_written_and_told_and_recorded(tmp_path: Path) -> None:
    seen = namespaces.call(visits, str(tmp_path))
    assert seen["code"] == 0
    # A round a second may last longer where the machine is busy: that is said, and is no fault.
    assert not [line for line in seen["errors"].splitlines() if "slots missed (running)" not in line]
    assert seen["untouched"] == [[], ["TIDEGAUGE"]]
    assert seen["left"] == []
    (name,) = seen["names"]
    assert name.startswith(f"{seen['device']}-")
    assert name.endswith("Z.bundle")
    (seqs,) = seen["seqs"]
    assert seqs == list(range(len(seqs), 0, -1))
    full, whole, back = seen["kept"]
    assert full[:3] == ["usb_drive", "disk_full", "export"]
    assert full[3]["records"] == 0
    assert whole[:3] == ["usb_drive", None, None]
    assert whole[3] == {"records": len(seqs), "waiting": len(seqs), "answered": 0}
    # Carried to a collector and back: what is there has left the outbox, and its bundle the USB drive.
    assert f"{len(seqs):,} records, {len(seqs):,} new, 0 here already" in seen["imported"]
    assert back[3]["answered"] == seen["acknowledged"] == len(seqs)
    # What is there now is another, whatever its name: two of one second have the same.
    (later,) = seen["seqs_later"]
    assert min(later) == len(seqs) + 1
