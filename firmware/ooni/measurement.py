"""One OONI measurement as typed values, with everything that judging it needs and nothing else. Pure.

Read from df-000 0.2.0 by `parse`, from probes of any year: Web Connectivity 0.4 and earlier (one chain, no tags),
0.5 (several resolvers and endpoints, tagged `depth=N`, `fetch_body=…`, `classic`) and the tests built of the same
steps (urlgetter). Failures stand here as the file has them; `firmware.ooni.evidence` translates. Sources: OONI
df-001, -002, -005, -006, -007, -008, ts-017. This file must never judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from firmware.jsontypes import JsonValue
from firmware.ooni.keys import Keys, OoniError

Blocking: TypeAlias = "str | bool | None"

UNNAMED_FAILURE: Final = "unknown_failure: the file says only that it failed"
"""For probes before 2021, whose connects had `failure: true`."""

CONTROL_TAG: Final = "x_control_server_name"
"""Our mark on a handshake by an innocuous name, in measurements that we write."""
SYSTEM_ENGINE: Final = "system"
"""OONI's word for the host's configured resolvers, and since 2022 `getaddrinfo`."""
SYSTEM_RESOLVER: Final = "@system"
"""How they are named here: what OONI says of their addresses is nothing."""
SYSTEM_ENGINES: Final = ("getaddrinfo", SYSTEM_ENGINE, "golang_net_resolver", "")

COLLECTOR: Final = "collector"
"""Our mark on a control that is a collector's, not OONI's test helper."""

_MAX_PORT: Final = 65_535


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
    """One lookup. `addresses` are its A and AAAA answers, `asns` the networks of those whose number it says."""

    hostname: str
    query_type: str
    engine: str
    resolver: str
    failure: str | None
    addresses: tuple[str, ...]
    asns: Mapping[str, int]
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
    kept: "Kept | None"
    t0_ns: int | None
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
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
class ControlHttp:
    """What the helper's own request came to. `status` and `body_length` are None where it got none."""

    failure: str | None
    status: int | None
    body_length: int | None
    title: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What the test helper saw. `connects` and `handshakes` go by `ADDRESS:PORT`, IPv6 in brackets.

    `handshakes` holds (server name, failure). `http` is None where it says nothing of a request. `age_s` and
    `is_collector` are of a control of ours, in measurements that we wrote: its view may be older than the record.
    """

    hostname: str = ""
    has_dns: bool = True
    dns_failure: str | None = None
    addresses: tuple[str, ...] = ()
    connects: Mapping[str, str | None] = field(default_factory=dict)
    handshakes: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    http: ControlHttp | None = None
    asns: Mapping[str, int] = field(default_factory=dict)
    age_s: float = 0.0
    is_collector: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement. `requests` stand as OONI has them: the last redirect first.

    `said` is the file's own conclusion, None where it has neither key. `duplicates` are further, different answers
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
    control: Control | None = None
    control_failure: str | None = None
    dns_experiment_failure: str | None = None
    dns_consistency: str | None = None
    failure: str | None = None
    failed_operation: str | None = None
    said: Pair | None = None


def parse(value: JsonValue) -> Measurement:
    """Read a measurement. Raises `OoniError` with the key's path, what was found and what is allowed."""
    top = Keys(value)
    name = top.optional_text("test_name")
    if name is None:
        raise OoniError("test_name: found nothing; allowed is the name of an OONI test")
    input_ = _input(top)
    keys = top.child("test_keys")
    measurement = Measurement(
        test_name=name,
        test_version=top.text("test_version"),
        input=input_,
        start=top.text("measurement_start_time"),
        probe_asn=top.text("probe_asn", "AS0"),
        probe_cc=top.text("probe_cc", "ZZ"),
    )
    if keys is None or name not in STEPPED_TESTS:
        return measurement
    return replace(
        measurement,
        queries=tuple(map(_query, keys.children("queries"))),
        duplicates=tuple(map(_query, keys.children("x_dns_duplicate_responses"))),
        connects=tuple(map(_connect, keys.children("tcp_connect"))),
        handshakes=tuple(map(_handshake, keys.children("tls_handshakes"))),
        requests=tuple(map(_request, keys.children("requests"))),
        events=tuple(map(_event, keys.children("network_events"))),
        control=_control(keys, input_),
        control_failure=keys.optional_text("control_failure"),
        dns_experiment_failure=keys.optional_text("dns_experiment_failure"),
        dns_consistency=keys.optional_text("dns_consistency"),
        failure=keys.optional_text("failure") or keys.optional_text("x_failure"),
        failed_operation=keys.optional_text("failed_operation") or keys.optional_text("x_failed_operation"),
        said=_said(keys) if name == WEB_CONNECTIVITY else None,
    )


WEB_CONNECTIVITY: Final = "web_connectivity"
STEPPED_TESTS: Final = (WEB_CONNECTIVITY, "urlgetter")
"""The tests whose keys are steps towards one target, and that are judged. Of any other only the envelope is read."""


def split_endpoint(text: str) -> tuple[str, int]:
    """Return address and port of `ADDRESS:PORT`, IPv6 with or without brackets; ("", 0) for anything else."""
    address, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        return "", 0
    return address.removeprefix("[").removesuffix("]"), int(port)


def endpoint(address: str, port: int) -> str:
    """Return `ADDRESS:PORT`, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def host_of(url: str) -> str:
    """Return a URL's host in ASCII, lower-case, without brackets; "" where there is none. Takes any text."""
    rest = url.partition("://")[2] or url
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    rest = rest.rpartition("@")[2]
    host = rest[1:].partition("]")[0] if rest.startswith("[") else rest.partition(":")[0]
    return ascii_name(host)


def ascii_name(name: str) -> str:
    """Return a name as the DNS has it (`xn--…`), lower-case; as it stands where that cannot be."""
    lower = name.lower().removesuffix(".")
    if lower.isascii():
        return lower
    try:
        return lower.encode("idna").decode("ascii")
    except UnicodeError:
        return lower


def _input(top: Keys) -> str:
    found = top.raw("input")
    if isinstance(found, list):  # some tests of before 2020 took several
        return next(iter(top.texts("input")), "")
    return top.text("input")


def _mark(keys: Keys) -> Mark:
    depth, fetch_body, tags = None, None, keys.texts("tags")
    for tag in tags:
        name, _, value = tag.partition("=")
        if name == "depth" and value.isascii() and value.isdigit() and len(value) <= 3:
            depth = int(value)
        elif name == "fetch_body" and value in ("true", "false"):
            fetch_body = value == "true"
    return Mark(
        transaction=keys.integer("transaction_id") or 0,
        depth=depth,
        fetch_body=fetch_body,
        classic="classic" in tags,
        is_control=CONTROL_TAG in tags,
    )


def _took_ns(keys: Keys) -> int | None:
    start, end = keys.seconds_ns("t0"), keys.seconds_ns("t")
    return None if start is None or end is None or end < start else end - start


def _query(keys: Keys) -> Query:
    addresses: list[str] = []
    asns: dict[str, int] = {}
    for answer in keys.children("answers"):
        address = answer.optional_text("ipv4") or answer.optional_text("ipv6")
        number = answer.integer("asn", low=0, high=2**32 - 1)
        if address and answer.text("answer_type") in ("A", "AAAA"):
            addresses.append(address)
            if number:
                asns[address] = number
    engine = keys.text("engine")
    resolver = keys.text("x_resolver") or keys.text("resolver_address") or keys.text("resolver_hostname")
    return Query(
        hostname=keys.text("hostname"),
        query_type=keys.text("query_type", "A"),
        engine=engine,
        resolver=resolver or (SYSTEM_RESOLVER if engine in SYSTEM_ENGINES else ""),
        failure=keys.optional_text("failure"),
        addresses=tuple(dict.fromkeys(addresses)),
        asns=asns,
        mark=_mark(keys),
    )


def _connect(keys: Keys) -> TcpConnect:
    status = keys.child("status")
    return TcpConnect(
        address=keys.text("ip"),
        port=keys.integer("port", low=0, high=_MAX_PORT) or 0,
        failure=None if status is None else _connect_failure(status),
        took_ns=_took_ns(keys),
        mark=_mark(keys),
    )


def _connect_failure(status: Keys) -> str | None:
    """Return a connect's failure; a probe of before 2021 wrote false for none and true for some."""
    found = status.raw("failure")
    succeeded = status.boolean("success" if status.has("success") else "status")
    if found is True or (found in (None, False) and succeeded is False):
        return UNNAMED_FAILURE
    return None if found is False else status.optional_text("failure")


def _handshake(keys: Keys) -> TlsHandshake:
    address, port = split_endpoint(keys.text("address"))
    return TlsHandshake(
        address=address,
        port=port,
        server_name=keys.text("server_name"),
        failure=keys.optional_text("failure"),
        took_ns=_took_ns(keys),
        mark=_mark(keys),
    )


def _request(keys: Keys) -> HttpRequest:
    asked, answer = keys.child("request"), keys.child("response")
    status = None if answer is None else answer.integer("code", low=-1, high=999)
    return HttpRequest(
        url="" if asked is None else asked.text("url"),
        address=split_endpoint(keys.text("address"))[0],
        failure=keys.optional_text("failure"),
        status=status if status and status > 0 else None,
        headers=() if answer is None else answer.headers(),
        body=b"" if answer is None else answer.binary("body"),
        body_is_truncated=bool(answer is not None and answer.boolean("body_is_truncated")),
        kept=None if answer is None else _kept(answer),
        t0_ns=keys.seconds_ns("t0"),
        mark=_mark(keys),
    )


def _kept(answer: Keys) -> Kept | None:
    length = answer.integer("x_body_length", low=0)
    if length is None:
        return None
    was_cut = bool(answer.boolean("x_body_was_cut"))
    return Kept(body_length=length, body_was_cut=was_cut, title=answer.optional_text("x_title"))


def _event(keys: Keys) -> NetworkEvent:
    return NetworkEvent(
        operation=keys.text("operation"),
        num_bytes=keys.integer("num_bytes", low=0) or 0,
        t_ns=keys.seconds_ns("t") or 0,
        transaction=keys.integer("transaction_id") or 0,
    )


def _control(keys: Keys, input_: str) -> Control | None:
    """Return the helper's view; None where it has none, or was not reached."""
    control = keys.child("control")
    if (
        "control_failure" in keys
        or control is None
        or not any(key in control for key in ("dns", "tcp_connect", "tls_handshake", "http_request"))
    ):
        return None
    asked = keys.child("x_control_request")
    dns, http = control.child("dns"), control.child("http_request")
    return Control(
        hostname=host_of((asked.text("http_request") if asked is not None else "") or input_),
        has_dns=dns is not None,
        dns_failure=None if dns is None else dns.optional_text("failure"),
        addresses=() if dns is None else dns.texts("addrs"),
        connects={where: _connect_failure(item) for where, item in control.named_children("tcp_connect")},
        handshakes={
            where: (item.text("server_name"), _connect_failure(item))
            for where, item in control.named_children("tls_handshake")
        },
        http=None if http is None else _control_http(http),
        asns={
            address: number
            for address, item in control.named_children("ip_info")
            if (number := item.integer("asn", low=0, high=2**32 - 1))
        },
        age_s=(control.seconds_ns("x_age_s") or 0) / 1e9,
        is_collector=control.text("x_source") == COLLECTOR,
    )


def _control_http(keys: Keys) -> ControlHttp:
    status, length = keys.integer("status_code"), keys.integer("body_length")
    return ControlHttp(
        failure=keys.optional_text("failure"),
        status=status if status and status > 0 else None,
        body_length=length if length is not None and length >= 0 else None,
        title=keys.text("title"),
        headers=keys.headers(),
    )


def _said(keys: Keys) -> Pair | None:
    if not (keys.has("blocking") or keys.has("accessible")):
        return None
    blocking = keys.raw("blocking")
    if not isinstance(blocking, str | bool | None):
        raise keys.wrong("blocking", "text, false or null")
    return Pair(blocking=blocking, accessible=keys.boolean("accessible"))
