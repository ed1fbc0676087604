r"""Several messages in one piece: what HTTP answers with, and what a USB drive carries. Pure.

    magic   8 bytes  "TGBAG1\r\n", so that a text-mode copy shows
    frame   repeated: 1 byte length of the leaf, the leaf (ASCII, as a topic's last word), 4 bytes length of the
            payload (big-endian), the payload (an envelope, or what `firmware.wire.messages` writes), 4 bytes CRC-32 of all that

A bundle that was cut short, as when a USB drive is pulled too early, is read up to the last whole frame, and says so. This file
must never look into a payload.
"""

import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware.model.jsontypes import RecordError

MAGIC: Final = b"TGBAG1\r\n"
LEAF_PATTERN: Final = re.compile(r"[a-z]{1,16}")
MAX_PAYLOAD_BYTES: Final = 64 * 1024
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleMessage:
    """One message: the topic's last word, and its payload."""

    leaf: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was read. `fault` says why reading ended before the end, "" where it did not; `size` is what was sound."""

    messages: tuple[BundleMessage, ...]
    size: int
    fault: str = ""


def encode(messages: Iterable[BundleMessage]) -> bytes:
    """Return a bundle."""
    return MAGIC + b"".join(frame(message) for message in messages)


def frame(message: BundleMessage) -> bytes:
    """Return one frame, to be appended to a bundle."""
    if not LEAF_PATTERN.fullmatch(message.leaf) or len(message.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a message is a small word and at most {MAX_PAYLOAD_BYTES} bytes")
    leaf = message.leaf.encode("ascii")
    text = bytes([len(leaf)]) + leaf + _LENGTH.pack(len(message.payload)) + message.payload
    return text + _LENGTH.pack(zlib.crc32(text))


def decode(data: bytes) -> Bundle:
    """Read a bundle as far as it is sound. Raises `RecordError` where `data` is not one at all."""
    if not data.startswith(MAGIC):
        raise RecordError(
            "bundle: it does not begin as one; allowed is a file that `tidegauge export --to` wrote"
        )
    messages: list[BundleMessage] = []
    at = len(MAGIC)
    while at < len(data):
        end = _end(data, at)
        if isinstance(end, str):
            return Bundle(messages=tuple(messages), size=at, fault=f"at byte {at}: {end}")
        size = data[at]
        leaf = data[at + 1 : at + 1 + size].decode("ascii")
        messages.append(BundleMessage(leaf=leaf, payload=data[at + 1 + size + 4 : end - 4]))
        at = end
    return Bundle(messages=tuple(messages), size=at)


def _end(data: bytes, at: int) -> int | str:
    """Return where the frame at `at` ends, or what is wrong with it."""
    after_leaf = at + 1 + data[at]
    if after_leaf + 4 > len(data):
        return "cut short"
    if not LEAF_PATTERN.fullmatch(data[at + 1 : after_leaf].decode("ascii", "replace")):
        return "not a message"
    length = int.from_bytes(data[after_leaf : after_leaf + 4], "big")
    end = after_leaf + 4 + length + 4
    if length > MAX_PAYLOAD_BYTES:
        return f"a message of {length} bytes; allowed is {MAX_PAYLOAD_BYTES}"
    if end > len(data):
        return "cut short"
    if int.from_bytes(data[end - 4 : end], "big") != zlib.crc32(data[at : end - 4]):
        return "its checksum does not fit"
    return end
