"""What may arrive at the store and what it answers: the values between ingest and storage, and nothing else.

A store (SQLite now, another later) takes `Arrival`s and answers with `Accounted`. Times are UTC in ns.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Hello, Reject, Tombstone


class IngestRow(NamedTuple):
    """A record as it is stored: the whole as JSON in `body`, and in `asked` what `collector.store.asked_columns` says.

    A tuple, since there is one for every record that ever comes.
    """

    seq: int
    body: str
    asked: tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that was not accepted: `seq` is None when the payload as a whole was not. `payload` is kept."""

    epoch: str | None
    seq: int | None
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchArrived:
    """A batch's acceptable records, its tombstones, and the seqs that were rejected.

    A rejected seq is answered for good. `refusals` is what is kept of them for inspection: one for each, or
    one without a seq for all when it was the batch that was not accepted. `came` is the message as it came, signature
    and all: the evidence for what is stored of it (b"": there is none).
    """

    device: str
    epoch: str
    received_ns: int
    topic: str
    rows: tuple[IngestRow, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    rejected: tuple[int, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    incarnation: str = ""
    came: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloArrived:
    """A device connected and said what it holds. `came` is the message as it came, signature and all."""

    hello: Hello
    received_ns: int
    came: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceArrived:
    """A device's birth or last will: whether it is connected to the broker."""

    device: str
    online: bool
    received_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedArrived:
    """A payload that was not accepted as a whole. `device` is the topic's, or "" when that is not one of ours."""

    device: str
    received_ns: int
    topic: str
    refusals: tuple[Refusal, ...]


Arrival: TypeAlias = "BatchArrived | HelloArrived | PresenceArrived | RefusedArrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted:
    """What is durable of one epoch: every seq up to `upto`, and `ranges` above it (some of them, see `commit`).

    `incarnation` is the one that is answered: nothing is said of what a later one gave. `conflict` says that two give
    numbers in this epoch, which are the same up to that seq: then nothing of it was stored, and nothing else is said.
    `rejects` are those the device may not have heard of yet. `pause_s` is how long the device is asked to wait, since
    it has too much here already.
    """

    upto: int
    ranges: SeqRanges
    rejects: tuple[Reject, ...] = ()
    incarnation: str = ""
    conflict: int | None = None
    pause_s: float = 0.0
