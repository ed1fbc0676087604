"""A bundle read from a file, piece by piece: however long it is, little of it is in memory.

Where it is cut short or damaged, what comes before is read and the place is told: that is `fault`. What comes after a
damaged message is not looked for: it is still where it was exported from. This file must never trust a length it reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from firmware.wire.bundle import MAGIC, MAX_PAYLOAD_BYTES, BundleMessage, decode

_FRAME_MAX: Final = 1 + 255 + 4 + MAX_PAYLOAD_BYTES + 4
_WINDOW: Final = 4 * _FRAME_MAX


@dataclass(slots=True)
class BundleFile:
    """A bundle in `file`, which is at its beginning. Iterate once; `at` is how far it was sound, `fault` why not further."""

    file: BinaryIO
    at: int = 0
    fault: str = ""

    def __iter__(self) -> Iterator[BundleMessage]:
        """Yield the messages in order. Raises `RecordError` where it is no bundle at all, and `OSError`."""
        window = self.file.read(_WINDOW)
        is_end = not window
        decode(window[: len(MAGIC)])
        self.at, window = len(MAGIC), window[len(MAGIC) :]
        while window or not is_end:
            while not is_end and len(window) < _FRAME_MAX:
                more = self.file.read(_WINDOW)
                is_end, window = not more, window + more
            bundle = decode(MAGIC + window)
            sound = bundle.size - len(MAGIC)
            yield from bundle.messages
            self.at, window = self.at + sound, window[sound:]
            if bundle.fault and not sound:
                # The window holds any message whole, or the rest of the file: more of it would not help.
                self.fault = f"at byte {self.at:,}: {bundle.fault.partition(': ')[2]}"
                return
