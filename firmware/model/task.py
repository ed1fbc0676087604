"""A task: one measurement the daemon asks of the worker, with absolute deadlines, and its result.

Pure; JSON both ways. Every `…_from_json` and `from_json` raises `RecordError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from firmware.model.jsontypes import JsonObject, JsonValue, Reader, RecordError
from firmware.model.record import Outcome, Rung, Zone, outcome_from_json, outcome_to_json

OptionValue: TypeAlias = "str | int | float | bool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to measure and when.

    `test` is a name in `firmware.measurements.EVERY_MEASUREMENT`; `target` and `options` are in that test's form.
    Both times are CLOCK_BOOTTIME in ns: it starts at `start_boottime_ns` (the slot, so that lateness shows)
    and whatever has not ended at `deadline_boottime_ns` has timed out.
    """

    task_id: str
    test: str
    target: str
    target_name: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    zone: Zone
    rung: Rung | None = None
    round_id: int | None = None
    start_boottime_ns: int
    deadline_boottime_ns: int


class TaskStep(StrEnum):
    """How far a task that is still out has come."""

    CONNECTED = "connected"
    """A TCP connection of its was accepted."""
    RECEIVING = "receiving"
    """Something has come since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the worker hands back for one task: when it really began, how long it took, what came of it.

    `target` is the task's (`@gateway` stays a word: its address is the host's own business), `uplink` the kind of interface the
    kernel would route it over (`ethernet`, `wifi`, `mobile`, `other`, or "" for none).
    """

    task_id: str
    test_version: str
    target: str
    uplink: str
    start_boottime_ns: int
    start_utc_ns: int
    runtime_ns: int
    outcome: Outcome


def to_json(task: Task) -> JsonObject:
    """Return the task's JSON form. `from_json` is its inverse."""
    return {
        "task_id": task.task_id,
        "test": task.test,
        "target": task.target,
        "target_name": task.target_name,
        "options": dict(task.options),
        "zone": str(task.zone),
        "rung": None if task.rung is None else str(task.rung),
        "round_id": task.round_id,
        "start_boottime_ns": task.start_boottime_ns,
        "deadline_boottime_ns": task.deadline_boottime_ns,
    }


def from_json(value: JsonValue) -> Task:
    """Read a task from its JSON form. Raises `RecordError`."""
    reader = Reader(value, where="task")
    rung = reader.optional_word("rung", tuple(Rung))
    options: dict[str, OptionValue] = {}
    for key, option in reader.object("options").items():
        if not isinstance(option, str | int | float | bool):
            raise RecordError(
                f"task: options: {key}: found {option!r}; allowed is text, a number, true or false"
            )
        options[key] = option
    return Task(
        task_id=reader.text("task_id"),
        test=reader.text("test"),
        target=reader.text("target"),
        target_name=reader.text("target_name"),
        options=options,
        zone=Zone(reader.word("zone", tuple(Zone))),
        rung=None if rung is None else Rung(rung),
        round_id=reader.optional_integer("round_id"),
        start_boottime_ns=reader.integer("start_boottime_ns", low=0),
        deadline_boottime_ns=reader.integer("deadline_boottime_ns", low=0),
    )


def result_to_json(result: Result) -> JsonObject:
    """Return the result's JSON form. `result_from_json` is its inverse."""
    return {
        "task_id": result.task_id,
        "test_version": result.test_version,
        "target": result.target,
        "uplink": result.uplink,
        "start_boottime_ns": result.start_boottime_ns,
        "start_utc_ns": result.start_utc_ns,
        "runtime_ns": result.runtime_ns,
        **outcome_to_json(result.outcome),
    }


def result_from_json(value: JsonValue) -> Result:
    """Read a result from its JSON form. Raises `RecordError`."""
    reader = Reader(value, where="result")
    return Result(
        task_id=reader.text("task_id"),
        test_version=reader.text("test_version"),
        target=reader.text("target"),
        uplink=reader.text("uplink"),
        start_boottime_ns=reader.integer("start_boottime_ns", low=0),
        start_utc_ns=reader.integer("start_utc_ns", low=0),
        runtime_ns=reader.integer("runtime_ns", low=0),
        outcome=outcome_from_json(reader),
    )
