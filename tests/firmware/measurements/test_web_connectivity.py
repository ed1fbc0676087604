"""`web_connectivity` against real servers on loopback: resolvers that differ, filters of names, pages and redirects."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from firmware.measurements.web_connectivity import START_CHARS, WebConnectivity
from firmware.model.failures import Failure
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.host_view import DefaultRoute, Host, InterfaceAddress, Resolvers
from firmware.net.targets import TargetError
from firmware.protocols import web_endpoint
from tests.probing import probe
from tests.servers.dns import DnsServer, reply, zone
from tests.servers.http import Request, http, page, redirect
from tests.servers.tcp import Behaviour, TcpServer, reset, say, stay_silent
from tests.servers.tls import Authority, over_tls

NAME = "www.example.test"
OTHER = "quiet.example.test"
BODY = b"<html><head><title>Here</title></head><body>hello</body></html>"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return an authority that this process trusts, and nobody else."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nobody"))
    return made


def host_of(resolver: DnsServer, *addresses: str, routes: tuple[DefaultRoute, ...] = ()) -> Host:
    own = tuple(
        InterfaceAddress(interface="eth0", family=4, address=one, scope="global") for one in addresses
    )
    return Host(resolver_config=Resolvers(addresses=(resolver.place,)), addresses=own, routes=routes)


def visited(
    behaviour: Behaviour,
    *,
    scheme: str = "https",
    system: tuple[str, ...] = ("127.0.0.1",),
    other: tuple[str, ...] | None = None,
    own: tuple[str, ...] = (),
    deadline_s: float = 60.0,
    **options: OptionValue,
) -> Outcome:
    """Measure NAME, whose server does `behaviour`; `system` and `other` are the resolvers' answers."""
    with (
        DnsServer(zone({NAME: system, OTHER: ("127.0.0.1",)})) as resolver,
        DnsServer(zone({NAME: system if other is None else other})) as second,
        TcpServer(behaviour) as server,
    ):
        given = {"resolver": second.place, "control_sni": OTHER, "window_ms": 0, **options}
        test = WebConnectivity.parse(f"{scheme}://{NAME}:{server.port}/", given)
        return probe(test.measure, host=host_of(resolver, *own), deadline_s=deadline_s)


def parts(outcome: Outcome, key: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", outcome.detail[key])


def dislikes(name: str, fate: Callable[[socket.socket], None], otherwise: Behaviour) -> Behaviour:
    """Return a filter: a ClientHello that holds `name` meets `fate`, any other the server."""

    def behaviour(connection: socket.socket) -> None:
        if name.encode() in connection.recv(65536, socket.MSG_PEEK):
            fate(connection)
        else:
            otherwise(connection)

    return behaviour


def test_a_page_that_is_well(authority: Authority) -> None:
    outcome = visited(over_tls(authority.server_context(NAME), http(lambda _request: page(BODY))))
    assert (outcome.failure, outcome.failed_operation) == (None, None)
    assert set(outcome.phases) == {
        "resolve",
        "connect",
        "tls_first_flight",
        "tls_handshake",
        "first_byte",
        "body",
    }
    queries = parts(outcome, "queries")
    assert [(one["system"], one["query_type"]) for one in queries] == [
        (True, "A"),
        (True, "AAAA"),
        (False, "A"),
        (False, "AAAA"),
    ]
    (connect,) = parts(outcome, "tcp_connect")
    assert (connect["address"], connect["failure"]) == ("127.0.0.1", None)
    (handshake,) = parts(outcome, "tls_handshakes")
    assert (handshake["server_name"], handshake["is_control"], handshake["failure"]) == (NAME, False, None)
    (request,) = parts(outcome, "requests")
    assert (request["status"], request["title"], request["body_length"]) == (200, "Here", len(BODY))
    assert "body_start" not in request  # its sender is proven


@pytest.mark.parametrize(
    ("fate", "failure"),
    [
        (reset, Failure.CONNECTION_RESET),
        (lambda connection: connection.recv(65536), Failure.EOF),
        (say(b"HTTP/1.1 403 Forbidden\r\n\r\n"), Failure.SSL_FAILED_HANDSHAKE),
    ],
)
def test_a_filter_of_names_spares_the_control(
    authority: Authority, fate: Behaviour, failure: Failure
) -> None:
    well = over_tls(authority.server_context(OTHER))
    outcome = visited(dislikes(NAME, fate, well))
    assert (outcome.failure, outcome.failed_operation) == (failure, "tls_handshake")
    page_one, control = parts(outcome, "tls_handshakes")
    assert (page_one["server_name"], page_one["is_control"], page_one["failure"]) == (NAME, False, failure)
    assert (control["server_name"], control["is_control"], control["failure"]) == (OTHER, True, None)
    assert control["was_answered"]
    assert not {"chain", "chain_sha256"} & set(control)
    assert len(parts(outcome, "tcp_connect")) == 2
    assert parts(outcome, "requests") == []


def test_a_silent_name_is_tried_again_after_an_innocuous_one_was_answered(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_endpoint, "CONTROL_TIMEOUT_S", 0.6)
    # The server knows only its own name: that it answers the control with a certificate is what counts.
    well = over_tls(authority.server_context(NAME))
    outcome = visited(dislikes(NAME, stay_silent, well))
    assert (outcome.failure, outcome.failed_operation) == (Failure.TIMEOUT, "tls_handshake")
    own, control, again = parts(outcome, "tls_handshakes")
    assert (control["failure"], control["was_answered"]) == (Failure.SSL_INVALID_HOSTNAME, True)
    assert [(one["server_name"], one["failure"]) for one in (own, again)] == [(NAME, Failure.TIMEOUT)] * 2
    # Where too little time is left for a whole handshake, a third that is cut short would say nothing.
    short = visited(dislikes(NAME, stay_silent, well), deadline_s=2.0)
    assert len(parts(short, "tls_handshakes")) == 2


def test_a_name_that_was_lost_once_is_well_the_second_time_and_fetched(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_endpoint, "CONTROL_TIMEOUT_S", 0.6)
    well = over_tls(authority.server_context(NAME), http(lambda _request: page(BODY)))
    lost = iter([True])

    def loses_the_first(connection: socket.socket) -> None:
        if next(lost, False):
            stay_silent(connection)
        else:
            well(connection)

    outcome = visited(loses_the_first)
    assert (outcome.failure, outcome.detail["status"]) == (None, 200)
    assert [one["failure"] for one in parts(outcome, "tls_handshakes")] == [
        Failure.TIMEOUT,
        Failure.SSL_INVALID_HOSTNAME,
        None,
    ]


def test_a_wrong_certificate_asks_for_no_control(authority: Authority) -> None:
    outcome = visited(over_tls(authority.server_context("else.example.test")))
    assert outcome.failure == Failure.SSL_INVALID_HOSTNAME
    (only,) = parts(outcome, "tls_handshakes")
    assert only["chain"]


@pytest.mark.parametrize("control_sni", ["none", NAME.upper()])
def test_the_control_can_be_left_out_and_is_never_the_page_itself(control_sni: str) -> None:
    outcome = visited(reset, control_sni=control_sni)
    assert outcome.failure == Failure.CONNECTION_RESET
    assert len(parts(outcome, "tls_handshakes")) == 1


def test_the_other_resolvers_address_is_tried_and_not_fetched_from() -> None:
    """The system's answer leads nowhere: what the true address does is evidence, and no success."""
    with (
        DnsServer(zone({NAME: ("127.0.0.9",)})) as resolver,
        DnsServer(zone({NAME: ("127.0.0.1",)})) as second,
        TcpServer(http(lambda _request: page(BODY))) as server,
    ):
        options: dict[str, OptionValue] = {"resolver": second.place, "window_ms": 0, "addresses": 1}
        test = WebConnectivity.parse(f"http://{NAME}:{server.port}/", options)
        outcome = probe(test.measure, host=host_of(resolver))
    assert (outcome.failure, outcome.failed_operation) == (Failure.CONNECTION_REFUSED, "connect")
    assert [(one["address"], one["failure"]) for one in parts(outcome, "tcp_connect")] == [
        ("127.0.0.9", Failure.CONNECTION_REFUSED),
        ("127.0.0.1", None),
    ]
    assert parts(outcome, "requests") == []


def test_a_name_that_is_denied_by_the_system_alone() -> None:
    outcome = visited(http(lambda _request: page(BODY)), scheme="http", system=(), other=("127.0.0.1",))
    assert (outcome.failure, outcome.failed_operation) == (Failure.DNS_NO_ANSWER, "resolve")
    assert [one["failure"] for one in parts(outcome, "tcp_connect")] == [None]


def test_late_answers_are_kept() -> None:
    def races(query: Any, _transport: str) -> Any:
        yield reply(query, "127.0.0.9")
        yield 0.05
        yield reply(query, "127.0.0.1")

    with DnsServer(races) as resolver, DnsServer(races) as second:
        options: dict[str, OptionValue] = {
            "resolver": second.place,
            "window_ms": 500,
            "family": "4",
            "fetch": False,
        }
        test = WebConnectivity.parse("http://www.example.test:9/", options)
        outcome = probe(test.measure, host=host_of(resolver), deadline_s=3)
    for query in parts(outcome, "queries"):
        assert query["differing_answers"]
        assert [answer["answers"][0]["value"] for answer in query["answers"]] == ["127.0.0.9", "127.0.0.1"]
    assert outcome.failure == Failure.CONNECTION_REFUSED


def test_redirects_are_followed_and_each_tells_its_own_way() -> None:
    def respond(request: Request) -> Any:
        return redirect("/there") if request.target == "/" else page(BODY)

    outcome = visited(http(respond), scheme="http")
    assert outcome.failure is None
    first, second = parts(outcome, "requests")
    assert (first["status"], second["status"], outcome.detail["status"]) == (302, 200, 200)
    assert (len(first["tcp_connect"]), len(second["tcp_connect"])) == (0, 1)
    assert second["body_start"] == BODY.decode()


def test_a_journey_without_end() -> None:
    outcome = visited(
        http(lambda request: redirect(request.target + "x")), scheme="http", redirects=3, resolver="none"
    )
    assert (outcome.failure, outcome.failed_operation) == (
        Failure.HTTP_UNEXPECTED_REDIRECT_URL,
        "http_round_trip",
    )
    assert len(parts(outcome, "requests")) == 4


def test_the_start_of_an_unproven_body_is_kept_scrubbed_and_short() -> None:
    told = b"Your address is 9.8.7.6, your card 02:00:5e:10:00:01. " + b"blocked " * 1000
    outcome = visited(http(lambda _request: page(told, status=403)), scheme="http", own=("9.8.7.6",))
    (request,) = parts(outcome, "requests")
    assert request["status"] == 403
    assert len(request["body_start"]) <= START_CHARS + 40
    assert "blocked" in request["body_start"]
    assert not any(secret in json.dumps(dict(outcome.detail)) for secret in ("9.8.7.6", "02:00:5e"))


def test_only_the_handshakes_where_the_page_is_not_wanted(authority: Authority) -> None:
    outcome = visited(over_tls(authority.server_context(NAME)), fetch=False)
    assert outcome.failure is None
    assert (parts(outcome, "requests"), outcome.detail["status"]) == ([], None)


def test_a_family_without_a_route_is_left_out() -> None:
    route = DefaultRoute(interface="eth0", family=4, gateway="192.0.2.1", metric=0)
    with (
        DnsServer(zone({NAME: ("127.0.0.1", "::1")})) as resolver,
        TcpServer(http(lambda _request: page(BODY))) as server,
    ):
        test = WebConnectivity.parse(f"http://{NAME}:{server.port}/", {"resolver": "none", "window_ms": 0})
        outcome = probe(test.measure, host=host_of(resolver, routes=(route,)))
    assert outcome.failure is None
    assert [one["address"] for one in parts(outcome, "tcp_connect")] == ["127.0.0.1"]


def test_an_address_is_asked_of_nobody() -> None:
    with TcpServer(http(lambda _request: page(BODY))) as server, DnsServer(zone({})) as resolver:
        test = WebConnectivity.parse(f"http://127.0.0.1:{server.port}/", {"resolver": resolver.place})
        outcome = probe(test.measure, host=host_of(resolver))
        assert resolver.queries == []
    assert (outcome.failure, outcome.detail["resolved_from"]) == (None, "literal")


def test_an_evening_of_hostile_answers_still_travels() -> None:
    head = "".join(f"X-{number}: {'x' * 400}\r\n" for number in range(60))
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n{head}\r\n".encode() + b"y" * 50_000
    outcome = visited(http(lambda _request: (answer,)), scheme="http")
    assert len(json.dumps(dict(outcome.detail))) <= 12_288
    assert outcome.failure is None


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("www.example.org", {}, "http://HOST"),
        ("http://x.test/", {"resolver": "dns.example"}, "option resolver"),
        ("http://x.test/", {"control_sni": "not a name"}, "host name"),
        ("http://x.test/", {"addresses": 0}, "from 1 to 16"),
        ("http://x.test/", {"colour": "red"}, "the options of web_connectivity are"),
    ],
)
def test_what_is_refused(target: str, options: dict[str, OptionValue], told: str) -> None:
    with pytest.raises(TargetError, match=told):
        WebConnectivity.parse(target, options)
