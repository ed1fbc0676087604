"""A device that does as the test tells it: real MQTT, hand-made messages, and the acks that come back."""

import queue
import threading
from collections.abc import Sequence
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from firmware.model import record as records
from firmware.model.jsontypes import JsonObject
from firmware.wire.messages import Ack, Batch, Hello, decode_ack, encode_batch, encode_hello, topic
from tests.firmware.records import tcp_record
from tests.waiting import LIMIT_S

DEVICE = "k3f9a7c2m1x8q5z0"
OTHER = "aaaabbbbccccdddd"
EPOCH = "0123456789abcdef"
WAIT_S = LIMIT_S


def batch_of(seqs: Sequence[int], *, device: str = DEVICE, epoch: str = EPOCH, **changes: Any) -> Batch:
    """Return a batch of sound records with these seqs; `changes` are made to every record's JSON."""
    made: list[JsonObject] = [{**records.to_json(tcp_record(seq)), **changes} for seq in seqs]
    return Batch(device=device, epoch=epoch, seqs=tuple(seqs), records=tuple(made))


def hello_of(low: int, high: int, *, device: str = DEVICE, epoch: str = EPOCH) -> Hello:
    """Return a hello of an outbox that holds `low`–`high`."""
    return Hello(
        device=device,
        epoch=epoch,
        low=low,
        high=high,
        waiting=high - low + 1,
        software="tidegauge 0.1.0",
        country="ir",
    )


class ScriptedDevice:
    """One connection to the broker, with the device's own ack subscription. Use it as a context manager."""

    def __init__(self, host: str, port: int, *, device: str = DEVICE, epoch: str = EPOCH) -> None:
        self.device = device
        self.epoch = epoch
        self._acks: queue.Queue[Ack] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=device, clean_session=True)
        self._client.on_connect = lambda client, *_: client.subscribe(topic(device, "dn", "ack"), 0)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect(host, port)
        self._client.loop_start()
        assert self._subscribed.wait(WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        del self._client  # it holds two descriptors until nobody holds it: hundreds of tests share a process

    def hello(self, low: int, high: int) -> Ack:
        """Say hello and return the answer."""
        self.publish("hello", encode_hello(hello_of(low, high, device=self.device, epoch=self.epoch)))
        return self.ack()

    def send(self, *seqs: int, **changes: Any) -> Ack:
        """Send a batch of sound records (but for `changes`) and return the answer."""
        batch = batch_of(seqs, device=self.device, epoch=self.epoch, **changes)
        self.publish("live", encode_batch(batch))
        return self.ack()

    def publish(self, leaf: str, payload: bytes, *, device: str | None = None) -> None:
        """Publish on the upward branch, of another device if asked to; return once the broker has it."""
        info = self._client.publish(topic(device or self.device, "up", leaf), payload, qos=1)
        info.wait_for_publish(WAIT_S)
        assert info.is_published()

    def publish_unawaited(self, leaf: str, payload: bytes) -> None:
        """Publish without waiting for the broker."""
        self._client.publish(topic(self.device, "up", leaf), payload, qos=1)

    def publish_and_be_cut_off(self, payload: bytes) -> bool:
        """Publish what the broker does not take; say whether it ended the connection."""
        lost = threading.Event()
        self._client.on_disconnect = lambda *_: lost.set()
        self._client.publish(topic(self.device, "up", "live"), payload, qos=0)
        return lost.wait(WAIT_S)

    def publish_status(self, payload: bytes) -> None:
        """Publish the retained presence."""
        info = self._client.publish(topic(self.device, "st", ""), payload, qos=1, retain=True)
        info.wait_for_publish(WAIT_S)

    def ack(self) -> Ack:
        """Return the next ack."""
        return self._acks.get(timeout=WAIT_S)

    def acks_so_far(self) -> list[Ack]:
        """Return the acks that have come and were not read."""
        return [self._acks.get() for _ in range(self._acks.qsize())]

    def no_ack_so_far(self) -> bool:
        """Return whether nothing waits to be read."""
        return self._acks.empty()

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._acks.put(decode_ack(bytes(message.payload)))
