"""What came of a stick that was plugged in: told to whoever listens, and kept as a record. Pure."""

from dataclasses import dataclass

from appliance.measuring.records import SOFTWARE, TRANSPORT, TRANSPORT_VERSION, Scene
from firmware.record import Outcome, Phase, Record, Stamp, Zone

STICK = "stick"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One visit of one stick. Times are CLOCK_BOOTTIME in ns.

    `records` of `waiting` were written, `size` bytes; `taken` left the outbox by answers that were on it. `failure` is a
    failure word and `fault` its words, None and "" where all of it is on the stick.
    """

    start_boottime_ns: int
    runtime_ns: int
    records: int
    waiting: int
    size: int
    taken: int
    fault: str = ""
    failure: str | None = None

    def __str__(self) -> str:
        told = f"stick: {self.records:,} of {self.waiting:,} records written"
        if self.taken:
            told += f", {self.taken:,} answered by the collector"
        return f"{told}{f'; {self.fault}' if self.fault else ''}; the stick may be pulled"


def to_record(scene: Scene, carried: Carried) -> Record:
    """Return its record: a way out like the others. Detail `records`, `waiting`, `answered`; nothing names the stick."""
    return Record(
        boot_id=scene.boot_id,
        test=TRANSPORT,
        test_version=TRANSPORT_VERSION,
        target=STICK,
        target_name=STICK,
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
