"""What a line is like: delays, losses one by one and in bursts, rates and queues, the largest packet, address families.

A line is the stretch between a home and its provider's core; the way abroad adds to it. All packets of a home wait for
each other there (`tests.country.queues`), up in its router, down at its provider. Everything is drawn from the
line's own seed, so that the same line loses the same packets whoever else is in the country. This file must never know
why a packet is sent.
"""

import bisect
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.country.queues import Cross, Queue, sawtooth

ETHERNET_BYTES: Final = 1500
_NEVER: Final = 1 << 60
_APART_S: Final = 30.0
"""Two bursts are further apart: together they would be an outage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineQuality:
    """What a line is like when nothing is wrong with it. Losses are shares of packets, delays one way.

    A buffer is how long a packet waits at most: what would wait longer finds it full, and is dropped.
    """

    name: str
    delay_up_ms: float
    delay_down_ms: float
    jitter_ms: float = 1.0
    loss_up: float = 0.0
    loss_down: float = 0.0
    burst_every_s: float = 0.0
    """The mean time between bursts of loss; 0: there are none."""
    burst_s: float = 0.0
    burst_most_s: float = 8.0
    """No burst lasts longer: what lasts longer would be an outage of the line, and true."""
    burst_loss: float = 0.8
    rate_up_kbit: float = 5_000.0
    rate_down_kbit: float = 20_000.0
    buffer_up_ms: float = 250.0
    buffer_down_ms: float = 200.0
    burst_bytes: int = 0
    """What passes at once after a silence, where a shaper makes the rate."""
    mtu: int = ETHERNET_BYTES
    families: tuple[int, ...] = (4,)


QUALITIES: Final[dict[str, LineQuality]] = {
    one.name: one
    for one in (
        LineQuality(
            name="fibre", delay_up_ms=4, delay_down_ms=4, rate_up_kbit=50_000, rate_down_kbit=100_000, buffer_up_ms=60,
            buffer_down_ms=40,
        ),
        LineQuality(
            name="dsl", delay_up_ms=15, delay_down_ms=12, loss_up=0.001, loss_down=0.001, rate_up_kbit=800, buffer_up_ms=1_300,
        ),
        LineQuality(name="dual-stack", delay_up_ms=8, delay_down_ms=8, families=(4, 6)),
        LineQuality(
            name="mobile", delay_up_ms=30, delay_down_ms=25, jitter_ms=15, loss_up=0.004, loss_down=0.004, buffer_up_ms=800,
            buffer_down_ms=600,
        ),
        LineQuality(
            name="mobile-edge", delay_up_ms=350, delay_down_ms=300, jitter_ms=150, loss_up=0.02, loss_down=0.02,
            rate_up_kbit=80, rate_down_kbit=160, buffer_up_ms=4_000, buffer_down_ms=5_000,
        ),
        LineQuality(
            name="satellite", delay_up_ms=300, delay_down_ms=300, jitter_ms=10, loss_up=0.01, loss_down=0.01, buffer_up_ms=600,
            buffer_down_ms=600,
        ),
        LineQuality(
            name="very-slow", delay_up_ms=2_800, delay_down_ms=2_800, jitter_ms=200, loss_up=0.005, loss_down=0.005,
            rate_up_kbit=64, rate_down_kbit=64, buffer_up_ms=6_000, buffer_down_ms=6_000,
        ),
        LineQuality(name="lossy", delay_up_ms=30, delay_down_ms=30, loss_up=0.08, loss_down=0.08),
        LineQuality(name="very-lossy", delay_up_ms=40, delay_down_ms=40, loss_up=0.22, loss_down=0.22),
        LineQuality(
            name="lopsided", delay_up_ms=60, delay_down_ms=20, loss_up=0.30, loss_down=0.01, rate_up_kbit=100, buffer_up_ms=2_000,
        ),
        LineQuality(
            name="bursty", delay_up_ms=25, delay_down_ms=25, burst_every_s=120, burst_s=6, burst_loss=0.95
        ),
    )
}  # fmt: skip
"""The kinds of lines a home may have. Their buffers are of the sizes that Netalyzr (Kreibich and others, IMC 2010) found at
homes, a second and more up a DSL line, and Jiang and others (CellNet 2012) in mobile networks."""

Taken = tuple[float, int, bool]
"""A packet that came to a queue: when, its bytes, whether up."""


@dataclass(slots=True, kw_only=True)
class Line:
    """One line on its way through time. `seed` draws its losses and its delays, `crosses` are when somebody fills it."""

    quality: LineQuality
    seed: str
    router_resolves: bool = False
    """Whether the home's router has a cache of names."""
    crosses: tuple[Cross, ...] = ()
    taken: list[Taken] | None = None
    """Where what comes to a queue is noted, by who wants to know it."""
    _queues: dict[bool, Queue] = field(init=False)
    """Up and down."""
    _rng: random.Random = field(init=False)
    _spells_rng: random.Random = field(init=False)
    _edges_s: list[float] = field(default_factory=lambda: [0.0])
    """When bursts begin and end, by turns, as far as they are drawn; the first time is well."""
    _left: dict[bool, int] = field(default_factory=dict)
    """How many packets pass before the next is lost, up and down."""
    lost: int = 0
    """How many were lost so far."""
    sent: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """How many were sent so far, up and down."""

    def __post_init__(self) -> None:
        """Take the seed, and lay out the queues."""
        self._queues = {up: _queue(self.quality, self.crosses, up=up) for up in (True, False)}
        self._rng = random.Random(f"{self.seed}/packets")
        self._spells_rng = random.Random(f"{self.seed}/bursts")
        self._left = {up: self._drawn_left(up=up) for up in (True, False)}

    def leaves_s(self, size: int, now_s: float, *, up: bool) -> float | None:
        """Return when a packet has left its queue that comes to it now; None where it is dropped, for want of room."""
        if self.taken is not None:
            self.taken.append((now_s, size, up))
        left_s = self._queues[up].leaves_s(size, now_s)
        if left_s is None:
            self.lost += 1
        return left_s

    def takes(self, packets: Iterable[Taken], since_s: float) -> None:
        """Have packets wait in the queues that nobody waits for, with times since `since_s`."""
        for at_s, size, up in packets:
            self._queues[up].leaves_s(size, since_s + at_s)

    def loses(self, now_s: float, *, up: bool) -> bool:
        """Return whether a packet sent now is lost."""
        quality = self.quality
        self.sent[up] += 1
        if quality.burst_every_s and self._is_in_burst(now_s) and self._rng.random() < quality.burst_loss:
            self.lost += 1
            return True
        self._left[up] -= 1
        if self._left[up] >= 0:
            return False
        self._left[up] = self._drawn_left(up=up)
        self.lost += 1
        return True

    def passes(self, up: int, down: int, *, since_s: float, until_s: float) -> bool:
        """Take so many packets at once if it loses none of them in that time; return whether they are taken."""
        if self._left[True] < up or self._left[False] < down:
            return False
        if self.quality.burst_every_s and (
            self._is_in_burst(since_s)
            or self._is_in_burst(until_s)
            or bisect.bisect_right(self._edges_s, since_s) != bisect.bisect_right(self._edges_s, until_s)
        ):
            return False
        self._left[True] -= up
        self._left[False] -= down
        return True

    def _drawn_left(self, *, up: bool) -> int:
        loss = self.quality.loss_up if up else self.quality.loss_down
        return _NEVER if loss == 0 else int(math.log(1 - self._rng.random()) / math.log(1 - loss))

    def delay_s(self, *, up: bool) -> float:
        """Return how long a packet is on its way that has left its queue."""
        quality = self.quality
        base_ms = quality.delay_up_ms if up else quality.delay_down_ms
        return (base_ms + self._rng.random() * quality.jitter_ms) / 1000

    def _is_in_burst(self, now_s: float) -> bool:
        edges, quality = self._edges_s, self.quality
        while edges[-1] <= now_s:  # drawn in order, however far ahead is asked
            is_well = len(edges) % 2 == 1
            drawn_s = self._spells_rng.expovariate(
                1 / (quality.burst_every_s if is_well else quality.burst_s)
            )
            spell_s = max(drawn_s, _APART_S) if is_well else min(drawn_s, quality.burst_most_s)
            edges.append(edges[-1] + spell_s)
        return bisect.bisect_right(edges, now_s) % 2 == 0


def _queue(quality: LineQuality, crosses: Iterable[Cross], *, up: bool) -> Queue:
    """Return one direction of a line."""
    rate_kbit = quality.rate_up_kbit if up else quality.rate_down_kbit
    buffer_ms = quality.buffer_up_ms if up else quality.buffer_down_ms
    own = tuple(one for one in crosses if one.up is up)
    buffer_bytes = buffer_ms * rate_kbit / 8
    rtt_s = (quality.delay_up_ms + quality.delay_down_ms) / 1000
    return Queue(
        rate_kbit=rate_kbit,
        buffer_bytes=buffer_bytes,
        burst_bytes=quality.burst_bytes,
        crosses=own,
        sawtooth=sawtooth(rate_kbit=rate_kbit, buffer_bytes=buffer_bytes, rtt_s=rtt_s) if own else None,
    )
