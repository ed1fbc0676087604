"""The weather of an ugly but free network: for each round of a day, what is the matter, drawn from a seed. Pure.

Everything here is a nuisance and nothing is censorship, so no verdict of blocking, throttling or shutdown can be right.
The same seed gives the same day. Loss and delay are of each way; a round is 180 s of the day.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ROUND_S: Final = 180
DAY_ROUNDS: Final = 24 * 3600 // ROUND_S
_CALM, _POOR, _UGLY = "calm", "poor", "ugly"
_LINES: Final = {
    # loss, delay in ms, jitter in ms, reordering: at most, each way
    _CALM: (0.005, 20.0, 5.0, 0.0),
    _POOR: (0.03, 150.0, 50.0, 0.02),
    _UGLY: (0.10, 800.0, 200.0, 0.10),
}
_STAYS: Final = 0.85
"""Chance, a round, that the line stays as it is."""


class Drop(StrEnum):
    """How the Wi-Fi fails for a while."""

    NONE = ""
    CARRIER = "carrier"
    """The device falls off it, and knows."""
    MUTE = "mute"
    """The device thinks that it is on, and nobody hears it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """One round's. A drop begins `drop_after_s` into the round and lasts `drop_s`, both real seconds."""

    loss: float
    delay_ms: float
    jitter_ms: float
    reorder: float
    resolver_drops: float
    drop: Drop = Drop.NONE
    drop_after_s: float = 0.0
    drop_s: float = 0.0
    site_down: bool = False
    maintenance: bool = False


def day(seed: int, rounds: int = DAY_ROUNDS, *, first: int = 0) -> Iterator[Weather]:
    """Yield the weather of `rounds` rounds from the day's round `first` on."""
    lots = random.Random(seed)
    line = _CALM
    hiccups_left = 0
    for number in range(first + rounds):
        if lots.random() > _STAYS:
            line = lots.choices((_CALM, _POOR, _UGLY), weights=(5, 3, 2))[0]
        hiccups_left = lots.randrange(3, 8) if lots.random() < 0.02 else max(0, hiccups_left - 1)
        loss, delay_ms, jitter_ms, reorder = _LINES[line]
        drawn = Weather(
            loss=lots.uniform(loss / 4, loss),
            delay_ms=lots.uniform(delay_ms / 4, delay_ms),
            jitter_ms=lots.uniform(0, jitter_ms),
            reorder=lots.uniform(0, reorder),
            resolver_drops=lots.uniform(0.1, 0.6) if hiccups_left else 0.0,
            drop=lots.choices((Drop.NONE, Drop.CARRIER, Drop.MUTE), weights=(94, 3, 3))[0],
            drop_after_s=lots.uniform(0.0, 3.0),
            drop_s=lots.uniform(4.0, 40.0),
            # One site is down from 10:00 to 11:30, another is being mended, as announced, from 14:00 to 15:00.
            site_down=10 * 3600 <= number * ROUND_S < 11.5 * 3600,
            maintenance=14 * 3600 <= number * ROUND_S < 15 * 3600,
        )
        if number >= first:
            yield drawn
