"""One OONI measurement as typed values, with everything that judging it needs and nothing else. Pure.

Read from df-000 0.2.0 by `firmware.ooni.parse`, from probes of any year: Web Connectivity 0.4 and earlier (one chain, no tags),
0.5 (several resolvers and endpoints, tagged `depth=N`, `fetch_body=…`, `classic`) and the tests built of the same
steps (urlgetter). Failures stand here as the file has them; `firmware.ooni.evidence` translates. Sources: OONI
df-001, -002, -005, -006, -007, -008, ts-017. This file must never judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from firmware.judgement.site.evidence import SecondView
from firmware.judgement.site.facts import RoundView

Blocking: TypeAlias = "str | bool | None"

WEB_CONNECTIVITY: Final = "web_connectivity"
STEPPED_TESTS: Final = (WEB_CONNECTIVITY, "urlgetter")
"""The tests whose keys are steps towards one target, and that are judged. Of any other only the envelope is read."""

CONTROL_TAG: Final = "x_control_server_name"
"""Our mark on a handshake by an innocuous name, in measurements that we write."""
SYSTEM_ENGINE: Final = "system"
"""OONI's word for the host's configured resolvers, and since 2022 `getaddrinfo`."""
SYSTEM_RESOLVER: Final = "@system"
"""How they are named here: what OONI says of their addresses is nothing."""
SYSTEM_ENGINES: Final = ("getaddrinfo", SYSTEM_ENGINE, "golang_net_resolver", "")

COLLECTOR: Final = "collector"
"""Our mark on a control that is a collector's, not OONI's test helper."""
OURS: Final = "tidegauge"
"""Our name where a measurement says what software made it."""
ROUND_KEY: Final = "x_round"
COUNTRY_KEY: Final = "x_country"
"""Where measurements that we write say what was known around them."""

MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """OONI's conclusion: `blocking` is dns, tcp_ip, http-diff, http-failure, False or None; `accessible` or None."""

    blocking: Blocking = None
    accessible: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Which flow a step belongs to. `depth` counts redirects, None where the probe does not say.

    `fetch_body` is whether the step was on the way to the page, None where the probe does not say. `is_control`
    marks a handshake by an innocuous name (`CONTROL_TAG`).
    """

    transaction: int = 0
    depth: int | None = None
    fetch_body: bool | None = None
    classic: bool = False
    is_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One lookup. `addresses` are its A and AAAA answers, `asns` the networks of those whose number it says.

    `names` are the names that its answers lead on to (CNAME).
    """

    hostname: str
    query_type: str
    engine: str
    resolver: str
    failure: str | None
    addresses: tuple[str, ...]
    asns: Mapping[str, int]
    names: tuple[str, ...]
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpConnect:
    """One connection attempt; `took_ns` where the probe says when it began and ended."""

    address: str
    port: int
    failure: str | None
    took_ns: int | None
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsHandshake:
    """One handshake. `address` is "" and `port` 0 for probes that do not say (0.4 before 2022)."""

    address: str
    port: int
    server_name: str
    failure: str | None
    took_ns: int | None
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request and its answer. `status` is None for none; `t0_ns` is since the measurement's start."""

    url: str
    address: str
    failure: str | None
    status: int | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_is_truncated: bool
    kept: "HeldBody | None"
    t0_ns: int | None
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBody:
    """What a measurement that we wrote says of a body of which it holds the start alone, or nothing."""

    body_length: int
    body_was_cut: bool
    title: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEvent:
    """One thing that happened on a socket, `t_ns` since the measurement's start."""

    operation: str
    num_bytes: int
    t_ns: int
    transaction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OoniControlHttp:
    """What the helper's own request came to. `status` and `body_length` are None where it got none."""

    failure: str | None
    status: int | None
    body_length: int | None
    title: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OoniControl:
    """What the test helper saw. `connects` and `handshakes` go by `ADDRESS:PORT`, IPv6 in brackets.

    `handshakes` holds (server name, failure). `http` is None where it says nothing of a request. `age_s` and
    `is_collector`, `second` are of a control of ours, in measurements that we wrote: its view may be older than the record.
    """

    hostname: str = ""
    has_dns: bool = True
    dns_failure: str | None = None
    addresses: tuple[str, ...] = ()
    connects: Mapping[str, str | None] = field(default_factory=dict)
    handshakes: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    http: OoniControlHttp | None = None
    asns: Mapping[str, int] = field(default_factory=dict)
    age_s: float = 0.0
    is_collector: bool = False
    second: tuple[SecondView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OoniMeasurement:
    """One measurement. `requests` stand as OONI has them: the last redirect first.

    `around` is what its round says around a measurement of ours, None for one of others. `said` is the file's own conclusion, None where it has neither key. `duplicates` are further, different answers
    to a question that had one. `has_steps` is False where the test failed before it began.
    """

    test_name: str
    test_version: str
    input: str
    start: str
    probe_asn: str
    probe_cc: str
    queries: tuple[Query, ...] = ()
    duplicates: tuple[Query, ...] = ()
    connects: tuple[TcpConnect, ...] = ()
    handshakes: tuple[TlsHandshake, ...] = ()
    requests: tuple[HttpRequest, ...] = ()
    events: tuple[NetworkEvent, ...] = ()
    control: OoniControl | None = None
    control_failure: str | None = None
    dns_experiment_failure: str | None = None
    dns_consistency: str | None = None
    failure: str | None = None
    failed_operation: str | None = None
    around: RoundView | None = None
    said: Pair | None = None


def split_endpoint(text: str) -> tuple[str, int]:
    """Return address and port of `ADDRESS:PORT`, IPv6 with or without brackets; ("", 0) for anything else."""
    address, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        return "", 0
    return address.removeprefix("[").removesuffix("]"), int(port)


def endpoint(address: str, port: int) -> str:
    """Return `ADDRESS:PORT`, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
