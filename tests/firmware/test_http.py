"""`http` against real servers on loopback: pages, redirects, captive portals, and everything that breaks."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any, cast

import pytest

from firmware.measurements.http import Http
from firmware.model.failures import Failure
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.host_view import Host, InterfaceAddress, Resolvers
from firmware.net.targets import TargetError
from tests.probing import NOWHERE, probe
from tests.servers.dns import DnsServer, zone
from tests.servers.http import Pieces, Request, chunked, http, once, page, redirect
from tests.servers.tcp import Behaviour, TcpServer, reset, reset_after_first_bytes, say, stay_silent
from tests.servers.tls import Authority, over_tls

BODY = b"<html><head><title>A &amp; B\n  page</title></head><body>hello</body></html>"


def fetched(
    behaviour: Behaviour,
    *,
    path: str = "/",
    scheme: str = "http",
    host: Host = NOWHERE,
    deadline_s: float = 60.0,
    **options: OptionValue,
) -> Outcome:
    """Fetch `path` of a server that does `behaviour`."""
    with TcpServer(behaviour) as server:
        test = Http.parse(f"{scheme}://127.0.0.1:{server.port}{path}", options)
        return probe(test.measure, host=host, deadline_s=deadline_s)


def requests(outcome: Outcome) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", outcome.detail["requests"])


def test_a_page() -> None:
    outcome = fetched(http(lambda request: page(BODY, Server="nginx")))
    assert (outcome.failure, outcome.failed_operation) == (None, None)
    assert set(outcome.phases) == {"connect", "first_byte", "body"}
    assert outcome.detail["status"] == 200
    (one,) = requests(outcome)
    assert one["title"] == "A & B page"
    assert (one["body_length"], one["body_is_truncated"]) == (len(BODY), False)
    assert one["body_sha256"] == hashlib.sha256(BODY).hexdigest()
    assert ["Server", "nginx"] in one["headers"]
    assert one["read_timing"][-1][0] == outcome.bytes_down > len(BODY)
    assert (one["failure"], one["tls"]) == (None, None)


def test_the_request_looks_like_a_browsers() -> None:
    seen: list[Request] = []

    def remember(request: Request) -> Pieces:
        seen.append(request)
        return page(BODY)

    fetched(http(remember), path="/a b?q=é#fragment")
    (request,) = seen
    assert (request.method, request.target) == ("GET", "/a%20b?q=%C3%A9")
    assert request.headers["user-agent"].startswith("Mozilla/5.0 (")
    assert list(request.headers)[:3] == ["host", "connection", "user-agent"]
    assert "tidegauge" not in str(request.headers).lower()


def test_the_address_may_be_given_apart() -> None:
    seen: list[str] = []

    def remember(request: Request) -> Pieces:
        seen.append(request.headers["host"])
        return page(BODY)

    with TcpServer(http(remember)) as server:
        test = Http.parse(f"http://www.example.test:{server.port}/", {"address": "127.0.0.1"})
        outcome = probe(test.measure)
        assert seen == [f"www.example.test:{server.port}"]
    assert outcome.failure is None
    assert requests(outcome)[0]["resolved_from"] == "literal"


def test_a_name_may_be_asked_for_at_a_pinned_address() -> None:
    seen: list[str] = []

    def remember(request: Request) -> Pieces:
        seen.append(request.headers["host"])
        return page(BODY)

    with TcpServer(http(remember)) as server:
        test = Http.parse(f"http://127.0.0.1:{server.port}/", {"host": "www.example.test"})
        outcome = probe(test.measure)
        assert seen == [f"www.example.test:{server.port}"]
    assert outcome.failure is None
    assert requests(outcome)[0]["resolved_from"] == "literal"


@pytest.mark.parametrize(
    ("status", "location", "failure"),
    [
        (301, "https://www.example.test/", None),
        (302, "https://www.example.test/de/", None),
        (302, "http://192.168.1.1/login", Failure.HTTP_UNEXPECTED_REDIRECT_URL),
        (302, "https://www.example.test.portal.test/", Failure.HTTP_UNEXPECTED_REDIRECT_URL),
        (200, "https://www.example.test/", Failure.HTTP_UNEXPECTED_STATUS_CODE),
        (511, None, Failure.HTTP_UNEXPECTED_STATUS_CODE),
    ],
)
def test_an_answer_that_leads_elsewhere_than_expected(
    status: int, location: str | None, failure: Failure | None
) -> None:
    def answer(_request: Request) -> Pieces:
        return page(b"", status=status, **({} if location is None else {"Location": location}))

    with TcpServer(http(answer)) as server:
        options: dict[str, OptionValue] = {
            "host": "www.example.test",
            "expect_redirect": "https://www.example.test/",
        }
        outcome = probe(Http.parse(f"http://127.0.0.1:{server.port}/", options).measure)
    assert outcome.failure == failure
    assert outcome.detail["status"] == status


def test_a_name_is_resolved_and_its_queries_are_kept() -> None:
    with (
        DnsServer(zone({"www.example.test": ("127.0.0.1",)})) as resolver,
        TcpServer(http(lambda request: page(BODY))) as server,
    ):
        host = Host(resolver_config=Resolvers(addresses=(resolver.place,)))
        outcome = probe(Http.parse(f"http://www.example.test:{server.port}/", {}).measure, host=host)
    assert outcome.failure is None
    assert "resolve" in outcome.phases
    assert requests(outcome)[0]["queries"][0]["query_name"] == "www.example.test"


def test_chunks_and_read_timing() -> None:
    def slow(request: Request) -> Pieces:
        for piece in chunked(*(b"x" * 1000 for _ in range(5))):
            yield piece
            yield 0.01

    outcome = fetched(http(slow))
    (one,) = requests(outcome)
    assert one["body_length"] == 5000
    offsets = [offset for offset, _ in one["read_timing"]]
    times = [t_ns for _, t_ns in one["read_timing"]]
    assert offsets == sorted(set(offsets))
    assert times == sorted(times)
    assert len(times) >= 5
    assert outcome.phases["body"].ns >= times[-1] - times[0] > 0
    assert outcome.phases["body"].stamp == one["read_timing_stamp"]


def test_compressed_content_is_undone() -> None:
    squeezed = gzip.compress(BODY)
    outcome = fetched(http(lambda request: page(squeezed, Content_Encoding="gzip")))
    (one,) = requests(outcome)
    assert one["body_sha256"] == hashlib.sha256(BODY).hexdigest()
    assert one["title"] == "A & B page"


def test_compressed_content_cannot_fill_the_memory() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    outcome = fetched(http(lambda request: page(bomb, Content_Encoding="gzip")))
    (one,) = requests(outcome)
    assert (one["body_length"], one["body_is_truncated"]) == (524_288, True)


def test_broken_compression() -> None:
    outcome = fetched(http(lambda request: page(b"not gzip at all", Content_Encoding="gzip")))
    assert (outcome.failure, outcome.failed_operation) == (Failure.HTTP_REQUEST_FAILED, "http_round_trip")


def test_content_in_an_encoding_not_asked_for() -> None:
    outcome = fetched(http(lambda request: page(BODY, Content_Encoding="br")))
    (one,) = requests(outcome)
    assert (one["body_is_encoded"], one["title"], outcome.failure) == (True, None, None)


def test_a_body_is_cut_at_the_cap() -> None:
    outcome = fetched(http(lambda request: page(bytes(100_000))), body_cap=1000)
    (one,) = requests(outcome)
    assert (one["body_length"], one["body_is_truncated"], outcome.failure) == (1000, True, None)
    assert one["body_sha256"] == hashlib.sha256(bytes(1000)).hexdigest()


def test_a_body_of_just_the_cap_is_whole() -> None:
    (one,) = requests(fetched(http(lambda request: page(bytes(1000))), body_cap=1000))
    assert (one["body_length"], one["body_is_truncated"]) == (1000, False)


def test_a_body_that_ends_with_the_connection() -> None:
    outcome = fetched(once(lambda request: (b"HTTP/1.0 200 OK\r\n\r\n", BODY)))
    assert (outcome.failure, requests(outcome)[0]["body_length"]) == (None, len(BODY))


def test_only_the_head() -> None:
    def respond(request: Request) -> Pieces:
        assert request.method == "HEAD"
        return (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",)

    outcome = fetched(http(respond), method="HEAD")
    assert (outcome.failure, requests(outcome)[0]["body_length"]) == (None, 0)


def test_redirects_are_followed_and_each_is_told() -> None:
    def respond(request: Request) -> Pieces:
        if request.target == "/":
            return redirect("/one?a=b", status=301)
        return redirect("../two") if request.target == "/one?a=b" else page(BODY)

    outcome = fetched(http(respond))
    assert [one["status"] for one in requests(outcome)] == [301, 302, 200]
    assert [str(one["url"]).rpartition("/")[2] for one in requests(outcome)] == ["", "one?a=b", "two"]
    assert (outcome.failure, outcome.detail["status"]) == (None, 200)
    assert str(outcome.detail["url"]).endswith("/two")


def test_a_redirect_to_another_server() -> None:
    with TcpServer(http(lambda request: page(BODY))) as other:
        outcome = fetched(http(lambda request: redirect(f"http://127.0.0.1:{other.port}/there")))
    assert [one["status"] for one in requests(outcome)] == [302, 200]


@pytest.mark.parametrize(
    ("location", "failure"),
    [
        ("/", Failure.HTTP_UNEXPECTED_REDIRECT_URL),  # a circle
        ("ftp://example.test/", Failure.HTTP_UNEXPECTED_REDIRECT_URL),
        ("tel:100", Failure.HTTP_UNEXPECTED_REDIRECT_URL),
        ("http:///nowhere", Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST),
        ("http://a..b/", Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST),
        ("http://[::1/", Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST),
        ("http://example.test:99999/", Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST),
        ("http://user@example.test/", Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST),
    ],
)
def test_a_redirect_that_leads_nowhere(location: str, failure: str) -> None:
    outcome = fetched(http(lambda request: redirect(location)))
    assert (outcome.failure, outcome.failed_operation) == (failure, "http_round_trip")
    assert requests(outcome)[0]["status"] == 302


def test_redirects_without_end() -> None:
    def respond(request: Request) -> Pieces:
        return redirect(f"/{int(request.target[1:] or 0) + 1}")

    outcome = fetched(http(respond))
    assert outcome.failure == Failure.HTTP_UNEXPECTED_REDIRECT_URL
    assert len(requests(outcome)) == 11


def test_a_redirect_to_a_name_that_does_not_resolve() -> None:
    outcome = fetched(http(lambda request: redirect("http://gone.test/")))
    assert (outcome.failure, outcome.failed_operation) == (Failure.NO_RESOLVER, "resolve")
    assert [one["failure"] for one in requests(outcome)] == [None, Failure.NO_RESOLVER]


def test_a_redirect_without_a_location_is_an_answer() -> None:
    outcome = fetched(http(lambda request: page(BODY, status=302)))
    assert (outcome.failure, outcome.detail["status"]) == (None, 302)


def test_the_expected_status() -> None:
    empty = http(lambda request: (b"HTTP/1.1 204 No Content\r\n\r\n",))
    assert fetched(empty, path="/generate_204", expect_status=204).failure is None


def test_a_captive_portal_is_found_and_not_entered() -> None:
    outcome = fetched(http(lambda request: redirect("http://192.168.4.1/login")), expect_status=204)
    assert (outcome.failure, outcome.failed_operation) == (
        Failure.HTTP_UNEXPECTED_STATUS_CODE,
        "http_round_trip",
    )
    assert len(requests(outcome)) == 1
    assert ["Location", "http://192.168.4.1/login"] in requests(outcome)[0]["headers"]


def test_what_a_portal_knows_of_its_guest_is_not_kept() -> None:
    own = Host(
        addresses=(InterfaceAddress(interface="eth0", family=4, address="192.168.4.77", scope="private"),)
    )
    location = "http://192.168.4.1/in?mac=aa:bb:cc:dd:ee:ff&ip=192.168.4.77&wan=84.32.1.9"
    body = b"<title>Hello 84.32.1.9</title>"

    def respond(request: Request) -> Pieces:
        return page(body, status=302, Location=location, X_Client="84.32.1.9", Set_Cookie="id=secret; Path=/")

    outcome = fetched(http(respond), host=own, redirects=0)
    text = str(outcome.detail)
    for secret in ("aa:bb:cc", "192.168.4.77", "84.32.1.9", "secret"):
        assert secret not in text
    assert "http://192.168.4.1/in?mac=@address&ip=@address&wan=@address" in text


def test_a_block_page_keeps_its_address() -> None:
    outcome = fetched(http(lambda request: redirect("http://10.10.34.34/?type=Invalid")), redirects=0)
    assert ["Location", "http://10.10.34.34/?type=Invalid"] in requests(outcome)[0]["headers"]


@pytest.mark.parametrize(
    ("behaviour", "failure", "operation"),
    [
        # how far the client gets before it learns of this one is a race
        (reset, {Failure.CONNECTION_RESET, Failure.CONNECTION_ALREADY_CLOSED}, {"connect", "read", "write"}),
        (reset_after_first_bytes, {Failure.CONNECTION_RESET}, {"read"}),
        (say(b""), {Failure.EOF}, {"http_round_trip"}),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), {Failure.HTTP_REQUEST_FAILED}, {"http_round_trip"}),
        (say(b"HTTP/1.1 abc\r\n\r\n"), {Failure.HTTP_REQUEST_FAILED}, {"http_round_trip"}),
        (say(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000), {Failure.HTTP_REQUEST_FAILED}, {"http_round_trip"}),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), {Failure.EOF}, {"http_round_trip"}),
        (
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            {Failure.HTTP_REQUEST_FAILED},
            {"http_round_trip"},
        ),
    ],
    ids=["reset", "reset-after-request", "nothing", "ssh", "no-status", "endless-head", "half", "bad-chunk"],
)
def test_what_breaks(behaviour: Behaviour, failure: set[str], operation: set[str]) -> None:
    outcome = fetched(behaviour)
    assert outcome.failure in failure
    assert outcome.failed_operation in operation
    assert requests(outcome)[0]["failure"] == outcome.failure


def test_what_came_before_the_break_is_kept() -> None:
    outcome = fetched(say(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 99\r\n\r\n<title>Half</title>"))
    (one,) = requests(outcome)
    assert (one["status"], one["title"], one["failure"]) == (200, "Half", Failure.EOF)
    assert outcome.detail["status"] == 200


def test_silence() -> None:
    outcome = fetched(stay_silent, deadline_s=0.5)
    assert (outcome.failure, outcome.failed_operation) == (Failure.TIMEOUT, "read")
    assert "first_byte" not in outcome.phases


def test_a_trickle_that_stops_keeps_what_it_brought() -> None:
    def trickle(request: Request) -> Pieces:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        yield b"x" * 100
        yield 3.0

    outcome = fetched(http(trickle), deadline_s=1.5)
    assert (outcome.failure, outcome.failed_operation) == (Failure.TIMEOUT, "read")
    (one,) = requests(outcome)
    assert one["body_length"] == 100
    assert "first_byte" in outcome.phases


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return an authority that this process trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


def test_https(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1", alpn=["http/1.1"])
    outcome = fetched(over_tls(context, http(lambda request: page(BODY))), scheme="https")
    assert outcome.failure is None
    assert set(outcome.phases) == {"connect", "tls_first_flight", "tls_handshake", "first_byte", "body"}
    (one,) = requests(outcome)
    assert (one["title"], one["tls"]["alpn"], one["tls"]["failure"]) == ("A & B page", "http/1.1", None)


def test_https_with_a_body_that_ends_without_a_goodbye(authority: Authority) -> None:
    def respond(request: Request) -> Pieces:
        return (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", BODY)

    outcome = fetched(over_tls(authority.server_context("127.0.0.1"), once(respond)), scheme="https")
    assert (outcome.failure, requests(outcome)[0]["body_length"]) == (None, len(BODY))


def test_https_to_an_interceptor_sends_no_request(authority: Authority, tmp_path: Path) -> None:
    seen: list[Request] = []

    def remember(request: Request) -> Pieces:
        seen.append(request)
        return page(BODY)

    context = Authority(tmp_path, "Interceptor").server_context("127.0.0.1")
    outcome = fetched(over_tls(context, http(remember)), scheme="https")
    assert (outcome.failure, outcome.failed_operation) == (Failure.SSL_UNKNOWN_AUTHORITY, "tls_handshake")
    assert requests(outcome)[0]["tls"]["chain"]
    assert seen == []


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("example.org", {}),
        ("ftp://example.org/", {}),
        ("http://", {}),
        ("http://a..b/", {}),
        ("http://ex ample.org/", {}),
        ("http://example.org/\n", {}),
        ("http://user:secret@example.org/", {}),
        ("http://example.org:0/", {}),
        ("http://[::1/", {}),
        ("http://" + "ü" * 70 + ".org/", {}),
        ("http://example.org/", {"method": "POST"}),
        ("http://example.org/", {"address": "example.net"}),
        ("http://example.org/", {"host": "example.net"}),
        ("http://192.0.2.1/", {"host": "example.net", "address": "192.0.2.2"}),
        ("http://example.org/", {"expect_redirect": "somewhere"}),
        ("http://example.org/", {"expect_status": "twohundred"}),
        ("http://example.org/", {"user_agent": "x"}),
    ],
)
def test_a_target_that_cannot_be(target: str, options: dict[str, OptionValue]) -> None:
    with pytest.raises(TargetError, match=r"allowed|IDNA|options of http"):
        Http.parse(target, options)


def test_a_host_name_in_another_script() -> None:
    assert str(Http.parse("http://bücher.example/ä", {}).url) == "http://xn--bcher-kva.example/%C3%A4"


def test_a_server_cannot_make_a_record_too_big_to_send() -> None:
    def talkative(request: Request) -> Pieces:
        number = int(request.target.split("?")[0][1:] or 0) + 1
        noise = {f"X_{letter}{digit}": letter * 300 for letter in "abcde" for digit in range(10)}
        return page(b"<title>" + b"t" * 999, status=302, Location=f"/{number}?{'q' * 3000}", **noise)

    outcome = fetched(http(talkative))
    assert outcome.failure == Failure.HTTP_UNEXPECTED_REDIRECT_URL
    assert outcome.detail["cut"] is True
    assert len(json.dumps(dict(outcome.detail))) < 16_384
    assert requests(outcome)[-1]["status"] == 302
