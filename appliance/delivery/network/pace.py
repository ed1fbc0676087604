"""How fast the way to the collector is, as its acknowledgements show it, and how large a batch may be for that. Pure.

Goodput is measured where the broker takes batches: bytes over the time since the one before was taken. A batch is so
large that it takes `BATCH_S` to send; where connections are cut, smaller: what a cut destroys is half a batch on
average, what a batch costs beside its records is paid more often with smaller ones, and the two are least together
at √(2 · cost · goodput · life) (J. W. Young, "A first order approximation to the optimum checkpoint interval", 1974).
What is on its way stays below `SHARE` of goodput × keep-alive, or the pings that prove the connection alive would
wait behind it until the other side hangs up. Where connections are cut, it also stays as little as keeps the line
busy: what lies in a modem's queue at a cut is carried all the same, for nobody, and the next connection waits behind it.

This file must never take a time itself, and never believe in more than was measured.
"""

import math
from dataclasses import dataclass
from typing import Final

from firmware.wire.messages import MAX_BATCH_BYTES

BATCH_BYTES_START: Final = 4 * 1024
BATCH_BYTES_MIN: Final = 1024
BATCH_S: Final = 2.0
"""How long a batch may take to send."""
QUEUE_S: Final = 4.0
"""How much may wait to be taken, in time: what is new waits behind it."""
LEAD_S: Final = 0.5
"""Where connections are cut, the next batch goes so long before the one ahead should be through …"""
LEAD_TRIPS: Final = 2.0
"""… or so many round trips, where that is more: the word that it is through takes one."""
SHARE: Final = 0.5
"""How much of goodput × keep-alive may be on its way."""
BATCH_COST_BYTES: Final = 2600
"""What a batch costs beside its records: names, envelope, acknowledgements, and what zlib has to meet anew in each.

Measured with the rounds of the drain drill: batches of n records have 2,500 to 3,000 bytes + 76 to 90 n.
"""
SAMPLE_S: Final = 0.2
"""Acknowledgements that come together are one sample: what lies between them is no send's duration."""
STALL_MIN_S: Final = 10.0
STALL_MAX_S: Final = 120.0
STALL_TIMES: Final = 8.0
"""A connection is given up when a batch takes so many times as long as it should."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """One way's. `keepalive_s` is the connection's; `goodput` in bytes a second, None until there is a sample."""

    keepalive_s: float = 60.0
    goodput: float | None = None
    life_s: float | None = None
    rtt_s: float | None = None
    _connected: float | None = None
    _mark: float = 0.0
    _taken: int = 0
    _fruitless: int = 0
    _took_any: bool = False

    def connected(self, now: float) -> None:
        """Begin on a new connection."""
        self._connected = self._mark = now
        self._taken = 0
        self._took_any = False

    def cut(self, now: float, *, un_taken: bool) -> None:
        """Take note that the connection had ended by `now`; `un_taken`: a batch had not got through."""
        if self._connected is None:
            return
        lived_s = max(0.0, now - self._connected)
        self._connected = None
        if not un_taken:
            return
        self.life_s = lived_s if self.life_s is None else (self.life_s + lived_s) / 2
        self._fruitless = 0 if self._took_any else self._fruitless + 1

    def stalled(self) -> None:
        """Take note that a connection is given up for slowness: what was measured holds no more."""
        if self.goodput is not None:
            self.goodput /= 2

    def round_trip(self, sample_s: float) -> None:
        """Take note of how long a few bytes took to the broker and back, on a line with nothing else on it."""
        if self.rtt_s is None or sample_s < self.rtt_s:
            self.rtt_s = sample_s
        else:
            self.rtt_s += (sample_s - self.rtt_s) / 4

    def begins(self, now: float) -> None:
        """Take note that something is on its way after nothing was: a new stretch of time is measured."""
        self._mark = now
        self._taken = 0

    def taken(self, now: float, size: int) -> None:
        """Take note that the broker has `size` bytes more."""
        self._took_any = True
        self._fruitless = 0
        self._taken += size
        took_s = now - self._mark
        if took_s < SAMPLE_S and self.goodput is not None and self._taken < self.goodput * SAMPLE_S:
            return  # too little to tell a line by, and nothing it would raise
        sample = self._taken / max(took_s, SAMPLE_S)
        self._mark, self._taken = now, 0
        if self.goodput is None:
            self.goodput = sample
        else:
            self.goodput += (sample - self.goodput) / (2 if sample > self.goodput else 4)

    def life(self, now: float) -> float | None:
        """Return how long a connection lasts, in seconds, None when none was cut in the midst of sending."""
        if self.life_s is None:
            return None
        return self.life_s if self._connected is None else max(self.life_s, now - self._connected)

    def batch_bytes(self, now: float) -> int:
        """Return how large the next batch may be."""
        if self.goodput is None:
            wanted = float(BATCH_BYTES_START)
        else:
            wanted = min(BATCH_S * self.goodput, SHARE * self.goodput * self.keepalive_s / 2)
            life_s = self.life(now)
            if life_s is not None:
                wanted = min(wanted, math.sqrt(2 * BATCH_COST_BYTES * self.goodput * life_s))
        wanted /= 2.0 ** min(self._fruitless, 16)
        return max(BATCH_BYTES_MIN, min(MAX_BATCH_BYTES, int(wanted)))

    def room(self, now: float, un_taken: int, since: float | None = None) -> int:
        """Return how many bytes may be sent now, while `un_taken` bytes have not got through: 0, or a batch's size.

        `since` is when the first of those was sent, or the one ahead of it got through. One batch of
        `BATCH_BYTES_MIN` may always go, or nothing ever would on the slowest of lines. Until there is a sample one
        batch is on its way at a time.
        """
        size = self.batch_bytes(now)
        if not un_taken:
            return size
        if self.goodput is None or (since is not None and now < self.room_at(now, un_taken, since)):
            return 0
        allowed = min(
            max(QUEUE_S * self.goodput, 2.0 * size),
            SHARE * self.goodput * self.keepalive_s,
        )
        return size if un_taken + size <= allowed else 0

    def room_at(self, now: float, un_taken: int, since: float) -> float:
        """Return from when a further batch may join `un_taken` bytes as far as a cut would cost; see `room`."""
        if self.goodput is None or self.rtt_s is None or self.life(now) is None:
            return since
        return since + un_taken / self.goodput - max(LEAD_S, LEAD_TRIPS * self.rtt_s)

    def stall_s(self, ahead: int) -> float:
        """Return how long a batch may take before the connection is given up; `ahead` bytes go with it or before it."""
        if self.goodput is None or self.goodput <= 0:
            return STALL_MAX_S
        return min(STALL_MAX_S, max(STALL_MIN_S, STALL_TIMES * ahead / self.goodput))
