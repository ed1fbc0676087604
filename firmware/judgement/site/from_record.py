"""Records of ours as evidence about one web page, and the records of a vantage as the vantage's view. Pure.

A record comes from a device, so nothing in its detail is trusted to have a form: what does not fit is left out,
and what is left is evidence. This file must never conclude, and never make a step out of one that was not tried:
a record that measured nothing (a missed slot, a fault of our own program) is no evidence at all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from firmware.judgement.observation import Outlook, from_record
from firmware.judgement.site.evidence import (
    Connect,
    HandshakeEvidence,
    Lookup,
    Request,
    SiteView,
    VantageSource,
    WebEvidence,
)
from firmware.judgement.site.places import is_address
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Record

TESTS: Final = frozenset({"web_connectivity", "http", "tls", "tcp", "dns"})
"""The tests whose records say something of one page, or of one step towards it."""

_ISP: Final = "@isp"
_SYSTEM: Final = "@system"
_NEVER_ASKED: Final = frozenset({"connect", "tls_handshake"})
"""Where a journey ended before its page could be asked for."""
_LED_NOWHERE: Final = frozenset(
    {Failure.HTTP_UNEXPECTED_REDIRECT_URL, Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST}
)
"""How a journey fails whose last answer came whole."""

_Detail = Mapping[str, JsonValue]


def evidence_of(record: Record) -> WebEvidence | None:
    """Return what `record` saw of its page; None for another test, or where nothing was measured."""
    if record.test not in TESTS or from_record(record).outlook is Outlook.EXCLUDED:
        return None
    detail, outcome = record.outcome.detail, record.outcome
    evidence = {
        "web_connectivity": _of_page,
        "http": _of_page,
        "tls": _of_tls,
        "tcp": _of_tcp,
        "dns": _of_dns,
    }[record.test](record, detail)
    return replace(evidence, failure=outcome.failure, failed_operation=outcome.failed_operation)


def vantage_of(records: Iterable[Record], *, age_s: float = 0.0) -> SiteView | None:
    """Return what a vantage saw, by its own records of one target, the newest last; None where they say nothing.

    `age_s` is how far from the measurement in question they were taken.
    """
    vantage: SiteView | None = None
    for record in records:
        evidence = evidence_of(record)
        if evidence is not None:
            vantage = _merged(vantage, vantage_from(evidence, age_s=age_s))
    return vantage


def vantage_from(evidence: WebEvidence, *, age_s: float = 0.0) -> SiteView:
    """Return evidence that a vantage outside gathered as the vantage's view. Its vantage handshakes do not count."""
    own = [one for one in evidence.handshakes if not one.is_control]
    last = evidence.requests[-1] if evidence.requests else None
    ended_early = last is None and evidence.failed_operation in _NEVER_ASKED
    failures = [lookup.failure for lookup in evidence.lookups]
    found = tuple(dict.fromkeys(address for one in evidence.lookups for address in one.addresses))
    return SiteView(
        source=VantageSource.COLLECTOR,
        age_s=age_s,
        dns_failure=None if found or not failures else next((one for one in failures if one), None),
        addresses=found,
        connects={place(one.address, one.port): one.failure for one in evidence.connects},
        handshakes={place(one.address, one.port): one.failure for one in own},
        http_failure=_page_failure(evidence)
        if last is not None
        else evidence.failure
        if ended_early
        else None,
        status=None if last is None else last.status,
        headers=() if last is None else last.headers,
        body_length=None if last is None or last.body_is_truncated or not last.status else last.body_length,
        title=None if last is None else last.title,
        saw_dns=bool(evidence.lookups),
        saw_http=last is not None or ended_early,
    )


def place(address: str, port: int) -> str:
    """Return `ADDRESS:PORT`, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _merged(before: SiteView | None, after: SiteView) -> SiteView:
    """Return what two views of one target say together; where both say something, the later one."""
    if before is None:
        return after
    page = after if after.saw_http else before
    return replace(
        page,
        dns_failure=after.dns_failure if after.saw_dns else before.dns_failure,
        addresses=tuple(dict.fromkeys((*before.addresses, *after.addresses))),
        connects={**before.connects, **after.connects},
        handshakes={**before.handshakes, **after.handshakes},
        saw_dns=before.saw_dns or after.saw_dns,
        saw_http=before.saw_http or after.saw_http,
    )


def _of_page(record: Record, detail: _Detail) -> WebEvidence:
    """Read `web_connectivity` and `http`: the steps stand in the detail, in each request, or in both."""
    requests = _objects(detail, "requests")
    secured = [tls for request in requests if isinstance(tls := request.get("tls"), dict)]
    ways = [detail, *requests]
    handshakes = [*_objects(detail, "tls_handshakes"), *secured]
    port = _port_of(record.target)
    return WebEvidence(
        url=record.target,
        lookups=tuple(one for way in ways for one in _lookups(way)),
        connects=tuple(one for way in ways for one in _connects(way)),
        handshakes=tuple(_handshake(one, port) for one in handshakes),
        requests=tuple(_request(one) for one in requests if one is not requests[0] or _was_made(one)),
    )


def _of_tls(record: Record, detail: _Detail) -> WebEvidence:
    shaken = [detail] if isinstance(detail.get("address"), str) else []
    named = _text(detail, "server_name")
    # Pinned to an address, it is still the named site that is asked for, and whose certificate counts.
    pinned = is_address(_host_of(record.target)) and named
    return WebEvidence(
        url=f"{named}:{_port_of(record.target)}" if pinned else record.target,
        lookups=tuple(_lookups(detail)) or _unresolved(record),
        connects=tuple(_connects(detail)),
        handshakes=tuple(_handshake(one, _port_of(record.target)) for one in shaken),
    )


def _of_tcp(record: Record, detail: _Detail) -> WebEvidence:
    address, port = detail.get("address"), detail.get("port")
    tried = isinstance(address, str) and isinstance(port, int)
    return WebEvidence(
        url=record.target,
        lookups=_unresolved(record),
        connects=(
            Connect(
                address=str(address),
                port=_integer(detail, "port") or 0,
                failure=record.outcome.failure,
                took_ns=_integer(detail, "elapsed_ns"),
            ),
        )
        if tried
        else (),
    )


def _of_dns(record: Record, detail: _Detail) -> WebEvidence:
    exchanges = [*_objects(detail, "earlier"), detail]
    asked = detail.get("asked") == _SYSTEM
    return WebEvidence(
        url=record.target,
        lookups=tuple(_lookup(one, is_system=asked) for one in exchanges if "query_name" in one),
    )


def _unresolved(record: Record) -> tuple[Lookup, ...]:
    """Return the lookup that a record tells of only by its failure."""
    if record.outcome.failed_operation != "resolve":
        return ()
    host = _host_of(record.target)
    return (Lookup(hostname=host, resolver=_SYSTEM, failure=record.outcome.failure),)


def _lookups(way: _Detail) -> Iterator[Lookup]:
    for query in _objects(way, "queries"):
        yield _lookup(query, is_system=query.get("system") is not False)


def _lookup(query: _Detail, *, is_system: bool) -> Lookup:
    query_type = _text(query, "query_type") or "A"
    answers = _objects(query, "answers")
    over_tcp = [answer for answer in answers if answer.get("transport") == "tcp"]
    decisive = (over_tcp or answers)[:1]
    addresses = tuple(value for answer in decisive for value in _values(answer, query_type))
    others = [value for answer in answers if answer not in decisive for value in _values(answer, query_type)]
    resolver = _text(query, "resolver") or ""
    return Lookup(
        hostname=_text(query, "query_name") or "",
        resolver=(_ISP if resolver == _ISP else _SYSTEM) if is_system else resolver,
        engine=_text(query, "engine") or "udp",
        query_type=query_type,
        failure=_text(query, "failure"),
        addresses=addresses if query_type in ("A", "AAAA") else (),
        late=tuple(dict.fromkeys(one for one in others if one not in addresses)),
        names=tuple(dict.fromkeys(name for answer in answers for name in _values(answer, "CNAME"))),
    )


def _values(answer: _Detail, query_type: str) -> Iterator[str]:
    for one in _objects(answer, "answers"):
        value = one.get("value")
        if one.get("type") == query_type and isinstance(value, str):
            yield value


def _connects(way: _Detail) -> Iterator[Connect]:
    for one in _objects(way, "tcp_connect"):
        yield Connect(
            address=_text(one, "address") or "",
            port=_integer(one, "port") or 0,
            failure=_text(one, "failure"),
            took_ns=_integer(one, "elapsed_ns"),
        )


def _handshake(one: _Detail, port: int) -> HandshakeEvidence:
    took_ns, read = _integer(one, "took_ns"), _integer(one, "bytes_read")
    flights = [flight for flight in _list(one, "flights") if isinstance(flight, list) and len(flight) == 3]
    down = [flight[2] for flight in flights if flight[1] == "down"]
    return HandshakeEvidence(
        address=_text(one, "address") or "",
        port=_integer(one, "port") or port,
        server_name=_text(one, "server_name") or "",
        failure=_text(one, "failure"),
        took_ns=took_ns if took_ns is not None else _last_ns(flights),
        bytes_read=read if read is not None else sum(size for size in down if isinstance(size, int)),
        is_control=one.get("is_control") is True,
    )


def _last_ns(flights: Sequence[Sequence[JsonValue]]) -> int | None:
    last = flights[-1][0] if flights else None
    return last if isinstance(last, int) else None


def _was_made(request: _Detail) -> bool:
    """Return whether a request was sent. Where the way to the first failed, that step's own account tells it."""
    if _integer(request, "status") is not None:
        return True
    failed = _text(request, "message") or ""
    return not failed.startswith(("resolve:", "connect:", "tls_handshake:"))


def _request(one: _Detail) -> Request:
    pairs = [pair for pair in _list(one, "headers") if isinstance(pair, list) and len(pair) == 2]
    timing = [pair for pair in _list(one, "read_timing") if isinstance(pair, list) and len(pair) == 2]
    return Request(
        url=_text(one, "url") or "",
        address=_text(one, "address") or "",
        failure=_text(one, "failure"),
        status=_integer(one, "status"),
        headers=tuple((str(name), str(value)) for name, value in pairs),
        body=(_text(one, "body_start") or "").encode(),
        body_length=_integer(one, "body_length") or 0,
        body_is_truncated=one.get("body_is_truncated") is True,
        title=_text(one, "title"),
        progress=tuple(
            (size, t_ns) for size, t_ns in timing if isinstance(size, int) and isinstance(t_ns, int)
        ),
    )


def _host_of(target: str) -> str:
    try:
        return urlsplit(target if "//" in target else f"//{target}").hostname or target
    except ValueError:
        return target


def _port_of(target: str) -> int:
    try:
        parts = urlsplit(target if "//" in target else f"//{target}")
        port = parts.port
    except ValueError:
        return 443
    return port or (80 if parts.scheme == "http" else 443)


def _page_failure(evidence: WebEvidence) -> str | None:
    """Return the last request's failure, or why its answer, which came, led no further."""
    stopped = evidence.failure if evidence.failure in _LED_NOWHERE else None
    return evidence.requests[-1].failure or stopped


def _objects(detail: _Detail, key: str) -> list[_Detail]:
    return [item for item in _list(detail, key) if isinstance(item, dict)]


def _list(detail: _Detail, key: str) -> list[JsonValue]:
    value = detail.get(key)
    return value if isinstance(value, list) else []


def _text(detail: _Detail, key: str) -> str | None:
    value = detail.get(key)
    return value if isinstance(value, str) else None


def _integer(detail: _Detail, key: str) -> int | None:
    value = detail.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
