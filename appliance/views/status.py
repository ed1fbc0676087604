"""`tidegauge status`: how one device is, read from its data directory, whether it is running or not.

It reads and never writes, needs no lock and no right but to read. What cannot be known is said to be unknown.
"""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance import state_file
from appliance.identity.files import IdentityFiles
from appliance.outbox.box import Outbox, OutboxCounts
from appliance.outbox.time_bounds import TimeBounds
from appliance.state_file import DaemonState
from appliance.storage.datadir import DataDirError, read_device
from appliance.storage.errors import OutboxDamagedError
from appliance.views.rung_words import rung_line
from firmware.judgement import ladder as ladder_json
from firmware.judgement.ladder import Ladder
from firmware.model import record as record_json
from firmware.model.jsontypes import JsonObject, RecordError
from firmware.model.record import ClockReading, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One device, as its directory shows it. `running` is the daemon's pid, None when there is none."""

    data: Path
    device: str
    epoch: str
    running: int | None
    counts: OutboxCounts
    last: Record | None
    state: DaemonState | None
    trust: "Trust | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The list a device goes by: its number (0: none has come), how many collectors count, until when, and what is wrong."""

    number: int = 0
    collectors: int = 0
    not_after_utc_ns: int = 0
    fault: str = ""


def look(data: Path) -> Status:
    """Read a device's directory. Raises `ApplianceError` when there is none, or it cannot be read."""
    device = read_device(data)
    if device is None:
        raise DataDirError(
            "no device has run here yet",
            where=data,
            remedy="Start one with `tidegauge device`, or name its directory with --data",
        )
    try:
        return _look(data, device, Outbox.open_read_only)
    except OutboxDamagedError:
        return _look(data, device, Outbox.open_for_export)


def _look(data: Path, device: str, opened: Callable[[Path], Outbox]) -> Status:
    with opened(data / "outbox.sqlite3") as outbox:
        last = outbox.recent_rounds(1)
        return Status(
            data=data,
            device=device,
            epoch=outbox.epoch,
            running=_holder(data / "lock"),
            counts=outbox.counts(),
            last=last[0] if last else None,
            state=state_file.read(data),
            trust=_trust(data, outbox),
        )


def _trust(data: Path, outbox: Outbox) -> Trust | None:
    """Return which list the device goes by, None where it has no identity."""
    files = IdentityFiles(data=data)
    if not files.are_there:
        return None
    # Costs half a second on a small device: only where there is an identity.
    from appliance.identity.trusted import read_held_of  # noqa: PLC0415

    held = read_held_of(files)
    if held.trust is None:
        return Trust(fault=held.fault and f"it cannot be read, so nothing is let go of ({held.fault})")
    fault = ""
    if TimeBounds(outbox).now_low_ns() > held.trust.not_after_utc_ns:
        fault = "it has run out: nothing is let go of until a newer one comes"
    return Trust(
        number=held.number,
        collectors=held.trust.counting,
        not_after_utc_ns=held.trust.not_after_utc_ns,
        fault=fault,
    )


def in_words(status: Status) -> str:
    """Return the status as a few aligned lines."""
    counts, state = status.counts, status.state
    rows = [
        ("device", f"{status.device}, epoch {status.epoch}"),
        ("running", "no" if status.running is None else f"yes, process {status.running}"),
        *_round_rows(status.last),
        (
            "results",
            _counts(counts),
        ),
    ]
    if counts.given_up:
        rows.append(
            ("given up", f"{counts.given_up:,} for lack of room or damaged, and told to the collector")
        )
    if counts.unstored:
        rows.append(("lost", f"{counts.unstored:,} measured and never stored: the disk refused them"))
    if status.trust is not None:
        rows.append(("trust list", _trust_words(status.trust)))
    if state is not None:
        rows += _state_rows(state, running=status.running is not None)
    return "\n".join(f"{name:<10} {text}".rstrip() for name, text in rows)


def to_json(status: Status) -> JsonObject:
    """Return the status for machines. `last_round` is the round's whole record."""
    counts, state = status.counts, status.state
    return {
        "data": str(status.data),
        "device": status.device,
        "epoch": status.epoch,
        "running": status.running,
        "produced": counts.produced,
        "waiting": counts.waiting,
        "acknowledged": counts.acknowledged,
        "quarantined": counts.quarantined,
        "unstored": counts.unstored,
        "given_up": counts.given_up,
        "trust_list": None
        if status.trust is None
        else {
            "number": status.trust.number,
            "collectors": status.trust.collectors,
            "not_after_utc_ns": status.trust.not_after_utc_ns,
            "fault": status.trust.fault,
        },
        "last_round": None if status.last is None else record_json.to_json(status.last),
        "daemon": None if state is None else state_file.to_json(state),
    }


def _trust_words(trust: Trust) -> str:
    if not trust.number:
        return trust.fault or "none yet: every collector of our authority counts"
    counting = f"{trust.collectors} collector{'s' if trust.collectors != 1 else ''}"
    told = f"number {trust.number}, {counting}, until {_moment(trust.not_after_utc_ns)}"
    return f"{told}; {trust.fault}" if trust.fault else told


def clock_words(clock: ClockReading) -> str:
    """Return how sure a time is: `± 0.5 s`, or that nothing bounds it."""
    if clock.error_ns is None:
        return f"clock {clock.quality}: how wrong it is, is not known"
    return f"± {clock.error_ns / 1e9:.3g} s, clock {clock.quality}"


def _counts(counts: OutboxCounts) -> str:
    return (
        f"{counts.produced:,} produced, {counts.waiting:,} waiting, {counts.acknowledged:,} acknowledged, "
        f"{counts.quarantined:,} rejected and quarantined"
    )


def _round_rows(last: Record | None) -> list[tuple[str, str]]:
    if last is None or last.verdict is None:
        return [("verdict", "none yet")]
    rows = [
        ("verdict", f"{last.verdict.verdict} (rule {last.verdict.rule_id})"),
        ("round", f"{last.round_id} at {_moment(last.start.utc_ns)}, {clock_words(last.start)}"),
    ]
    ladder = _ladder(last)
    if ladder is None:
        return [*rows, *(("", line) for line in last.verdict.evidence)]
    return [*rows, *(("", f"{state.rung:<13} {state.state:<8} {rung_line(state)}") for state in ladder.rungs)]


def _ladder(last: Record) -> Ladder | None:
    try:
        return ladder_json.from_json(last.outcome.detail.get("ladder"))
    except RecordError:
        return None


def _state_rows(state: DaemonState, *, running: bool) -> list[tuple[str, str]]:
    rows = [("plan", f"{state.plan}, a round every {state.period_s} s"), ("software", state.software)]
    if running:
        sync = f"{state.sync_state} since {_moment(state.sync_since_utc_ns)}"
        rows.append(("collector", f"{sync}: {state.sync_message}" if state.sync_message else sync))
    if state.storage_fault:
        rows.append(("storage", state.storage_fault))
    error = "unknown" if state.clock_error_ns is None else f"± {state.clock_error_ns / 1e9:.3g} s"
    since = "since its start" if running else "in its last run"
    restarts = f"restarted {state.worker_restarts} times {since}"
    rows += [
        ("clock", f"{state.clock_quality}, error {error}"),
        ("budget", f"{state.spent_bytes:,} of {state.budget_bytes_per_day:,} bytes spent in 24 hours"),
        (
            "worker",
            f"{restarts}, last: {state.worker_last_end}" if state.worker_last_end else restarts,
        ),
        ("missed", f"{state.missed_slots:,} slots {since}"),
        ("as of", f"{_moment(state.written_utc_ns)}, by its own clock"),
    ]
    return rows


def _moment(utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(utc_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _holder(lock: Path) -> int | None:
    """Return the pid of the daemon that holds the lock, None when nobody does."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(fd, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(fd)
    return None
