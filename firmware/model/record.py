"""A record: one measurement (or one thing the device owes an account of), immutable, versioned, JSON.

This file fixes what a record holds and refuses what is not one, naming the key. It must never look at a
clock, a socket or a file: what fills a record passes everything in. (device, epoch, seq) is a record's
identity and belongs to the outbox that stores it, so it is apart, in `RecordIdentity`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

from firmware.model.failures import is_failure
from firmware.model.jsontypes import JsonObject, JsonValue, NewerVersionError, Reader, RecordError

SCHEMA: Final = 1
"""The version of the record's form. A reader takes every version up to its own and refuses a later one."""


class Zone(StrEnum):
    """Where a target stands, seen from the device."""

    LOCAL = "local"
    DOMESTIC = "domestic"
    INTERNATIONAL = "international"


class Rung(StrEnum):
    """The ladder's rungs, lowest first."""

    LINK = "link"
    ADDRESS = "address"
    GATEWAY = "gateway"
    RESOLVER = "resolver"
    DOMESTIC = "domestic"
    INTERNATIONAL = "international"
    PLATFORMS = "platforms"


class Stamp(StrEnum):
    """Who took a time: the class of its clock reading, never mixed silently."""

    HW = "hw"
    """The network card, at the wire."""
    SND = "snd"
    """The kernel, on handing the packet to the driver; receive: on taking it from the driver."""
    SCHED = "sched"
    """The kernel, before the packet entered the device's own queue."""
    TCP_INFO = "tcp_info"
    """The kernel's own round-trip sample of a TCP handshake (µs resolution)."""
    USER = "user"
    """This process, and so late by whatever else the machine was doing."""


class ClockQuality(StrEnum):
    """What is known of the wall clock when a record was made."""

    SYNCHRONISED = "synchronised"
    HOLDOVER = "holdover"
    """Synchronised earlier in this boot; the error grows with time since."""
    UNSYNCHRONISED = "unsynchronised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """How long one step took, in ns, and who took the time."""

    ns: int
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """One moment on both clocks. `error_ns` bounds the wall time's error; None: nothing bounds it."""

    boottime_ns: int
    utc_ns: int
    quality: ClockQuality
    error_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule concluded, why, and what would overturn it (filled by `firmware.judgement.round.verdict`)."""

    verdict: str
    rule_id: str
    evidence: tuple[str, ...] = ()
    overturned_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a probe brought back: all of a record that the network decided.

    `failure` is an OONI failure string or None; `failed_operation` the step it happened in. `phases` maps a
    step's name (`resolve`, `connect`, `tls_handshake`, `first_byte`, `body`, `rtt`, …) to its time. `detail`
    is the test's own part, JSON, in the form its module documents.
    """

    failure: str | None = None
    failed_operation: str | None = None
    phases: Mapping[str, Phase] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    detail: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One measurement as it is kept and sent.

    `test` is a measurement's name, or `ladder` (a round's conclusion, with its verdict and the device's
    health) or `gap` (what should have been measured and was not, and why). `slot_boottime_ns` is when it was
    due, `start` when it began. `context` says what else the device was doing.
    """

    boot_id: str
    test: str
    test_version: str
    target: str
    target_name: str = ""
    zone: Zone
    rung: Rung | None = None
    uplink: str = ""
    round_id: int | None = None
    slot_boottime_ns: int
    start: ClockReading
    runtime_ns: int
    outcome: Outcome
    context: Mapping[str, JsonValue] = field(default_factory=dict)
    verdict: Verdict | None = None
    software: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RecordIdentity:
    """Which record it is: `device` (random id), `epoch` (16 hex digits, one per outbox database), `seq` ≥ 1."""

    device: str
    epoch: str
    seq: int


def to_json(record: Record) -> JsonObject:
    """Return the record's JSON form. `from_json` is its inverse."""
    verdict = record.verdict
    return {
        "schema": SCHEMA,
        "software": record.software,
        "boot_id": record.boot_id,
        "test": record.test,
        "test_version": record.test_version,
        "target": record.target,
        "target_name": record.target_name,
        "zone": str(record.zone),
        "rung": str(record.rung) if record.rung is not None else None,
        "uplink": record.uplink,
        "round_id": record.round_id,
        "slot_boottime_ns": record.slot_boottime_ns,
        "start_boottime_ns": record.start.boottime_ns,
        "start_utc_ns": record.start.utc_ns,
        "clock_quality": str(record.start.quality),
        "clock_error_ns": record.start.error_ns,
        "runtime_ns": record.runtime_ns,
        **outcome_to_json(record.outcome),
        "context": dict(record.context),
        "verdict": None
        if verdict is None
        else {
            "verdict": verdict.verdict,
            "rule_id": verdict.rule_id,
            "evidence": list(verdict.evidence),
            "overturned_by": verdict.overturned_by,
        },
    }


def from_json(value: JsonValue) -> Record:
    """Read a record from its JSON form.

    Raises `RecordError`, naming the key, what was found and what is allowed.
    """
    reader = Reader(value, where="record")
    schema = reader.integer("schema", low=1)
    if schema > SCHEMA:
        raise NewerVersionError(
            f"record: schema: found {schema}, but this software reads up to {SCHEMA}: upgrade the collector"
        )
    rung = reader.optional_word("rung", tuple(Rung))
    return Record(
        boot_id=reader.text("boot_id"),
        test=reader.text("test"),
        test_version=reader.text("test_version"),
        target=reader.text("target"),
        target_name=reader.text("target_name"),
        zone=Zone(reader.word("zone", tuple(Zone))),
        rung=None if rung is None else Rung(rung),
        uplink=reader.text("uplink"),
        round_id=reader.optional_integer("round_id"),
        slot_boottime_ns=reader.integer("slot_boottime_ns", low=0),
        start=ClockReading(
            boottime_ns=reader.integer("start_boottime_ns", low=0),
            utc_ns=reader.integer("start_utc_ns", low=0),
            quality=ClockQuality(reader.word("clock_quality", tuple(ClockQuality))),
            error_ns=reader.optional_integer("clock_error_ns"),
        ),
        runtime_ns=reader.integer("runtime_ns", low=0),
        outcome=outcome_from_json(reader),
        context=reader.object("context"),
        verdict=_verdict(reader),
        software=reader.text("software"),
    )


def outcome_to_json(outcome: Outcome) -> JsonObject:
    """Return the outcome's JSON form: the keys it has in a record and in a worker's result."""
    return {
        "failure": outcome.failure,
        "failed_operation": outcome.failed_operation,
        "phases": {
            name: {"ns": phase.ns, "stamp": str(phase.stamp)} for name, phase in outcome.phases.items()
        },
        "bytes_up": outcome.bytes_up,
        "bytes_down": outcome.bytes_down,
        "detail": dict(outcome.detail),
    }


def outcome_from_json(reader: Reader) -> Outcome:
    """Read an outcome's keys from the object they stand in. Raises `RecordError`."""
    failure = reader.optional_text("failure")
    if failure is not None and not is_failure(failure):
        raise RecordError(
            f"record: failure: found {failure!r}, which is not on the list of failure words (OONI df-007 and ours)"
        )
    phases = {}
    for name in reader.object("phases"):
        phase = reader.child("phases").child(name)
        phases[name] = Phase(ns=phase.integer("ns"), stamp=Stamp(phase.word("stamp", tuple(Stamp))))
    return Outcome(
        failure=failure,
        failed_operation=reader.optional_text("failed_operation"),
        phases=phases,
        bytes_up=reader.integer("bytes_up", low=0),
        bytes_down=reader.integer("bytes_down", low=0),
        detail=reader.object("detail"),
    )


def _verdict(reader: Reader) -> Verdict | None:
    if reader.raw("verdict") is None:
        return None
    verdict = reader.child("verdict")
    evidence = verdict.array("evidence")
    if not all(isinstance(line, str) for line in evidence):
        raise RecordError("record: verdict.evidence: every line must be text")
    return Verdict(
        verdict=verdict.text("verdict"),
        rule_id=verdict.text("rule_id"),
        evidence=tuple(cast("list[str]", evidence)),
        overturned_by=verdict.text("overturned_by"),
    )
