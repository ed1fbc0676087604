"""The answers to a bundle, written beside it as a bundle of their own, for the device to take from the USB drive.

    NAME.bundle         →  NAME.acks.bundle   the collector's certificate first, so that any device knows who speaks, then the acks

It must never leave half a file under that name, nor one for a bundle to which there was no answer.
"""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from collector.messages import OutgoingMessage
from firmware.model.jsontypes import RecordError
from firmware.wire.bundle import MAGIC, BundleMessage, frame
from firmware.wire.envelope import is_sealed, unseal
from firmware.wire.messages import Ack, decode_ack

SUFFIXES: Final = (".bundle", ".bag")
"""What a bundle's name ends with; the second is the one before, and its answers have it too."""
_ANSWERS: Final = ".acks"
_ACK: Final = "ack"


def is_answer(path: Path) -> bool:
    """Return whether a bundle is one of a collector's answers."""
    return path.stem.endswith(_ANSWERS)


class Answering:
    """The file with the answers to `bundle`; use it as a context manager. `chain` shows who signs ("": nobody does, PEM).

    `fault` says why there is none, "" where there is one or nothing was to be said; `rejected` counts rejected
    records, `conflicts` says that the device's card was found to be a copy.
    """

    def __init__(self, bundle: Path, *, chain: bytes = b"") -> None:
        suffix = bundle.suffix if bundle.suffix in SUFFIXES else SUFFIXES[0]
        self.path = bundle.with_name(bundle.name.removesuffix(suffix) + _ANSWERS + suffix)
        self.count = 0
        self.rejected = 0
        self.conflicts = False
        self.fault = ""
        self._draft = self.path.with_name(self.path.name + ".part")
        self._chain = chain
        self._file: BinaryIO | None = None

    def take(self, answers: tuple[OutgoingMessage, ...]) -> None:
        """Write answers; where that fails it is told in `fault`, and the device will be answered the next time."""
        for answer in answers:
            leaf = answer.topic.rpartition("/")[2]
            if leaf == _ACK:
                self.count += 1
                ack = _ack(answer.payload)
                self.rejected += 0 if ack is None else len(ack.rejects)
                self.conflicts = self.conflicts or (ack is not None and ack.conflict is not None)
            self._write(BundleMessage(leaf=leaf, payload=answer.payload))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            # Also after an error: what is in it was durable before it was written.
            self._draft.replace(self.path)
            # Once more: on FAT the new name has the size only when the file is written out under it.
            os.fsync(self._file.fileno())
            self._file.close()
            _sync_directory(self.path.parent)
        except OSError as fault:
            self._fail(fault)

    def _write(self, message: BundleMessage) -> None:
        if self.fault:
            return
        try:
            if self._file is None:
                descriptor = os.open(
                    self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644
                )
                self._file = os.fdopen(descriptor, "wb")
                self._file.write(MAGIC)
                if self._chain:
                    self._file.write(frame(BundleMessage(leaf="collector", payload=self._chain)))
            self._file.write(frame(message))
        except OSError as fault:
            self._fail(fault)

    def _fail(self, fault: OSError) -> None:
        self.fault = f"{self.path}: no answers were written ({fault.strerror}); import it again to have them"
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):  # the same fault again
                file.close()
            with contextlib.suppress(OSError):  # of a USB drive that was pulled nothing can be taken away
                self._draft.unlink()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ack(payload: bytes) -> Ack | None:
    try:
        return decode_ack(unseal(payload).payload if is_sealed(payload) else payload)
    except RecordError:
        return None
