"""Actions that answer in another's name: reset, answer, page, redirect, accept, echo, time. Pure values.

Every key is declared with `setting`; what is done is `tests.nation.censor.doing`'s.
"""

from dataclasses import dataclass
from pathlib import Path

from firmware.settings.load import setting


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
class Accept:
    """Accept a TCP connection in the server's name, which never hears of it: to the opener it stands.

    What is no new connection is left alone.
    """

    then: str = setting(
        "silence",
        doc="What the opener's first data meet: an acknowledgement and silence, an orderly end, or a reset.",
        choices=("silence", "close", "reset"),
    )
    say: str = setting(
        "",
        doc="Text that is sent for the opener's first data, before that end.",
        sample="HTTP/1.1 403 Forbidden\\r\\n\\r\\n",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """Answer a ping in the target's name. What is no echo request is left alone."""

    suppress: bool = setting(
        default=True, doc="Whether the request is swallowed. false: the true answer comes as well."
    )
    after_ms: float = setting(
        0.0, doc="How long after the request the forged answer leaves.", unit="ms", low=0, high=60000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Answer an NTP question (UDP, port 123 unless port says otherwise) in the server's name."""

    ahead_s: float = setting(
        0.0,
        doc="How far the forged time is ahead of the true one; below 0 it is behind.",
        unit="s",
        low=-(10**10),
        high=10**10,
    )
    stratum: int = setting(
        2,
        doc="The stratum it claims; 0 with kiss is a kiss of death, 16 is a clock nobody set.",
        low=0,
        high=16,
    )
    kiss: str = setting(
        "",
        doc="The code of a kiss of death, as the reference of an answer of stratum 0.",
        pattern=r"([A-Z]{4})?",
        form="four capital letters, or nothing",
        sample="DENY",
    )
    suppress: bool = setting(
        default=False,
        doc="Whether the question is swallowed. false: the true answer comes as well, and the two race.",
    )
    after_ms: float = setting(
        0.0, doc="How long after the question the forged answer leaves.", unit="ms", low=0, high=60000
    )
