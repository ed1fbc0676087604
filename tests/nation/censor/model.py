"""The rules of a censor as data: what a rule matches, what it does, when it is in force. Pure.

Every key a rules file may have is declared here with `setting`, so the reader, the faults it reports and the
lists in docs/how-to/censor.md say the same. This file must never look at a packet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from firmware.settings.load import setting
from tests.nation.censor.timetable import Timetable

DIRECTIONS: Final = ("both", "up", "down")
PROTOCOLS: Final = ("tcp", "udp", "icmp")
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
    """Swallow the packet and tell its sender so."""

    answer: str = setting(
        "admin",
        doc="What the sender gets: an ICMP or ICMPv6 error (administratively prohibited, host, network or port "
        "unreachable), or a TCP reset (other protocols get nothing then).",
        choices=("admin", "host", "net", "port", "reset"),
    )
    router: tuple[str, ...] = setting(
        (),
        doc="The address the ICMP error comes from, one a family. Left out: the address the packet was for.",
        sample=("10.1.1.1", "2001:db8::1"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Forge TCP resets; the packet and the rest of its flow are swallowed, unless `swallow` says otherwise.

    What is not TCP is left alone.
    """

    ends: str = setting("both", doc="Who gets resets.", choices=("both", "inside", "outside"))
    times: int = setting(
        1, doc="How many in a row; the sequence numbers step by a segment from the true one.", low=1, high=100
    )
    after_s: float = setting(
        0.0,
        doc="When: so long after the flow's SYN, or at once where that has passed.",
        unit="s",
        low=0,
        high=3600,
    )
    swallow: bool = setting(
        default=True,
        doc="Whether the packet and the rest of the flow are swallowed. false is a censor beside the wire, that only injects.",
    )
    remember_s: float = setting(
        0.0,
        doc="How long every later flow between the opener's address and that address and port is reset too.",
        unit="s",
        low=0,
        high=86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Forge an answer to a DNS query; the match needs qname. Over TCP the true answer never comes."""

    rcode: str = setting(
        "NOERROR",
        doc="The answer's code. NOERROR without a fitting address is an empty answer.",
        choices=("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"),
    )
    addresses: tuple[str, ...] = setting(
        (),
        doc="Addresses to answer with: IPv4 ones for A, IPv6 ones for AAAA.",
        sample=("10.10.34.34", "d0::11"),
    )
    ttl_s: int = setting(300, doc="How long the answer says it holds.", unit="s", low=0, high=2**31 - 1)
    suppress: bool = setting(
        default=False,
        doc="Whether the query is swallowed. false: the true answer comes as well, and the two race.",
    )
    after_ms: float = setting(
        0.0, doc="How long after the query the forged answer leaves.", unit="ms", low=0, high=60000
    )
    times: int = setting(1, doc="How many copies are sent.", low=1, high=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Answer the first data of a TCP flow's opener in the server's name and close; the server is reset.

    The rest of the flow is swallowed. Without a match by Host whatever the opener says is answered so.
    """

    status: int = setting(403, doc="The status.", low=100, high=999)
    frame: str = setting("10.10.34.34", doc="Where the default body's iframe points.")
    body: str = setting("", doc="A body instead of the default one.", sample="<h1>Blocked</h1>")
    file: Path | None = setting(
        None,
        doc="A file with a whole response, head and body, instead of all that.",
        sample=Path("page.http"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Answer an HTTP request with a redirect in the server's name, and close as for page."""

    location: str = setting("", doc="Where to. Needed.", sample="http://10.10.34.34/")
    status: int = setting(302, doc="The status.", low=300, high=399)


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
class ProtocolFilter:
    """Drop a flow for a while once its opener's first two packets with data look like no known protocol.

    Without proto it concerns TCP, without port the ports 53, 80 and 443 (Iran's filter of 2020).
    """

    memory_s: float = setting(60.0, doc="How long the flow is dropped.", unit="s", low=0, high=86400)
    looks: int = setting(2, doc="How many packets with data may be needed to tell.", low=1, high=100)
    allow: tuple[str, ...] = setting(
        ("dns", "http", "tls"), doc="The protocols let through.", choices=("dns", "http", "tls")
    )


Action: TypeAlias = (
    Forward | Drop | Reject | Reset | Answer | Page | Redirect | Throttle | Impair | ProtocolFilter
)

ACTIONS: Final[dict[str, type[Action]]] = {
    "forward": Forward,
    "drop": Drop,
    "reject": Reject,
    "reset": Reset,
    "answer": Answer,
    "page": Page,
    "redirect": Redirect,
    "throttle": Throttle,
    "impair": Impair,
    "protocol_filter": ProtocolFilter,
}
"""What a rule may `do`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `name` is unique in its file."""

    name: str
    match: Match
    action: Action
    timetable: Timetable = field(default_factory=Timetable)

    @property
    def do(self) -> str:
        """The action's word."""
        return next(word for word, cls in ACTIONS.items() if cls is type(self.action))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules of a file, in order. `files` are the contents of the files that they name."""

    rules: tuple[Rule, ...] = ()
    files: Mapping[Path, bytes] = field(default_factory=dict)
