"""The ways to the collector with every part real: mosquitto over mutual TLS, the collector with its intake, the sender.

One authority, one device; each way alone delivers everything; shut ways are records and the next one is taken; a
revocation stops a device that is connected, and a renewal reaches one whose certificate has run out.
"""

import datetime as dt
import os
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.delivery.network.link import Connected, SyncSettings
from appliance.delivery.network.mqtt import MqttLink
from appliance.delivery.network.sender import Sync
from appliance.events import Event, OutboxChanged, SyncChanged, TransportTried
from appliance.identity.command import identity
from appliance.outbox.box import Outbox
from appliance.parts import identity_of
from appliance.storage.datadir import DataDir
from appliance.transports import ConnectionAttempt, Endpoint, Ports, Transport
from collector.store.queries import Queries
from collector.trust.registry import LOOK_AGAIN_S
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key
from tests import ports
from tests.collector.process import CollectorProcess
from tests.firmware.records import tcp_record
from tests.provisioning.identities import Provisioned, RunningBroker
from tests.provisioning.mqtt import Refused, connected
from tests.waiting import LIMIT_S, until

DEVICE = "abcd0123efgh4567"
# paho leaves the socket of a handshake that failed to the collector of garbage.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <ssl\.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
STORED = "seq 1–5 all here"


class Place:
    """The authority, the broker, the collector, and one device's data directory."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.world = Provisioned(folder)
        given = self.world.device(DEVICE)
        self.data = folder / "device"
        assert identity.main(["install", str(given), "--data", str(self.data)], standalone_mode=False) is None
        self.world.write_broker()
        self.broker: RunningBroker = stack.enter_context(self.world.broker())
        self.https_port = ports.take_one()
        settings = folder / "collector.toml"
        settings.write_text(
            f'[broker]\nuse = "localhost:{self.broker.port}"\n'
            f'[trust]\ndevices = "{self.world.authority}"\nidentity = "{self.world.collector}"\n'
            f'[intake]\nport = {self.https_port}\nidentity = "{folder / "broker"}"\n'
        )
        self.store = folder / "collector"
        self.collector = stack.enter_context(CollectorProcess(self.store, "--config", str(settings)))

    @property
    def ports(self) -> dict[str, int]:
        return {"wss": self.broker.websocket_port, "mqtts": self.broker.port, "https": self.https_port}

    def stored(self) -> str:
        """Return what the collector has of the device, as it says it."""
        queries = Queries(self.store / "collector.sqlite3")
        try:
            return str(queries.completeness(DEVICE))
        finally:
            queries.close()

    def impostor(self, folder: Path, stack: ExitStack) -> int:
        """Start a collector that another authority vouches for, behind a door with the right certificate; its port."""
        folder.mkdir()
        port = ports.take_one()
        settings = folder / "collector.toml"
        settings.write_text(
            f'[broker]\nuse = "none"\n[trust]\ndevices = "{self.world.authority}"\n'
            f'identity = "{Provisioned(folder).collector}"\n'
            f'[intake]\nport = {port}\nidentity = "{self.world.directory / "broker"}"\n'
        )
        stack.enter_context(CollectorProcess(folder / "collector", "--config", str(settings)))
        return port

    def reload(self) -> None:
        """Have broker and collector see who was revoked and who is new."""
        self.world.write_broker()
        self.broker.reload()
        time.sleep(LOOK_AGAIN_S + 1)  # nobody tells when they have looked


class Device:
    """The device's outbox and its sender, with the ways it is given."""

    def __init__(
        self, place: Place, stack: ExitStack, ports: dict[str, int], *, held: "Device | None" = None
    ) -> None:
        if held is None:
            self.directory = stack.enter_context(DataDir.open(place.data))
            self.outbox = stack.enter_context(
                Outbox.open(self.directory.outbox, device=self.directory.device)
            )
        else:
            self.directory, self.outbox = held.directory, held.outbox
        self.events: queue.Queue[Event] = queue.Queue()
        self.seen: list[Event] = []
        self.sync = Sync(
            SyncSettings(
                host="localhost",
                ports=Ports(**{"wss": 0, "mqtts": 0, "https": 0, **ports}),
                connect_timeout_s=30,
                retry_max_s=1.0,
            ),
            self.outbox,
            software="tidegauge test",
            country="xx",
            notify=self.events.put,
            identity=lambda: identity_of(self.directory),
            clock_is_sure=lambda: True,
        )
        stack.callback(self.stop)

    def start(self, records: int = 5) -> None:
        self.outbox.append([tcp_record(number) for number in range(records)])
        self.sync.start()

    def stop(self) -> None:
        assert self.sync.stop(timeout_s=LIMIT_S)

    def await_(self, what: Callable[[Event], bool]) -> Event:
        """Return the next event for which `what` holds."""
        end_s = time.monotonic() + LIMIT_S
        while True:
            event = self.events.get(timeout=max(0.1, end_s - time.monotonic()))
            self.seen.append(event)
            if what(event):
                return event

    def await_delivered(self) -> None:
        self.await_(lambda event: isinstance(event, OutboxChanged) and event.waiting == 0)

    @property
    def tries(self) -> list[ConnectionAttempt]:
        return [event.tried for event in self.seen if isinstance(event, TransportTried)]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path, stack: ExitStack) -> Place:
    return Place(tmp_path, stack)


def says(words: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, SyncChanged) and words in event.message


@pytest.mark.parametrize("way", ["wss", "mqtts", "https"])
def test_each_way_alone_delivers_everything(place: Place, stack: ExitStack, way: str) -> None:
    device = Device(place, stack, {way: place.ports[way]})
    device.start(300)
    device.await_delivered()
    assert place.stored() == "seq 1–300 all here"
    (tried,) = device.tries
    assert (tried.endpoint.transport, tried.failure) == (Transport(way), None)


def test_shut_ways_are_told_and_the_next_is_taken(place: Place, stack: ExitStack) -> None:
    shut = ports.take(2)
    device = Device(place, stack, {"wss": shut[0], "mqtts": shut[1], "https": place.https_port})
    device.start()
    device.await_delivered()
    assert [(one.endpoint.transport, one.failure, one.operation) for one in device.tries] == [
        (Transport.WSS, "connection_refused", "connect"),
        (Transport.MQTTS, "connection_refused", "connect"),
        (Transport.HTTPS, None, ""),
    ]
    assert place.stored() == STORED


def test_a_way_that_speaks_something_else_is_a_failure_with_a_word(place: Place, stack: ExitStack) -> None:
    """Ports mixed up: WebSocket at the HTTPS intake, MQTT at the WebSocket listener, HTTPS at the MQTT one."""
    ports = place.ports
    mixed = {"wss": ports["https"], "mqtts": ports["wss"], "https": ports["mqtts"]}
    device = Device(place, stack, mixed)
    device.start()
    device.await_(says("next try"))
    failures = {one.endpoint.transport: one.failure for one in device.tries[:3]}
    assert set(failures) == {Transport.WSS, Transport.MQTTS, Transport.HTTPS}
    assert all(failures.values()), failures
    assert place.stored() != STORED


def test_a_collector_that_is_not_believed_takes_nothing_away(
    place: Place, stack: ExitStack, tmp_path: Path
) -> None:
    device = Device(place, stack, {"https": place.impostor(tmp_path / "impostor", stack)})
    device.start()
    device.await_(says("no collector answers"))
    assert device.outbox.counts().waiting == 5


def test_a_revoked_device_is_heard_no_more_and_keeps_what_it_has(place: Place, stack: ExitStack) -> None:
    device = Device(place, stack, place.ports)
    device.start()
    device.await_delivered()
    place.world.provision("revoke", DEVICE)
    place.reload()
    device.stop()
    again = Device(place, stack, place.ports, held=device)
    again.start()
    again.await_(says("no collector answers"))
    assert [one.failure is None for one in again.tries[:3]] == [False, False, True]
    assert place.stored() == STORED
    assert again.outbox.counts().waiting == 5


def test_a_certificate_that_ran_out_while_offline_is_renewed_over_https(
    place: Place, stack: ExitStack
) -> None:
    place.world.provision("revoke", DEVICE)
    key = make_key()
    with Authority.open(place.world.authority) as authority:
        long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=800)
        chain = authority.issue(DEVICE, Role.DEVICE, key.public_key(), now=long_ago)
    write(place.data / "identity" / "certificate.pem", chain)
    write(place.data / "identity" / "key.pem", key_pem(key), mode=0o600)
    place.reload()
    ways = {name: port for name, port in place.ports.items() if name != "wss"}

    first = Device(place, stack, ways)
    first.start()
    first.await_delivered()
    assert [(one.endpoint.transport, one.failure is None) for one in first.tries] == [
        (Transport.MQTTS, False),
        (Transport.HTTPS, True),
    ]
    request = place.world.authority / "requests" / f"{DEVICE}.csr"
    until(request.exists, "the request for the next certificate")
    first.stop()
    assert f"renewed  {DEVICE}" in place.world.provision("renew")
    place.reload()

    second = Device(place, stack, ways, held=first)
    second.start()
    until(lambda: not (place.data / "identity" / "next.pem").exists(), "the next certificate")
    second.stop()

    third = Device(place, stack, ways, held=first)
    third.start()
    third.await_delivered()
    assert [(one.endpoint.transport, one.failure) for one in third.tries] == [(Transport.MQTTS, None)]


@pytest.mark.parametrize("years", [-15, 8], ids=["clock years ahead", "clock years behind"])
@pytest.mark.parametrize("way", [Transport.WSS, Transport.MQTTS])
def test_a_device_whose_clock_is_years_off_is_let_in(tmp_path: Path, way: Transport, years: int) -> None:
    """To such a device the broker's certificate has run out long ago, or is not valid yet: so it is here."""
    world = Provisioned(tmp_path)
    given = world.device(DEVICE)
    assert (
        identity.main(["install", str(given), "--data", str(tmp_path / "data")], standalone_mode=False)
        is None
    )
    key = make_key()
    with Authority.open(world.authority) as authority:
        moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * years)
        hosts = ("localhost", "127.0.0.1")
        chain = authority.issue("localhost", Role.BROKER, key.public_key(), now=moment, hosts=hosts)
    write(tmp_path / "broker" / "certificate.pem", chain)
    write(tmp_path / "broker" / "key.pem", key_pem(key), mode=0o600)
    world.write_broker()
    with world.broker() as broker, DataDir.open(tmp_path / "data") as directory:
        who = identity_of(directory)
        assert who is not None
        port = broker.websocket_port if way is Transport.WSS else broker.port
        where = Endpoint(transport=way, host="localhost", port=port, path="/mqtt")
        link = MqttLink(SyncSettings(host="localhost"), where, device=DEVICE, tls=who.tls())
        assert link.open() == []
        woken = os.eventfd(0)
        until(lambda: Connected() in link.step(0.1, wake_fd=woken), "let in")
        os.close(woken)
        link.close()
        with pytest.raises(Refused, match=r"expired|not yet valid"), connected(given, broker.port):
            pytest.fail("a client that looks at dates was let in: the certificate is not of another time")
