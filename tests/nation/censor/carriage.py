"""Actions that change how a packet goes on: throttle, impair, translate. Pure values.

Every key is declared with `setting`; what is done is `tests.nation.censor.lines` and `tests.nation.censor.translation`'s.
"""

from dataclasses import dataclass

from firmware.settings.load import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Hold the packets to a rate, each direction apart; later rules are asked too."""

    rate_bit_s: int = setting(150_000, doc="The rate, Ethernet headers not counted.", unit="bit/s", low=1000)
    how: str = setting(
        "police",
        doc="police drops what is above the rate (token bucket); shape queues it.",
        choices=("police", "shape"),
    )
    burst_bytes: int = setting(
        15_000, doc="What may pass at once after a silence.", unit="bytes", low=1500, high=10**9
    )
    limit_bytes: int = setting(
        100_000,
        doc="How much the queue of shape holds; what comes on top is dropped.",
        unit="bytes",
        low=1500,
        high=10**9,
    )
    per: str = setting(
        "all",
        doc="Whether all packets share the rate, or each flow has it for itself.",
        choices=("all", "flow"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Impair:
    """Spoil the network, each direction apart; later rules are asked too."""

    delay_ms: float = setting(0.0, doc="Added to the way.", unit="ms", low=0, high=60000)
    jitter_ms: float = setting(
        0.0,
        doc="The delay varies evenly by so much either way, never below nothing. The order stays.",
        unit="ms",
        low=0,
        high=60000,
    )
    loss: float = setting(0.0, doc="Share of packets lost; with bursts, in the good state.", low=0, high=1)
    burst_begin: float = setting(
        0.0,
        doc="Bursts (Gilbert-Elliott): chance, a packet, to go from the good state to the bad one.",
        low=0,
        high=1,
    )
    burst_end: float = setting(0.25, doc="Bursts: chance, a packet, to go back.", low=0, high=1)
    burst_loss: float = setting(1.0, doc="Bursts: share of packets lost in the bad state.", low=0, high=1)
    reorder: float = setting(
        0.0, doc="Share of packets held back so that later ones overtake.", low=0, high=1
    )
    reorder_ms: float = setting(10.0, doc="How long those are held.", unit="ms", low=0, high=60000)
    duplicate: float = setting(0.0, doc="Share of packets sent twice.", low=0, high=1)
    seed: int = setting(1, doc="The same seed draws the same lots.", low=0, high=2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translate:
    """Translate addresses (NAT): all IPv4 from the inside leaves from one address, and only answers come back in.

    Rules of the same file see the inside's own addresses. A port is kept for a source however many targets it has,
    and any target may answer to it; what comes in for no port in use is swallowed, fragments too. IPv6 passes.
    """

    address: str = setting("", doc="The address that it leaves from. Needed.", sample="203.0.113.9")
    most: int = setting(
        60_000,
        doc="How many sources (address and port) may be in use at once; more are swallowed.",
        low=1,
        high=60_000,
    )
    idle_s: float = setting(
        60.0,
        doc="How long a source of UDP or ping is kept that sends nothing.",
        unit="s",
        low=0.001,
        high=86400,
    )
    tcp_idle_s: float = setting(7440.0, doc="The same for TCP.", unit="s", low=0.001, high=86400)
