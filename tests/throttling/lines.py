"""A line and what is done on it: the truth of a made line, as values. Nothing here knows the rules."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """For what a throttle keeps its state, and its bucket."""

    FLOW = "flow"
    ADDRESS = "address"
    """The client and one address: all names there are slow for a while after the suspect's."""
    SOURCE = "source"
    """The client: all of its line is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """A throttle in the path: a token bucket that drops (a policer) or holds back (a shaper) what is beyond its rate.

    `allow_list` slows every name but the control's; else the suspect's alone. `remembers_s` is how long an address or
    source stays slow after it was last seen with such a name. `freezes_after_bytes` lets nothing more through.
    """

    rate_bytes_per_s: float
    burst_bytes: float = 0.0
    polices: bool = False
    scope: Scope = Scope.FLOW
    remembers_s: float = 0.0
    allow_list: bool = False
    freezes_after_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line without any censor: what it carries, and its nuisances.

    `sway` is the standard deviation of the logarithm of its rate, which wanders with `sway_s` as the time in which it
    forgets; `cross_share` how much of the time others use it (then a flow has one half or one third), in spells of
    `cross_s`; `stalls_per_s` and `stall_s` silences as Wi-Fi has them; `boost` how many times faster the first
    `boost_bytes` after a rest are, of which that share of the rate comes back; `daily` by how much its rate falls in the evening; `wakes_s` what the first packet after
    a rest waits. `paced` says that a sender spreads a window over its round trip, and `growth` by what a window
    grows in start-up. `other_address` is how much slower the second address is.
    """

    rate_bytes_per_s: float
    rtt_s: float
    loss: float = 0.0
    sway: float = 0.0
    sway_s: float = 2.0
    cross_share: float = 0.0
    cross_s: float = 5.0
    stalls_per_s: float = 0.0
    stall_s: float = 0.3
    boost: float = 1.0
    boost_bytes: float = 0.0
    boost_refills: float = 1.0
    daily: float = 0.0
    wakes_s: float = 0.0
    jitter: float = 0.02
    paced: bool = False
    growth: float = 2.0
    other_address: float = 1.0
    addresses: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A made line: its seed, its kind, what it is, who slows what on it (None: nobody), and when of the day it is."""

    seed: int
    kind: str
    line: Line
    throttle: Throttle | None = None
    begins_s: float = 0.0
