"""Messages on a byte stream: a 4-byte big-endian length, then that many bytes. Pure, incremental.

Between the daemon and its worker, each message JSON: a result is `{"type": "result", …}` with what `result_to_json` has. It
must never buffer past `MAX_FRAME_BYTES`: a length beyond it is an error.
"""

import json
import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

from firmware.model.jsontypes import JsonObject
from firmware.model.task import Result, result_from_json, result_to_json

Message: TypeAlias = "JsonObject | Result"

MAX_FRAME_BYTES: Final = 1024 * 1024
_RESULT: Final = "result"
_LENGTH: Final = struct.Struct(">I")


class FramingError(ValueError):
    """The stream is not one of ours, and where the next message begins is unknown: close it."""


def encode(message: Message) -> bytes:
    """Return one message with its length before it. Raises `FramingError` past `MAX_FRAME_BYTES`."""
    body = _to_json({"type": _RESULT, **result_to_json(message)} if isinstance(message, Result) else message)
    if len(body) > MAX_FRAME_BYTES:
        raise FramingError(f"a message of {len(body)} bytes; allowed are {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Takes bytes as they come and gives whole messages. After an error it is of no more use."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield every message that `data` completes. Raises `FramingError`, `RecordError` for a result that is none."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > MAX_FRAME_BYTES:
                raise FramingError(f"found a length of {size}; allowed are up to {MAX_FRAME_BYTES}")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _message(body)

    @property
    def is_empty(self) -> bool:
        """Whether the stream may end here: no message is half read."""
        return not self._buffer


def _to_json(message: JsonObject) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _message(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FramingError(f"a message is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise FramingError("a message is not a JSON object")
    return result_from_json(message) if message.get("type") == _RESULT else message
