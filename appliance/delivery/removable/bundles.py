"""What waits in the outbox, written as one bundle: hello, tombstones, then the records, newest first, each message signed.

Newest first, so that a USB drive that is full holds what matters most. Nothing leaves the outbox by it, and a bundle has its name
only once it is whole and on the USB drive. It must never write over what is there, nor leave half a message in a bundle.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from appliance.delivery.messages.batches import (
    BYTES_A_RECORD_START,
    TooLarge,
    pack,
    pack_tombstones,
    read_bounds,
    tombstone_limit,
)
from appliance.delivery.messages.headline import with_headline
from appliance.delivery.removable.folder import PART, Folder
from appliance.errors import ApplianceError
from appliance.outbox.box import ROUNDS_KEPT, Outbox
from appliance.storage.tables.rows import LAST_SEQ
from firmware.model.failures import Failure, from_os_error
from firmware.wire.bundle import MAGIC, BundleMessage, frame
from firmware.wire.messages import MAX_BATCH_BYTES, encode_hello

Seal: TypeAlias = Callable[[str, bytes], bytes]
"""Gives the payload for a leaf as it goes out: signed, where there is an identity (`appliance.delivery.messages.authentication.MessageAuthentication.seal`)."""
_TOMBSTONES_MAX: Final = 1_000_000
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleAuthor:
    """Who speaks in a bundle: how its messages are sealed, and what a hello tells of the device."""

    seal: Seal
    software: str
    country: str
    list_number: int | None = None
    """The trust list that is held (`appliance.delivery.messages.authentication.MessageAuthentication.list_number`): the collector answers with a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    """What came of it. `path` None: nothing was kept. `fault` says why not all is there, "" where all is."""

    path: Path | None = None
    records: int = 0
    waiting: int = 0
    size: int = 0
    fault: str = ""
    failure: str | None = None

    def __str__(self) -> str:
        if self.path is None:
            return f"nothing was exported: {self.fault}"
        told = f"{self.records:,} records exported to {self.path} ({self.size:,} bytes)"
        return f"{told}; NOT all of the {self.waiting:,} that wait: {self.fault}" if self.fault else told


def write(
    outbox: Outbox,
    folder: Folder,
    author: BundleAuthor,
    *,
    utc_ns: int,
    progress: Callable[[int, int], bool] = lambda _done, _of: True,
) -> BundleResult:
    """Write everything that waits into a new bundle in `folder`, as far as there is room.

    `progress` is told after each message how many records are written, of how many, and says whether to go on; told to
    end, nothing is kept. What a USB drive or an outbox can go wrong with is in the result.
    """
    try:
        waiting = outbox.counts().waiting
        moment = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
        stem, descriptor = folder.begin(f"{outbox.device}-{outbox.epoch}-{moment:%Y%m%dT%H%M%SZ}")
    except OSError as error:
        return _failed(0, error, folder)
    except ApplianceError as error:
        return BundleResult(fault=str(error), failure=Failure.RESULT_LOST)
    try:
        pen = _Pen(descriptor, folder)
        written = _fill(pen, outbox, author, waiting, progress)
        if written.fault and not written.records:
            return written
        pen.end()
        return replace(written, path=folder.finish(stem), size=pen.size)
    except OSError as error:
        return _failed(waiting, error, folder)
    finally:
        os.close(descriptor)
        folder.drop(stem + PART)


def messages(outbox: Outbox, author: BundleAuthor) -> Iterator[tuple[BundleMessage, int]]:
    """Yield every message, and how many records are in it: the epoch that lasts, then the ended ones. Raises `OutboxError`.

    Where the first hello had no room to name them all it is said again at the end, when each has had its own.
    """
    hello = outbox.hello(software=author.software, country=author.country)
    for box in (outbox, *outbox.past()):
        for leaf, payload, records in _of_epoch(box, author):
            yield BundleMessage(leaf=leaf, payload=author.seal(leaf, payload)), records
    if hello.ended_beyond:
        payload = encode_hello(replace(hello, ended_beyond=0))
        yield BundleMessage(leaf="hello", payload=author.seal("hello", payload)), 0


def _of_epoch(box: Outbox, author: BundleAuthor) -> Iterator[tuple[str, bytes, int]]:
    hello = box.hello(software=author.software, country=author.country)
    headed = replace(with_headline(hello, box.recent_rounds(ROUNDS_KEPT)), trust=author.list_number)
    yield "hello", encode_hello(headed), 0
    # An outbox that is only looked at has no incarnation of its own: it speaks for the one that wrote last.
    incarnation = "" if hello.past else hello.incarnations[0][0] if hello.incarnations else ""
    tombstones, step = box.tombstones(_TOMBSTONES_MAX), tombstone_limit(MAX_BATCH_BYTES)
    for at in range(0, len(tombstones), step):
        told = tombstones[at : at + step]
        yield "bulk", pack_tombstones(told, device=box.device, epoch=box.epoch, incarnation=incarnation), 0
    below, bytes_a_record = min(hello.high + 1, LAST_SEQ), BYTES_A_RECORD_START
    while True:
        limit, room = read_bounds(MAX_BATCH_BYTES, bytes_a_record)
        rows = box.newest(limit, below=below, max_bytes=room)
        if not rows:
            return
        packed = pack(
            [(row.seq, row.body) for row in rows],
            device=box.device,
            epoch=box.epoch,
            max_bytes=MAX_BATCH_BYTES,
            bytes_a_record=bytes_a_record,
            incarnation=incarnation,
        )
        if isinstance(packed, TooLarge):
            below = packed.seq  # the sender sets it aside; it can go no way at all
            continue
        below, bytes_a_record = packed.seqs[0], packed.bytes_a_record
        yield "bulk", packed.payload, len(packed.seqs)


class _Pen:
    """Writes whole messages into one file, and leaves what must be free on the USB drive."""

    def __init__(self, descriptor: int, folder: Folder) -> None:
        self._descriptor = descriptor
        self._folder = folder
        self.size = 0
        self.write(MAGIC)

    def write(self, text: bytes) -> None:
        """Write all of `text`. Raises `OSError`; none of it counts then."""
        if self._folder.free_bytes() < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = memoryview(text)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.size += len(text)

    def end(self) -> None:
        """Cut off what does not count, and have the rest on the USB drive. Raises `OSError`."""
        os.ftruncate(self._descriptor, self.size)
        os.fsync(self._descriptor)


def _fill(
    pen: _Pen, outbox: Outbox, author: BundleAuthor, waiting: int, progress: Callable[[int, int], bool]
) -> BundleResult:
    """Write messages until there are no more, or no room for more. Raises `OSError` for what is worse than that."""
    written = BundleResult(waiting=waiting)
    try:
        for message, records in messages(outbox, author):
            pen.write(frame(message))
            written = replace(written, records=written.records + records)
            if not progress(written.records, waiting):
                return BundleResult(waiting=waiting, fault="told to end", failure=Failure.INTERRUPTED)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return replace(written, fault="the USB drive is full", failure=from_os_error(error))
    except ApplianceError as error:
        return replace(written, fault=str(error), failure=Failure.RESULT_LOST)
    return written


def _failed(waiting: int, error: OSError, folder: Folder) -> BundleResult:
    where = error.filename or folder.path
    fault = f"{where}: cannot be written ({error.strerror or error})"
    if error.errno in _FULL:
        fault = f"{folder.path}: the USB drive is full; make room on it or take another"
    return BundleResult(waiting=waiting, fault=fault, failure=from_os_error(error))
