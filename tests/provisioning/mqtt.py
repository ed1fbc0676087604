"""One MQTT connection over mutual TLS, for tests that stand in a device's or a collector's place."""

import gc
import queue
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.waiting import LIMIT_S


class Refused(Exception):  # noqa: N818  # what the broker says, not a fault
    """The broker did not let us in."""


class Spoken:
    """A connection that stands. Messages come out of `next_message` in order."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        client.on_message = self._on_message

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._messages.put((message.topic, bytes(message.payload)))

    def subscribe(self, topic: str) -> None:
        """Subscribe, and wait until the broker has taken it."""
        taken = threading.Event()
        self._client.on_subscribe = lambda *_: taken.set()
        self._client.subscribe(topic, qos=1)
        assert taken.wait(LIMIT_S), topic

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1 and wait for the broker's PUBACK, which it gives also for what it drops."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(LIMIT_S)

    def next_message(self) -> tuple[str, bytes]:
        """Return topic and payload of the next message."""
        return self._messages.get(timeout=LIMIT_S)

    def is_connected(self) -> bool:
        """Return whether the connection stands."""
        return self._client.is_connected()


@contextmanager
def connected(
    identity: Path | None,
    port: int,
    transport: str = "tcp",
    *,
    trust: Path | None = None,
    client_id: str = "whatever",
) -> Iterator[Spoken]:
    """Connect with an identity's directory (None: without a certificate). Raises `Refused`."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv311,
        transport=cast("Literal['tcp', 'websockets']", transport),
        reconnect_on_failure=False,
    )
    anchor = trust or (None if identity is None else identity / "trust.pem")
    context = ssl.create_default_context(cafile=str(anchor))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if identity is not None:
        context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    client.tls_set_context(context)
    ready, spoken = threading.Event(), Spoken(client)
    outcome: list[bool] = []

    def on_connect(_client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        outcome.append(not reason.is_failure)
        ready.set()

    client.on_connect = on_connect
    client.on_disconnect = lambda *_: ready.set()
    refused = ""
    with warnings.catch_warnings():
        # paho leaves the socket of a WebSocket handshake that failed to the collector of garbage.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client.connect("127.0.0.1", port)
            client.loop_start()
            refused = "" if ready.wait(LIMIT_S) and outcome == [True] else "closed"
        except (OSError, ValueError) as error:
            refused = str(error)
        if refused:
            client.loop_stop()
            del client, spoken
            gc.collect()
            raise Refused(refused)
    try:
        yield spoken
    finally:
        client.disconnect()
        client.loop_stop()
        client.on_message = (
            None  # a circle: its two descriptors would stay open until a collection of garbage
        )
