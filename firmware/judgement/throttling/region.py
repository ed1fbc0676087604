"""What can be told within the bytes, said beforehand: of a line, a throttle, its burst and its wash-out. Pure.

An ideal transfer (start-up from ten segments, no loss) is played through line and throttle, once for each kind of sender, and
the test's own windows are laid on it. What is told must then stand clear of the line's own variation: by so many
standard deviations that 99 in 100 are found through screen and both confirmations.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log, sqrt
from typing import Final

from firmware.judgement.throttling.pace_of_run import rate_between
from firmware.judgement.throttling.runs import KIB
from firmware.judgement.throttling.sizes import (
    LEAST_EFFECT,
    MOST_RUN_S,
    PAYLOADS,
    SCREEN_GO,
    early_rate,
    late_rate,
    slower_in_screen,
)

FIRST_BYTES: Final = 14_480
"""Ten segments: what a sender may send before it has heard anything (RFC 6928)."""
CLEAR: Final = 2.8
"""Standard deviations of the difference of two runs that a slow-down must stand clear of what is asked of it."""
MARGIN: Final = 0.05
"""For what no line has in common with the ideal one."""
LEAST_FACTOR: Final = 2.0
USUAL_SPREAD: Final = 0.10
"""How much the logarithms of rates of a line's runs vary, where nothing is known of it."""
LEAST_TOLD_BYTES_PER_S: Final = 4_000
"""On a line where only slower throttles than this could be told, nothing is said."""


class Untold(StrEnum):
    """Why a slow-down cannot be told."""

    FACTOR = "factor"
    """Less than twice slower than the line."""
    LINE = "line"
    """The line itself is too slow for a run to show anything."""
    BURST = "burst"
    """So much comes fast at first that what is slow is past the end of the run."""
    START_UP = "start_up"
    """A run on so fast or so long a line is over before it is any faster than the throttle."""
    VARIATION = "variation"
    """The line's own runs differ by as much."""
    WASH_OUT = "wash_out"
    """The state outlasts the wash-out, or is kept for the whole line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCase:
    """A line and a throttle on it. `wash_out_s` is how long an address stays slow for all names (infinite: the whole line does)."""

    line_bytes_per_s: float
    rtt_s: float
    throttle_bytes_per_s: float
    burst_bytes: float = 0.0
    wash_out_s: float = 0.0
    spread: float = USUAL_SPREAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """By what a sender's window grows each round trip of start-up, and whether it spreads it over the round trip."""

    grows: float
    paces: bool


SENDERS: Final = tuple(Sender(grows=grows, paces=paces) for grows in (1.5, 2.0) for paces in (False, True))
"""With an acknowledgement for every two segments and for each; nobody knows which a server's is."""


def untold(case: LineCase, *, waited_s: float) -> Untold | None:
    """Return why a slow-down is outside the detectable region, None where it is inside."""
    if case.line_bytes_per_s < LEAST_FACTOR * case.throttle_bytes_per_s:
        return Untold.FACTOR
    if case.line_bytes_per_s < LEAST_TOLD_BYTES_PER_S * exp(needed_effect(case.spread)):
        return Untold.LINE
    if case.wash_out_s > waited_s:
        return Untold.WASH_OUT
    if case.burst_bytes > burst_seen():
        return Untold.BURST
    shown = apparent(case)
    if shown >= needed_effect(case.spread):
        return None
    return Untold.VARIATION if shown >= needed_effect(0.0) else Untold.START_UP


def needed_effect(spread: float) -> float:
    """Return the logarithm of the slow-down that must show on the ideal transfer where a line's runs vary by `spread`.

    Two runs differ by the square root of two times that: the screen, and each block, must come out right nearly always;
    the median of eight blocks varies by less.
    """
    return MARGIN + max(SCREEN_GO + CLEAR * sqrt(2.0) * spread, LEAST_EFFECT + 2.0 * spread)


def apparent(case: LineCase) -> float:
    """Return the logarithm of the slow-down that both screen and blocks see, of the senders of `SENDERS` the least."""
    return min(_apparent(case, sender) for sender in SENDERS)


def _apparent(case: LineCase, sender: Sender) -> float:
    payload = PAYLOADS[-1]
    free = ideal_points(case.line_bytes_per_s, case.rtt_s, payload, sender=sender)
    slow = ideal_points(
        case.line_bytes_per_s,
        case.rtt_s,
        payload,
        sender=sender,
        throttle=(case.throttle_bytes_per_s, case.burst_bytes),
    )
    received = max(1, slow[-1][1])
    screen = slower_in_screen((early_rate(free), late_rate(free)), (early_rate(slow), late_rate(slow)))
    # One that ran out of time, as only the slow do, is taken by its own second half: that is what it converged to.
    block = log(rate_between(free, payload / 2, payload) / rate_between(slow, received / 2, received))
    return min(screen, block)


def told_below(line_bytes_per_s: float, rtt_s: float, *, spread: float = USUAL_SPREAD) -> float:
    """Return the fastest throttle without a burst that is told on a line, in bytes a second; 0 where none is."""
    low, high = 0.0, line_bytes_per_s / LEAST_FACTOR
    for _ in range(20):
        middle = (low + high) / 2
        case = LineCase(
            line_bytes_per_s=line_bytes_per_s, rtt_s=rtt_s, throttle_bytes_per_s=middle, spread=spread
        )
        low, high = (middle, high) if untold(case, waited_s=0.0) is None else (low, middle)
    return low


def burst_seen() -> int:
    """Return the largest first burst behind which a throttle is still seen: what leaves the second half of a run slow."""
    return PAYLOADS[-1] // 2 - 8 * KIB


def ideal_points(
    line: float,
    rtt_s: float,
    payload: int,
    *,
    sender: Sender,
    throttle: tuple[float, float] | None = None,
) -> list[tuple[float, int]]:
    """Return the time line of an ideal transfer over a line of so many bytes a second, throttled to (rate, after a burst) or not."""
    at_s, got, window = rtt_s, 0.0, float(FIRST_BYTES)
    rate, burst_bytes = throttle or (line, 0.0)
    rate, tokens = min(line, rate), burst_bytes
    points = [(at_s, 0)]
    while got < payload and at_s < MOST_RUN_S:
        sent = min(window, payload - got)
        fast = min(sent, tokens)
        needed_s = fast / line + (sent - fast) / rate
        arrives_s = max(rtt_s * sent / window, needed_s) if sender.paces else needed_s
        if at_s + arrives_s > MOST_RUN_S:
            sent *= (MOST_RUN_S - at_s) / arrives_s
            arrives_s = MOST_RUN_S - at_s
        got += sent
        points.append((at_s + arrives_s, int(got)))
        took_s = max(rtt_s, arrives_s)
        # Tokens come in while nothing, or only the burst, goes out.
        tokens = min(burst_bytes, tokens - fast + rate * (took_s - (sent - fast) / rate))
        at_s += took_s
        window *= sender.grows if needed_s < rtt_s else 1
    return points
