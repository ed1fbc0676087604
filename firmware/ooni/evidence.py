"""An OONI measurement as the evidence our own rules judge, and its test helper's view as their vantage. Pure.

Failures become df-007 words: probes and helpers of the past had their own for the same. Nothing of the file's own
conclusion goes in. Version 0.5 tries TLS beside the way to a page in clear text, to see whether an address is the
site's: where that works it is evidence, where it fails it is none, for the page asks no TLS. This file must never
leave out a step on the way to the page.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from firmware.judgement.site.evidence import (
    Connect,
    HandshakeEvidence,
    Lookup,
    Request,
    SiteView,
    VantageSource,
    WebEvidence,
)
from firmware.model.failures import ADDITIONS, UNKNOWN_PREFIX, Failure, is_failure
from firmware.ooni import networks
from firmware.ooni.measurement import (
    HttpRequest,
    Mark,
    NetworkEvent,
    OoniControl,
    OoniMeasurement,
    Query,
    TlsHandshake,
)
from firmware.protocols.html_title import title_of

_SYNONYMS: Final[Mapping[str, str]] = {
    # Android's resolver has one word for every kind of "no"
    "android_dns_cache_no_data": Failure.DNS_NO_ANSWER,
    # the helper's words, and those of ooniprobe 2 and Measurement Kit
    "dns_name_error": Failure.DNS_NXDOMAIN,
    "dns_lookup_error": Failure.DNS_NXDOMAIN,
    "dns_server_failure": Failure.DNS_SERVFAIL,
    "server_failure": Failure.DNS_SERVFAIL,
    "connection_refused_error": Failure.CONNECTION_REFUSED,
    "connection_reset_error": Failure.CONNECTION_RESET,
    "tcp_timed_out_error": Failure.TIMEOUT,
    "host_unreachable_error": Failure.HOST_UNREACHABLE,
    "response_never_received": Failure.EOF,
    "ssl_error": Failure.SSL_FAILED_HANDSHAKE,
}
URLGETTER_SCHEMES: Final = ("dnslookup", "tcpconnect", "tlshandshake")
_BYTES_SO_FAR: Final = "bytes_received_cumulative"
_READ: Final = "read"


def evidence_of(measurement: OoniMeasurement) -> WebEvidence:
    """Return what the probe saw, steps in the order they were made."""
    progress = _progress(measurement.events)
    read = _bytes_read(measurement.events)
    only = _only_address(measurement)
    return WebEvidence(
        url=_target(measurement.input),
        lookups=tuple(_lookup(query, measurement.duplicates) for query in measurement.queries),
        connects=tuple(
            Connect(
                address=step.address,
                port=step.port,
                failure=word(step.failure),
                took_ns=step.took_ns,
            )
            for step in measurement.connects
            if _counts(step.mark, step.failure)
        ),
        handshakes=tuple(
            _handshake(step, read, only)
            for step in measurement.handshakes
            if _counts(step.mark, step.failure)
        ),
        requests=tuple(_request(step, progress) for step in reversed(measurement.requests)),
        failure=word(measurement.failure),
        failed_operation=measurement.failed_operation,
    )


def _target(input_: str) -> str:
    """Return what was measured: a URL, or without the scheme that only says how urlgetter measured it."""
    scheme, _, rest = input_.partition("://")
    return rest if scheme in URLGETTER_SCHEMES else input_


def vantage_of(measurement: OoniMeasurement) -> SiteView | None:
    """Return the helper's view; `reachable` False where it was asked and did not answer, None where none was asked."""
    control = measurement.control
    if control is None:
        is_asked = measurement.control_failure is not None
        return SiteView(source=VantageSource.TEST_HELPER, reachable=False) if is_asked else None
    http = control.http
    return SiteView(
        source=VantageSource.COLLECTOR if control.is_collector else VantageSource.TEST_HELPER,
        age_s=control.age_s,
        second=control.second,
        dns_failure=_control_dns_failure(control),
        addresses=control.addresses,
        asns=networks.asns_of(measurement),
        connects={where: word(failure) for where, failure in control.connects.items()},
        handshakes={where: word(failure) for where, (_, failure) in control.handshakes.items()},
        http_failure=None if http is None else word(http.failure),
        status=None if http is None else http.status,
        headers=() if http is None else http.headers,
        body_length=None if http is None else http.body_length,
        title=None if http is None else http.title or None,
        saw_dns=control.has_dns,
        saw_http=http is not None,
    )


def word(failure: str | None) -> str | None:
    """Return a failure as a df-007 word."""
    if failure is None:
        return None
    same = _SYNONYMS.get(failure, failure)
    if (ours := same.removeprefix(UNKNOWN_PREFIX)) in ADDITIONS:
        return ours
    return same if is_failure(same) else f"{UNKNOWN_PREFIX}{same}"


def _control_dns_failure(control: OoniControl) -> str | None:
    """Return why the helper has no address; it has no word for a name without any, and then names no failure."""
    if control.dns_failure is None and control.has_dns and not control.addresses:
        return Failure.DNS_NO_ANSWER
    return word(control.dns_failure)


def _lookup(query: Query, duplicates: Iterable[Query]) -> Lookup:
    others = [
        other
        for other in duplicates
        if (other.mark.transaction, other.query_type, other.resolver)
        == (query.mark.transaction, query.query_type, query.resolver)
    ]
    late = (address for other in others for address in other.addresses if address not in query.addresses)
    return Lookup(
        hostname=query.hostname,
        resolver=query.resolver,
        engine=query.engine,
        query_type=query.query_type,
        failure=word(query.failure),
        addresses=query.addresses,
        asns=tuple(query.asns[address] for address in query.addresses if address in query.asns),
        late=tuple(dict.fromkeys(late)),
        names=tuple(dict.fromkeys(name for one in (query, *others) for name in one.names)),
    )


def _counts(mark: Mark, failure: str | None) -> bool:
    """Return whether a step is evidence: on the way to the page, made to compare, or beside it and done."""
    return mark.fetch_body is not False or mark.is_control or failure is None


def _only_address(measurement: OoniMeasurement) -> str:
    """Return the one address that was connected to: probes before 2022 do not say whom they spoke TLS with."""
    found = {step.address for step in measurement.connects if step.failure is None}
    return found.pop() if len(found) == 1 else ""


def _handshake(step: TlsHandshake, read: Mapping[int, int], only: str) -> HandshakeEvidence:
    return HandshakeEvidence(
        address=step.address or only,
        port=step.port or 443,
        server_name=step.server_name,
        failure=word(step.failure),
        took_ns=step.took_ns,
        bytes_read=read.get(step.mark.transaction) if step.mark.transaction else None,
        is_control=step.mark.is_control,
    )


def _request(step: HttpRequest, progress: Mapping[int, list[tuple[int, int]]]) -> Request:
    kind = next((value for name, value in step.headers if name.lower() == "content-type"), "")
    kept, start_ns = step.kept, step.t0_ns or 0
    return Request(
        url=step.url,
        address=step.address,
        failure=word(step.failure),
        status=step.status,
        headers=step.headers,
        body=step.body,
        body_length=len(step.body) if kept is None else kept.body_length,
        body_is_truncated=step.body_is_truncated if kept is None else kept.body_was_cut,
        title=title_of(step.body, kind) if kept is None else kept.title,
        progress=tuple((size, t_ns - start_ns) for size, t_ns in progress.get(step.mark.transaction, ()))
        if step.mark.transaction
        else (),
    )


def _progress(events: Iterable[NetworkEvent]) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for event in events:
        if event.operation == _BYTES_SO_FAR:
            found.setdefault(event.transaction, []).append((event.num_bytes, event.t_ns))
    return found


def _bytes_read(events: Iterable[NetworkEvent]) -> dict[int, int]:
    found: dict[int, int] = {}
    for event in events:
        if event.operation == _READ:
            found[event.transaction] = found.get(event.transaction, 0) + event.num_bytes
    return found
