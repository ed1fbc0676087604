"""Records of made looks of a vantage: a target, from when to when it was asked, and how it failed."""

from collections.abc import Mapping

from collector.store.vantage_streaks import Key
from collector.vantage.targets import VantageTarget
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import ClockQuality, ClockReading, Outcome, Record, Zone

NS = 1_000_000_000
PAGE = VantageTarget(key=Key(test="web_connectivity", target="https://www.example.org/", target_name="page"))


def record(
    target: VantageTarget,
    began_s: float,
    ended_s: float,
    failure: str | None = Failure.TIMEOUT,
    *,
    operation: str = "connect",
    detail: Mapping[str, JsonValue] = {},
) -> Record:
    outcome = Outcome(
        failure=failure, failed_operation=None if failure is None else operation, detail=dict(detail)
    )
    return Record(
        boot_id="b",
        test=target.key.test,
        test_version="0.1.0",
        target=target.key.target,
        target_name=target.key.target_name,
        zone=Zone.INTERNATIONAL,
        slot_boottime_ns=0,
        start=ClockReading(
            boottime_ns=round(began_s * NS), utc_ns=round(began_s * NS), quality=ClockQuality.UNSYNCHRONISED
        ),
        runtime_ns=round((ended_s - began_s) * NS),
        outcome=outcome,
    )


def reference(number: int = 0) -> VantageTarget:
    key = Key(test="tls", target=f"192.0.2.{number}:443", target_name=f"n{number}")
    return VantageTarget(key=key, neutral_network=f"N{number}")
