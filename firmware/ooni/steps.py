"""Evidence of ours as the steps of OONI's `test_keys`: queries, tcp_connect, tls_handshakes, requests. Pure.

Times are sums of the durations that are known, from the measurement's start: waits between steps are not in them.
What OONI has no key for goes into keys that begin with `x_`. This file must never write an address of the host's
own: a label in an address's place (`@near`) is written the way OONI writes what it removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.judgement.site.evidence import HandshakeEvidence, Lookup, Request, WebEvidence
from firmware.judgement.site.places import host_of
from firmware.model.failures import ADDITIONS, UNKNOWN_PREFIX
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.ooni.flows import Flow, depths, flows_of, is_system
from firmware.ooni.measurement import CONTROL_TAG, SYSTEM_ENGINE, endpoint

SCRUBBED: Final = "[scrubbed]"

_NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What evidence has no place for: how long resolving took, each handshake's entry, when each request began."""

    resolve_ns: int = 0
    handshakes: Sequence[Mapping[str, JsonValue]] = ()
    starts_ns: Sequence[int] = (0,)


def steps_of(evidence: WebEvidence, details: Details) -> JsonObject:
    """Return the keys of `test_keys` that hold steps."""
    flows = flows_of(evidence)
    raw = {id(step): entry for step, entry in zip(evidence.handshakes, details.handshakes, strict=False)}
    mine = {address for one in evidence.lookups if is_system(one) for address in one.addresses}
    hosts = depths(evidence)
    connects: list[JsonValue] = []
    handshakes: list[JsonValue] = []
    requests: list[tuple[int, JsonValue]] = []
    events: list[JsonValue] = []
    for flow in flows:
        shared = _Shared(flow, details, is_classic=not mine or flow.address in mine)
        if flow.connect is not None:
            span = shared.span(flow.connect.took_ns)
            status: JsonObject = {
                "success": flow.connect.failure is None,
                "failure": df_007(flow.connect.failure),
            }
            ip = _shown(flow.address)
            connects.append({"ip": ip, "port": flow.port, "status": status, **span, **shared.marks})
        if flow.handshake is not None:
            span = shared.span(flow.handshake.took_ns)
            if flow.handshake.bytes_read is not None:
                events.append(shared.event("read", flow.handshake.bytes_read, span))
            entry = raw.get(id(flow.handshake), {})
            handshakes.append({**_handshake(flow.handshake, entry), **span, **shared.marks})
        if flow.request is not None:
            for size, after_ns in flow.request.progress:
                at = (shared.clock_ns + after_ns) / _NS
                events.append(shared.event("bytes_received_cumulative", size, {"t0": at, "t": at}))
            span = shared.span(flow.request.progress[-1][1] if flow.request.progress else 0)
            place = endpoint(_shown(flow.address), flow.port)
            requests.append(
                (flow.depth, {"address": place, **_request(flow.request), **span, **shared.marks})
            )
    asked = list(enumerate(evidence.lookups, 1))
    return {
        "queries": [_query(n, one, hosts, details, is_late=False) for n, one in asked],
        "x_dns_duplicate_responses": [
            _query(n, one, hosts, details, is_late=True) for n, one in asked if one.late
        ],
        "tcp_connect": connects,
        "tls_handshakes": handshakes,
        "requests": [entry for _, entry in sorted(requests, key=lambda found: -found[0])],
        "network_events": events,
    }


def df_007(failure: str | None) -> str | None:
    """Return a failure as OONI's list has it: words that we added go behind its open end."""
    return f"{UNKNOWN_PREFIX}{failure}" if failure in ADDITIONS else failure


class _Shared:
    """What the steps of one flow share: its marks, and a clock that goes on from step to step."""

    def __init__(self, flow: Flow, details: Details, *, is_classic: bool) -> None:
        starts = details.starts_ns
        self.clock_ns = starts[min(flow.depth, len(starts) - 1)] + (0 if flow.depth else details.resolve_ns)
        classic = ["classic"] if is_classic and not flow.is_control else []
        fetch = ["fetch_body=false", CONTROL_TAG] if flow.is_control else ["fetch_body=true"]
        tags: list[JsonValue] = [*classic, f"depth={flow.depth}", *fetch]
        self.marks: JsonObject = {"transaction_id": flow.transaction, "tags": tags}
        self._place = endpoint(_shown(flow.address), flow.port)

    def span(self, took_ns: int | None) -> JsonObject:
        """Return when a step began and ended; only the end, as OONI's probes before 2022, where that is not known."""
        start_ns = self.clock_ns
        self.clock_ns += took_ns or 0
        known: JsonObject = {} if took_ns is None else {"t0": start_ns / _NS}
        return {**known, "t": self.clock_ns / _NS}

    def event(self, operation: str, size: int, span: JsonObject) -> JsonObject:
        where: JsonObject = {"address": self._place, "proto": "tcp", "failure": None}
        return {"operation": operation, "num_bytes": size, **where, **span, **self.marks}


def _query(
    number: int, lookup: Lookup, hosts: Mapping[str, int], details: Details, *, is_late: bool
) -> JsonObject:
    is_mine = is_system(lookup)
    tags: list[JsonValue] = ["classic"] if is_mine else []
    depth = hosts.get(host_of(lookup.hostname), 0)
    addresses = lookup.late if is_late else lookup.addresses
    names = () if is_late else lookup.names
    return {
        "hostname": lookup.hostname,
        "query_type": lookup.query_type,
        "engine": SYSTEM_ENGINE if is_mine else lookup.engine,
        "failure": None if is_late else df_007(lookup.failure),
        "answers": [*map(_led_on, names), *map(_answer, addresses)],
        "resolver_address": "" if is_mine else lookup.resolver,
        "resolver_hostname": None,
        "resolver_port": None,
        "t0": 0.0,
        "t": details.resolve_ns / _NS if is_mine and not depth else 0.0,
        "transaction_id": number,
        "tags": [*tags, f"depth={depth}"],
        "x_resolver": lookup.resolver,
        "x_engine": lookup.engine,
    }


def _handshake(step: HandshakeEvidence, raw: Mapping[str, JsonValue]) -> JsonObject:
    chain = raw.get("chain")
    certificates: list[JsonValue] = [
        {"format": "base64", "data": one} for one in (chain if isinstance(chain, list) else ())
    ]
    return {
        "network": "tcp",
        "address": endpoint(_shown(step.address), step.port),
        "server_name": step.server_name,
        "failure": df_007(step.failure),
        "tls_version": raw.get("tls_version") or "",
        "cipher_suite": raw.get("cipher") or "",
        "negotiated_protocol": raw.get("alpn") or "",
        "no_tls_verify": False,
        "peer_certificates": certificates,
    }


def _request(step: Request) -> JsonObject:
    kept = len(step.body) < step.body_length
    headers: list[JsonValue] = [[name, value] for name, value in step.headers]
    return {
        "network": "tcp",
        "failure": df_007(step.failure),
        "request": {
            "method": "GET",
            "url": step.url,
            "headers": {},
            "headers_list": [],
            "body": "",
            "body_is_truncated": False,
            "tor": {"is_tor": False, "exit_ip": None, "exit_name": None},
            "x_transport": "tcp",
        },
        "response": {
            "code": step.status or 0,
            "headers": dict(step.headers),
            "headers_list": headers,
            "body": step.body.decode("utf-8", "replace"),
            "body_is_truncated": step.body_is_truncated or kept,
            "x_body_length": step.body_length,
            "x_body_was_cut": step.body_is_truncated,
            "x_title": step.title,
        },
    }


def _answer(address: str) -> JsonObject:
    kind, key = ("AAAA", "ipv6") if ":" in address else ("A", "ipv4")
    return {"answer_type": kind, key: address, "ttl": None}


def _led_on(name: str) -> JsonObject:
    return {"answer_type": "CNAME", "hostname": name, "ttl": None}


def _shown(address: str) -> str:
    return SCRUBBED if address.startswith("@") else address
