"""What a prober said of its probes: its own words read as they are, with how coarse they are. Pure.

Nothing is corrected in anyone's favour, ours included.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from firmware.model.record import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a prober said of one probe. `ns` None: it got no answer.

    `seen_as` is what it claims to have timed, as the capture names it, where that is not its `kind`. `joined`: it
    said itself that the first segment's time may be a later one's.
    """

    kind: str
    ns: int | None
    stamp: str = ""
    half_step_ns: int = 0
    seen_as: str = ""
    joined: bool = False


_SEEN_AS: Final = {"tls_long": "tls", "tls_handshake": "tls_answer"}
"""Our `tls_handshake` ends with the last bytes we waited for: what we do with them then is no part of it."""


def readings_of(turn: str, outcome: Outcome) -> list[Reading]:
    """Read what one of our measurements says of its probes."""
    if turn == "icmp":
        samples = outcome.detail.get("samples")
        assert isinstance(samples, list)
        found = []
        for sample in samples:
            assert isinstance(sample, dict)
            rtt_ns = sample.get("rtt_ns")
            assert rtt_ns is None or isinstance(rtt_ns, int)
            found.append(Reading(kind="icmp", ns=rtt_ns, stamp=str(sample.get("stamp", ""))))
        return found
    phases = {
        "ntp": {"rtt": "udp"},
        "dns": {"resolve": "udp"},
        "tcp": {"connect": "tcp"},
        "tls": {"connect": "tcp", "tls_first_flight": "tls", "tls_handshake": "tls_handshake"},
        "tls_long": {"tls_first_flight": "tls_long"},
    }[turn]
    segments = outcome.detail.get("first_segments")
    return [
        Reading(
            kind=kind,
            ns=outcome.phases[name].ns,
            stamp=str(outcome.phases[name].stamp),
            seen_as=_SEEN_AS.get(kind, ""),
            joined=name == "tls_first_flight" and isinstance(segments, int) and segments > 1,
        )
        if name in outcome.phases
        else Reading(kind=kind, ns=None, seen_as=_SEEN_AS.get(kind, ""))
        for name, kind in phases.items()
    ]


def read_fping(text: str) -> list[Reading]:
    """Read `ADDRESS : 9.12 - 10.3`, in ms."""
    return [
        Reading(kind="icmp", ns=None)
        if word == "-"
        else Reading(kind="icmp", ns=round(float(word) * 1e6), half_step_ns=_half_step_ns(word))
        for word in text.partition(" : ")[2].split()
    ]


def _half_step_ns(milliseconds: str) -> int:
    decimals = len(milliseconds.partition(".")[2])
    return int(1e6 / 10**decimals / 2)


def read_ping(text: str) -> Reading:
    """Read the summary of a ping of one probe."""
    found = re.search(r"= ([\d.]+)/", text)
    if found is None:
        return Reading(kind="icmp", ns=None)
    return Reading(kind="icmp", ns=round(float(found[1]) * 1e6), half_step_ns=_half_step_ns(found[1]))


def read_irtt(text: str) -> list[Reading]:
    """Read its JSON."""
    trips = json.loads(text)["round_trips"]
    return [
        Reading(kind="udp", ns=trip["delay"]["rtt"] if trip["lost"] == "false" else None) for trip in trips
    ]


_METRICS: Final = {
    "icmp": {'probe_icmp_duration_seconds{phase="rtt"}': "icmp"},
    "https": {
        'probe_http_duration_seconds{phase="connect"}': "tcp",
        'probe_http_duration_seconds{phase="tls"}': "tls_handshake",
    },
    "tcp": {"probe_duration_seconds": "tcp_whole"},
}


def read_metrics(turn: str, text: str) -> list[Reading]:
    """Read the exporter's metrics. Its `tcp` probe has no phases: `tcp_whole` is all of it."""
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    succeeded = values.get("probe_success") == "1"
    return [
        Reading(
            kind=kind,
            ns=round(float(values[name]) * 1e9) if succeeded and name in values else None,
            seen_as="tcp" if kind == "tcp_whole" else "",
        )
        for name, kind in _METRICS[turn].items()
    ]
