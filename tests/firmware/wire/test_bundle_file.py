"""Bundles read from files: the same as those read at once, however they are cut, and never much in memory."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import RecordError
from firmware.wire import bundle as wire_bundle
from firmware.wire.bundle import BundleMessage
from firmware.wire.bundle_file import BundleFile

messages = st.lists(
    st.builds(
        BundleMessage,
        leaf=st.sampled_from(["hello", "bulk", "ack"]),
        payload=st.binary(max_size=40) | st.just(b"x" * wire_bundle.MAX_PAYLOAD_BYTES),
    ),
    max_size=12,
)


class Dribble(io.BytesIO):
    """A file that gives at most 50,000 bytes a read, as a pipe would."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(50_000, size if size is not None and size >= 0 else 50_000))


@given(messages, st.data())
def test_a_cut_bundle_is_read_to_its_last_whole_message(
    said: list[BundleMessage], data: st.DataObject
) -> None:
    whole = wire_bundle.encode(said)
    cut = whole[: data.draw(st.integers(len(wire_bundle.MAGIC), len(whole)))]
    bundle = wire_bundle.decode(cut)
    read = BundleFile(Dribble(cut))
    assert tuple(read) == bundle.messages
    assert read.at == bundle.size
    assert bool(read.fault) == bool(bundle.fault)


def test_what_comes_after_a_damaged_message_is_left_and_the_place_is_told() -> None:
    said = [BundleMessage(leaf="bulk", payload=bytes([number]) * 60_000) for number in range(20)]
    whole = bytearray(wire_bundle.encode(said))
    whole[8 + 10 * 60_013 + 30_000] ^= 1
    read = BundleFile(io.BytesIO(bytes(whole)))
    assert list(read) == said[:10]
    assert read.fault == "at byte 600,138: its checksum does not fit"


def test_a_length_that_lies_is_not_believed() -> None:
    lying = wire_bundle.MAGIC + b"\x04bulk" + b"\xff\xff\xff\xff" + b"x" * 1_000_000
    read = BundleFile(io.BytesIO(lying))
    assert list(read) == []
    assert "4294967295 bytes; allowed is 65536" in read.fault


@pytest.mark.parametrize("data", [b"", b"TGB", b"PK\3\4 something else"])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match="does not begin as one"):
        list(BundleFile(io.BytesIO(data)))
