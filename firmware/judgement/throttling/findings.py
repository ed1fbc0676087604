"""What a paired test, and a case of several, comes to. Values only."""

from dataclasses import dataclass, field
from enum import StrEnum

from firmware.judgement.throttling.carry_over import CarryOver


class Answer(StrEnum):
    """What a paired test comes to."""

    CLEAN = "clean"
    """The two runs of the screen are alike."""
    ALIKE = "alike"
    """The screen was not, and the blocks are."""
    SLOWER = "slower"
    """The suspect's name is slower than the control and than a random name."""
    FROZEN = "frozen"
    """The same, since runs by the suspect's name stop after so many bytes and no others do."""
    INCONCLUSIVE = "inconclusive"


class Why(StrEnum):
    """Why a test is inconclusive."""

    NOT_SIGNIFICANT = "not_significant"
    CONTROL_SLOWED = "control_slowed"
    """Innocuous runs on other addresses are slower after the suspect's: the whole line is hit, not the name."""
    WASH_OUT_TOO_SHORT = "wash_out_too_short"
    RANDOM_NAME_SLOW = "random_name_slow"
    """The random name is as slow as the suspect: a list allows, or a server treats unknown names otherwise."""
    RUNS_FAILED = "runs_failed"
    """Too many runs said nothing: reset, too short, other traffic, or the device was the bottleneck."""
    OUT_OF_REGION = "out_of_region"
    """What could be told on such a line within the bytes is too little to say anything."""
    NOT_SWAPPED = "not_swapped"
    """By lot all suspects' runs went to one address, or in one turn: it may be what is slow."""
    NOT_CONFIRMED = "not_confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its nominal 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedFinding:
    """What one paired test comes to, and what it rests on.

    `factor` is how many times slower (None: not measured), `suspect_bytes_per_s` the rate by the suspect's name. `below`
    is the fastest throttle that would have been seen, in bytes a second, and `burst_bytes` the largest first burst behind
    which it would have.
    """

    answer: Answer
    why: Why | None = None
    blocks: int = 0
    p: float | None = None
    factor: Estimate | None = None
    suspect_bytes_per_s: Estimate | None = None
    carry_over: CarryOver = field(default_factory=CarryOver)
    below_bytes_per_s: float | None = None
    burst_bytes: int | None = None
    frozen_after_bytes: int | None = None
    cost_bytes: int = 0
