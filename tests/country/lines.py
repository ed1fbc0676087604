"""What a line is like: delays, losses one by one and in bursts, rates, the largest packet, address families.

A line is the stretch between a home and its provider's core; the way abroad adds to it. Everything is drawn from the
line's own seed, so that the same line loses the same packets whoever else is in the country. This file must never know
why a packet is sent.
"""

import bisect
import random
from dataclasses import dataclass, field
from typing import Final

ETHERNET_BYTES: Final = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class LineQuality:
    """What a line is like when nothing is wrong with it. Losses are shares of packets, delays one way."""

    name: str
    delay_up_ms: float
    delay_down_ms: float
    jitter_ms: float = 1.0
    loss_up: float = 0.0
    loss_down: float = 0.0
    burst_every_s: float = 0.0
    """The mean time between bursts of loss; 0: there are none."""
    burst_s: float = 0.0
    burst_loss: float = 0.8
    rate_up_kbit: float = 5_000.0
    rate_down_kbit: float = 20_000.0
    mtu: int = ETHERNET_BYTES
    families: tuple[int, ...] = (4,)


QUALITIES: Final[dict[str, LineQuality]] = {
    one.name: one
    for one in (
        LineQuality(name="fibre", delay_up_ms=4, delay_down_ms=4, rate_up_kbit=50_000, rate_down_kbit=100_000),
        LineQuality(name="dsl", delay_up_ms=15, delay_down_ms=12, loss_up=0.001, loss_down=0.001, rate_up_kbit=800),
        LineQuality(name="dual-stack", delay_up_ms=8, delay_down_ms=8, families=(4, 6)),
        LineQuality(name="mobile", delay_up_ms=30, delay_down_ms=25, jitter_ms=15, loss_up=0.004, loss_down=0.004),
        LineQuality(
            name="mobile-edge", delay_up_ms=350, delay_down_ms=300, jitter_ms=150, loss_up=0.02, loss_down=0.02,
            rate_up_kbit=80, rate_down_kbit=160,
        ),
        LineQuality(name="satellite", delay_up_ms=300, delay_down_ms=300, jitter_ms=10, loss_up=0.01, loss_down=0.01),
        LineQuality(
            name="very-slow", delay_up_ms=2_800, delay_down_ms=2_800, jitter_ms=200, loss_up=0.005, loss_down=0.005,
            rate_up_kbit=64, rate_down_kbit=64,
        ),
        LineQuality(name="lossy", delay_up_ms=30, delay_down_ms=30, loss_up=0.08, loss_down=0.08),
        LineQuality(name="very-lossy", delay_up_ms=40, delay_down_ms=40, loss_up=0.22, loss_down=0.22),
        LineQuality(name="lopsided", delay_up_ms=60, delay_down_ms=20, loss_up=0.30, loss_down=0.01, rate_up_kbit=100),
        LineQuality(
            name="bursty", delay_up_ms=25, delay_down_ms=25, burst_every_s=120, burst_s=6, burst_loss=0.95
        ),
    )
}  # fmt: skip
"""The kinds of lines a home may have."""


@dataclass(slots=True, kw_only=True)
class Line:
    """One line on its way through time. `seed` draws its losses and its delays."""

    quality: LineQuality
    seed: str
    _rng: random.Random = field(init=False)
    _spells_rng: random.Random = field(init=False)
    _edges_s: list[float] = field(default_factory=lambda: [0.0])
    """When bursts begin and end, by turns, as far as they are drawn; the first time is well."""

    def __post_init__(self) -> None:
        """Take the seed."""
        self._rng = random.Random(f"{self.seed}/packets")
        self._spells_rng = random.Random(f"{self.seed}/bursts")

    def loses(self, now_s: float, *, up: bool, extra: float = 0.0) -> bool:
        """Return whether a packet sent now is lost; `extra` is a further share that is lost at present."""
        quality = self.quality
        loss = quality.loss_up if up else quality.loss_down
        if quality.burst_every_s and self._is_in_burst(now_s):
            loss = max(loss, quality.burst_loss)
        loss = 1 - (1 - loss) * (1 - extra)
        return loss > 0 and self._rng.random() < loss

    def delay_s(self, size: int, *, up: bool, extra_ms: float = 0.0) -> float:
        """Return how long a packet of `size` bytes is on its way."""
        quality = self.quality
        base_ms = quality.delay_up_ms if up else quality.delay_down_ms
        rate = quality.rate_up_kbit if up else quality.rate_down_kbit
        return (base_ms + extra_ms + self._rng.random() * quality.jitter_ms + 8 * size / rate) / 1000

    def _is_in_burst(self, now_s: float) -> bool:
        edges, quality = self._edges_s, self.quality
        while edges[-1] <= now_s:
            mean_s = quality.burst_every_s if len(edges) % 2 else quality.burst_s
            edges.append(edges[-1] + self._spells_rng.expovariate(1 / mean_s))
        return bisect.bisect_right(edges, now_s) % 2 == 0
