"""One transfer of a device with a measurement server of the tests' world, by the device's own measurement."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from firmware.judgement.throttling.counted_run import CountedRun, counted
from firmware.judgement.throttling.run_of_record import run_of_record
from firmware.judgement.throttling.runs import NameRole, PairedRun, Purpose
from firmware.model.jsontypes import JsonValue
from firmware.model.task import OptionValue, result_to_json
from firmware.worker.single import measure_once
from tests.collector.measurement.world import DEVICE, MeasurementWorld

SUSPECT = "www.suspect.example"


def token_file(world: MeasurementWorld, device: str = DEVICE, **how: Any) -> Path:
    """Return a file with a token of a device."""
    path = world.directory / f"token-{device}"
    path.write_text(world.token(device, **how) + "\n")
    return path


def transfer(world: MeasurementWorld, place: str, **options: OptionValue) -> dict[str, Any]:
    """Return the result's JSON of one transfer with the server at `place`."""
    given: dict[str, OptionValue] = {
        "sni": SUSPECT,
        "trust_file": str(world.trust),
        "token_file": str(world.directory / f"token-{DEVICE}"),
        **options,
    }
    if "token_file" not in options:
        token_file(world)
    # As it travels: what is no JSON would be found here.
    return cast(
        "dict[str, Any]", json.loads(json.dumps(result_to_json(measure_once("transfer", place, given, 60))))
    )


def run_of(detail: Mapping[str, JsonValue], payload_bytes: int) -> CountedRun:
    """Return what a paired test counts of a transfer."""
    run = PairedRun(
        purpose=Purpose.PAIR,
        block=0,
        role=NameRole.SUSPECT,
        address=0,
        payload_bytes=payload_bytes,
        most_s=20.0,
        not_before_s=0.0,
    )
    return counted(run_of_record(run, detail, request_s=0.0))
