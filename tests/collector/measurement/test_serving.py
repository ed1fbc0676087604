"""The measurement server as a device meets it: any name, one certificate, transfers whole, and nothing without a token."""

import asyncio
import json
import socket
import ssl
import zlib
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from http.client import IncompleteRead
from pathlib import Path

import pytest
from cryptography import x509

from collector.measurement.admission import NOBODY
from collector.measurement.serving import _say_less
from provisioning.certificates import Role, role_of
from tests.collector.measurement.world import (
    DEVICE,
    OTHER,
    MeasurementWorld,
    RunningServer,
    answer,
    nonce,
    send,
)
from tests.waiting import LIMIT_S, until

MIB = 1024 * 1024


@pytest.mark.parametrize("sni", ["www.facebook.com", "localhost", "x7.invalid", None])
def test_any_name_is_answered_with_the_certificate_of_the_fleet(
    world: MeasurementWorld, server: RunningServer, sni: str | None
) -> None:
    with world.connect(server, sni=sni) as tls:
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        assert tls.version() == "TLSv1.3"
        assert role_of(x509.load_der_x509_certificate(der)) is Role.MEASUREMENT_SERVER


def test_another_authority_is_not_believed(
    world: MeasurementWorld, server: RunningServer, tmp_path: Path
) -> None:
    world.provision("ca", str(tmp_path / "other"))
    context = ssl.create_default_context(cafile=str(tmp_path / "other" / "root.crt"))
    context.check_hostname = False
    with pytest.raises(ssl.SSLCertVerificationError):
        world.connect(server, tls=context)


@pytest.mark.parametrize(
    ("offered", "chosen"), [(("h2", "http/1.1"), "http/1.1"), (("h2",), None), ((), None)]
)
def test_http2_is_never_chosen(
    world: MeasurementWorld, server: RunningServer, offered: tuple[str, ...], chosen: str | None
) -> None:
    with world.connect(server, tls=world.client_tls(*offered)) as tls:
        assert tls.selected_alpn_protocol() == chosen


def test_an_older_tls_is_refused(world: MeasurementWorld, server: RunningServer) -> None:
    context = world.client_tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        world.connect(server, tls=context)


@pytest.mark.parametrize("count", [1, 65_536, 65_537, 5 * MIB + 3])
def test_a_download_has_the_bytes_asked_for_and_cannot_be_compressed(
    world: MeasurementWorld, server: RunningServer, count: int
) -> None:
    got = world.ask(server, "GET", f"/v1/download?bytes={count}&nonce={nonce()}")
    assert (got.status, len(got.body)) == (200, count)
    assert got.headers["content-length"] == str(count)
    assert len(zlib.compress(got.body)) >= count


def test_an_upload_is_counted(world: MeasurementWorld, server: RunningServer) -> None:
    got = world.ask(server, "POST", f"/v1/upload?nonce={nonce()}", body=bytes(3 * MIB + 1))
    assert (got.status, json.loads(got.body)["bytes"]) == (200, 3 * MIB + 1)


def test_an_upload_may_come_in_chunks_and_wait_to_be_let_in(
    world: MeasurementWorld, server: RunningServer
) -> None:
    with world.connect(server) as tls:
        headers = (("Transfer-Encoding", "chunked"), ("Expect", "100-continue"))
        send(tls, "POST", f"/v1/upload?nonce={nonce()}", token=world.token(), headers=headers)
        assert tls.recv(100).startswith(b"HTTP/1.1 100 ")
        for size in (1, 1000, 70_000):
            tls.sendall(b"%x\r\n%s\r\n" % (size, bytes(size)))
        tls.sendall(b"0\r\n\r\n")
        got = answer(tls)
    assert json.loads(got.body)["bytes"] == 71_001


def test_a_connection_serves_one_request(world: MeasurementWorld, server: RunningServer) -> None:
    with world.connect(server) as tls:
        path = f"/v1/download?bytes=10&nonce={nonce()}"
        send(tls, "GET", path, token=world.token())
        assert answer(tls).headers["connection"] == "close"
        with suppress(ConnectionError, ssl.SSLError):
            assert tls.recv(1) == b""


TOKENLESS = [
    ("GET", "/v1/download?bytes=10&nonce=00112233445566778899"),
    ("POST", "/v1/upload?nonce=00112233445566778899"),
    ("GET", "/"),
    ("DELETE", "/v1/nothing"),
]


@pytest.mark.parametrize(("method", "path"), TOKENLESS)
@pytest.mark.parametrize(
    "kind", ["none", "rubbish", "cut", "changed", "another place", "another device", "not ascii"]
)
def test_nothing_is_served_without_a_token_and_one_sentence_says_so(
    world: MeasurementWorld, server: RunningServer, method: str, path: str, kind: str
) -> None:
    good = world.token()
    token = {
        "none": "",
        "rubbish": "abc",
        "cut": good[:-8],
        "changed": good[:-1] + ("A" if good[-1] != "A" else "Q"),
        "another place": world.token(leaf="live"),
        "another device": OTHER + good[len(DEVICE) :],
        "not ascii": good + "%é",
    }[kind]
    token = token.encode("latin-1", "replace").decode("latin-1")
    with world.connect(server) as tls:
        line = f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
        more = f"Authorization: Bearer {token}\r\n" if token else ""
        tls.sendall(f"{line}{more}\r\n".encode("latin-1"))
        got = answer(tls)
    assert (got.status, got.sentence) == (401, NOBODY)


def test_a_token_that_has_run_out_is_told_the_time(world: MeasurementWorld, server: RunningServer) -> None:
    path = f"/v1/download?bytes=10&nonce={nonce()}"
    old = world.ask(server, "GET", path, token=world.token(early_s=7200, lasts_s=3600))
    early = world.ask(server, "GET", path, token=world.token(early_s=-7200))
    assert (old.status, early.status) == (403, 403)
    assert "here it is" in old.sentence
    assert parsedate_to_datetime(old.headers["date"]).tzinfo is not None
    assert world.ask(server, "GET", path, token=world.token(early_s=-1800)).status == 200


@pytest.mark.parametrize(
    ("ask", "status", "sentence"),
    [
        (("GET", "/v1/download?bytes=10"), 400, "nonce"),
        (("GET", "/v1/download?bytes=10&nonce=XYZ"), 400, "nonce"),
        (("GET", "/v1/download?bytes=0&nonce=NONCE"), 400, "bytes: allowed is a whole number from 1 to"),
        (("GET", "/v1/download?bytes=-1&nonce=NONCE"), 400, "bytes"),
        (("GET", "/v1/download?bytes=1e3&nonce=NONCE"), 400, "bytes"),
        (("GET", f"/v1/download?bytes={2**40}&nonce=NONCE"), 400, "bytes"),
        (("GET", "/v1/download?nonce=NONCE"), 400, "bytes"),
        (("POST", "/v1/upload?nonce=NONCE"), 411, "Content-Length"),
        (("POST", "/v1/download?bytes=10&nonce=NONCE"), 405, "GET"),
        (("GET", "/v1/upload?nonce=NONCE"), 405, "POST"),
        (("GET", "/favicon.ico"), 404, "/v1/download"),
        (("GET", "/v1/download?" + "a=1&" * 50), 400, "target"),
    ],
)
def test_what_is_asked_wrongly_is_told_what_is_allowed(
    world: MeasurementWorld, server: RunningServer, ask: tuple[str, str], status: int, sentence: str
) -> None:
    got = world.ask(server, ask[0], ask[1].replace("NONCE", nonce()))
    assert got.status == status
    assert sentence in got.sentence


def test_an_upload_that_is_too_large_is_refused_before_and_while_it_comes(
    world: MeasurementWorld, server: RunningServer
) -> None:
    path = f"/v1/upload?nonce={nonce()}"
    before = world.ask(server, "POST", path, headers=(("Content-Length", str(2**40)),), body=bytes(1000))
    assert (before.status, before.sentence) == (413, f"an upload has at most {64 * MIB} bytes")
    with world.connect(server) as tls:
        send(tls, "POST", path, token=world.token(), headers=(("Transfer-Encoding", "chunked"),))
        piece = b"%x\r\n%s\r\n" % (MIB, bytes(MIB))
        with suppress(ConnectionError, ssl.SSLError):
            for _ in range(66):
                tls.sendall(piece)
        assert answer(tls).status == 413


def test_a_nonce_names_one_transfer(world: MeasurementWorld, server: RunningServer) -> None:
    path = f"/v1/download?bytes=10&nonce={nonce()}"
    assert [world.ask(server, "GET", path).status for _ in range(2)] == [200, 409]
    assert world.ask(server, "GET", path, token=world.token(OTHER)).status == 200


def test_what_is_no_http_and_no_tls_ends_that_connection_alone(
    world: MeasurementWorld, server: RunningServer
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionError):
            while raw.recv(1000):
                pass
    with world.connect(server) as tls:
        tls.sendall(b"\x00\x01\x02\r\n\r\n")
        assert answer(tls).status == 400
    with world.connect(server) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000)
        assert answer(tls).status == 431
    assert world.ask(server, "GET", f"/v1/download?bytes=10&nonce={nonce()}").status == 200


def test_a_device_has_few_transfers_at_once_and_all_have_some(world: MeasurementWorld) -> None:
    with world.server(transfers_per_device=1, transfers=2) as server, world.connect(server) as first:
        path = "/v1/upload?nonce="
        length = (("Content-Length", "10"),)
        send(first, "POST", path + nonce(), token=world.token(), headers=length)
        full = until(
            lambda: (
                found
                if (found := world.ask(server, "GET", f"/v1/download?bytes=1&nonce={nonce()}")).status != 200
                else None
            ),
            "the first upload is under way",
        )
        assert (full.status, full.headers["retry-after"]) == (429, "10")
        with world.connect(server) as second:
            send(second, "POST", path + nonce(), token=world.token(OTHER), headers=length)
            crowd = until(
                lambda: (
                    found
                    if (
                        found := world.ask(
                            server, "GET", f"/v1/download?bytes=1&nonce={nonce()}", token=world.token(OTHER)
                        )
                    ).status
                    != 200
                    else None
                ),
                "the second upload is under way",
            )
            assert crowd.status == 429
            second.sendall(bytes(10))
            assert answer(second).status == 200
        first.sendall(bytes(10))
        assert answer(first).status == 200
        until(
            lambda: world.ask(server, "GET", f"/v1/download?bytes=1&nonce={nonce()}").status == 200,
            "room again once the first has ended",
        )


def test_a_days_bytes_are_never_exceeded(world: MeasurementWorld) -> None:
    with world.server(bytes_per_device_per_day=10_000, bytes_per_day=15_000) as server:

        def load(count: int, device: str) -> int:
            path = f"/v1/download?bytes={count}&nonce={nonce()}"
            return world.ask(server, "GET", path, token=world.token(device)).status

        assert [load(6000, DEVICE), load(6000, DEVICE), load(4000, DEVICE)] == [200, 429, 200]
        assert [load(6000, OTHER), load(5000, OTHER)] == [503, 200]


def test_a_transfer_is_cut_off_after_its_time(world: MeasurementWorld) -> None:
    with world.server(transfer_s=1) as server:
        with world.connect(server) as tls:
            send(tls, "GET", f"/v1/download?bytes={60 * MIB}&nonce={nonce()}", token=world.token())
            until(lambda: _closed_by(tls), "the download was cut off while nobody read it")
            with pytest.raises((IncompleteRead, ConnectionError, ssl.SSLError)):
                answer(tls)
        with world.connect(server) as tls:
            length = (("Content-Length", "100"),)
            send(
                tls, "POST", f"/v1/upload?nonce={nonce()}", token=world.token(), headers=length, body=bytes(7)
            )
            got = answer(tls)
        assert (got.status, got.sentence) == (408, "it took more than 1 s: 7 bytes came")


def test_one_address_cannot_have_all_connections(world: MeasurementWorld) -> None:
    with world.server(connections_per_address=2) as server:
        with (
            socket.create_connection(("127.0.0.1", server.port)),
            world.connect(server),
            pytest.raises((ConnectionError, ssl.SSLError)),
        ):
            world.connect(server)
        until(lambda: _connects(world, server), "room again once they have left")


def test_a_revoked_device_is_served_no_more(tmp_path: Path) -> None:
    world = MeasurementWorld(tmp_path)
    with world.server() as server:
        token = world.token()

        def status() -> int:
            return world.ask(server, "GET", f"/v1/download?bytes=10&nonce={nonce()}", token=token).status

        assert status() == 200
        world.provision("revoke", "--ca", str(world.authority), DEVICE)
        until(lambda: status() == 401, "the revocation counts")


def test_nobody_is_named_in_what_it_says(world: MeasurementWorld) -> None:
    with world.server(connections_per_address=5) as server:
        for method, path in TOKENLESS:
            world.ask(server, method, path, token="")
        path = f"/v1/download?bytes={20 * MIB}&nonce={nonce()}"
        with world.connect(server, sni="secret.example") as tls:
            send(tls, "GET", path, token=world.token())
            tls.recv(10)  # and leaves in the middle
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"\x16\x03\x01garbage")
        assert world.ask(server, "GET", f"/v1/download?bytes=10&nonce={nonce()}").status == 200
        where = f"serving https://127.0.0.1:{server.port}/\n"
        assert server.words == where
    assert server.words == where


def test_asyncios_own_words_are_cut_to_what_kind_it_was(caplog: pytest.LogCaptureFixture) -> None:
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_exception_handler(_say_less)
        loop.call_exception_handler(
            {"message": "lost", "exception": OSError("by 192.0.2.1"), "transport": "<192.0.2.1>"}
        )
    assert caplog.messages == ["OSError"]


def _closed_by(tls: ssl.SSLSocket) -> bool:
    """Return whether the other side has closed the connection, which nobody reads (TCP's state CLOSE_WAIT or CLOSED)."""
    return tls.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in {7, 8}


def _connects(world: MeasurementWorld, server: RunningServer) -> bool:
    with suppress(ConnectionError, ssl.SSLError):
        world.connect(server).close()
        return True
    return False
