"""A connection goes on from the session of the one before, with a real broker over mutual TLS; what it must not open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.delivery.network.link import Connected, ConnectionEvent, Disconnected, Published, SyncSettings
from appliance.delivery.network.mqtt import MqttLink
from appliance.delivery.network.tls_resumption import Resumption
from appliance.identity.command import identity as identity_command
from appliance.identity.identity import DeviceIdentity
from appliance.parts import identity_of
from appliance.storage.datadir import DataDir
from appliance.transports import Endpoint, Transport
from tests.provisioning.identities import Provisioned, RunningBroker
from tests.provisioning.mqtt import connected
from tests.waiting import LIMIT_S, until

DEVICE = "abcd0123efgh4567"
WAYS = [Transport.WSS, Transport.MQTTS]


class ShutOutError(Exception):
    """The broker did not let us in."""


class Place:
    """An authority, its broker, a device with an identity, and what its sender keeps."""

    def __init__(self, world: Provisioned, folder: Path) -> None:
        self.world = world
        self.data = folder / "data"
        self.install()
        self.resumption = Resumption()
        self.running: RunningBroker

    def install(self) -> None:
        """Give the device an identity, in place of one that it has."""
        given = self.world.directory / f"identity-{DEVICE}"
        if not given.exists():
            self.world.device(DEVICE)
        words = ["install", str(given), "--data", str(self.data)]
        assert identity_command.main(words, standalone_mode=False) is None

    def identity(self) -> DeviceIdentity:
        with DataDir.open(self.data) as directory:
            found = identity_of(directory)
        assert found is not None
        return found

    def endpoint(self, transport: Transport) -> Endpoint:
        port = self.running.websocket_port if transport is Transport.WSS else self.running.port
        return Endpoint(transport=transport, host="localhost", port=port, path="/mqtt")

    def converse(self, endpoint: Endpoint, *, says: bytes = b"") -> tuple[bool, list[ConnectionEvent]]:
        """Connect, say something, leave; return whether the session was gone on from, and what came after `Connected`."""
        context = self.resumption.context(self.identity(), endpoint)
        link = MqttLink(SyncSettings(host="localhost"), endpoint, device=DEVICE, tls=context)
        try:
            _let_in(link)
            self.resumption.established(endpoint)
            resumed = self.resumption.resumed(endpoint)
            return resumed, _after(link, link.publish("live", says)) if says else []
        finally:
            link.close()
            self.resumption.ended(endpoint)


def _let_in(link: MqttLink) -> None:
    """Wait until the broker lets us in. Raises `ShutOutError`."""
    woken = os.eventfd(0)
    events = link.open()

    def let_in() -> bool:
        if Connected() in events:
            return True
        for event in events:
            if isinstance(event, Disconnected):
                raise ShutOutError(event.reason)
        events[:] = link.step(0.1, wake_fd=woken)
        return False

    try:
        until(let_in, "let in", pause_s=0)
    finally:
        os.close(woken)


def _after(link: MqttLink, mid: int) -> list[ConnectionEvent]:
    """Return what comes until the broker has `mid`, or the connection ends."""
    found: list[ConnectionEvent] = []
    woken = os.eventfd(0)

    def settled() -> bool:
        found.extend(link.step(0.1, wake_fd=woken))
        return any(isinstance(event, Disconnected) or event == Published(mid) for event in found)

    try:
        until(settled, lambda: f"taken or lost: {found}", pause_s=0)
    finally:
        os.close(woken)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    world = Provisioned(tmp_path)
    made = Place(world, tmp_path)
    world.write_broker()
    with world.broker() as made.running:
        yield made


@pytest.mark.parametrize("transport", WAYS)
def test_the_second_connection_goes_on_from_the_first_and_so_does_the_third(
    place: Place, transport: Transport
) -> None:
    endpoint = place.endpoint(transport)
    assert [place.converse(endpoint, says=b"x")[0] for _ in range(3)] == [False, True, True]


def test_each_way_has_a_session_of_its_own(place: Place) -> None:
    wss, mqtts = place.endpoint(Transport.WSS), place.endpoint(Transport.MQTTS)
    assert [place.converse(endpoint)[0] for endpoint in (wss, mqtts, wss, mqtts)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("transport", WAYS)
def test_a_broker_that_knows_nothing_of_it_makes_the_whole_handshake(
    place: Place, transport: Transport
) -> None:
    endpoint = place.endpoint(transport)
    assert place.converse(endpoint) == (False, [])
    place.running.process.kill()
    place.running.process.wait(LIMIT_S)
    with place.world.broker() as place.running:
        assert place.converse(endpoint) == (False, [])
        assert place.converse(endpoint) == (True, [])


def test_a_new_identity_begins_anew(place: Place) -> None:
    endpoint = place.endpoint(Transport.WSS)
    assert place.converse(endpoint) == (False, [])
    place.world.provision("revoke", DEVICE)
    (place.world.directory / f"identity-{DEVICE}").rename(place.world.directory / "before")
    place.install()
    place.world.write_broker()
    place.running.reload()
    assert place.converse(endpoint) == (False, [])


@pytest.mark.parametrize("transport", WAYS)
def test_a_session_does_not_outlive_a_revocation(place: Place, transport: Transport) -> None:
    """The broker that reads its lists anew takes no session from before; and its access list names nobody revoked."""
    endpoint = place.endpoint(transport)
    assert [place.converse(endpoint)[0] for _ in range(2)] == [False, True]
    place.world.provision("revoke", DEVICE)
    place.world.write_broker()
    place.running.reload()
    with connected(place.world.collector, place.running.port), pytest.raises(ShutOutError):
        place.converse(endpoint)


def test_a_try_that_failed_leaves_no_open_socket(place: Place) -> None:
    endpoint = place.endpoint(Transport.MQTTS)
    stranger = Provisioned(place.data.parent / "stranger")
    with stranger.broker() as other:
        wrong = Endpoint(transport=Transport.MQTTS, host="localhost", port=other.port)
        context = place.resumption.context(place.identity(), wrong)
        link = MqttLink(SyncSettings(host="localhost"), wrong, device=DEVICE, tls=context)
        (event,) = link.open()
        assert isinstance(event, Disconnected)
        link.close()
        place.resumption.ended(wrong)
    assert place.converse(endpoint) == (False, [])
