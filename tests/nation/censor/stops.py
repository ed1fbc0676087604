"""Actions that let a packet pass or stop it: forward, drop, reject, protocol_filter. Pure values.

Every key is declared with `setting`; what is done is `tests.nation.censor.doing`'s.
"""

from dataclasses import dataclass

from firmware.settings.load import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Let the packet pass: no later rule is asked. What throttle and impair rules before it said holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Swallow the packet."""

    remember_s: float = setting(
        0.0,
        doc="How long every later packet between the opener's address and that address and port is swallowed too.",
        unit="s",
        low=0,
        high=86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Tell the packet's sender that it does not arrive; it is swallowed, unless `swallow` says otherwise."""

    answer: str = setting(
        "admin",
        doc="What the sender gets: an ICMP or ICMPv6 error (administratively prohibited, host, network or port "
        "unreachable, too_big for the path, ttl for a hop limit used up), or a TCP reset (other protocols get "
        "nothing then).",
        choices=("admin", "host", "net", "port", "too_big", "ttl", "reset"),
    )
    mtu: int = setting(1280, doc="What too_big says the path takes.", unit="bytes", low=68, high=65535)
    swallow: bool = setting(
        default=True,
        doc="Whether the packet is swallowed. false: it goes on, and the error is a lie.",
    )
    router: tuple[str, ...] = setting(
        (),
        doc="The address the ICMP error comes from, one a family. Left out: the address the packet was for.",
        sample=("10.1.1.1", "2001:db8::1"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolFilter:
    """Drop a flow for a while once its opener's first two packets with data look like no known protocol.

    Without proto it concerns TCP, without port the ports 53, 80 and 443 (Iran's filter of 2020).
    """

    memory_s: float = setting(60.0, doc="How long the flow is dropped.", unit="s", low=0, high=86400)
    looks: int = setting(2, doc="How many packets with data may be needed to tell.", low=1, high=100)
    allow: tuple[str, ...] = setting(
        ("dns", "http", "tls"), doc="The protocols let through.", choices=("dns", "http", "tls")
    )
