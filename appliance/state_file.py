"""What only the running daemon knows, written where `tidegauge status` and the next start can read it.

DIR/status.json, replaced whole by a rename so that no reader sees half of it. It is a convenience: nothing
that must survive a power cut may live only here. It holds nothing personal.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware.jsontypes import JsonObject, JsonValue, Reader, RecordError

NAME: Final = "status.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The daemon's own account of itself. Times are wall-clock ns; `spent_by_hour` is the budget's account."""

    pid: int
    software: str
    boot_id: str
    plan: str
    started_utc_ns: int
    written_utc_ns: int
    round_id: int | None = None
    verdict_since_utc_ns: int | None = None
    sync_state: str = "off"
    sync_message: str = ""
    sync_since_utc_ns: int = 0
    clock_quality: str = "unsynchronised"
    clock_error_ns: int | None = None
    worker_restarts: int = 0
    missed_slots: int = 0
    storage_fault: str = ""
    spent_by_hour: Mapping[int, int] = field(default_factory=dict)


def to_json(state: State) -> JsonObject:
    """Return the state as it is written."""
    return {
        "v": _VERSION,
        "pid": state.pid,
        "software": state.software,
        "boot_id": state.boot_id,
        "plan": state.plan,
        "started_utc_ns": state.started_utc_ns,
        "written_utc_ns": state.written_utc_ns,
        "round_id": state.round_id,
        "verdict_since_utc_ns": state.verdict_since_utc_ns,
        "sync_state": state.sync_state,
        "sync_message": state.sync_message,
        "sync_since_utc_ns": state.sync_since_utc_ns,
        "clock_quality": state.clock_quality,
        "clock_error_ns": state.clock_error_ns,
        "worker_restarts": state.worker_restarts,
        "missed_slots": state.missed_slots,
        "storage_fault": state.storage_fault,
        "spent_by_hour": {str(hour): count for hour, count in state.spent_by_hour.items()},
    }


def write(directory: Path, state: State) -> None:
    """Write the state, if the disk lets us: what it says is told again a round later."""
    temporary = directory / f"{NAME}.new"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(to_json(state)))
        temporary.replace(directory / NAME)


def read(directory: Path) -> State | None:
    """Return the last state written, None if there is none that can be read."""
    try:
        value: JsonValue = json.loads((directory / NAME).read_text())
        reader = Reader(value, where=NAME)
        return State(
            pid=reader.integer("pid"),
            software=reader.text("software"),
            boot_id=reader.text("boot_id"),
            plan=reader.text("plan"),
            started_utc_ns=reader.integer("started_utc_ns"),
            written_utc_ns=reader.integer("written_utc_ns"),
            round_id=reader.optional_integer("round_id"),
            verdict_since_utc_ns=reader.optional_integer("verdict_since_utc_ns"),
            sync_state=reader.text("sync_state"),
            sync_message=reader.text("sync_message"),
            sync_since_utc_ns=reader.integer("sync_since_utc_ns"),
            clock_quality=reader.text("clock_quality"),
            clock_error_ns=reader.optional_integer("clock_error_ns"),
            worker_restarts=reader.integer("worker_restarts"),
            missed_slots=reader.integer("missed_slots"),
            storage_fault=reader.text("storage_fault"),
            spent_by_hour=_spent(reader.object("spent_by_hour")),
        )
    except (OSError, ValueError, RecordError):
        return None


def spent_before(state: State | None, *, boot_id: str) -> dict[int, int]:
    """Return the budget's account at the start of a run.

    After a reboot the hours of the old boot mean nothing: all of it counts as spent just now, which errs to
    the careful side.
    """
    if state is None:
        return {}
    if state.boot_id == boot_id:
        return dict(state.spent_by_hour)
    return {0: sum(state.spent_by_hour.values())}


def _spent(value: JsonObject) -> dict[int, int]:
    return {int(hour): count for hour, count in value.items() if isinstance(count, int)}
