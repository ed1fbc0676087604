"""What only the running daemon knows, written where `tidegauge status` and the next start can read it.

DIR/status.json, replaced whole by a rename so that no reader sees half of it. It is a convenience: nothing
that must survive a power cut may live only here. It holds nothing personal.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.model.jsontypes import JsonObject, JsonValue, Reader, RecordError

NAME: Final = "status.json"
_VERSION: Final = 1
_MAX_ROUND: Final = 2**53
"""More than any device lives to: a number beyond it is damage, and the next one would fit into no database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """The daemon's own account of itself.

    `…_utc_ns` are wall-clock times, `…_boottime_ns` the boot's. All that is counted is since the daemon's start.
    `fingerprints` names the operator's lists of fingerprints that it goes by, `fingerprints_left_out` counts what of them could
    not be used. `spent` is the budget's account as `Budget.ages` gives it, `settled_boottime_ns` the schedule's, both as of
    `written_boottime_ns`.
    """

    pid: int
    software: str
    boot_id: str
    plan: str
    started_utc_ns: int
    fingerprints: tuple[str, ...] = ()
    fingerprints_left_out: int = 0
    written_utc_ns: int = 0
    written_boottime_ns: int = 0
    settled_boottime_ns: int = 0
    round_id: int = 0
    period_s: int = 0
    sync_state: str = "off"
    sync_message: str = ""
    sync_since_utc_ns: int = 0
    clock_quality: str = "unsynchronised"
    clock_error_ns: int | None = None
    worker_pid: int | None = None
    worker_restarts: int = 0
    worker_last_end: str = ""
    missed_slots: int = 0
    given_up: int = 0
    storage_fault: str = ""
    budget_bytes_per_day: int = 0
    spent: tuple[tuple[int, int], ...] = ()

    @property
    def spent_bytes(self) -> int:
        """How much of the day's bytes was spent."""
        return sum(count for _, count in self.spent)


def to_json(state: DaemonState) -> JsonObject:
    """Return the state as it is written."""
    return {
        "v": _VERSION,
        "pid": state.pid,
        "software": state.software,
        "boot_id": state.boot_id,
        "plan": state.plan,
        "fingerprints": list(state.fingerprints),
        "fingerprints_left_out": state.fingerprints_left_out,
        "started_utc_ns": state.started_utc_ns,
        "written_utc_ns": state.written_utc_ns,
        "written_boottime_ns": state.written_boottime_ns,
        "settled_boottime_ns": state.settled_boottime_ns,
        "round_id": state.round_id,
        "period_s": state.period_s,
        "sync_state": state.sync_state,
        "sync_message": state.sync_message,
        "sync_since_utc_ns": state.sync_since_utc_ns,
        "clock_quality": state.clock_quality,
        "clock_error_ns": state.clock_error_ns,
        "worker_pid": state.worker_pid,
        "worker_restarts": state.worker_restarts,
        "worker_last_end": state.worker_last_end,
        "missed_slots": state.missed_slots,
        "given_up": state.given_up,
        "storage_fault": state.storage_fault,
        "budget_bytes_per_day": state.budget_bytes_per_day,
        "spent": [[age_ns, count] for age_ns, count in state.spent],
    }


def write(directory: Path, state: DaemonState) -> None:
    """Write the state, if the disk lets us: what it says is told again a moment later."""
    temporary = directory / f"{NAME}.new"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(to_json(state)))
        temporary.replace(directory / NAME)


def read(directory: Path) -> DaemonState | None:
    """Return the last state written, None if there is none that can be read."""
    try:
        reader = Reader.of_text((directory / NAME).read_bytes(), where=NAME)
        return DaemonState(
            pid=reader.integer("pid"),
            software=reader.text("software"),
            boot_id=reader.text("boot_id"),
            plan=reader.text("plan"),
            fingerprints=_labels(reader),
            fingerprints_left_out=reader.integer("fingerprints_left_out", low=0)
            if reader.has("fingerprints_left_out")
            else 0,
            started_utc_ns=reader.integer("started_utc_ns"),
            written_utc_ns=reader.integer("written_utc_ns"),
            written_boottime_ns=reader.integer("written_boottime_ns", low=0),
            settled_boottime_ns=reader.integer("settled_boottime_ns", low=0),
            round_id=reader.integer("round_id", low=0, high=_MAX_ROUND),
            period_s=reader.integer("period_s"),
            sync_state=reader.text("sync_state"),
            sync_message=reader.text("sync_message"),
            sync_since_utc_ns=reader.integer("sync_since_utc_ns"),
            clock_quality=reader.text("clock_quality"),
            clock_error_ns=reader.optional_integer("clock_error_ns"),
            worker_pid=reader.optional_integer("worker_pid"),
            worker_restarts=reader.integer("worker_restarts"),
            worker_last_end=reader.text("worker_last_end"),
            missed_slots=reader.integer("missed_slots"),
            given_up=reader.integer("given_up"),
            storage_fault=reader.text("storage_fault"),
            budget_bytes_per_day=reader.integer("budget_bytes_per_day"),
            spent=tuple(_pair(item) for item in reader.array("spent")),
        )
    except (OSError, ValueError):
        return None


def spent_before(state: DaemonState | None, *, boot_id: str, now_ns: int) -> tuple[tuple[int, int], ...]:
    """Return the budget's account at the start of a run.

    What lies between two boots is not known on any clock that can be trusted, so it counts as no time at all:
    the account errs to the careful side.
    """
    if state is None:
        return ()
    pause_ns = max(0, now_ns - state.written_boottime_ns) if state.boot_id == boot_id else 0
    return tuple((age_ns + pause_ns, count) for age_ns, count in state.spent)


def settled_before(state: DaemonState | None, *, boot_id: str, now_ns: int) -> int | None:
    """Return up to when an earlier run dealt with every slot, if it was in this boot."""
    if state is None or state.boot_id != boot_id or not 0 < state.settled_boottime_ns <= now_ns:
        return None
    return state.settled_boottime_ns


def _labels(reader: Reader) -> tuple[str, ...]:
    """Return the lists of fingerprints; none in the state of a daemon that had no such setting."""
    told = reader.array("fingerprints") if reader.has("fingerprints") else []
    return tuple(one for one in told if isinstance(one, str))


def _pair(item: JsonValue) -> tuple[int, int]:
    match item:
        case [int(age_ns), int(count)] if age_ns >= 0 and count >= 0:
            return age_ns, count
        case _:
            raise RecordError(f"{NAME}: spent: found {item!r}; allowed is [age in ns, bytes]")
