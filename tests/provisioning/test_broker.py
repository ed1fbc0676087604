"""The broker as it is provisioned: a real mosquitto, mutual TLS 1.3, one branch a device, revocation while it runs."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioning.broker import access_list
from tests.provisioning.identities import Provisioned, RunningBroker
from tests.provisioning.mqtt import Refused, Spoken, connected

A, B = "a" * 16, "b" * 16


@pytest.fixture
def world(tmp_path: Path) -> Provisioned:
    made = Provisioned(tmp_path)
    for name in (A, B):
        made.device(name)
    made.write_broker()
    return made


@contextmanager
def heard(world: Provisioned, broker: RunningBroker) -> Iterator[Spoken]:
    """Be the collector, which hears everything."""
    with connected(world.collector, broker.port) as collector:
        collector.subscribe("p1/up/#")
        yield collector


Way = Callable[[RunningBroker], tuple[int, str]]
WAYS: dict[str, Way] = {
    "tls": lambda broker: (broker.port, "tcp"),
    "websocket": lambda broker: (broker.websocket_port, "websockets"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_device_speaks_on_its_own_branch_only(world: Provisioned, way: str) -> None:
    with world.broker() as broker, heard(world, broker) as collector:
        port, transport = WAYS[way](broker)
        with connected(world.directory / f"identity-{A}", port, transport) as device:
            device.publish(f"p1/up/{B}/live", b"forged")
            device.publish(f"p1/dn/{B}/ack", b"forged")
            device.publish(f"p1/up/{A}/live", b"mine")
            assert collector.next_message() == (f"p1/up/{A}/live", b"mine")


def test_a_device_hears_its_own_answers_only(world: Provisioned) -> None:
    with (
        world.broker() as broker,
        heard(world, broker) as collector,
        connected(world.directory / f"identity-{A}", broker.port) as device,
    ):
        device.subscribe("p1/#")
        for name in (B, A):
            collector.publish(f"p1/dn/{name}/ack", name.encode())
        assert device.next_message() == (f"p1/dn/{A}/ack", A.encode())


def test_nobody_can_push_another_off_by_its_client_id(world: Provisioned) -> None:
    with (
        world.broker() as broker,
        heard(world, broker) as collector,
        connected(world.directory / f"identity-{A}", broker.port, client_id=A) as device,
        connected(world.directory / f"identity-{B}", broker.port, client_id=A),
    ):
        device.publish(f"p1/up/{A}/live", b"still here")
        assert collector.next_message() == (f"p1/up/{A}/live", b"still here")
        assert device.is_connected()


@pytest.mark.parametrize("way", WAYS)
def test_without_a_certificate_nobody_comes_in(world: Provisioned, way: str) -> None:
    with world.broker() as broker:
        port, transport = WAYS[way](broker)
        with pytest.raises(Refused), connected(None, port, transport, trust=world.collector / "trust.pem"):
            pass


def test_anothers_authority_counts_for_nothing(world: Provisioned, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Provisioned(tmp_path / "other").device(A)
    trust = world.collector / "trust.pem"
    with world.broker() as broker, pytest.raises(Refused), connected(other, broker.port, trust=trust):
        pass


def test_less_than_tls_1_3_is_refused(world: Provisioned) -> None:
    identity = world.directory / f"identity-{A}"
    context = ssl.create_default_context(cafile=str(identity / "trust.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    with (
        world.broker() as broker,
        socket.create_connection(("127.0.0.1", broker.port), timeout=30) as plain,
        pytest.raises(ssl.SSLError, match="protocol version"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("way", WAYS)
def test_a_revocation_counts_while_all_goes_on(world: Provisioned, way: str) -> None:
    with world.broker() as broker, heard(world, broker) as collector:
        port, transport = WAYS[way](broker)
        identity = world.directory / f"identity-{A}"
        other = connected(world.directory / f"identity-{B}", broker.port)
        with other as well, connected(identity, port, transport) as lost:
            lost.publish(f"p1/up/{A}/live", b"before")
            assert collector.next_message() == (f"p1/up/{A}/live", b"before")
            world.provision("revoke", A, "--reason", "stolen")
            world.write_broker()
            broker.reload()
            # A reload has no answer: until the list counts, what the lost one says is heard.
            for number in range(1000):
                lost.publish(f"p1/up/{A}/live", b"after")
                well.publish(f"p1/up/{B}/live", str(number).encode())
                if collector.next_message() == (f"p1/up/{B}/live", str(number).encode()):
                    break
                assert collector.next_message()[0] == f"p1/up/{B}/live"
            else:
                pytest.fail("the revoked device is still heard on its standing connection")
            with pytest.raises(Refused), connected(identity, port, transport):
                pass
            assert well.is_connected()


def test_a_name_that_is_no_devices_never_gets_into_the_list() -> None:
    with pytest.raises(ValueError, match="#"):
        access_list(["#"], [])
