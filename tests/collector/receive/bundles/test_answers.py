"""The answers to a bundle, on a USB drive that goes away while they are written."""

from pathlib import Path

from collector.messages import OutgoingMessage
from collector.receive.bundles.answers import Answering
from firmware.wire.bundle_file import BundleFile
from firmware.wire.messages import Ack, encode_ack, topic

DEVICE = "abcd0123efgh4567"


def answer() -> OutgoingMessage:
    ack = Ack(epoch="0123456789abcdef", upto=7)
    return OutgoingMessage(topic=topic(DEVICE, "down", "ack"), payload=encode_ack(ack))


def test_the_answers_are_there_once_all_is_written(tmp_path: Path) -> None:
    bundle = tmp_path / "one.bundle"
    with Answering(bundle) as answering:
        answering.take((answer(),))
        assert not answering.path.exists()
    assert not answering.fault
    with answering.path.open("rb") as file:
        assert [message.leaf for message in BundleFile(file)] == ["ack"]
    assert [path.name for path in tmp_path.iterdir()] == ["one.acks.bundle"]


def test_a_usb_drive_that_is_gone_is_told_and_not_raised(tmp_path: Path) -> None:
    usb_drive = tmp_path / "usb_drive"
    usb_drive.mkdir()
    with Answering(usb_drive / "one.bundle") as answering:
        answering.take((answer(),))
        usb_drive.rename(tmp_path / "gone")
        usb_drive.write_text("no USB drive any more: nothing can be renamed or taken away there")
    assert "no answers were written" in answering.fault
    assert "import it again" in answering.fault
