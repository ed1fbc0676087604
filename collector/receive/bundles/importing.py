"""Bundles that were carried here by hand: every message judged, stored and answered as if it had come over a network.

Whose a bundle is says its hello, never its name, and the signatures say whether that is so. This file must never hold more of
a bundle in memory than a group of messages, nor give an answer before what it answers is durable.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from collector.messages import Delivery, OutgoingMessage
from collector.receive.bundles.answers import SUFFIXES, Answering, is_answer
from firmware.model.jsontypes import RecordError
from firmware.wire.bundle import BundleMessage
from firmware.wire.bundle_file import BundleFile
from firmware.wire.envelope import is_sealed, unseal
from firmware.wire.messages import decode_batch, decode_hello, topic

FOLDERS: Final = ("tidegauge-bundles", "tidegauge-bags")
"""Where a device writes them; the second is what the software before called it."""
GROUP: Final = 64
_UPWARDS: Final = frozenset({"hello", "live", "bulk"})
Handle: TypeAlias = Callable[[Sequence[Delivery]], None]
"""Stores deliveries and answers each by its `reply`. Raises `CollectorError` where nothing was stored."""


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came of one bundle. `records` were in it: `new`, `rejected`, and the rest was here already."""

    path: Path
    device: str = ""
    messages: int = 0
    records: int = 0
    new: int = 0
    rejected: int = 0
    unanswered: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        whose = f"device {self.device}" if self.device else "of no device"
        known = max(0, self.records - self.new - self.rejected)
        told = f"{self.path}: {whose}: {self.records:,} records, {self.new:,} new, {known:,} here already"
        if self.rejected:
            told += f", {self.rejected:,} rejected"
        return "\n".join([told, *(f"  {fault}" for fault in self.faults)])


def bundles(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the bundles among `paths`: a file as it is; of a directory or a USB drive what is at its top and in `tidegauge-bundles`."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder in (path, *(path / name for name in FOLDERS)):
            found = (one for suffix in SUFFIXES for one in folder.glob(f"*{suffix}"))
            for bundle in sorted(found):
                if bundle.is_file() and not bundle.is_symlink() and not is_answer(bundle):
                    yield bundle


def import_bundle(
    path: Path, handle: Handle, answering: Answering, *, stored: Callable[[str], int]
) -> Imported:
    """Import one bundle, its answers into `answering`. `stored` counts what is stored of a device.

    What is wrong with the bundle is in the result. Raises `CollectorError` where the collector cannot store.
    """
    done = Imported(path=path)
    before = 0
    group: list[Delivery] = []
    try:
        with path.open("rb") as file:
            read = BundleFile(file)
            for message in read:
                done.messages += 1
                device = _device(message) or done.device
                if done.device and device != done.device:
                    done.faults.append(f"a second device in one bundle, {device}: no further")
                    break
                if not device:
                    done.faults.append("it does not begin with a device's hello")
                    break
                if not done.device:
                    done.device, before = device, stored(device)
                group.append(_delivery(message, done, answering))
                if len(group) == GROUP:
                    _handle(group, handle, done)
            if read.fault:
                done.faults.append(f"read to {read.fault}; what comes before is taken")
    except RecordError as error:
        done.faults.append(str(error))
    except OSError as error:
        done.faults.append(f"cannot be read ({error.strerror or error})")
    _handle(group, handle, done)
    if done.device:
        done.new = stored(done.device) - before
    done.rejected = answering.rejected
    if answering.conflicts:
        done.faults.append(
            "its card was copied or restored: put the USB drive back, and it exports under a new epoch"
        )
    if done.unanswered:
        done.faults.append(
            f"{done.unanswered:,} of {done.messages:,} messages refused: not signed by a device that counts here, "
            "or changed"
        )
    return done


def _handle(group: list[Delivery], handle: Handle, done: Imported) -> None:
    """Store a group and empty it."""
    if group:
        before = done.unanswered
        done.unanswered += len(group)
        try:
            handle(group)
        except BaseException:
            done.unanswered = before
            raise
        group.clear()


def _delivery(message: BundleMessage, done: Imported, answering: Answering) -> Delivery:
    records = _records(message)

    def reply(answers: tuple[OutgoingMessage, ...]) -> None:
        if answers:
            done.unanswered -= 1
            done.records += records
            answering.take(answers)

    leaf = message.leaf if message.leaf in _UPWARDS else "unknown"
    return Delivery(
        topic=topic(done.device, "up", leaf),
        payload=message.payload,
        received_ns=time.time_ns(),
        reply=reply,
    )


def _payload(message: BundleMessage) -> bytes:
    return unseal(message.payload).payload if is_sealed(message.payload) else message.payload


def _device(message: BundleMessage) -> str:
    """Return the device that a hello names, "" for what is none; nothing is believed of it yet."""
    if message.leaf != "hello":
        return ""
    try:
        return decode_hello(_payload(message)).device
    except RecordError:
        return ""


def _records(message: BundleMessage) -> int:
    """Return how many records a message has, as far as it can be read."""
    if message.leaf == "hello":
        return 0
    try:
        return len(decode_batch(_payload(message)).seqs)
    except RecordError:
        return 0
