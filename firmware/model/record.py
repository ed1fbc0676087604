"""A record: one measurement (or one thing the device owes an account of), immutable, versioned, JSON.

This file fixes what a record holds and refuses what is not one, naming the key. It must never look at a
clock, a socket or a file: what fills a record passes everything in. (device, epoch, seq) is a record's
identity and belongs to the outbox that stores it, so it is apart, in `RecordIdentity`.

To add a field: raise `SCHEMA`, and write one attribute with `since` that schema and a default, which records of before
have. Its JSON, the collector's check and docs/reference/records.md follow; where it is `asked`, so do the store's column
and the step that makes it, `record_` and its name, which fills it from the records that are there. Keys stand in the
order of the attributes, which is part of what is stored: a new one goes last in its class.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from firmware.model import statement
from firmware.model.failures import is_failure
from firmware.model.jsontypes import JsonObject, JsonValue, NewerVersionError, Reader, RecordError
from firmware.model.record_fields import Column, Form, Kind, json_key
from firmware.model.record_kinds import (
    COUNT,
    OBJECT,
    OPTIONAL_TEXT,
    OPTIONAL_WHOLE,
    TEXT,
    WHOLE,
    objects_by_name_of,
    optional_object_of,
    optional_texts,
    optional_word_of,
    whole,
    word_of,
)
from firmware.model.statement import Statement

SCHEMA: Final = 2
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

    ns: Annotated[int, json_key(WHOLE, "How long it took.")]
    stamp: Annotated[Stamp, json_key(word_of(Stamp), "Who took the time.")]


def _read_failure(reader: Reader, key: str) -> str | None:
    failure = reader.optional_text(key)
    if failure is not None and not is_failure(failure):
        raise RecordError(
            f"record: failure: found {failure!r}, which is not on the list of failure words (OONI df-007 and ours)"
        )
    return failure


def _read_evidence(reader: Reader, key: str) -> tuple[Statement, ...]:
    where = "record: verdict.evidence"
    return tuple(statement.from_json(line, where=where) for line in reader.array(key))


_CLOCK_QUALITY: Final = word_of(ClockQuality)
_FAILURE: Final = Kind(
    says="a [failure word](failures.md) or null",
    holds=str,
    read=_read_failure,
    are_sound=lambda column: (
        optional_texts(column) and all(one is None or is_failure(one) for one in set(column))
    ),
)
_EVIDENCE: Final = Kind(
    says="an array of `[code, parameters]` each (see [evidence](evidence.md)); to schema 1, of sentences",
    holds=list,
    read=_read_evidence,
    are_sound=lambda column: all(
        type(lines) is list and all(map(statement.is_sound, lines)) for lines in column
    ),
    write=lambda lines: [statement.to_json(line) for line in lines],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """One moment on both clocks. `error_ns` bounds the wall time's error; None: nothing bounds it."""

    boottime_ns: Annotated[
        int, json_key(COUNT, "When it began: ns since the boot.", name="start_boottime_ns", asked=True)
    ]
    utc_ns: Annotated[
        int, json_key(COUNT, "By the device's wall clock: ns since 1970.", name="start_utc_ns", asked=True)
    ]
    quality: Annotated[
        ClockQuality, json_key(_CLOCK_QUALITY, "What was known of it.", name="clock_quality", asked=True)
    ]
    error_ns: Annotated[
        int | None, json_key(OPTIONAL_WHOLE, "Its bound, in ns.", name="clock_error_ns", asked=True)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule concluded, and why (filled by `firmware.judgement`). What would overturn it, the catalogue says by the rule."""

    verdict: Annotated[str, json_key(TEXT, "The [verdict's word](verdicts.md).", asked=True)]
    rule_id: Annotated[str, json_key(TEXT, "The rule that spoke.", asked=True)]
    evidence: Annotated[tuple[Statement, ...], json_key(_EVIDENCE, "Why.")] = ()
    overturned_by: Annotated[str, json_key(TEXT, "To schema 1, what would overturn it; empty since.")] = ""

    @property
    def probability(self) -> float | None:
        """Return how likely what is said is so, as the evidence has it; None where nothing is claimed, or before there was one."""
        return statement.probability_in(self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a probe brought back: all of a record that the network decided."""

    failure: Annotated[str | None, json_key(_FAILURE, "What went wrong, if anything did.", asked=True)] = None
    failed_operation: Annotated[str | None, json_key(OPTIONAL_TEXT, "The step that it went wrong in.")] = None
    phases: Annotated[
        Mapping[str, Phase],
        json_key(
            objects_by_name_of(Form(Phase)), "Its steps: `resolve`, `connect`, `tls_handshake`, `rtt`, …"
        ),
    ] = field(default_factory=dict)
    bytes_up: Annotated[int, json_key(COUNT, "What was sent.")] = 0
    bytes_down: Annotated[int, json_key(COUNT, "What was received.")] = 0
    detail: Annotated[
        Mapping[str, JsonValue],
        json_key(OBJECT, "The test's own part, in the form its [module](tests.md) says."),
    ] = field(default_factory=dict)


_OUTCOME: Final = Form(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One measurement as it is kept and sent.

    `test` is a measurement's name, or `ladder` (a round's conclusion, with its verdict and the device's
    health) or `gap` (what should have been measured and was not, and why).
    """

    software: Annotated[str, json_key(TEXT, "What made it, with its version.")] = ""
    boot_id: Annotated[str, json_key(TEXT, "The device's boot, by its kernel's random id.", asked=True)]
    test: Annotated[str, json_key(TEXT, "The [test](tests.md), or `ladder` or `gap`.", asked=True)]
    test_version: Annotated[str, json_key(TEXT, "The test's version.")]
    target: Annotated[str, json_key(TEXT, "What was measured, in the test's form.", asked=True)]
    target_name: Annotated[str, json_key(TEXT, "Its name in the [plan](plans.md), if any.", asked=True)] = ""
    zone: Annotated[
        Zone, json_key(word_of(Zone), "Where the target stands, seen from the device.", asked=True)
    ]
    rung: Annotated[
        Rung | None, json_key(optional_word_of(Rung), "The rung of the ladder that it is of.", asked=True)
    ] = None
    uplink: Annotated[
        str,
        json_key(TEXT, "By what it went: `ethernet`, `wifi`, `mobile`, `tunnel`, `other`, or nothing known."),
    ] = ""
    round_id: Annotated[int | None, json_key(OPTIONAL_WHOLE, "The round it is of.", asked=True)] = None
    slot_boottime_ns: Annotated[int, json_key(COUNT, "When it was due, in ns since the boot.")]
    start: Annotated[ClockReading, Form(ClockReading)]
    runtime_ns: Annotated[int, json_key(COUNT, "How long it took.", asked=True)]
    outcome: Annotated[Outcome, _OUTCOME]
    context: Annotated[
        Mapping[str, JsonValue],
        json_key(OBJECT, "What else the device was doing, and by which plan it measured."),
    ] = field(default_factory=dict)
    verdict: Annotated[
        Verdict | None,
        json_key(optional_object_of(Form(Verdict)), "What a round came to; null but in a `ladder`."),
    ] = None


_HAS_VERDICT: Final = r'"verdict":\s*\{'
_RECORD: Final = Form(Record, head={"schema": SCHEMA})
KEYS: Final = _RECORD.keys
"""What stands at each key of a record but `schema`, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RecordIdentity:
    """Which record it is: `device` (random id), `epoch` (16 hex digits, one per outbox database), `seq` ≥ 1."""

    device: str
    epoch: str
    seq: int


def to_json(record: Record) -> JsonObject:
    """Return the record's JSON form. `from_json` is its inverse."""
    return _RECORD.write(record)


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
    return _RECORD.read(reader, schema)


def verdict_in(body: str) -> Verdict | None:
    """Return the verdict of a record's JSON text; few have one, and the others are not read for it. Raises `RecordError`."""
    return from_json(json.loads(body)).verdict if re.search(_HAS_VERDICT, body) else None


def are_records(column_of: Callable[[str], Column]) -> bool:
    """Return whether `from_json` would take every one of some records, given what they have at each key.

    `column_of` raises `KeyError` where one lacks a key; so may this. False may also mean that it is not clear.
    """
    schemas = column_of("schema")
    return whole(schemas, 1) and max(schemas) <= SCHEMA and _RECORD.are_sound(column_of, max(schemas))


def outcome_to_json(outcome: Outcome) -> JsonObject:
    """Return the outcome's JSON form: the keys it has in a record and in a worker's result."""
    return _OUTCOME.write(outcome)


def outcome_from_json(reader: Reader) -> Outcome:
    """Read an outcome's keys from the object they stand in, which software of this version wrote. Raises `RecordError`."""
    return _OUTCOME.read(reader, SCHEMA)
