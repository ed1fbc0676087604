"""A scripted collector for the sender's tests: a paho client that decodes, keeps in memory, and acks as told.

It stands where the real one will, over a real broker, and does what a real one cannot be asked to: lose an ack,
send it twice, reject, ask for a pause, or be silent. Change `behave` at any time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from firmware.model.jsontypes import JsonObject
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import (
    Ack,
    Batch,
    Hello,
    Reject,
    decode_batch,
    decode_hello,
    device_of,
    encode_ack,
    topic,
)
from tests.waiting import LIMIT_S


@dataclass
class Behaviour:
    """What the peer does with a message.

    `acks` is how often it answers, `stores` whether it keeps it, `upto` what it claims to have (None: the truth).
    """

    acks: int = 1
    stores: bool = True
    retry_after_s: float = 0.0
    upto: int | None = None
    rejects: dict[int, str] = field(default_factory=dict)


def well_behaved(_: Hello | Batch) -> Behaviour:
    """Store, and answer once."""
    return Behaviour()


class CollectorPeer:
    """The peer. `stored[seq]` is each record as it came first; `arrivals` every seq as often as it came."""

    def __init__(self, port: int, behave: Callable[[Hello | Batch], Behaviour] = well_behaved) -> None:
        self.behave = behave
        self.stored: dict[int, JsonObject] = {}
        self.arrivals: list[int] = []
        self.hellos: list[Hello] = []
        self.batches: list[tuple[str, Batch, int]] = []
        self.presence: list[bytes] = []
        self._covered = SeqRanges()
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id="collector-peer")
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda c, *_: c.subscribe([("p1/up/+/+", 1), ("p1/st/+", 1)])
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert self._subscribed.wait(30), "the peer could not subscribe"

    def close(self) -> None:
        """Go away."""
        self._client.disconnect()
        self._client.loop_stop()
        del self._client  # it holds two descriptors until nobody holds it: hundreds of tests share a process

    def say(self, device: str, payload: bytes) -> None:
        """Send `payload` to a device's ack topic, whatever it is."""
        self._client.publish(topic(device, "dn", "ack"), payload, qos=1)

    def await_(self, what: Callable[["CollectorPeer"], bool], *, limit_s: float = LIMIT_S) -> None:
        """Return once `what` holds; fail after `limit_s`."""
        with self._changed:
            assert self._changed.wait_for(lambda: what(self), limit_s), "it did not come to that"

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        with self._changed:
            if message.topic.startswith("p1/st/"):
                self.presence.append(bytes(message.payload))
            else:
                self._take(message)
            self._changed.notify_all()

    def _take(self, message: MQTTMessage) -> None:
        leaf = message.topic.rpartition("/")[2]
        payload = bytes(message.payload)
        heard: Hello | Batch = decode_hello(payload) if leaf == "hello" else decode_batch(payload)
        behaviour = self.behave(heard)
        if isinstance(heard, Hello):
            self.hellos.append(heard)
        else:
            self.batches.append((leaf, heard, len(message.payload)))
            if behaviour.stores:
                self._store(heard, behaviour)
        ack = Ack(
            epoch=heard.epoch,
            upto=self._covered.prefix_end() if behaviour.upto is None else behaviour.upto,
            ranges=SeqRanges(tuple(pair for pair in self._covered if pair[0] > self._covered.prefix_end())),
            rejects=tuple(
                Reject(seq=seq, reason=reason)
                for seq, reason in behaviour.rejects.items()
                if isinstance(heard, Batch) and seq in heard.seqs
            ),
            retry_after_s=behaviour.retry_after_s,
            incarnation=(heard.incarnations[0][0] if heard.incarnations and not heard.past else "")
            if isinstance(heard, Hello)
            else heard.incarnation,
        )
        for _ in range(behaviour.acks):
            self._client.publish(topic(device_of(message.topic), "dn", "ack"), encode_ack(ack), qos=1)

    def _store(self, batch: Batch, behaviour: Behaviour) -> None:
        for seq, record in zip(batch.seqs, batch.records, strict=True):
            self.arrivals.append(seq)
            if seq not in behaviour.rejects:
                self.stored.setdefault(seq, record)
                self._covered = self._covered.add(seq, seq)
