"""What a rule matches: ends, protocol, names, text, sizes, and by what lot. Pure.

Every key is declared here with `setting`, as the actions' are. This file must never look at a packet.
"""

from dataclasses import dataclass
from typing import Final

from firmware.settings.load import setting

DIRECTIONS: Final = ("both", "up", "down")
PROTOCOLS: Final = ("tcp", "udp", "icmp")
LOTS: Final = ("flows", "packets")
FILTERED_PORTS: Final = (53, 80, 443)
_NETWORKS: Final = ("203.0.113.0/24", "2001:db8::/32")
_HEX: Final = r"([0-9a-fA-F]{2} ?)+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which packets a rule concerns. Everything given must hold; of an array, one entry suffices."""

    sender: tuple[str, ...] = setting((), doc="The address or prefix that opened the flow.", sample=_NETWORKS)
    """`from` in a file, which is a reserved word of Python."""
    to: tuple[str, ...] = setting(
        (), doc="The address or prefix that the flow was opened to.", sample=_NETWORKS
    )
    address: tuple[str, ...] = setting((), doc="The address or prefix of either end.", sample=_NETWORKS)
    proto: tuple[str, ...] = setting((), doc="The protocol; icmp is ICMPv6 too.", choices=PROTOCOLS)
    port: tuple[int, ...] = setting((), doc="The port the flow was opened to.", low=1, high=65535)
    sni: tuple[str, ...] = setting(
        (),
        doc='The server name in a TLS ClientHello. "*.x.com" is x.com and every name below it, "*" any name.',
        sample=("*.x.com",),
    )
    host: tuple[str, ...] = setting(
        (), doc="The Host of an HTTP request, written as for sni; its port does not count.", sample=("x.com",)
    )
    qname: tuple[str, ...] = setting(
        (),
        doc="The name a DNS query asks for, over UDP or TCP, written as for sni. On port 53 unless port says otherwise.",
        sample=("*.x.com",),
    )
    qtype: tuple[str, ...] = setting(
        (),
        doc="The record type a DNS query asks for.",
        choices=("A", "AAAA", "CNAME", "HTTPS", "MX", "NS", "SOA", "SVCB", "TXT", "ANY"),
    )
    payload: tuple[str, ...] = setting(
        (), doc="Text in what a TCP or UDP packet carries.", sample=("forbidden",)
    )
    payload_hex: tuple[str, ...] = setting(
        (),
        doc="Bytes in what a TCP or UDP packet carries.",
        pattern=_HEX,
        form="bytes as hex pairs",
        sample=("16 03 01",),
    )
    direction: str = setting(
        "both",
        doc="Which of the packets are acted on: up comes from the inside, down from the outside.",
        choices=DIRECTIONS,
    )
    reassemble: bool = setting(
        default=False,
        doc="Also look across the first 16 KiB of the opener's TCP stream, so that a name split over segments that come in order is found.",
    )
    larger_than: int = setting(
        0,
        doc="Packets of more bytes than this, IP header and all; 0 for any size. With drop, a path that eats what is large.",
        unit="bytes",
        low=0,
        high=65535,
    )
    smaller_than: int = setting(
        0,
        doc="Packets of fewer bytes than this, IP header and all; 0 for any size.",
        unit="bytes",
        low=0,
        high=65535,
    )
    share: float = setting(
        1.0,
        doc="The share of what else matches that is concerned, by lot: 0.3 is three of ten.",
        low=0,
        high=1,
    )
    lot: str = setting(
        "flows",
        doc="What share is drawn over: flows, each once and for as long as it lasts, or packets, each anew.",
        choices=LOTS,
    )
    seed: int = setting(1, doc="The same seed draws the same lots for share.", low=0, high=2**31 - 1)
