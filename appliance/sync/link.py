"""One MQTT connection to the broker, from connecting to its end, as a list of what happened. Knows no outbox.

Each connection has a paho client of its own, so that nothing of the last one (its unacknowledged messages, its
in-flight count, its ping timer) can reach the next: paho keeps what was published while offline in memory
and sends it on reconnecting, whatever the application did since. None of paho's threads or loops is used, so its
own reconnecting, which has no jitter, never starts: the sender's thread polls, and calls loop_read, loop_write and
loop_misc. Publishing is possible only between `Ready` and `Lost`. 3.1.1 is the baseline; the broker's reason codes
are read on every acknowledgement all the same.
"""

import contextlib
import os
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware.control_news import LEAF
from firmware.exchange import Presence, encode_presence, topic

ACK: Final = "ack"
_ONLINE: Final = encode_presence(Presence(online=True))
_OFFLINE: Final = encode_presence(Presence(online=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """Where the broker is and how to speak to it. Times in seconds."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    keepalive_s: int = 60
    connect_timeout_s: float = 30.0
    retry_max_s: float = 300.0

    @property
    def address(self) -> str:
        """Return `host:port` as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Ready:
    """The broker accepted us; the subscription and the birth message are on their way."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The broker has the message `mid` (it may lose it yet: only the collector's ack counts)."""

    mid: int


@dataclass(frozen=True, slots=True)
class Received:
    """The collector said something on our ack topic, or on another of ours: `leaf` is the topic's last word."""

    payload: bytes
    leaf: str = ACK


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection has ended, or never was: why."""

    reason: str


LinkEvent: TypeAlias = "Ready | Taken | Received | Lost"


class MqttLink:
    """One connection; used from one thread. `open`, then `step` until it gives `Lost`, then `close`."""

    def __init__(self, settings: SyncSettings, *, device: str) -> None:
        self._settings = settings
        self._device = device
        self._events: list[LinkEvent] = []
        self._ready = False
        self._ack_subscription: int | None = None
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=device,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = settings.connect_timeout_s
        client.max_inflight_messages = (
            0  # The policy's window is the bound; paho's would hide a second queue.
        )
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        client.will_set(topic(device, "st", ""), _OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect

    def open(self) -> list[LinkEvent]:
        """Connect to the broker: blocks up to the connect time-out (for each of the name's addresses).

        Return `Lost` when that failed. Otherwise the broker's answer comes from `step`.
        """
        settings = self._settings
        try:
            code = self._client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (OSError, ValueError) as error:
            return [Lost(self._why_not(error))]
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return [Lost(f"broker {settings.address} closed the connection at once")]
        return []

    def step(self, timeout_s: float, *, wake_fd: int) -> list[LinkEvent]:
        """Wait for the broker or for `wake_fd`, at most `timeout_s`; do what is due; return what happened."""
        sock = self._client.socket()
        if sock is not None:
            self._serve(sock.fileno(), timeout_s, wake_fd)
        elif not self._events:
            self._lost(f"the connection to broker {self._settings.address} was lost")
        events, self._events = self._events, []
        return events

    def publish(self, leaf: str, payload: bytes) -> int:
        """Publish on our upward branch with QoS 1 and return the message's id, which `Taken` will carry.

        Without a connection nothing is given to paho, which would keep it in memory, and the id is 0: the next
        `step` says `Lost`.
        """
        if not self._ready:
            return 0
        return self._client.publish(topic(self._device, "up", leaf), payload, qos=1).mid

    def close(self) -> None:
        """End the connection; when it stands, after saying that we go offline."""
        sock = self._client.socket()
        if sock is None:
            return
        if self._ready:
            # Best effort: what the socket does not take now, the broker's last will says for us.
            self._client.publish(topic(self._device, "st", ""), _OFFLINE, qos=1, retain=True)
            self._client.disconnect()
        with contextlib.suppress(OSError):
            sock.close()

    def _serve(self, fd: int, timeout_s: float, wake_fd: int) -> None:
        poller = select.poll()
        poller.register(fd, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poller.register(wake_fd, select.POLLIN)
        # Rounded up, so that a moment just ahead is not polled for again and again.
        ready = dict(poller.poll(int(timeout_s * 1000) + 1))
        if wake_fd in ready:
            drain(wake_fd)
        state = ready.get(fd, 0)
        if state & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._client.loop_read()
        if state & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._lost(f"broker {self._settings.address} refused this device: {reason}")
            return
        self._ready = True
        _, self._ack_subscription = client.subscribe(topic(self._device, "dn", ACK), qos=0)
        client.subscribe(topic(self._device, "dn", LEAF), qos=0)
        client.publish(topic(self._device, "st", ""), _ONLINE, qos=1, retain=True)
        self._events.append(Ready())

    def _on_subscribe(
        self,
        _client: Client,
        _data: Any,
        mid: int,
        reasons: Sequence[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if mid != self._ack_subscription:
            return  # without news of the control a device only knows less
        for reason in reasons:
            if reason.is_failure:
                self._lost(f"broker {self._settings.address} refused our ack topic: {reason}")

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._lost(f"broker {self._settings.address} refused a message: {reason}")
        else:
            self._events.append(Taken(mid))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        leaf = message.topic.rpartition("/")[2]
        self._events.append(Received(bytes(message.payload), leaf))

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # In 3.1.1 the reason is paho's guess; that it ended is all that is known.
        self._lost(f"the connection to broker {self._settings.address} was lost")

    def _lost(self, reason: str) -> None:
        self._ready = False
        if not any(isinstance(event, Lost) for event in self._events):
            self._events.append(Lost(reason))

    def _why_not(self, error: OSError | ValueError) -> str:
        address = self._settings.address
        if isinstance(error, ConnectionRefusedError):
            return f"broker {address} refused the connection"
        if isinstance(error, socket.gaierror | ValueError):
            return f"broker {address}: its name cannot be resolved ({error})"
        if isinstance(error, TimeoutError):
            return f"broker {address} did not answer within {self._settings.connect_timeout_s:g} s"
        return f"broker {address} cannot be reached ({error.strerror or error})"


def drain(wake_fd: int) -> None:
    """Empty a wake-up eventfd, which may be empty already."""
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(wake_fd)
