"""Makes records: of a measurement, of a task that was lost, of slots that were missed, of a round's conclusion.

Pure: what the device knew at the time is passed in as `Scene`. A record must say what happened and nothing
about the host: own addresses never enter, they were left out where they were measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import firmware
from appliance.schedule import Missed
from firmware import ladder as ladder_json
from firmware.clock import ClockTracker
from firmware.failures import Failure
from firmware.jsontypes import JsonObject, JsonValue
from firmware.ladder import Ladder
from firmware.measurements import MEASUREMENTS
from firmware.observation import context_of
from firmware.plan_model import Plan
from firmware.record import Outcome, Record, Verdict, Zone
from firmware.task import Result, Task

SOFTWARE: Final = f"tidegauge {firmware.__version__}"
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


def of_result(scene: Scene, task: Task, result: Result, *, context: Mapping[str, JsonValue]) -> Record:
    """Return the record of a measurement."""
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
        slot_boottime_ns=task.start_boottime_ns,
        start=scene.clock.reading(boottime_ns=result.start_boottime_ns, utc_ns=result.start_utc_ns),
        runtime_ns=result.runtime_ns,
        outcome=result.outcome,
        context={**context, **context_of(scene.plan, task.target_name)},
        software=SOFTWARE,
    )


def lost_result(task: Task, *, boottime_ns: int, utc_ns: int, reason: str) -> Result:
    """Return the result of a task that the measuring process took with it when it died."""
    kind = MEASUREMENTS.get(task.test)
    began_ns = min(task.start_boottime_ns, boottime_ns)
    return Result(
        task_id=task.task_id,
        test_version="" if kind is None else kind.version,
        target=task.target,
        uplink="",
        start_boottime_ns=began_ns,
        start_utc_ns=max(0, utc_ns - (boottime_ns - began_ns)),
        runtime_ns=boottime_ns - began_ns,
        outcome=Outcome(failure=Failure.WORKER_DIED, failed_operation="measure", detail={"reason": reason}),
    )


def of_missed(scene: Scene, missed: Missed) -> Record:
    """Return the record of slots that were not run: detail `count`, `first_boottime_ns`, `last_boottime_ns`, `reason`."""
    return _gap(
        scene,
        target=missed.name,
        from_ns=missed.first_ns,
        to_ns=missed.last_ns,
        failure=Failure.MISSED_SLOT,
        detail={
            "count": missed.count,
            "first_boottime_ns": missed.first_ns,
            "last_boottime_ns": missed.last_ns,
            "reason": str(missed.reason),
        },
    )


def of_fault(scene: Scene, *, target: str, failure: str, count: int, reason: str) -> Record:
    """Return the record of what the device itself failed at: detail `count` and `reason`."""
    now_ns = scene.boottime_ns
    return _gap(
        scene,
        target=target,
        from_ns=now_ns,
        to_ns=now_ns,
        failure=failure,
        detail={"count": count, "reason": reason},
    )


def of_round(
    scene: Scene,
    *,
    round_id: int,
    slot_ns: int,
    start_ns: int,
    uplink: str,
    ladder: Ladder,
    verdict: Verdict,
    health: JsonObject,
    traffic: tuple[int, int],
) -> Record:
    """Return a round's conclusion: detail `ladder` (see `firmware.ladder.to_json`), context the device's health."""
    return Record(
        boot_id=scene.boot_id,
        test="ladder",
        test_version=CONCLUSION_VERSION,
        target=scene.plan.label,
        zone=Zone.LOCAL,
        uplink=uplink,
        round_id=round_id,
        slot_boottime_ns=slot_ns,
        start=scene.clock.reading(boottime_ns=start_ns, utc_ns=scene.utc_at(start_ns)),
        runtime_ns=scene.boottime_ns - start_ns,
        outcome=Outcome(
            bytes_up=traffic[0], bytes_down=traffic[1], detail={"ladder": ladder_json.to_json(ladder)}
        ),
        context={**health, "plan": scene.plan.label},
        verdict=verdict,
        software=SOFTWARE,
    )


def _gap(
    scene: Scene, *, target: str, from_ns: int, to_ns: int, failure: str, detail: Mapping[str, JsonValue]
) -> Record:
    return Record(
        boot_id=scene.boot_id,
        test="gap",
        test_version=CONCLUSION_VERSION,
        target=target,
        zone=Zone.LOCAL,
        slot_boottime_ns=from_ns,
        start=scene.clock.reading(boottime_ns=from_ns, utc_ns=scene.utc_at(from_ns)),
        runtime_ns=to_ns - from_ns,
        outcome=Outcome(failure=failure, failed_operation="schedule", detail=detail),
        context={"plan": scene.plan.label},
        software=SOFTWARE,
    )
