"""The typed answers to the page's and the API's questions (`collector.store.queries`). Values only, no behaviour.

Times are UTC in ns since 1970. A round is a ladder record and the measurements that carry its number.
"""

from dataclasses import dataclass

from collector.store.completeness import Completeness
from firmware.model.record import ClockReading, Rung
from firmware.wire.messages import Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """A device and what was last heard of it.

    `online` is None when no birth or last will was ever seen; `waiting` is what its last hello said was queued, and
    `headline` what it said of its verdicts, ahead of the records that tell it in full.
    """

    id: str
    country: str
    software: str
    first_seen_ns: int
    last_seen_ns: int
    online: bool | None
    waiting: int | None
    rejects: int
    last_round: "RoundRow | None"
    completeness: Completeness
    headline: tuple[Transition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """A round's conclusion: the device's own verdict, with its evidence; its start by all that is known now."""

    device: str
    epoch: str
    seq: int
    boot_id: str
    round_id: int | None
    start_utc_ns: int
    clock_quality: str
    clock_error_ns: int | None
    verdict: str | None
    rule_id: str | None
    body: str
    start_boottime_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RungCell:
    """One rung in one round: how many of its targets answered.

    `state` is `reached` (all), `partly`, `failed` (none) or `unknown` (none is here). `failures` are the
    failure words, each once, sorted.
    """

    rung: Rung
    state: str
    reached: int
    tried: int
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """A stored record. `id` is the order of arrival and the cursor; `body` is the record's JSON text.

    `start` is when it was by all that is known now, `start_utc_ns` what the device's wall clock said, as in `body`.
    """

    id: int
    device: str
    epoch: str
    seq: int
    received_ns: int
    start_utc_ns: int
    test: str
    rung: str | None
    target: str
    target_name: str
    round_id: int | None
    failure: str | None
    verdict: str | None
    body: str
    boot_id: str
    start: ClockReading


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records are wanted; None asks for all. Times are of the measurement's start, in ns.

    They are compared with what the device's wall clock said, which does not change: an answer can be asked for again.
    """

    device: str | None = None
    test: str | None = None
    rung: str | None = None
    failure: str | None = None
    since_utc_ns: int | None = None
    until_utc_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPage:
    """Some records in order of arrival. `next_cursor` continues; None when there is no more at present."""

    records: tuple[RecordRow, ...]
    next_cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """Something that was not accepted, why, and the first bytes of what arrived.

    `device` is "" when the topic was not one of ours; `seq` is None when the payload as a whole was refused.
    """

    id: int
    device: str
    epoch: str | None
    seq: int | None
    reason: str
    received_ns: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCounts:
    """How much is in the store."""

    devices: int
    records: int
    rejects: int
