"""What `tidegauge collector import` takes for bundles, and what it says of a USB drive that cannot be read."""

from pathlib import Path

from click.testing import CliRunner

from appliance.delivery.removable.bundles import BundleAuthor, messages
from appliance.outbox.box import Outbox
from collector.receive.bundles.command import import_
from firmware.wire.bundle import MAGIC, frame
from tests.firmware.records import tcp_record


def test_a_usb_drive_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    # Looking at it ends with an error of the system, as at a torn FAT (`python -m tests.drills usb-drive`), for root as well.
    usb_drive = tmp_path / ("x" * 300)
    done = CliRunner().invoke(import_, ["--data", str(tmp_path / "data"), str(usb_drive)])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert f"{usb_drive}: cannot be read (File name too long)" in done.output


def test_bundles_of_the_software_before_are_still_read_and_answered(tmp_path: Path) -> None:
    author = BundleAuthor(seal=lambda _leaf, payload: payload, software="s", country="xx")
    with Outbox.open(tmp_path / "outbox.sqlite3", device="a" * 16) as outbox:
        outbox.append([tcp_record(number) for number in range(3)])
        content = MAGIC + b"".join(frame(message) for message, _ in messages(outbox, author))
    before = tmp_path / "drive" / "tidegauge-bags"
    before.mkdir(parents=True)
    (before / "one.bag").write_bytes(content)
    drive = str(tmp_path / "drive")
    for new in (3, 0):  # the second time it meets its own answer, which is no bundle
        done = CliRunner().invoke(import_, ["--data", str(tmp_path / "data"), drive])
        assert done.exit_code == 0, done.output
        assert f"one.bag: device {'a' * 16}: 3 records, {new} new" in done.output
        assert "one.acks.bag:" not in done.output
    assert sorted(path.name for path in before.iterdir()) == ["one.acks.bag", "one.bag"]
