"""Makes records: of a measurement, of a task that was lost, of slots that were missed, of a round's conclusion.

Pure: what the device knew at the time is passed in as `Scene`. A record must say what happened and nothing
about the host: own addresses never enter, they were left out where they were measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import firmware
from appliance.events import OfflineExport
from appliance.measuring.slots import Missed
from appliance.transports import ConnectionAttempt, Transport
from firmware.clock.clocks import ClockTracker, SyncPoint
from firmware.judgement import ladder as ladder_json
from firmware.judgement import target_judgement as targets_json
from firmware.judgement.ladder import Ladder
from firmware.judgement.line_loss import NO_REFERENCES, ReferenceHandshakes
from firmware.judgement.observation import context_of
from firmware.judgement.round.from_records import CONNECTED, LISTS, REFERENCES, REVISES, SILENT
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model import statement
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.plan import Plan
from firmware.model.record import Outcome, Phase, Record, Stamp, Verdict, Zone
from firmware.model.statement import Statement, stated
from firmware.model.task import Result, Task

SOFTWARE: Final = f"tidegauge {firmware.__version__}"
TRANSPORT: Final = "transport"
TRANSPORT_VERSION: Final = "0.1.0"
_DRIVE: Final = "usb_drive"
CONCLUSION_VERSION: Final = "0.1.0"
"""The version of what a `ladder` and a `gap` record hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the device knows of itself: which boot, which plan, how right its clock is, both clocks now."""

    boot_id: str
    plan: Plan
    clock: ClockTracker
    boottime_ns: int
    utc_ns: int

    def utc_at(self, boottime_ns: int) -> int:
        """Return the wall time of a moment in this boot, by the wall clock as it stands now."""
        return max(0, self.utc_ns - (self.boottime_ns - boottime_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a round came to. Times are CLOCK_BOOTTIME in ns; `traffic` is payload bytes up and down.

    `since_utc_ns` is when the verdict was first reached, `sync_points` are those the device got since the last
    round, `previous_boot_id` the boot before this one ("" when none is known), `health` is `appliance.measuring.health.summary`'s.
    """

    round_id: int
    slot_ns: int
    start_ns: int
    end_ns: int
    uplink: str
    ladder: Ladder
    verdict: Verdict
    since_utc_ns: int
    traffic: tuple[int, int]
    health: Mapping[str, JsonValue]
    sync_points: Sequence[SyncPoint] = ()
    previous_boot_id: str = ""
    targets: Sequence[TargetJudgement] = ()
    fingerprints: Sequence[str] = ()
    """The operator's lists of fingerprints that it was judged by, beside those that come along."""
    references: ReferenceHandshakes = NO_REFERENCES
    silent: Sequence[str] = ()
    """The targets that were still out and taken to be silent, where the round ended early."""
    connected: Sequence[str] = ()
    """The targets that were still out and had connected."""
    is_revision: bool = False
    """Whether it stands in the place of what was concluded from the round before."""


def of_result(
    scene: Scene, task: Task, result: Result, *, slot_ns: int, context: Mapping[str, JsonValue]
) -> Record:
    """Return the record of a measurement that was due at `slot_ns`."""
    return Record(
        boot_id=scene.boot_id,
        test=task.test,
        test_version=result.test_version,
        target=result.target,
        target_name=task.target_name,
        zone=task.zone,
        rung=task.rung,
        uplink=result.uplink,
        round_id=task.round_id,
        slot_boottime_ns=slot_ns,
        start=scene.clock.reading(boottime_ns=result.start_boottime_ns, utc_ns=result.start_utc_ns),
        runtime_ns=result.runtime_ns,
        outcome=result.outcome,
        context={**context, **context_of(scene.plan, task.target_name)},
        software=SOFTWARE,
    )


def lost_result(scene: Scene, task: Task, *, failure: Failure, reason: Statement) -> Result:
    """Return the result that stands for one that will never come; detail `reason`, a statement of `GAPS`."""
    began_ns = min(task.start_boottime_ns, scene.boottime_ns)
    return Result(
        task_id=task.task_id,
        # The test's version is the worker's to say, and it never did.
        test_version="",
        target=task.target,
        uplink="",
        start_boottime_ns=began_ns,
        start_utc_ns=scene.utc_at(began_ns),
        runtime_ns=scene.boottime_ns - began_ns,
        outcome=Outcome(
            failure=failure, failed_operation="measure", detail={"reason": statement.to_json(reason)}
        ),
    )


def of_missed(scene: Scene, missed: Missed) -> Record:
    """Return the record of slots that were not run.

    `target` is the round or the task; detail `count`, `first_boottime_ns`, `last_boottime_ns`, and `reason`
    (a statement by `appliance.measuring.slots.Reason`).
    """
    detail: JsonObject = {
        "count": missed.count,
        "first_boottime_ns": missed.first_ns,
        "last_boottime_ns": missed.last_ns,
        "reason": statement.to_json(stated(missed.reason)),
    }
    span = (missed.first_ns, missed.last_ns)
    return _gap(scene, missed.name, span, Failure.MISSED_SLOT, operation="schedule", detail=detail)


def of_fault(
    scene: Scene,
    *,
    target: str,
    failure: str,
    operation: str,
    count: int,
    reason: Statement,
    names: Sequence[str],
) -> Record:
    """Return the record of what the device itself failed at.

    Detail `count` of what is concerned, `reason`, and `tasks`, the ids of the first of them.
    """
    span = (scene.boottime_ns, scene.boottime_ns)
    detail: JsonObject = {"count": count, "reason": statement.to_json(reason), "tasks": [*names[:_NAMES]]}
    return _gap(scene, target, span, failure, operation=operation, detail=detail)


def of_transport(scene: Scene, tried: ConnectionAttempt) -> Record:
    """Return the record of one try of one way to the collector: a way that is shut is a measurement like any other.

    The target is the way's address, `target_name` its transport; the phase `connect` is how long it took until the
    other side let us in, or until it failed.
    """
    taken = Phase(ns=tried.runtime_ns, stamp=Stamp.USER)
    return Record(
        boot_id=scene.boot_id,
        test=TRANSPORT,
        test_version=TRANSPORT_VERSION,
        target=str(tried.endpoint),
        target_name=str(tried.endpoint.transport),
        zone=Zone.LOCAL if tried.endpoint.transport is Transport.MQTT else Zone.INTERNATIONAL,
        slot_boottime_ns=tried.start_boottime_ns,
        start=scene.clock.reading(
            boottime_ns=tried.start_boottime_ns, utc_ns=scene.utc_at(tried.start_boottime_ns)
        ),
        runtime_ns=tried.runtime_ns,
        outcome=Outcome(
            failure=tried.failure,
            failed_operation=tried.operation or None,
            phases={"connect": taken},
        ),
        context={"plan": scene.plan.label},
        software=SOFTWARE,
    )


def of_boot(scene: Scene, previous_boot_id: str) -> Record:
    """Return the record of the time between the boot before this one and this daemon's start: nothing was measured.

    How long that was no clock here can say; it is told when both boots have been placed in time (`firmware.clock.retiming`).
    Detail `count` (of such pauses: 1), `reason`, `previous_boot_id`.
    """
    detail: JsonObject = {
        "count": 1,
        "reason": statement.to_json(stated("switched-off")),
        "previous_boot_id": previous_boot_id,
    }
    span = (0, scene.boottime_ns)
    return _gap(scene, "device", span, Failure.INTERRUPTED, operation="run", detail=detail)


def of_round(scene: Scene, ended: Conclusion) -> Record:
    """Return a round's conclusion.

    Detail `ladder` (see `firmware.judgement.ladder.to_json`), `targets` (what is said of each platform by itself, see
    `firmware.judgement.target_judgement`), `references` (`firmware.judgement.line_loss.ReferenceHandshakes`), `silent` (who
    was still out, where it ended early), `connected` (who was still out and had connected), `revises` (its number again,
    where it stands in the place of what was concluded before), `fingerprints` (the operator's lists that it was judged by,
    where there are any), `since_utc_ns`, `previous_boot_id`, and `sync_points` (`[boottime_ns, utc_ns,
    error_ns]` each); the context is the device's health.
    """
    points: list[JsonValue] = [
        [point.boottime_ns, point.utc_ns, point.error_ns] for point in ended.sync_points
    ]
    return Record(
        boot_id=scene.boot_id,
        test="ladder",
        test_version=CONCLUSION_VERSION,
        target=scene.plan.label,
        zone=Zone.LOCAL,
        uplink=ended.uplink,
        round_id=ended.round_id,
        slot_boottime_ns=ended.slot_ns,
        start=scene.clock.reading(boottime_ns=ended.start_ns, utc_ns=scene.utc_at(ended.start_ns)),
        runtime_ns=ended.end_ns - ended.start_ns,
        outcome=Outcome(
            bytes_up=ended.traffic[0],
            bytes_down=ended.traffic[1],
            detail={
                "ladder": ladder_json.to_json(ended.ladder),
                "targets": targets_json.to_json(ended.targets),
                REFERENCES: ended.references.to_json(),
                SILENT: [*ended.silent],
                CONNECTED: [*ended.connected],
                REVISES: ended.round_id if ended.is_revision else None,
                **({LISTS: [*ended.fingerprints]} if ended.fingerprints else {}),
                "since_utc_ns": ended.since_utc_ns,
                "sync_points": points,
                "previous_boot_id": ended.previous_boot_id,
            },
        ),
        context={**ended.health, "plan": scene.plan.label},
        verdict=ended.verdict,
        software=SOFTWARE,
    )


def _gap(
    scene: Scene,
    target: str,
    span: tuple[int, int],
    failure: str,
    *,
    operation: str,
    detail: Mapping[str, JsonValue],
) -> Record:
    first_ns, last_ns = span
    return Record(
        boot_id=scene.boot_id,
        test="gap",
        test_version=CONCLUSION_VERSION,
        target=target,
        zone=Zone.LOCAL,
        slot_boottime_ns=first_ns,
        start=scene.clock.reading(boottime_ns=first_ns, utc_ns=scene.utc_at(first_ns)),
        runtime_ns=last_ns - first_ns,
        outcome=Outcome(failure=failure, failed_operation=operation, detail=detail),
        context={"plan": scene.plan.label},
        software=SOFTWARE,
    )


_NAMES: Final = 50


def of_export(scene: Scene, carried: OfflineExport) -> Record:
    """Return its record: a way out like the others. Detail `records`, `waiting`, `answered`; nothing names the USB drive."""
    return Record(
        boot_id=scene.boot_id,
        test=TRANSPORT,
        test_version=TRANSPORT_VERSION,
        target=_DRIVE,
        target_name=_DRIVE,
        zone=Zone.LOCAL,
        slot_boottime_ns=carried.start_boottime_ns,
        start=scene.clock.reading(
            boottime_ns=carried.start_boottime_ns, utc_ns=scene.utc_at(carried.start_boottime_ns)
        ),
        runtime_ns=carried.runtime_ns,
        outcome=Outcome(
            failure=carried.failure,
            failed_operation="export" if carried.failure else None,
            phases={"export": Phase(ns=carried.runtime_ns, stamp=Stamp.USER)},
            detail={"records": carried.records, "waiting": carried.waiting, "answered": carried.taken},
        ),
        context={"plan": scene.plan.label},
        software=SOFTWARE,
    )
