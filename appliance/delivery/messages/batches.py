"""How many of the waiting records go into one batch: as many as fit, at least one. Pure.

Sizes are of the payload as it travels (columns under zlib), so they are found by encoding: a guess from the last
batch, then at most a few corrections. It must never hand over a payload that the collector would refuse unread.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final, TypeAlias

from firmware.model.jsontypes import JsonObject
from firmware.wire.messages import (
    MAX_BATCH_BYTES,
    MAX_BATCH_RECORDS,
    MAX_INFLATED_BYTES,
    Batch,
    Tombstone,
    encode_batch,
)

BYTES_A_RECORD_START: Final = 100.0
SHRINK: Final = 24
"""The most a batch is expected to shrink; bounds what is read from the outbox for one."""
TOMBSTONE_BYTES: Final = 40
"""The most that one tombstone of a batch is expected to cost."""
_TRIES: Final = 4
_WELL_FILLED: Final = 0.6
_MARGIN: Final = 0.9
_SPARE: Final = 1.5
# What the columns add to the bodies, at most: the frame, and each seq.
_FRAME_BYTES: Final = 1024
_SEQ_BYTES: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A batch ready to travel: its payload and the seqs in it, ascending."""

    payload: bytes
    seqs: tuple[int, ...]

    @property
    def bytes_a_record(self) -> float:
        """Return the payload's share of one record."""
        return len(self.payload) / len(self.seqs)


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLarge:
    """The first record can never be sent, and why."""

    seq: int
    reason: str


PackResult: TypeAlias = "Packed | TooLarge"


def read_bounds(max_bytes: int, bytes_a_record: float) -> tuple[int, int]:
    """Return how many rows, and how many bytes of bodies, are worth reading for a batch of `max_bytes`."""
    rows = int(_SPARE * max_bytes / bytes_a_record) + 1
    return min(rows, MAX_BATCH_RECORDS), min(max_bytes * SHRINK, MAX_INFLATED_BYTES)


def tombstone_limit(max_bytes: int) -> int:
    """Return how many tombstones may go into a batch of `max_bytes`: they take at most half of it."""
    return min(MAX_BATCH_RECORDS, max(1, max_bytes // 2 // TOMBSTONE_BYTES))


def pack_tombstones(
    tombstones: Sequence[Tombstone], *, device: str, epoch: str, incarnation: str = ""
) -> bytes:
    """Return a batch that holds only tombstones, as many as `tombstone_limit` allows."""
    told = tuple(tombstones)
    return encode_batch(
        Batch(device=device, epoch=epoch, seqs=(), records=(), tombstones=told, incarnation=incarnation)
    )


def pack(
    rows: Sequence[tuple[int, str]],
    *,
    device: str,
    epoch: str,
    max_bytes: int,
    bytes_a_record: float,
    tombstones: Sequence[Tombstone] = (),
    incarnation: str = "",
) -> PackResult:
    """Pack the first of `rows` ((seq, body) in order of preference, at least one) into one batch.

    As many as fit `max_bytes`. A first row that does not fit it on its own goes alone; one that passes even the
    contract's `MAX_BATCH_BYTES` is `TooLarge`.
    """
    usable = _usable(rows)
    if not usable:
        return _too_large(rows[0][0], "its JSON", len(rows[0][1].encode()), MAX_INFLATED_BYTES)
    frame = Batch(
        device=device, epoch=epoch, seqs=(), records=(), tombstones=tuple(tombstones), incarnation=incarnation
    )
    count = _clamp(max_bytes / bytes_a_record, len(usable))
    fitting: Packed | None = None
    for _ in range(_TRIES):
        packed = _encode(usable[:count], frame)
        size = len(packed.payload)
        if size > max_bytes:
            if count == 1 or fitting is not None:
                break
            count = _clamp(count * _MARGIN * max_bytes / size, count - 1)
        else:
            fitting = packed
            if count == len(usable) or size >= _WELL_FILLED * max_bytes:
                break
            count = _clamp(max(count + 1, count * _MARGIN * max_bytes / size), len(usable))
    if fitting is not None:
        return fitting
    alone = _encode(usable[:1], frame)
    if len(alone.payload) > MAX_BATCH_BYTES:
        return _too_large(usable[0][0], "its batch", len(alone.payload), MAX_BATCH_BYTES)
    return alone


def _usable(rows: Sequence[tuple[int, str]]) -> list[tuple[int, JsonObject]]:
    """Return the leading rows that may share a batch: the same keys (software changes), not too much inflated."""
    bodies: list[str] = []
    inflated = _FRAME_BYTES
    for _, body in rows[:MAX_BATCH_RECORDS]:
        inflated += len(body.encode()) + _SEQ_BYTES
        if inflated > MAX_INFLATED_BYTES:
            break
        bodies.append(body)
    # Read in one go: what keys are called is then read once.
    records: list[JsonObject] = json.loads(f"[{','.join(bodies)}]")
    keys = list(records[0]) if records else []
    alike = takewhile(lambda record: list(record) == keys, records)
    return [(seq, record) for (seq, _), record in zip(rows, alike, strict=False)]


def _encode(rows: Sequence[tuple[int, JsonObject]], frame: Batch) -> Packed:
    ordered = sorted(rows, key=lambda row: row[0])
    seqs = tuple(seq for seq, _ in ordered)
    records = tuple(record for _, record in ordered)
    payload = encode_batch(replace(frame, seqs=seqs, records=records))
    return Packed(payload=payload, seqs=seqs)


def _clamp(count: float, high: int) -> int:
    return max(1, min(int(count), high))


def _too_large(seq: int, what: str, found: int, allowed: int) -> TooLarge:
    return TooLarge(seq=seq, reason=f"too large to send: {what} has {found:,} bytes; allowed is {allowed:,}")
