"""OONI's own conclusion (`blocking`, `accessible`) on a Web Connectivity measurement, as its probe would fill it.

Two engines, as the probe has had two: `pair_05` for measurements with `depth=N` tags or of version 0.5 and later,
and `firmware.ooni.pair_04` for those before. Their known weaknesses are kept: the point is to stand beside ours.
Source: ts-017, and the behaviour of probe-cli 3.21's "classic" analysis, which its own QA cases fix.
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from firmware.judgement.site.places import host_of, same_host
from firmware.ooni import networks
from firmware.ooni.http_diff import compare
from firmware.ooni.measurement import (
    SYSTEM_ENGINES,
    WEB_CONNECTIVITY,
    Blocking,
    HttpRequest,
    OoniMeasurement,
    Pair,
    Query,
    TcpConnect,
    TlsHandshake,
    endpoint,
)
from firmware.ooni.pair_04 import pair_04

_DNS, _TCP, _TLS, _HTTP = range(4)
_NONE: Final = Pair()
_ACCESSIBLE: Final = Pair(blocking=False, accessible=True)
_DOWN: Final = Pair(blocking=False, accessible=False)


def pair_of(measurement: OoniMeasurement) -> Pair:
    """Return OONI's pair; null and null for a test that has none."""
    if measurement.test_name != WEB_CONNECTIVITY:
        return _NONE
    return pair_05(measurement) if is_05(measurement) else pair_04(measurement)


def is_05(measurement: OoniMeasurement) -> bool:
    """Return whether the measurement is of the engine with several resolvers and endpoints."""
    marks = [
        *(step.mark for step in measurement.queries),
        *(step.mark for step in measurement.connects),
    ]
    if any(mark.depth is not None for mark in marks):
        return True
    numbers = measurement.test_version.split(".")[:2]
    return len(numbers) == 2 and all(n.isascii() and n.isdigit() for n in numbers) and _not_before_05(numbers)


def _not_before_05(numbers: list[str]) -> bool:
    major, minor = (int(number[:6]) for number in numbers)
    return (major, minor) >= (0, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One flow as far as it came: what kind of step was its last, and whether that failed ("" where not)."""

    depth: int
    kind: int
    failure: str
    transaction: int
    query: Query | None = None
    connect: TcpConnect | None = None
    handshake: TlsHandshake | None = None
    request: HttpRequest | None = None


def pair_05(measurement: OoniMeasurement) -> Pair:
    """Walk the flows from the last redirect to the first, the furthest step first; the first that tells decides."""
    is_inconsistent = consistency(measurement) is False
    ordered = sorted(
        _flows(measurement), key=lambda seen: (-seen.depth, -seen.kind, seen.failure, -seen.transaction)
    )
    for seen in ordered:
        found = _conclusion(seen, measurement)
        if found is None:
            continue
        if is_inconsistent and found.accessible is not True:
            return Pair(blocking="dns", accessible=False)
        return found
    return _NONE


def consistency(measurement: OoniMeasurement) -> bool | None:
    """Return whether the system resolver's answers for the first name agree with the helper's; None: no telling."""
    control = measurement.control
    if control is None or not control.has_dns:
        return None
    asns = networks.asns_of(measurement)
    unexpected = expected = valid = invalid = 0
    first = [q for q in measurement.queries if _is_classic(q) and not q.mark.depth]
    for query in first:
        if not same_host(query.hostname, control.hostname):
            continue
        if query.failure is not None:
            if query.failure == "dns_no_answer" and query.query_type == "AAAA":
                continue
            is_expected = control.dns_failure is not None or _both_empty(query, control.addresses)
            expected, unexpected = expected + is_expected, unexpected + (not is_expected)
        elif query.addresses and control.dns_failure is None:
            is_valid = networks.agree(query.addresses, control.addresses, asns) or (
                measurement.dns_consistency == "consistent"
                and not networks.are_known((*query.addresses, *control.addresses), asns)
            )
            valid, invalid = valid + is_valid, invalid + (not is_valid)
    if not unexpected and not invalid and (valid or expected):
        return True
    resolved_alone = any(q.failure is None and q.addresses for q in first) and not control.addresses
    return False if unexpected or invalid or resolved_alone else None


def _both_empty(query: Query, addresses: Collection[str]) -> bool:
    """Return whether neither found an address: the helper has no word for it, and names none and no failure."""
    return query.failure == "dns_no_answer" and not addresses


def _is_classic(query: Query) -> bool:
    return query.engine in SYSTEM_ENGINES


def _flows(measurement: OoniMeasurement) -> Iterator[_Seen]:
    """Yield what version 0.4 would have seen: the system's lookups, and the flows to the page that came of them."""
    known = {host_of(measurement.input)}
    for query in filter(_is_classic, measurement.queries):
        known.update(query.addresses)
        if query.failure is not None or query.addresses:
            yield _Seen(
                depth=_depth(query),
                kind=_DNS,
                failure=query.failure or "",
                transaction=query.mark.transaction,
                query=query,
            )
    handshakes = {step.mark.transaction: step for step in measurement.handshakes}
    requests = {step.mark.transaction: step for step in measurement.requests}
    # The first of 0.5 did not say yet which flows were on the way to the page.
    is_tagged = any(connect.mark.fetch_body is not None for connect in measurement.connects)
    for connect in measurement.connects:
        is_to_page = connect.mark.fetch_body if is_tagged else True
        if is_to_page and (connect.mark.classic or connect.address in known):
            yield _flow(connect, handshakes, requests)


def _flow(
    connect: TcpConnect, handshakes: Mapping[int, TlsHandshake], requests: Mapping[int, HttpRequest]
) -> _Seen:
    number = connect.mark.transaction
    handshake, request = handshakes.get(number), requests.get(number)
    last: TcpConnect | TlsHandshake | HttpRequest = connect
    kind = _TCP
    if handshake is not None:
        last, kind = handshake, _TLS
    if request is not None:
        last, kind = request, _HTTP
    return _Seen(
        depth=_depth(connect),
        kind=kind,
        failure=last.failure or "",
        transaction=number,
        connect=connect,
        handshake=handshake,
        request=request,
    )


def _depth(step: Query | TcpConnect) -> int:
    return -1 if step.mark.depth is None else step.mark.depth


def _conclusion(seen: _Seen, measurement: OoniMeasurement) -> Pair | None:
    """Return what this flow tells, before the resolver's consistency is taken into account; None: nothing."""
    request, http = seen.request, None if measurement.control is None else measurement.control.http
    if request is not None and request.failure is None and (request.status or 0) // 100 in (2, 4, 5):
        if seen.handshake is not None and seen.handshake.failure is None:
            return _ACCESSIBLE
        if http is None:
            return _NONE
        differs = compare(request, http, is_classic_04=False).differs
        return _blocked("http-diff") if differs else _ACCESSIBLE
    if seen.query is not None:
        return _dns_conclusion(seen.query, measurement)
    if not seen.failure:
        return None
    if http is None:
        return _NONE
    if seen.kind == _HTTP:
        return _blocked("http-failure") if http.failure is None else _DOWN
    known, failure = _control_of(seen, measurement)
    if not known:
        return _blocked("http-failure")
    if failure is not None:
        return _DOWN
    return _blocked("tcp_ip" if seen.kind == _TCP else "http-failure")


def _control_of(seen: _Seen, measurement: OoniMeasurement) -> tuple[bool, str | None]:
    """Return whether the helper tried the same connect or handshake, and its failure."""
    control, connect = measurement.control, seen.connect
    assert control is not None
    assert connect is not None
    where = endpoint(connect.address, connect.port)
    if seen.kind == _TCP:
        return where in control.connects, control.connects.get(where)
    name, failure = control.handshakes.get(where, ("", None))
    is_same = (
        where in control.handshakes and seen.handshake is not None and name == seen.handshake.server_name
    )
    return is_same, failure if is_same else None


def _dns_conclusion(query: Query, measurement: OoniMeasurement) -> Pair | None:
    control = measurement.control
    same_name = control is not None and control.has_dns and same_host(query.hostname, control.hostname)
    if query.failure is not None:
        if control is None or (not same_name and control.http is None):
            return _ACCESSIBLE  # the weakness that the pair is known for
        if not same_name:
            return _blocked("dns")
        is_down = control.dns_failure is not None or not control.addresses
        return _DOWN if is_down else _blocked("dns")
    if control is None or not same_name or control.dns_failure is not None:
        return None
    if not _only_loopback(query.addresses):
        return None
    return _DOWN if _only_loopback(control.addresses) else _blocked("dns")


def _only_loopback(addresses: Collection[str]) -> bool:
    found = [address for address in map(_address, addresses) if address is not None]
    return bool(found) and all(address.is_loopback for address in found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _blocked(how: Blocking) -> Pair:
    return Pair(blocking=how, accessible=False)
