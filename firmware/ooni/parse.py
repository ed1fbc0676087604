"""The reader of OONI's df-000 0.2.0: JSON to `firmware.ooni.measurement`, liberal in what is missing. Pure.

Every key that is read has its type checked, and the error names its path; a key that is not read may be anything.
This file must never judge, and never read a key that the values have no place for.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from firmware.judgement.site import round_json, vantage_json
from firmware.judgement.site.evidence import SecondView
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.places import host_of
from firmware.model.jsontypes import JsonValue, RecordError
from firmware.ooni.keys import Keys, OoniError, shown
from firmware.ooni.measurement import (
    COLLECTOR,
    CONTROL_TAG,
    COUNTRY_KEY,
    MAX_PORT,
    OURS,
    ROUND_KEY,
    STEPPED_TESTS,
    SYSTEM_ENGINES,
    SYSTEM_RESOLVER,
    WEB_CONNECTIVITY,
    HeldBody,
    HttpRequest,
    Mark,
    NetworkEvent,
    OoniControl,
    OoniControlHttp,
    OoniMeasurement,
    Pair,
    Query,
    TcpConnect,
    TlsHandshake,
    split_endpoint,
)

UNNAMED_FAILURE: Final = "unknown_failure: the file says only that it failed"
"""For probes before 2021, whose connects had `failure: true`."""


def parse(value: JsonValue) -> OoniMeasurement:
    """Read a measurement. Raises `OoniError` with the key's path, what was found and what is allowed."""
    top = Keys(value)
    name = top.optional_text("test_name")
    if name is None:
        raise OoniError("test_name: found nothing; allowed is the name of an OONI test")
    input_ = _input(top)
    keys = top.child("test_keys")
    measurement = OoniMeasurement(
        test_name=name,
        test_version=top.text("test_version"),
        input=input_,
        start=top.text("measurement_start_time"),
        probe_asn=top.text("probe_asn", "AS0"),
        probe_cc=top.text("probe_cc", "ZZ"),
    )
    if name not in STEPPED_TESTS:
        return measurement
    if not top.has("test_keys"):
        raise OoniError("test_keys: found nothing; allowed is an object or null")
    if keys is None:
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
        around=_around(top, keys),
        said=_said(keys) if name == WEB_CONNECTIVITY else None,
    )


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
    names: list[str] = []
    asns: dict[str, int] = {}
    for answer in keys.children("answers"):
        address = answer.optional_text("ipv4") or answer.optional_text("ipv6")
        number = answer.integer("asn", low=0, high=2**32 - 1)
        if address and answer.text("answer_type") in ("A", "AAAA"):
            addresses.append(address)
            if number:
                asns[address] = number
        elif answer.text("answer_type") == "CNAME" and (name := answer.text("hostname")):
            names.append(name)
    engine = keys.text("engine")
    named = keys.text("resolver_address") or keys.text("resolver_hostname")
    resolver = keys.text("x_resolver") or (SYSTEM_RESOLVER if engine in SYSTEM_ENGINES else named)
    return Query(
        hostname=keys.text("hostname"),
        query_type=keys.text("query_type", "A"),
        engine=engine,
        resolver=resolver,
        failure=keys.optional_text("failure"),
        addresses=tuple(dict.fromkeys(addresses)),
        asns=asns,
        names=tuple(dict.fromkeys(names)),
        mark=_mark(keys),
    )


def _connect(keys: Keys) -> TcpConnect:
    status = keys.child("status")
    return TcpConnect(
        address=keys.text("ip"),
        port=keys.integer("port", low=0, high=MAX_PORT) or 0,
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


def _kept(answer: Keys) -> HeldBody | None:
    length = answer.integer("x_body_length", low=0)
    if length is None:
        return None
    was_cut = bool(answer.boolean("x_body_was_cut"))
    return HeldBody(body_length=length, body_was_cut=was_cut, title=answer.optional_text("x_title"))


def _event(keys: Keys) -> NetworkEvent:
    return NetworkEvent(
        operation=keys.text("operation"),
        num_bytes=keys.integer("num_bytes", low=0) or 0,
        t_ns=keys.seconds_ns("t") or 0,
        transaction=keys.integer("transaction_id") or 0,
    )


def _control(keys: Keys, input_: str) -> OoniControl | None:
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
    return OoniControl(
        hostname=host_of((asked.text("http_request") if asked is not None else "") or input_),
        has_dns=dns is not None,
        dns_failure=None if dns is None else dns.optional_text("failure"),
        addresses=() if dns is None else dns.texts("addrs"),
        connects={where: _connect_failure(item) for where, item in _endpoints(control, "tcp_connect")},
        handshakes={
            where: (item.text("server_name"), _connect_failure(item))
            for where, item in _endpoints(control, "tls_handshake")
        },
        http=None if http is None else _control_http(http),
        asns={
            address: number
            for address, item in control.named_children("ip_info")
            if (number := item.integer("asn", low=0, high=2**32 - 1))
        },
        age_s=(control.seconds_ns("x_age_s") or 0) / 1e9,
        is_collector=control.text("x_source") == COLLECTOR,
        second=_second(control),
    )


def _second(control: Keys) -> tuple[SecondView, ...]:
    try:
        return vantage_json.second_from_json(control.raw("x_second"))
    except RecordError as error:
        raise control.wrong("x_second", "a list of [stand, seconds, failure or null]") from error


def _endpoints(control: Keys, key: str) -> Iterator[tuple[str, Keys]]:
    for where, item in control.named_children(key):
        if split_endpoint(where) == ("", 0):
            raise OoniError(f"{control.path_of(key)}: found the key {shown(where)}; allowed is ADDRESS:PORT")
        yield where, item


def _control_http(keys: Keys) -> OoniControlHttp:
    status, length = keys.integer("status_code"), keys.integer("body_length")
    return OoniControlHttp(
        failure=keys.optional_text("failure"),
        status=status if status and status > 0 else None,
        body_length=length if length is not None and length >= 0 else None,
        title=keys.text("title"),
        headers=keys.headers(),
    )


def _around(top: Keys, keys: Keys) -> RoundView | None:
    """Return what a measurement of ours says of its round; of older software, that nothing is known of it."""
    if not keys.has(ROUND_KEY):
        return round_json.UNKNOWN if top.text("software_name") == OURS else None
    told = keys.raw(ROUND_KEY)
    try:
        return None if told is None else round_json.from_json(told, keys.raw(COUNTRY_KEY))
    except RecordError as error:
        raise OoniError(f"{keys.path_of(ROUND_KEY)}: {error}") from error


def _said(keys: Keys) -> Pair | None:
    if not (keys.has("blocking") or keys.has("accessible")):
        return None
    blocking = keys.raw("blocking")
    if not isinstance(blocking, str | bool | None):
        raise keys.wrong("blocking", "text, false or null")
    return Pair(blocking=blocking, accessible=keys.boolean("accessible"))
