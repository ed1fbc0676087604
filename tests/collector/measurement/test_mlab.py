"""ndt7 and throughput1: M-Lab's own client completes both ways, and a plain WebSocket client sees what the specifications say."""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.collector.measurement.websocket_client import NDT7, drain, websocket
from tests.collector.measurement.world import MeasurementWorld, RunningServer
from tests.needs import npm_packages
from tests.waiting import LIMIT_S

THROUGHPUT1 = "net.measurementlab.throughput.v1"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def open_server(world: MeasurementWorld) -> Iterator[RunningServer]:
    limits = {"transfer_bytes": 4096 * MIB, "bytes_per_device_per_day": 2**40, "bytes_per_day": 2**40}
    with world.server(ndt7="anybody", throughput1="anybody", **limits) as running:
        yield running


def test_m_labs_client_completes_download_and_upload(
    world: MeasurementWorld, open_server: RunningServer
) -> None:
    packages = npm_packages()
    done = subprocess.run(
        ["node", str(packages / "ndt7.js"), f"localhost:{open_server.port}", "client_name=tidegauge-tests"],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(world.trust)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    result = json.loads(done.stdout)
    assert result["errors"] == []
    assert (result["download"]["code"], result["upload"]["code"]) == (0, 0)
    for test in ("download", "upload"):
        client, server = result[test]["client"], result[test]["server"]
        assert client["NumBytes"] > 0
        assert (server["Origin"], server["Test"]) == ("server", test)
        assert server["AppInfo"]["NumBytes"] > 0
        assert server["ConnectionInfo"]["Server"].endswith(f":{open_server.port}")
        told_us = [one["AppInfo"]["ElapsedTime"] for one in result[test]["measurements"]]
        assert told_us == sorted(told_us)
        assert len(told_us) > 10
        assert server["TCPInfo"]["MinRTT"] > 0


def test_a_download_of_ndt7_grows_its_messages_and_tells_what_it_sent(
    world: MeasurementWorld, open_server: RunningServer
) -> None:
    with websocket(world, open_server, f"/ndt/v7/download?bytes={30 * MIB}") as channel:
        assert channel.subprotocol == NDT7
        sizes, texts = drain(channel)
    assert sum(sizes) == 30 * MIB
    assert sizes[0] == 1 << 13
    assert sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) == 1 << 20
    sent = 0
    for before, size in itertools.pairwise(sizes[:-1]):
        sent += before
        expected = before
        while expected < 1 << 20 and expected <= sent // 16:
            expected *= 2
        assert size == expected
    assert texts[-1]["AppInfo"]["NumBytes"] == 30 * MIB
    assert texts[-1]["TCPInfo"]["BytesSent"] >= 1


def test_an_upload_of_ndt7_is_told_while_it_comes(
    world: MeasurementWorld, open_server: RunningServer
) -> None:
    with websocket(world, open_server, "/ndt/v7/upload") as channel:
        for _ in range(20):
            channel.send(bytes(100_000))
        while (told := json.loads(channel.recv(LIMIT_S)))["AppInfo"]["NumBytes"] < 2_000_000:
            pass
    assert told["AppInfo"]["NumBytes"] == 2_000_000
    assert told["TCPInfo"]["BytesReceived"] > 2_000_000


def test_a_download_of_throughput1_says_what_the_connection_is_once(
    world: MeasurementWorld, open_server: RunningServer
) -> None:
    path = f"/throughput/v1/download?streams=1&mid=abc&duration=700&bytes={3 * MIB}"
    with websocket(world, open_server, path, subprotocol=THROUGHPUT1) as channel:
        sizes, texts = drain(channel)
    assert (sum(sizes), sizes[0]) == (3 * MIB, 1 << 10)
    assert {"CC", "UUID", "LocalAddr", "RemoteAddr"} <= texts[0].keys()
    assert not {"CC", "UUID"} & texts[-1].keys()
    assert texts[-1]["Application"]["BytesSent"] == 3 * MIB
    assert {"RTT", "BytesAcked", "ElapsedTime"} <= texts[-1]["TCPInfo"].keys()


def test_an_upload_of_throughput1_ends_after_its_time(
    world: MeasurementWorld, open_server: RunningServer
) -> None:
    path = "/throughput/v1/upload?streams=1&mid=abc&duration=600"
    with websocket(world, open_server, path, subprotocol=THROUGHPUT1) as channel:
        channel.send(bytes(5000))
        _, texts = drain(channel)
        assert channel.close_code == 1000
    assert texts[-1]["Application"]["BytesReceived"] == 5000
    assert texts[-1]["ElapsedTime"] >= 600_000


@pytest.mark.parametrize(
    ("path", "subprotocol", "said"),
    [
        ("/ndt/v7/download", None, NDT7),
        ("/ndt/v7/download", THROUGHPUT1, NDT7),
        ("/throughput/v1/download?streams=1", THROUGHPUT1, "mid"),
        ("/throughput/v1/download?mid=1", THROUGHPUT1, "streams"),
        ("/throughput/v1/download?mid=1&streams=1&duration=x", THROUGHPUT1, "duration"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    world: MeasurementWorld, open_server: RunningServer, path: str, subprotocol: str | None, said: str
) -> None:
    with (
        pytest.raises(InvalidStatus) as caught,
        websocket(world, open_server, path, subprotocol=subprotocol),
    ):
        pass
    assert caught.value.response.status_code == 400
    assert said in caught.value.response.body.decode()


def test_what_is_no_websocket_is_refused(world: MeasurementWorld, open_server: RunningServer) -> None:
    got = world.ask(open_server, "GET", "/ndt/v7/download", token="")
    assert (got.status, NDT7 in got.sentence) == (400, True)


def test_a_client_that_sends_in_a_download_ends_it(
    world: MeasurementWorld, open_server: RunningServer
) -> None:
    with websocket(world, open_server, "/ndt/v7/download") as channel:
        channel.send(b"binary")
        sizes, _ = drain(channel)
    assert sum(sizes) < 4096 * MIB


def status(
    world: MeasurementWorld, server: RunningServer, *, token: str, path: str = "/ndt/v7/upload"
) -> int:
    try:
        with websocket(world, server, path, token=token):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_it_is_for_whom_the_operator_says(
    world: MeasurementWorld, server: RunningServer, open_server: RunningServer
) -> None:
    token = world.token()
    assert status(world, server, token=token) == 404
    assert status(world, server, token="") == 401
    assert status(world, open_server, token="") == 101
    assert status(world, open_server, token=token) == 101
    assert status(world, open_server, token="rubbish") == 401
    with world.server(ndt7="fleet", transfers_per_device=1) as closed:
        assert status(world, closed, token="") == 401
        assert status(world, closed, token=token) == 101
        assert status(world, closed, token="", path=f"/ndt/v7/upload?access_token={token}") == 101
        assert (
            world.ask(closed, "GET", "/v1/download?bytes=1&nonce=00112233445566778899", token="").status
            == 401
        )


def test_all_of_one_address_share_what_a_device_has(world: MeasurementWorld) -> None:
    with world.server(ndt7="anybody", transfers_per_device=1) as running:
        with websocket(world, running, "/ndt/v7/upload"):
            assert status(world, running, token="") == 429
            assert status(world, running, token=world.token()) == 101
        assert running.words == f"serving https://127.0.0.1:{running.port}/\n"
