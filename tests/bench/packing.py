"""`python -m tests.bench.packing`: what a result costs on its way to the daemon, packed and as JSON, in one run.

Both forms write and read the same results, in turn, the best of several rounds each, in processor time: one for every test, as a worker
gave them on loopback (results.json beside this). JSON has its best too: an encoder made once, no spaces.
"""

import json
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.model.jsontypes import JsonValue
from firmware.model.task import Result, result_from_json, result_to_json
from firmware.worker import packing

_RESULTS: Final = Path(__file__).with_name("results.json")
_ROUNDS: Final = 15
_ROUND_S: Final = 0.005
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One result in one form: its size in bytes, and what writing and reading it takes, in µs."""

    size: int
    write_us: float
    read_us: float


def to_json_bytes(result: Result) -> bytes:
    """Return the result as JSON."""
    return _encode(result_to_json(result)).encode("utf-8", "surrogatepass")


def from_json_bytes(body: bytes) -> Result:
    """Read it again, with every check."""
    return result_from_json(json.loads(body))


def samples() -> dict[str, Result]:
    """Return a result of each test, by a name."""
    found: dict[str, JsonValue] = json.loads(_RESULTS.read_text())
    return {name: result_from_json(value) for name, value in found.items()}


def compare(result: Result, *, rounds: int = _ROUNDS) -> tuple[Form, Form]:
    """Return what it costs as JSON and packed."""
    written = to_json_bytes(result), packing.pack(result)
    times = _in_turn(
        [
            lambda: to_json_bytes(result),
            lambda: packing.pack(result),
            lambda: from_json_bytes(written[0]),
            lambda: packing.unpack(written[1]),
        ],
        rounds,
    )
    as_json = Form(size=len(written[0]), write_us=times[0], read_us=times[2])
    return as_json, Form(size=len(written[1]), write_us=times[1], read_us=times[3])


def _in_turn(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Return the best time of each in µs, all of them measured in every round."""
    timers = [timeit.Timer(call, timer=time.process_time) for call in calls]
    number = max(1, round(_ROUND_S / max(timers[0].timeit(20) / 20, 1e-7)))
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for place, timer in enumerate(timers):
            best[place] = min(best[place], timer.timeit(number) / number * 1e6)
    return best


def main() -> None:
    """Print the table."""
    print(
        f"{'':18}{'bytes':>7}{'packed':>8}{'':>7}   {'write µs':>9}{'packed':>8}{'':>7}   {'read µs':>9}{'packed':>8}"
    )
    sums = [0.0] * 6
    for name, result in samples().items():
        as_json, packed = compare(result)
        row = [as_json.size, packed.size, as_json.write_us, packed.write_us, as_json.read_us, packed.read_us]
        sums = [total + one for total, one in zip(sums, row, strict=True)]
        _print(name, row)
    _print("all of them", sums)


def _print(name: str, row: list[float]) -> None:
    size, small, write, quick, read, back = row
    print(
        f"{name:18}{size:7.0f}{small:8.0f}{small / size:7.2f}   {write:9.1f}{quick:8.1f}{quick / write:7.2f}"
        f"   {read:9.1f}{back:8.1f}{back / read:7.2f}"
    )


if __name__ == "__main__":
    main()
