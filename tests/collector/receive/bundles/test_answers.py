"""The answers to a bag, on a stick that goes away while they are written."""

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
    bag = tmp_path / "one.bag"
    with Answering(bag) as answering:
        answering.take((answer(),))
        assert not answering.path.exists()
    assert not answering.fault
    with answering.path.open("rb") as file:
        assert [message.leaf for message in BundleFile(file)] == ["ack"]
    assert [path.name for path in tmp_path.iterdir()] == ["one.acks.bag"]


def test_a_stick_that_is_gone_is_told_and_not_raised(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    with Answering(stick / "one.bag") as answering:
        answering.take((answer(),))
        stick.rename(tmp_path / "gone")
        stick.write_text("no stick any more: nothing can be renamed or taken away there")
    assert "no answers were written" in answering.fault
    assert "import it again" in answering.fault
