"""The device's side of a transfer, against the real server: what its record says, whom it believes, and how both halves are joined."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.command import collector
from collector.halves.thread import HalvesThread
from collector.store.database import Store
from collector.trust.registry import Registry
from collector.trust.signing import Signer
from firmware.judgement.throttling.pace_of_run import RunPace
from firmware.measurements.transfer import Transfer
from firmware.model import server_half
from firmware.model.nonce import PATTERN
from firmware.model.server_half import HalfEnd
from firmware.net.targets import TargetError
from tests.collector.measurement.halves import AskingCollector, points
from tests.collector.measurement.transfers_of import SUSPECT, run_of, token_file, transfer
from tests.collector.measurement.world import DEVICE, OTHER, MeasurementWorld, RunningServer
from tests.collector.rows_of import arrived
from tests.servers.tcp import Behaviour, TcpServer, reset_after_first_bytes, stay_silent
from tests.servers.tls import Authority, over_tls

KIB = 1024
HOSTS = {"broker": ("--host", "localhost")}


@pytest.fixture(scope="module")
def asking(world: MeasurementWorld) -> AskingCollector:
    return AskingCollector(world)


@pytest.fixture(scope="module")
def server(world: MeasurementWorld, asking: AskingCollector) -> Iterator[RunningServer]:
    with world.server(transfer_bytes=1024 * KIB) as running:
        yield running


def place(port: int) -> str:
    return f"127.0.0.1:{port}"


@pytest.mark.parametrize("direction", ["download", "upload"])
def test_all_of_it_is_moved_and_told(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector, direction: str
) -> None:
    found = transfer(world, place(server.port), direction=direction, bytes=300_001)
    detail = found["detail"]
    assert (found["failure"], detail["ending"], detail["status"]) == (None, "complete", 200)
    assert PATTERN.fullmatch(detail["nonce"])
    assert (detail["direction"], detail["asked_bytes"], detail["server"]) == (
        direction,
        300_001,
        "measurement",
    )
    assert (detail["tls"]["server_name"], detail["tls"]["tls_version"]) == (SUSPECT, "TLSv1.3")
    times, sizes = ([point[at] for point in detail["points"]] for at in (0, 1))
    assert sizes[-1] == 300_001
    assert times[0] >= 0
    assert times[-1] <= detail["ended_us"]
    assert all(one <= other for values in (times, sizes) for one, other in pairwise(values))
    assert (found["bytes_up"] if direction == "upload" else found["bytes_down"]) > 300_001
    assert found["bytes_up"] + found["bytes_down"] < detail["tcp"]["wire_bytes"]
    assert 0 < detail["tcp"]["min_rtt_ns"] <= detail["tcp"]["rtt_ns"]
    assert set(found["phases"]) >= {"connect", "tls_handshake", "first_byte", "transfer"}
    half = asking.half(server, detail["nonce"])
    assert (half.device, half.end, half.direction) == (DEVICE, HalfEnd.DONE, direction)
    if direction == "upload":
        assert (detail["server_bytes"], half.bytes_received) == (300_001, 300_001)
    else:
        assert half.bytes_sent == 300_001
        assert points(half, "BytesAcked")[-1] > 300_001


def test_a_nonce_is_drawn_for_each_and_no_secret_is_in_the_record(
    world: MeasurementWorld, server: RunningServer
) -> None:
    token = token_file(world).read_text().strip()
    found = [
        transfer(world, place(server.port), bytes=2000, token_file=str(world.directory / f"token-{DEVICE}"))
        for _ in range(2)
    ]
    assert found[0]["detail"]["nonce"] != found[1]["detail"]["nonce"]
    assert token not in json.dumps(found)
    assert token.partition(".")[2][:20] not in json.dumps(found)


class Impostor:
    """A behaviour that shows a certificate and keeps which name was asked for and what it was then told."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.names: list[str | None] = []
        self.told = b""
        context.sni_callback = lambda _session, name, _context: self.names.append(name)
        self.behaviour = over_tls(context, self._read)

    def _read(self, connection: socket.socket) -> None:
        while data := connection.recv(65536):
            self.told += data


def context_of(identity: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    context.num_tickets = 0  # as the server has it: what comes on the wire is then the answer alone
    return context


@pytest.mark.parametrize("sni", [SUSPECT, ""])
def test_a_middle_boxs_certificate_is_evidence_and_it_is_told_nothing(
    world: MeasurementWorld, tmp_path: Path, sni: str
) -> None:
    impostor = Impostor(Authority(tmp_path, "Interceptor").server_context(SUSPECT))
    with TcpServer(impostor.behaviour) as box:
        found = transfer(world, place(box.port), sni=sni)
    detail = found["detail"]
    assert (found["failure"], found["failed_operation"]) == ("ssl_unknown_authority", "tls_handshake")
    assert b"Interceptor" in base64.b64decode(detail["tls"]["chain"][0])
    assert (detail["ending"], detail["points"], detail["ended_us"]) == ("failed", [], None)
    assert (impostor.names, impostor.told) == ([sni or None], b"")


@pytest.mark.parametrize(("role", "verify_code"), [("broker", 50), ("collector", 26)])
def test_another_role_of_the_fleet_is_no_measurement_server(
    world: MeasurementWorld, tmp_path: Path, role: str, verify_code: int
) -> None:
    """Whoever takes a broker's key, or a collector's, cannot gather tokens with it. The latter OpenSSL itself takes for no server's."""
    identity = tmp_path / role
    world.provision(role, "--ca", str(world.authority), "--out", str(identity), *HOSTS.get(role, ()))
    impostor = Impostor(context_of(identity))
    with TcpServer(impostor.behaviour) as box:
        found = transfer(world, place(box.port))
    assert (found["failure"], found["failed_operation"]) == ("ssl_invalid_certificate", "tls_handshake")
    assert found["detail"]["tls"]["verify_code"] == verify_code
    assert found["detail"]["tls"]["chain"]
    assert impostor.told == b""


def test_a_refusal_is_told_with_its_sentence(world: MeasurementWorld, server: RunningServer) -> None:
    old = str(token_file(world, OTHER, early_s=7200))
    for direction in ("download", "upload"):
        found = transfer(world, place(server.port), direction=direction, token_file=old)
        assert (found["failure"], found["failed_operation"]) == (
            "http_unexpected_status_code",
            "http_round_trip",
        )
        assert (found["detail"]["status"], found["detail"]["ending"]) == (403, "failed")
        assert found["detail"]["refusal"].startswith("this token counts from")
    too_much = transfer(world, place(server.port), direction="upload", bytes=2 * 1024 * KIB)
    assert too_much["detail"]["status"] == 413


def frozen_after(count: int, port: int) -> Behaviour:
    """Return a middle box that lets `count` bytes come back from `port` here, and then takes all and gives nothing."""

    def relay(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as onward:

            def forth() -> None:
                with suppress(OSError):
                    while data := connection.recv(65536):
                        onward.sendall(data)

            thread = threading.Thread(target=forth)
            thread.start()
            try:
                left = count
                while data := onward.recv(65536):
                    connection.sendall(data[:left])
                    left -= len(data[:left])
            finally:
                thread.join()

    return relay


def test_a_freeze_is_data(world: MeasurementWorld, server: RunningServer) -> None:
    with TcpServer(frozen_after(60_000, server.port)) as box:
        found = transfer(world, place(box.port), seconds=9)
    detail = found["detail"]
    assert (found["failure"], detail["ending"], detail["status"]) == (None, "time", 200)
    # But for the handshake and the answer's head, whether in whole TLS records or not.
    assert detail["points"][-1][1] in range(60_000 - 2_000, 60_000)
    assert detail["ended_us"] >= 9_000_000
    pace = run_of(detail, 176 * KIB).pace
    assert isinstance(pace, RunPace)
    assert pace.frozen_after_bytes == detail["points"][-1][1]


def test_silence_from_the_request_on_is_a_time_out_of_reading(
    world: MeasurementWorld, server: RunningServer
) -> None:
    silent = over_tls(context_of(world.identity), stay_silent)
    with TcpServer(silent) as box:
        found = transfer(world, place(box.port), seconds=1)
    assert (found["failure"], found["failed_operation"]) == ("generic_timeout_error", "read")
    assert (found["detail"]["ending"], found["detail"]["points"]) == ("time", [])


def test_a_connection_that_breaks_is_told_by_what_broke_it(
    world: MeasurementWorld, server: RunningServer
) -> None:
    with TcpServer(reset_after_first_bytes) as box:
        found = transfer(world, place(box.port))
    assert (found["failure"], found["failed_operation"]) == ("connection_reset", "tls_handshake")

    def half_an_answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 180224\r\n\r\n")
        connection.sendall(bytes(20_000))

    with TcpServer(over_tls(context_of(world.identity), half_an_answer)) as box:
        found = transfer(world, place(box.port))
    assert (found["failure"], found["detail"]["ending"]) == ("eof_error", "failed")
    # The goodbye of TLS is another record, of two bytes.
    assert found["detail"]["points"][-1][1] in range(20_000, 20_025)
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    found = transfer(world, place(port))
    assert (found["failure"], found["failed_operation"]) == ("connection_refused", "connect")


def test_the_record_and_the_servers_half_are_joined_at_the_collector(
    world: MeasurementWorld, asking: AskingCollector, tmp_path: Path
) -> None:
    path = tmp_path / "collector.sqlite3"
    with world.server() as server, closing(Store.open(path)) as store:
        ways = ("download", "upload")
        made = [transfer(world, place(server.port), direction=way, bytes=100_000) for way in ways]
        for seq, found in enumerate(made, start=1):
            changes = {key: found[key] for key in ("detail", "phases", "failure", "bytes_up", "bytes_down")}
            store.commit([arrived([seq], device=DEVICE, test="transfer", **changes)])
            asking.half(server, found["detail"]["nonce"])  # it is written when the test is over
        signer = Signer.load(asking.identity)
        thread = HalvesThread(path, (), registry=Registry(world.authority), signer=signer, every_s=1)
        while thread.ask_once("127.0.0.1", server.port):
            pass
    done = CliRunner().invoke(collector, ["export", "--data", str(tmp_path)], catch_exceptions=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for line, found, way in zip(lines, made, ways, strict=True):
        (said,) = line["server_halves"]
        half = server_half.from_json(said["half"])
        assert (half.nonce, half.direction, half.end) == (found["detail"]["nonce"], way, HalfEnd.DONE)
        assert 100_000 in {half.bytes_sent, half.bytes_received}


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("127.0.0.1", {}, "no port"),
        ("measurement.example.org:443", {}, "allowed is an IPv4 or IPv6 address"),
        ("127.0.0.1:443", {"direction": "both"}, "direction"),
        ("127.0.0.1:443", {"bytes": 0}, "bytes"),
        ("127.0.0.1:443", {"seconds": 21}, "seconds"),
        ("127.0.0.1:443", {"sni": "not a name"}, "host name"),
        ("127.0.0.1:443", {"trust_file": "/nowhere"}, "trust_file: found '/nowhere'"),
        ("127.0.0.1:443", {"token_file": ""}, "tidegauge identity token"),
        ("127.0.0.1:443", {"token": "abc.def"}, "found option 'token'"),
    ],
)
def test_what_cannot_be_asked_for(
    world: MeasurementWorld, target: str, options: dict[str, str], told: str
) -> None:
    files = {"trust_file": str(world.trust), "token_file": str(token_file(world))}
    with pytest.raises(TargetError, match=told):
        Transfer.parse(target, {**files, **options})
    assert "." not in repr(Transfer.parse("127.0.0.1:443", files)).replace(
        "127.0.0.1", ""
    )  # no secret is shown
