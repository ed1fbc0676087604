"""A stick plugged into a running device, every part real: the process, the mount, the lines that say when it may be pulled."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firmware.wire import bundle
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
        settings.write_text(settings.read_text() + f'[stick]\nwatch = "{folder / "media"}"\n')
        with Device(settings) as device:
            device.await_line("verdict", times=2)
            other = plug("other", folder, marker=None)
            foreign = plug("foreign", folder, marker="zzzzzzzzzzzzzzzz\n")
            small = plug("small", folder, size="1m")
            device.await_line("the stick is full")
            pull(small)
            device.await_line("stick: pulled")
            whole = plug("whole", folder, marker="# any device\n")
            device.await_line("the stick may be pulled", times=2)
            bags = [path.read_bytes() for path in whole.glob("tidegauge-bags/*")]
            names = [path.name for path in whole.glob("tidegauge-bags/*")]
            pull(whole)
            device.await_line("stick: pulled", times=2)
            imported = run(
                "collector", "--data", str(folder / "collector"), "import", str(folder / "whole-made")
            )
            # A round that ends now: else nothing may wait when the drive comes back, and none would be written onto it.
            device.await_more("verdict")
            subprocess.run(["mount", "--bind", str(folder / "whole-made"), str(whole)], check=True)
            device.await_line("answered by the collector")
            pull(whole)
            device.await_line("stick: pulled", times=3)
            device.await_line("verdict", times=4)
            code = device.end()
            return {
                "code": code,
                "errors": device.errors,
                "names": names,
                "seqs": [_seqs(bag) for bag in bags],
                "untouched": [sorted(path.name for path in one.iterdir()) for one in (other, foreign)],
                "left": [path.name for path in (folder / "small-made").glob("tidegauge-bags/*")],
                "kept": [
                    [
                        one.target_name,
                        one.outcome.failure,
                        one.outcome.failed_operation,
                        dict(one.outcome.detail),
                    ]
                    for one in records(device.data)
                    if one.test == "transport" and one.target == "stick"
                ],
                "imported": imported.stdout,
                "acknowledged": status(device.data)["acknowledged"],
                "names_later": [path.name for path in (folder / "whole-made").glob("tidegauge-bags/*")],
                "device": json.loads((device.data / "device.json").read_text())["device"],
            }


def _seqs(bag: bytes) -> list[int]:
    read = bundle.decode(bag)
    assert not read.fault
    return [
        seq
        for message in read.messages
        if message.leaf == "bulk"
        for seq in sorted(decode_batch(message.payload).seqs, reverse=True)
    ]


def test_a_stick_with_the_marker_is_written_and_told_and_recorded(tmp_path: Path) -> None:
    seen = namespaces.call(visits, str(tmp_path))
    assert seen["code"] == 0
    assert not seen["errors"]
    assert seen["untouched"] == [[], ["TIDEGAUGE"]]
    assert seen["left"] == []
    (name,) = seen["names"]
    assert name.startswith(f"{seen['device']}-")
    assert name.endswith("Z.bag")
    (seqs,) = seen["seqs"]
    assert seqs == list(range(len(seqs), 0, -1))
    full, whole, back = seen["kept"]
    assert full[:3] == ["stick", "disk_full", "export"]
    assert full[3]["records"] == 0
    assert whole[:3] == ["stick", None, None]
    assert whole[3] == {"records": len(seqs), "waiting": len(seqs), "answered": 0}
    # Carried to a collector and back: what is there has left the outbox, and its bag the stick.
    assert f"{len(seqs):,} records, {len(seqs):,} new, 0 here already" in seen["imported"]
    assert back[3]["answered"] == seen["acknowledged"] == len(seqs)
    assert name not in seen["names_later"]
    assert len(seen["names_later"]) == 1
