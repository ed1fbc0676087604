"""UDP beside TLS, on real sockets: a session opened over TLS, echoes and flows both ways, and silence for everybody else."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from firmware.wire.measurement_udp import DatagramKind, SessionDatagram, read, write
from tests.collector.measurement.world import DEVICE, OTHER, MeasurementWorld, RunningServer, nonce
from tests.waiting import LIMIT_S, until


@dataclass
class Client:
    """A device's end of one session."""

    sock: socket.socket
    server: tuple[str, int]
    session: bytes
    key: bytes

    def send(self, kind: DatagramKind, *values: int | bytes, size: int = 0) -> None:
        self.sock.sendto(write(self.session, self.key, kind, *values, size=size), self.server)

    def take(self) -> SessionDatagram:
        got = read(self.sock.recv(2000), self.key)
        assert got is not None
        return got

    def ask(self, kind: DatagramKind, *values: int | bytes, size: int = 200) -> SessionDatagram:
        """Send until it is answered: loopback loses what finds a full queue."""

        def answered() -> SessionDatagram | None:
            self.send(kind, *values, size=size)
            self.sock.settimeout(5.0)
            try:
                return self.take()
            except TimeoutError:
                return None

        return until(answered, f"an answer to {kind.name}")


@contextmanager
def opened(
    world: MeasurementWorld, server: RunningServer, *, count: int = 10_000_000, device: str = DEVICE
) -> Iterator[Client]:
    got = world.ask(server, "POST", f"/v1/udp?bytes={count}&nonce={nonce()}", token=world.token(device))
    assert got.status == 200, got.sentence
    told = json.loads(got.body)
    assert told["port"] == server.port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(LIMIT_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        client = Client(
            sock, ("127.0.0.1", server.port), bytes.fromhex(told["session"]), bytes.fromhex(told["key"])
        )
        yield client
        world.ask(server, "DELETE", f"/v1/udp?session={told['session']}", token=world.token(device))


def looked(world: MeasurementWorld, server: RunningServer, client: Client) -> dict[str, int]:
    got = world.ask(server, "GET", f"/v1/udp?session={client.session.hex()}")
    assert got.status == 200
    found: dict[str, int] = json.loads(got.body)
    return found


def test_an_echo_comes_back_with_the_servers_times(world: MeasurementWorld, server: RunningServer) -> None:
    with opened(world, server) as client:
        before_ns = time.time_ns()
        got = client.ask(DatagramKind.ECHO, 1, size=600)
        number, count, came_ns, left_ns = got.values
        assert (got.kind, got.size, number, count) == (DatagramKind.ECHOED, 600, 1, 1)
        assert isinstance(came_ns, int)
        assert isinstance(left_ns, int)
        assert before_ns <= came_ns <= left_ns <= time.time_ns()
        assert looked(world, server, client)["echoes"] == 1


def test_a_flow_downwards_comes_whole_and_ends(world: MeasurementWorld, server: RunningServer) -> None:
    with opened(world, server) as client:
        (cookie,) = client.ask(DatagramKind.CONFIRM).values
        client.send(DatagramKind.FLOW, cookie, 1, 300_000, 1200, 1_000_000)
        got = set()
        for heard in range(250):
            data = client.take()
            assert (data.kind, data.size, data.values[0]) == (DatagramKind.DATA, 1200, 1)
            got.add(data.values[1])
            if heard % 50 == 0:
                client.send(DatagramKind.GOT, 1, heard, len(got), 0)
        assert got == set(range(250))
        client.send(DatagramKind.GOT, 1, 250, len(got), 0)
        told = until(
            lambda: found if (found := looked(world, server, client))["flow_got"] == 250 else None,
            "it was heard",
        )
        assert (told["flow"], told["flow_sent"]) == (1, 250)


def test_a_flow_upwards_is_counted_and_told_both_ways(world: MeasurementWorld, server: RunningServer) -> None:
    with opened(world, server) as client:
        for number in range(100):
            client.send(DatagramKind.SENT, number, size=1000)
        until(lambda: looked(world, server, client)["sent"] == 100, "all have come")
        _, sent, sent_bytes, highest, first_ns, last_ns = client.ask(DatagramKind.ASK, 1).values
        assert (sent, sent_bytes, highest) == (100, 100_000, 99)
        assert isinstance(first_ns, int)
        assert isinstance(last_ns, int)
        assert 0 < first_ns <= last_ns


def test_nobody_else_is_answered(world: MeasurementWorld, server: RunningServer) -> None:
    with opened(world, server) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(client.server)
        for data in (
            b"",
            b"hello",
            bytes(1200),
            bytes(1500),
            write(client.session, b"x" * 32, DatagramKind.ECHO, 9, size=200),
            write(b"another1", client.key, DatagramKind.ECHO, 9, size=200),
        ):
            stranger.send(data)
        # What is answered after all these shows that they were looked at.
        assert client.ask(DatagramKind.ECHO, 1).values[1] == 1
        stranger.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            stranger.recv(2000)


def test_a_session_is_its_devices_and_counts_as_a_transfer(world: MeasurementWorld) -> None:
    with world.server(transfers_per_device=1, bytes_per_device_per_day=10_000) as server:
        with opened(world, server, count=8000) as client:
            path = f"/v1/udp?session={client.session.hex()}"
            assert world.ask(server, "GET", path, token=world.token(OTHER)).status == 404
            assert world.ask(server, "DELETE", path, token="").status == 401
            assert world.ask(server, "GET", "/v1/udp?session=xyz").status == 404
            assert world.ask(server, "GET", f"/v1/download?bytes=1&nonce={nonce()}").status == 429
            client.ask(DatagramKind.ECHO, 1, size=1000)
        # What it did not use is to be had again.
        assert world.ask(server, "GET", f"/v1/download?bytes=7000&nonce={nonce()}").status == 200
        assert world.ask(server, "GET", f"/v1/download?bytes=2000&nonce={nonce()}").status == 429


def test_a_session_ends_by_itself(world: MeasurementWorld) -> None:
    with world.server(transfer_s=1, transfers_per_device=1) as server:
        got = world.ask(server, "POST", f"/v1/udp?bytes=1000&nonce={nonce()}")
        path = f"/v1/udp?session={json.loads(got.body)['session']}"
        until(lambda: world.ask(server, "GET", path).status == 404, "it has ended")
        assert world.ask(server, "GET", f"/v1/download?bytes=1&nonce={nonce()}").status == 200


def test_without_udp_there_is_none(world: MeasurementWorld) -> None:
    with world.server(udp=False) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert world.ask(server, "POST", f"/v1/udp?bytes=1000&nonce={nonce()}").status == 404
        sock.bind(("127.0.0.1", server.port))
