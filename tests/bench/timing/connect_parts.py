"""Where the microseconds of a TCP connect's error lie: on the way down to the wire, or on the way up from it.

TCP_INFO's time is between two readings of TCP's own clock: as it makes the SYN, and as it reads the answer. The
capture's is between two moments at the driver. On a route with the feature tcp_usec_ts (Linux 6.7) and with
net.ipv4.tcp_timestamps=2 a SYN carries TCP's first reading itself, CLOCK_MONOTONIC in µs. So the way down is the
capture's stamp of the SYN less that, and the way up what is left of the error. Both are good to 1 µs, since TCP's clock is
read in whole ones. This file must never change a route outside of the lab.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import namespaces
from tests.bench.timing.accuracy import capturing
from tests.bench.timing.figures import Spread, spread
from tests.bench.timing.lab import NEAR
from tests.bench.timing.responder import TCP_PORT
from tests.bench.timing.wire import Exchange
from tests.bench.timing.worker_client import WorkerClient

_ADDRESS: Final = "10.77.4.1"
_GATEWAY: Final = "10.76.0.2"
_RTM_NEWROUTE: Final = 24
_REQUEST_ACK_CREATE_REPLACE: Final = 0x1 | 0x4 | 0x400 | 0x100
_DESTINATION, _DEVICE, _VIA, _METRICS, _FEATURES = 1, 4, 5, 8, 12
_TCP_USEC_TS: Final = 1 << 4
_PAUSE_S: Final = 0.005
_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectParts:
    """The error of connects and its two parts, in ns, of a worker with a priority under a condition."""

    condition: str
    priority: str
    error: Spread | None
    down: Spread | None
    up: Spread | None


def prepare() -> str:
    """Let SYNs to one address carry TCP's clock in µs; return why that cannot be, "" where it can."""
    namespaces.sysctl("net.ipv4.tcp_timestamps", 2)
    number = _route_with_microseconds()
    return "" if number == 0 else f"no route with tcp_usec_ts here: error {number}"


def measure(client: WorkerClient, condition: str, folder: Path, probes: int) -> ConnectParts:
    """Connect so many times, one after the other; take each error apart."""
    reported: list[int | None] = []
    with capturing(folder) as truth:
        for _ in range(probes):
            phases = client.run([client.task("tcp", f"{_ADDRESS}:{TCP_PORT}", {})])[0].outcome.phases
            usable = "connect" in phases and str(phases["connect"].stamp) == "tcp_info"
            reported.append(phases["connect"].ns if usable else None)
            time.sleep(_PAUSE_S)
    seen = [one for one in truth.exchanges if one.kind == "tcp" and one.address == _ADDRESS]
    parts = _apart(reported, seen, monotonic_behind_ns()) if len(seen) == len(reported) else []
    return ConnectParts(
        condition=condition,
        priority=client.scheduling,
        error=spread([down + up for down, up in parts]),
        down=spread([down for down, _ in parts]),
        up=spread([up for _, up in parts]),
    )


def _apart(
    reported: Sequence[int | None], seen: Sequence[Exchange], behind_ns: int
) -> list[tuple[float, float]]:
    """Return the way down and the way up of each connect that has both readings."""
    found: list[tuple[float, float]] = []
    for ns, exchange in zip(reported, seen, strict=True):
        if ns is None or exchange.sender_clock is None or exchange.repeated:
            continue
        down = way_down_ns(exchange.sent_ns - behind_ns, exchange.sender_clock)
        found.append((down, ns - exchange.rtt_ns - down))
    return found


def way_down_ns(sent_monotonic_ns: int, sender_clock_us: int) -> int:
    """Return the time from the sender's reading (µs, 32 bits of them) to the packet's stamp."""
    sent_us, rest_ns = divmod(sent_monotonic_ns, 1000)
    return (sent_us - sender_clock_us) % _WRAP * 1000 + rest_ns


def monotonic_behind_ns() -> int:
    """Return CLOCK_REALTIME − CLOCK_MONOTONIC, from the quickest of several readings."""
    found = []
    for _ in range(20):
        before_ns = time.monotonic_ns()
        realtime_ns = time.time_ns()
        after_ns = time.monotonic_ns()
        found.append((after_ns - before_ns, realtime_ns - (before_ns + after_ns) // 2))
    return min(found)[1]


def _route_with_microseconds() -> int:
    """Ask the kernel for the route, as no iproute2 of Debian 12 can; return its error number, 0 for done."""
    metrics = _attribute(_FEATURES, struct.pack("=I", _TCP_USEC_TS))
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 254, 3, 0, 1, 0)
    body += _attribute(_DESTINATION, socket.inet_aton(_ADDRESS))
    body += _attribute(_VIA, socket.inet_aton(_GATEWAY))
    body += _attribute(_DEVICE, struct.pack("=I", socket.if_nametoindex(NEAR)))
    body += _attribute(_METRICS, metrics)
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWROUTE, _REQUEST_ACK_CREATE_REPLACE, 1, 0)
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)) as sock:
        sock.settimeout(5)
        sock.send(header + body)
        number: int = struct.unpack_from("=i", sock.recv(4096), 16)[0]
    return -number


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
