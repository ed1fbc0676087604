"""A week's records of a device in a cut, as many as wanted, each unlike the others.

Two real rounds, one of a line that is well and one of an international cut, measured in the made country and kept in
`tests/data/rounds`, are told again and again with times of their own. The first tenth of them is well.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance.measuring.rounds import RunningRound
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Record, from_json
from firmware.plans.load import load

_ROUNDS: Final = Path(__file__).parents[1] / "data" / "rounds"
_NS: Final = 1_000_000_000
CALM_S: Final = load("ir").cadence.calm_s


def records_a_week() -> int:
    """Return how many records a week at Iran's plan makes while it is calm."""
    plan = load("ir")
    beside = sum(CALM_S / task.every_s for task in plan.tasks)
    a_round = len(RunningRound(plan, round_id=1, slot_ns=0, start_ns=0).tasks) + beside + 1
    return round(7 * 86_400 / CALM_S * a_round)


def rounds(count: int, *, seed: int, until_utc_ns: int) -> Iterator[list[Record]]:
    """Yield `count` records, round by round; the last round begins a cadence before `until_utc_ns`."""
    rng = random.Random(seed)
    well, cut = (told_round(name) for name in ("ok", "cut"))
    well_count = count // 10 // len(well)
    rest = count - well_count * len(well)
    number = well_count + -(-rest // len(cut))
    since_utc_ns = until_utc_ns - (number - well_count) * CALM_S * _NS
    for round_id in range(1, number + 1):
        is_well = round_id <= well_count
        begins_ns = until_utc_ns - (number + 1 - round_id) * CALM_S * _NS
        left = count
        made = [
            _again(record, rng, round_id=round_id, utc_ns=begins_ns, since_utc_ns=since_utc_ns)
            for record in (well if is_well else cut)
        ]
        count -= len(made)
        yield made[-left:] if left < len(made) else made


def told_round(name: str) -> list[JsonObject]:
    """Return the JSON of the records of one of the rounds that were measured: `ok` or `cut`."""
    lines = (_ROUNDS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _again(
    record: JsonObject, rng: random.Random, *, round_id: int, utc_ns: int, since_utc_ns: int
) -> Record:
    told = {key: shaken(key, value, rng) for key, value in record.items()}
    offset_ns = rng.randrange(10 * _NS)
    boottime_ns = 10**15 + round_id * CALM_S * _NS + offset_ns
    told |= {
        "round_id": round_id,
        "slot_boottime_ns": boottime_ns - rng.randrange(10**7),
        "start_boottime_ns": boottime_ns,
        "start_utc_ns": utc_ns + offset_ns,
    }
    detail = told["detail"]
    assert isinstance(detail, dict)
    if "since_utc_ns" in detail:
        detail["since_utc_ns"] = since_utc_ns + CALM_S * _NS // 6
    return from_json(told)


def shaken(key: str, value: JsonValue, rng: random.Random) -> JsonValue:
    """Return a value like `value`: what was measured differs from round to round, what was asked does not."""
    match value:
        case bool() | str() | None:
            return value
        case dict():
            return {inner: shaken(inner, one, rng) for inner, one in value.items()}
        case list():
            return [shaken(key, one, rng) for one in value]
        case int() if key.endswith("ns") or (key == "flights" and value > 10_000):
            return max(0, round(value * rng.uniform(0.8, 1.3)))
        case float():
            return round(value * rng.uniform(0.9, 1.1), 1)
        case _:
            return value
