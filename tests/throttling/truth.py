"""What is true of a made line, beside which an answer is held: how many times slower, whether it could be told, what is false."""

from math import inf, log, sqrt
from random import Random
from statistics import median, stdev
from typing import Final

from firmware.judgement.throttling.findings import Answer, PairedFinding
from firmware.judgement.throttling.region import LEAST_FACTOR, LineCase, Untold, untold
from firmware.judgement.throttling.throttling_case import WASH_OUT_S
from tests.throttling.drawing import INNOCENT
from tests.throttling.lines import Made, Scope
from tests.throttling.world import World

ACCUSES: Final = frozenset({Answer.SLOWER, Answer.FROZEN})
COMFORTS: Final = frozenset({Answer.CLEAN, Answer.ALIKE})
_PAIRS: Final = 12
_PARTS: Final = ((4, 8), (8, 12), (8, 16))
_APART_S: Final = 150.0
_BETWEEN_S: Final = 10.0
_LONG: Final = 5


def factor(made: Made) -> float:
    """Return how many times slower than the line its throttle is; 1 without one."""
    return free_rate(made) / made.throttle.rate_bytes_per_s if made.throttle else 1.0


def free_rate(made: Made) -> float:
    """Return what one flow gets of the line in the middle, in bytes a second."""
    line = made.line
    crossed = 0.5 * line.cross_share if line.cross_share > 0.5 else 0.0
    return line.rate_bytes_per_s * (1 - crossed) * (1 - line.daily * 0.3) / max(1.0, line.other_address)


def slowed_rate(made: Made) -> float:
    """Return the rate by the suspect's name: the throttle's own, or what a policer lets a long transfer have."""
    throttle = made.throttle
    assert throttle is not None
    if not throttle.polices:
        return throttle.rate_bytes_per_s
    world, rates, now_s = World.of(made), [], 0.0
    for number in range(_LONG):
        payload = int(throttle.burst_bytes) + 400_000
        points, _ = world.transfer("suspect", number % 2, payload, now_s, 120.0)
        total = points[-1][1]
        begin = max(min(throttle.burst_bytes + 50_000, total / 2), 1)
        begin_s = next(at for at, got in points if got >= begin)
        rates.append((total - begin) / max(points[-1][0] - begin_s, 1e-3))
        now_s += points[-1][0] + 2000
    return median(rates)


def spread(made: Made) -> float:
    """Return by how much the line's runs differ by themselves, in the part of them in which they differ most.

    The same transfer twice with ten seconds between, many times, without a throttle.
    """
    world = World.of(Made(seed=made.seed, kind=made.kind, line=made.line, begins_s=made.begins_s))
    world.lot = Random(f"spread {made.seed}")
    differences: dict[tuple[int, int], list[float]] = {one: [] for one in _PARTS}
    now_s = 0.0
    for number in range(_PAIRS):
        both = []
        for address in (number % 2, 1 - number % 2):
            points, _ = world.transfer("control", address, 176 * 1024, now_s, 20.0)
            both.append(points)
            now_s += points[-1][0] + _BETWEEN_S
        for part, found in differences.items():
            found.append(log(_took_s(both[1], part) / _took_s(both[0], part)))
        now_s += _APART_S
    return max(stdev(found) for found in differences.values()) / sqrt(2)


def _took_s(points: list[tuple[float, int]], part: tuple[int, int]) -> float:
    """Return how long so many sixteenths of what came took, from the one to the other."""
    times = []
    for sixteenths in part:
        amount = points[-1][1] * sixteenths / 16
        at = next(number for number, (_, got) in enumerate(points) if got >= amount)
        (before_s, before), (after_s, after) = points[max(0, at - 1)], points[at]
        times.append(after_s - (after_s - before_s) * (after - amount) / max(1, after - before))
    return max(times[1] - times[0], 1e-4)


def why_untold(made: Made) -> Untold | None:
    """Return why the line's throttle is outside the detectable region, None where it is inside."""
    throttle = made.throttle
    assert throttle is not None
    wash_out_s = {Scope.FLOW: 0.0, Scope.ADDRESS: throttle.remembers_s, Scope.SOURCE: inf}[throttle.scope]
    return untold(
        LineCase(
            line_bytes_per_s=free_rate(made),
            rtt_s=made.line.rtt_s * max(1.0, made.line.other_address),
            throttle_bytes_per_s=throttle.rate_bytes_per_s,
            burst_bytes=throttle.burst_bytes,
            wash_out_s=wash_out_s,
            spread=spread(made),
        ),
        waited_s=WASH_OUT_S,
    )


def is_false_comfort(made: Made, found: PairedFinding) -> bool:
    """Return whether an answer says that no throttle as fast as it names is there, behind no larger burst, and there is one."""
    throttle = made.throttle
    if (
        found.answer not in COMFORTS
        or throttle is None
        or throttle.scope is Scope.SOURCE
        or throttle.allow_list
    ):
        return False
    is_named = throttle.rate_bytes_per_s < (found.below_bytes_per_s or 0.0)
    return is_named and throttle.burst_bytes <= (found.burst_bytes or 0) and factor(made) >= LEAST_FACTOR


def is_false_accusation(made: Made, answer: Answer) -> bool:
    """Return whether a name was accused where no name, or not that name alone, is treated otherwise."""
    throttle = made.throttle
    if answer not in ACCUSES:
        return False
    return made.kind in INNOCENT or throttle is None or throttle.allow_list or throttle.scope is Scope.SOURCE
