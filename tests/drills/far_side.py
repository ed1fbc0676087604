"""What stands beyond the thin line of the drain drill: the broker, the collector, and an ear at the broker.

Along `wss` and `mqtts` everything is as provisioning makes it: an authority of the drill's own, mutual TLS 1.3, the
broker's access list, a device with an identity, a collector that believes only what is signed. The ear is a collector
by its certificate, under a name of its own, and only listens; the drill's second device is plain paho's. Along `plain`
nobody has an identity, and the broker takes anyone. It must never be reached but inside the drill's namespaces.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from click.testing import CliRunner
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appliance.identity.command import identity
from appliance.transports import Ports
from firmware.wire.envelope import is_sealed, unseal
from firmware.wire.messages import decode_batch, decode_hello, topic
from tests import namespaces
from tests.collector.process import CollectorProcess
from tests.mosquitto import Mosquitto
from tests.nation.censor.street import SERVER, SERVER4
from tests.provisioning.identities import Provisioned

WAYS: Final = ("wss", "mqtts", "plain")
DEVICE: Final = "a1b2c3d4e5f6g7h8"
BESIDE: Final = "plainpahoplainpa"
"""The second device: it publishes one message a record, with plain paho."""
PLAIN_TOPIC: Final = topic(BESIDE, "up", "r")
_PLAIN_PORT: Final = 1883
_NOBODY: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FarSide:
    """What runs there. `ports` are what the device is told, `beside` makes paho's client for the second device."""

    collector: CollectorProcess
    ear: "Ear"
    ports: Ports
    port: int
    beside: Callable[[], Client]
    ended: Callable[[], str]
    """Says which part has ended by itself, "" for none."""


class Ear:
    """Listens at the broker, on the far side of the line, to what devices say."""

    def __init__(self, client: Client, port: int) -> None:
        self.headline_at: float | None = None
        self.headline = ""
        self.waiting = 0
        self.first_record_at: float | None = None
        self.hellos = 0
        self.batches = 0
        self.payload_bytes = 0
        self.signed = 0
        self.seqs: list[int] = []
        self.plain = 0
        self._client = client
        self._client.on_connect = lambda client, *_: client.subscribe("p1/up/#")
        self._client.on_message = self._hear
        self._client.connect(_NOBODY, port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        now = time.monotonic()
        if message.topic == PLAIN_TOPIC:
            self.plain += 1
            return
        payload = bytes(message.payload)
        if is_sealed(payload):
            self.signed += 1
            payload = unseal(payload).payload
        match message.topic.rpartition("/")[2]:
            case "hello":
                self.hellos += 1
                hello = decode_hello(payload)
                if self.headline_at is None and hello.headline:
                    self.headline_at = now
                    self.headline = hello.headline[0].verdict
                    self.waiting = hello.waiting
            case "live" | "bulk":
                self.batches += 1
                self.payload_bytes += len(payload)
                self.first_record_at = self.first_record_at or now
                self.seqs += decode_batch(payload).seqs


@contextmanager
def far_side(folder: Path, way: str) -> Iterator[FarSide]:
    """Start it for devices that come along `way`; the device's own directory is `folder`/device."""
    with ExitStack() as stack:
        with namespaces.inside(SERVER):
            beyond = _plain(folder, stack) if way == "plain" else _provisioned(folder, stack, way)
        yield beyond


def _plain(folder: Path, stack: ExitStack) -> FarSide:
    (folder / "broker").mkdir()
    broker = Mosquitto(folder / "broker", extra=(f"listener {_PLAIN_PORT} {SERVER4}",))
    broker.start()
    stack.callback(broker.stop)
    collector = _collector(folder, f'[broker]\nuse = "{_NOBODY}:{broker.port}"\n', stack)
    ear = Ear(_client("ear"), broker.port)
    stack.callback(ear.close)
    return FarSide(
        collector=collector,
        ear=ear,
        ports=Ports(mqtt=_PLAIN_PORT),
        port=_PLAIN_PORT,
        beside=lambda: _client(BESIDE),
        ended=lambda: "the collector" if collector.process.poll() is not None else "",
    )


def _provisioned(folder: Path, stack: ExitStack, way: str) -> FarSide:
    world = Provisioned(folder)
    given = world.device(DEVICE)
    done = CliRunner().invoke(identity, ["install", str(given), "--data", str(folder / "device")])
    assert done.exit_code == 0, done.output
    beside, listening = world.device(BESIDE), folder / "ear"
    world.provision("collector", "--out", str(listening), "--name", "ear")
    # The last --address counts: all of them, for the devices come over the line and the others do not.
    world.write_broker("--address", "", "--host", SERVER4, "--host", "localhost", "--host", _NOBODY)
    broker = stack.enter_context(world.broker())
    collector = _collector(
        folder,
        f'[broker]\nuse = "localhost:{broker.port}"\n'
        f'[trust]\ndevices = "{world.authority}"\nidentity = "{world.collector}"\n',
        stack,
    )
    ear = Ear(_client("ear", listening), broker.port)
    stack.callback(ear.close)

    def ended() -> str:
        parts = {"the collector": collector.process, "the broker": broker.process}
        return " and ".join(name for name, process in parts.items() if process.poll() is not None)

    ports = {"wss": 0, "mqtts": 0, "https": 0, way: broker.websocket_port if way == "wss" else broker.port}
    return FarSide(
        collector=collector,
        ear=ear,
        ports=Ports(**ports),
        port=ports[way],
        beside=lambda: _client(BESIDE, beside, transport="websockets" if way == "wss" else "tcp"),
        ended=ended,
    )


def _collector(folder: Path, settings: str, stack: ExitStack) -> CollectorProcess:
    file = folder / "collector.toml"
    file.write_text(settings)
    return stack.enter_context(CollectorProcess(folder / "collector", "--config", str(file)))


def _client(name: str, identity: Path | None = None, *, transport: str = "tcp") -> Client:
    """Return plain paho as `name`, over TLS 1.3 where it has an identity."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        transport="websockets" if transport == "websockets" else "tcp",
    )
    if transport == "websockets":
        client.ws_set_options(path="/mqtt")
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(identity / "trust.pem")
        context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
        client.tls_set_context(context)
    return client
