"""How long before its moment a packet's sending is begun, so that it leaves at that moment and not before. Pure.

Between the waking of a job and the kernel's having its packet lies work: our own, a system call, a route; some 30 µs
on one machine, other times on another. What it costs at the least is learned from the packets' own stamps. The lead
is less than that, so that a packet leaves early only where its way was shorter than every one of the last `KEPT`;
the next one goes by that. This file must never read a clock.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

MAX_LEAD_NS: Final = 200_000
KEPT: Final = 64
"""How many costs are remembered: a way that has become longer is believed after so many packets."""
FEWEST: Final = 4
"""With fewer costs known than this there is no lead."""
SHARE: Final = 0.85
"""The lead is no more than this part of the least cost, since the next packet's may be less still."""


def lead_ns(costs: Sequence[int]) -> int:
    """Return how long before its moment to begin, from what the last sends cost, in ns: 0 to `MAX_LEAD_NS`."""
    if len(costs) < FEWEST:
        return 0
    return max(0, min(MAX_LEAD_NS, int(SHARE * min(costs))))


class SendCompensation:
    """The lead of one kind of sending, learned as it goes."""

    __slots__ = ("_costs", "ns")

    def __init__(self) -> None:
        self.ns = 0
        self._costs: deque[int] = deque(maxlen=KEPT)

    def learn(self, cost_ns: int) -> None:
        """Note what a send cost: from the moment it was to begin at until the packet was the kernel's.

        Less than nothing was not the cost: a clock was set meanwhile.
        """
        if cost_ns > 0:
            self._costs.append(cost_ns)
            self.ns = lead_ns(self._costs)
