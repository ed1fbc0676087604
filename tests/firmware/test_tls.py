"""`tls` against real servers on loopback: good certificates, bad ones, resets and silences."""

import base64
import contextlib
import hashlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from firmware.measurements.tls import Tls
from firmware.model.failures import Failure
from firmware.model.record import Outcome, Stamp
from firmware.model.task import OptionValue
from firmware.net import kernel
from firmware.net.host_view import Host, Resolvers
from firmware.net.loop import Loop, boottime_ns
from firmware.net.targets import TargetError
from firmware.net.timestamp_keepalive import TimestampKeepalive
from tests.probing import NOWHERE, probe
from tests.servers.dns import DnsServer, zone
from tests.servers.tcp import (
    Behaviour,
    TcpServer,
    close_after_first_bytes,
    reset_after_first_bytes,
    say,
    stay_silent,
)
from tests.servers.tls import Authority, over_tls

NAME = "www.example.test"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return an authority that this process trusts, and nobody else."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nobody"))
    return made


def measured(
    behaviour: Behaviour,
    *,
    address: str = "127.0.0.1",
    host: Host = NOWHERE,
    deadline_s: float = 60.0,
    target: str = "",
    **options: OptionValue,
) -> Outcome:
    """Measure a server that does `behaviour`, by its address unless `target` names a host."""
    with TcpServer(behaviour, address=address) as server:
        place = f"[{address}]" if ":" in address else address
        test = Tls.parse(f"{target or place}:{server.port}", {"sni": NAME, **options})
        outcome = probe(test.measure, host=host, deadline_s=deadline_s)
        assert server.connections <= 1  # evidence costs no second connection
        return outcome


def detail(outcome: Outcome) -> dict[str, Any]:
    return cast("dict[str, Any]", outcome.detail)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_good_server(authority: Authority, address: str) -> None:
    outcome = measured(over_tls(authority.server_context(NAME, alpn=["h2"])), address=address)
    assert (outcome.failure, outcome.failed_operation) == (None, None)
    assert set(outcome.phases) == {"connect", "tls_first_flight", "tls_handshake"}
    assert 0 < outcome.phases["tls_first_flight"].ns <= outcome.phases["tls_handshake"].ns
    found = detail(outcome)
    assert (found["tls_version"], found["alpn"], found["server_name"]) == ("TLSv1.3", "h2", NAME)
    assert len(found["chain_sha256"]) == 2
    assert "chain" not in found  # kept only where it is evidence
    assert datetime.fromtimestamp(found["leaf_not_after_s"], UTC) > datetime.now(UTC)
    assert [flight[1] for flight in found["flights"]][:2] == ["up", "down"]
    assert (outcome.bytes_up, outcome.bytes_down) == tuple(
        sum(flight[2] for flight in found["flights"] if flight[1] == way) for way in ("up", "down")
    )


def test_a_server_name_apart_from_the_host(authority: Authority) -> None:
    with DnsServer(zone({"front.test": ("127.0.0.1",)})) as resolver:
        host = Host(resolver_config=Resolvers(addresses=(resolver.place,)))
        outcome = measured(over_tls(authority.server_context(NAME)), target="front.test", host=host)
    assert outcome.failure is None
    assert "resolve" in outcome.phases
    assert [query["query_type"] for query in detail(outcome)["queries"]] == ["A", "AAAA"]


def test_an_address_is_verified_as_an_address(authority: Authority) -> None:
    good = measured(over_tls(authority.server_context("127.0.0.1")), sni="127.0.0.1")
    assert good.failure is None
    bad = measured(over_tls(authority.server_context("127.0.0.2")), sni="127.0.0.1")
    assert bad.failure == Failure.SSL_INVALID_HOSTNAME


def test_a_handshake_in_small_segments(authority: Authority) -> None:
    sizes: list[int] = []
    shake = over_tls(authority.server_context(NAME))

    def note(connection: socket.socket) -> None:
        sizes.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        shake(connection)

    outcome = measured(note, max_segment=536)
    assert outcome.failure is None
    assert detail(outcome)["max_segment"] == 536
    assert sizes[0] <= 536  # the server sends no more in one segment
    assert measured(note).failure is None
    assert sizes[1] > 1460


def test_an_older_version_of_tls(authority: Authority) -> None:
    context = authority.server_context(NAME)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    outcome = measured(over_tls(context))
    assert outcome.failure is None
    assert detail(outcome)["tls_version"] == "TLSv1.2"


def test_a_wrong_name_keeps_the_chain_as_evidence(authority: Authority) -> None:
    context = authority.server_context("other.example.test")
    outcome = measured(over_tls(context))
    assert (outcome.failure, outcome.failed_operation) == (Failure.SSL_INVALID_HOSTNAME, "tls_handshake")
    found = detail(outcome)
    chain = [base64.b64decode(certificate) for certificate in found["chain"]]
    assert b"other.example.test" in chain[0]
    assert found["chain_sha256"] == [hashlib.sha256(certificate).hexdigest() for certificate in chain]
    assert found["verify_code"] == 62
    assert "tls_handshake" not in outcome.phases


@pytest.mark.parametrize(
    ("not_before_days", "not_after_days", "verify_code"),
    [(-20, -10, 10), (10, 20, 9)],
    ids=["expired", "early"],
)
def test_a_certificate_out_of_its_time(
    authority: Authority, not_before_days: int, not_after_days: int, verify_code: int
) -> None:
    now = datetime.now(UTC)
    context = authority.server_context(
        NAME,
        not_before=now + timedelta(days=not_before_days),
        not_after=now + timedelta(days=not_after_days),
    )
    outcome = measured(over_tls(context))
    assert outcome.failure == Failure.SSL_INVALID_CERTIFICATE
    assert (
        detail(outcome)["verify_code"] == verify_code
    )  # a wrong clock would look like this, and can be told
    assert len(detail(outcome)["chain"]) == 2


def test_an_interceptor(authority: Authority, tmp_path: Path) -> None:
    interceptor = Authority(tmp_path, "Interceptor")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = interceptor.server_context(NAME)
        context.minimum_version = context.maximum_version = version
        outcome = measured(over_tls(context))
        assert outcome.failure == Failure.SSL_UNKNOWN_AUTHORITY
        assert b"Interceptor" in base64.b64decode(detail(outcome)["chain"][0])


def test_a_reset_after_the_client_hello(authority: Authority) -> None:
    outcome = measured(reset_after_first_bytes)
    assert (outcome.failure, outcome.failed_operation) == (Failure.CONNECTION_RESET, "tls_handshake")
    assert [flight[1] for flight in detail(outcome)["flights"]] == ["up"]
    assert "tls_first_flight" not in outcome.phases
    assert "connect" in outcome.phases


def test_an_orderly_end_instead_of_an_answer(authority: Authority) -> None:
    assert measured(close_after_first_bytes).failure == Failure.EOF


def test_silence_after_the_client_hello(authority: Authority) -> None:
    outcome = measured(stay_silent, deadline_s=0.5)
    assert (outcome.failure, outcome.failed_operation) == (Failure.TIMEOUT, "tls_handshake")
    assert [flight[1] for flight in detail(outcome)["flights"]] == ["up"]


def test_an_answer_that_is_not_tls(authority: Authority) -> None:
    outcome = measured(say(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    assert outcome.failure == Failure.SSL_FAILED_HANDSHAKE
    assert bytes.fromhex(detail(outcome)["answer_start"]) == b"HTTP/1.1 403 Forbidden\r\n\r\n"
    assert detail(outcome)["reason"]


def test_no_cipher_in_common(authority: Authority) -> None:
    context = authority.server_context(NAME)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-SHA")  # needs an RSA key, which this server has not
    outcome = measured(over_tls(context))
    assert outcome.failure == Failure.SSL_FAILED_HANDSHAKE
    assert "HANDSHAKE_FAILURE" in detail(outcome)["reason"].upper()


def test_nothing_listening(authority: Authority) -> None:
    with TcpServer(stay_silent) as server:
        port = server.port
    outcome = probe(Tls.parse(f"127.0.0.1:{port}", {"sni": NAME}).measure)
    assert (outcome.failure, outcome.failed_operation) == (Failure.CONNECTION_REFUSED, "connect")
    assert detail(outcome)["tcp_connect"][0]["failure"] == Failure.CONNECTION_REFUSED


def test_the_next_address_is_tried_when_one_refuses(authority: Authority) -> None:
    with DnsServer(zone({"front.test": ("127.0.0.77", "127.0.0.1")})) as resolver:
        host = Host(resolver_config=Resolvers(addresses=(resolver.place,)))
        outcome = measured(over_tls(authority.server_context(NAME)), target="front.test", host=host)
    assert outcome.failure is None
    assert [attempt["failure"] for attempt in detail(outcome)["tcp_connect"]] == [
        Failure.CONNECTION_REFUSED,
        None,
    ]


def test_a_name_that_does_not_resolve(authority: Authority) -> None:
    outcome = probe(Tls.parse("missing.test", {}).measure)
    assert (outcome.failure, outcome.failed_operation) == (Failure.NO_RESOLVER, "resolve")


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("", {}),
        ("host:port", {}),
        ("host:0", {}),
        ("2001:db8::1:443x", {}),
        ("a..b", {}),
        ("example.org", {"sni": "not a name"}),
        ("example.org", {"family": "5"}),
        ("example.org", {"timeout": 3}),
        ("example.org", {"alpn": "é"}),
    ],
)
def test_a_target_that_cannot_be(target: str, options: dict[str, OptionValue]) -> None:
    with pytest.raises(TargetError, match=r"allowed|is written|options of tls"):
        Tls.parse(target, options)


def test_the_times_are_the_kernels_where_it_stamps(authority: Authority) -> None:
    with contextlib.closing(TimestampKeepalive()) as keeper:
        loop = Loop()
        assert loop.run(keeper.confirm(loop, deadline_ns=boottime_ns() + 10_000_000_000))
        loop.close()
        outcome = measured(over_tls(authority.server_context(NAME)))
    found = detail(outcome)
    assert {outcome.phases[name].stamp for name in ("tls_first_flight", "tls_handshake")} == {Stamp.SND}
    assert found["flights_stamp"] == Stamp.SND
    assert found["flights"][1][0] == outcome.phases["tls_first_flight"].ns
    assert found["first_segments"] >= 1
    assert found["egress_queue_ns"] >= 0
    assert found["finish_ns"] > 0
    assert found["retransmissions"] == 0


def test_the_times_are_this_processs_where_the_kernel_does_not_stamp(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "SO_TIMESTAMPING_NEW", 9999)  # as a kernel before 5.1 sees 65: unknown
    outcome = measured(over_tls(authority.server_context(NAME)))
    found = detail(outcome)
    assert {outcome.phases[name].stamp for name in ("tls_first_flight", "tls_handshake")} == {Stamp.USER}
    assert found["flights_stamp"] == Stamp.USER
    assert found["flights"][1][0] == outcome.phases["tls_first_flight"].ns
    assert found["egress_queue_ns"] is None
