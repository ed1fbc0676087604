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
from firmware.language.translator import Translator
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
    """The list a device goes by: its number (0: none has come), how many collectors count, until when.

    `fault` is why it cannot be read, "" where it can; `has_run_out` whether its time is over.
    """

    number: int = 0
    collectors: int = 0
    not_after_utc_ns: int = 0
    fault: str = ""
    has_run_out: bool = False


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
        return Trust(fault=held.fault)
    return Trust(
        number=held.number,
        collectors=held.trust.counting,
        not_after_utc_ns=held.trust.not_after_utc_ns,
        has_run_out=TimeBounds(outbox).now_low_ns() > held.trust.not_after_utc_ns,
    )


def in_words(status: Status, translator: Translator) -> str:
    """Return the status as a few aligned lines."""
    counts, state, say = status.counts, status.state, translator.say
    rows = [
        ("device", say("status.device", device=status.device, epoch=status.epoch)),
        (
            "running",
            say("status.not-running")
            if status.running is None
            else say("status.running", process=status.running),
        ),
        *_round_rows(status.last, translator),
        (
            "results",
            say(
                "status.counts",
                produced=counts.produced,
                waiting=counts.waiting,
                acknowledged=counts.acknowledged,
                quarantined=counts.quarantined,
            ),
        ),
    ]
    if counts.given_up:
        rows.append(("given-up", say("status.given-up", n=counts.given_up)))
    if counts.unstored:
        rows.append(("lost", say("status.unstored", n=counts.unstored)))
    if status.trust is not None:
        rows.append(("trust-list", _trust_words(status.trust, translator)))
    if state is not None:
        rows += _state_rows(state, translator, running=status.running is not None)
    labelled = ((say(f"status.label-{name}") if name else "", text) for name, text in rows)
    return "\n".join(f"{label:<10} {text}".rstrip() for label, text in labelled)


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
            "has_run_out": status.trust.has_run_out,
        },
        "last_round": None if status.last is None else record_json.to_json(status.last),
        "daemon": None if state is None else state_file.to_json(state),
    }


def _trust_words(trust: Trust, translator: Translator) -> str:
    fault = _trust_fault(trust, translator)
    if not trust.number:
        return fault or translator.say("status.trust-none")
    told = translator.count(
        "status.trust",
        trust.collectors,
        number=trust.number,
        until=_moment(trust.not_after_utc_ns, translator),
    )
    return translator.say("status.trust-fault", trust=told, fault=fault) if fault else told


def _trust_fault(trust: Trust, translator: Translator) -> str:
    if trust.fault:
        return translator.say("status.trust-unreadable", fault=trust.fault)
    return translator.say("status.trust-run-out") if trust.has_run_out else ""


def clock_words(clock: ClockReading, translator: Translator) -> str:
    """Return how sure a time is: `± 0.5 s`, or that nothing bounds it."""
    if clock.error_ns is None:
        return translator.say("status.clock-unknown", quality=str(clock.quality))
    return translator.say("status.clock", error=f"{clock.error_ns / 1e9:.3g}", quality=str(clock.quality))


def _round_rows(last: Record | None, translator: Translator) -> list[tuple[str, str]]:
    say = translator.say
    if last is None or last.verdict is None:
        return [("verdict", say("status.no-verdict"))]
    at = say(
        "status.round",
        round=last.round_id,
        time=_moment(last.start.utc_ns, translator),
        clock=clock_words(last.start, translator),
    )
    rows = [
        ("verdict", say("status.verdict", verdict=last.verdict.verdict, rule_id=last.verdict.rule_id)),
        ("round", at),
    ]
    ladder = _ladder(last)
    if ladder is None:
        return [*rows, *(("", line) for line in translator.evidence(last.verdict.evidence))]
    lines = (f"{state.rung:<13} {state.state:<8} {rung_line(state, translator)}" for state in ladder.rungs)
    return [*rows, *(("", line) for line in lines)]


def _ladder(last: Record) -> Ladder | None:
    try:
        return ladder_json.from_json(last.outcome.detail.get("ladder"))
    except RecordError:
        return None


def _state_rows(state: DaemonState, translator: Translator, *, running: bool) -> list[tuple[str, str]]:
    say, count = translator.say, translator.count
    rows = [("plan", count("status.plan", state.period_s, plan=state.plan)), ("software", state.software)]
    if state.fingerprints or state.fingerprints_left_out:
        told = ", ".join(state.fingerprints) or say("status.lists-none")
        left_out = state.fingerprints_left_out
        rows.append(("lists", count("status.lists-left-out", left_out, lists=told) if left_out else told))
    if running:
        key = "status.collector-message" if state.sync_message else "status.collector"
        since = _moment(state.sync_since_utc_ns, translator)
        rows.append(("collector", say(key, state=state.sync_state, time=since, message=state.sync_message)))
    if state.storage_fault:
        rows.append(("storage", state.storage_fault))
    error = (
        say("status.error-unknown")
        if state.clock_error_ns is None
        else say("status.error", error=f"{state.clock_error_ns / 1e9:.3g}")
    )
    restarts = count("status.restarts-running" if running else "status.restarts-ended", state.worker_restarts)
    if state.worker_last_end:
        restarts = say("status.last-end", restarts=restarts, how=state.worker_last_end)
    rows += [
        ("clock", say("status.clock-state", quality=state.clock_quality, error=error)),
        ("budget", say("status.budget", spent=state.spent_bytes, budget=state.budget_bytes_per_day)),
        ("worker", restarts),
        ("missed", count("status.missed-running" if running else "status.missed-ended", state.missed_slots)),
        ("as-of", say("status.as-of", time=_moment(state.written_utc_ns, translator))),
    ]
    return rows


def _moment(utc_ns: int, translator: Translator) -> str:
    at = datetime.fromtimestamp(utc_ns / 1e9, UTC)
    return translator.say("status.moment", day=f"{at:%Y-%m-%d}", time=f"{at:%H:%M:%S}")


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
