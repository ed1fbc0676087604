"""One MQTT connection to the broker, plain, over TLS, or over WebSocket over TLS, as a list of what happened.

Each connection has a paho client of its own, so that nothing of the last one (its unacknowledged messages, its
in-flight count, its ping timer) can reach the next: paho keeps what was published while offline in memory
and sends it on reconnecting, whatever the application did since. None of paho's threads or loops is used, so its
own reconnecting, which has no jitter, never starts: the sender's thread polls, and calls loop_read, loop_write and
loop_misc. Publishing is possible only between `Connected` and `Disconnected`. 3.1.1 is the baseline; the broker's reason codes
are read on every acknowledgement all the same.
"""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, WebsocketConnectionError
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.delivery.messages.received import ACK, CERTIFICATE, COLLECTOR, TRUST, Received
from appliance.delivery.network.link import Connected, ConnectionEvent, Disconnected, Published, SyncSettings
from appliance.threads import drain
from appliance.transports import BROKEN_OFF, Endpoint, Transport
from firmware.model.failures import UNKNOWN_PREFIX, Failure, from_os_error
from firmware.wire.messages import Presence, encode_presence, topic
from firmware.wire.vantage_news import LEAF as NEWS

GOODBYE_S: Final = 1.0
OTHERS: Final = (NEWS, CERTIFICATE, COLLECTOR, TRUST)
"""What else is listened to; without it a device only knows less."""
_ONLINE: Final = encode_presence(Presence(online=True))
_OFFLINE: Final = encode_presence(Presence(online=False))


class MqttLink:
    """One connection along `endpoint`; used from one thread. `open`, then `step` until it gives `Disconnected`, then `close`.

    `tls` is what to make it with, for the ways that are encrypted.
    """

    def __init__(
        self, settings: SyncSettings, endpoint: Endpoint, *, device: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._device = device
        self._events: list[ConnectionEvent] = []
        self._ready = False
        self._ack_subscription: int | None = None
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=device,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            transport="websockets" if endpoint.transport is Transport.WSS else "tcp",
            reconnect_on_failure=False,
        )
        if endpoint.transport is Transport.WSS:
            client.ws_set_options(path=endpoint.path or "/mqtt")
        if tls is not None:
            client.tls_set_context(tls)
        client.connect_timeout = settings.connect_timeout_s
        client.max_inflight_messages = (
            0  # The policy's window is the bound; paho's would hide a second queue.
        )
        client.will_set(topic(device, "st", ""), _OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect

    def open(self) -> list[ConnectionEvent]:
        """Connect to the broker: blocks up to the connect time-out (for each of the name's addresses).

        Return `Disconnected` when that failed. Otherwise the broker's answer comes from `step`.
        """
        endpoint = self._endpoint
        try:
            code = self._client.connect(endpoint.host, endpoint.port, keepalive=self._settings.keepalive_s)
        except (OSError, ValueError) as error:
            return [self._why_not(error)]
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return [Disconnected(f"{endpoint.named} closed the connection at once", Failure.EOF, "connect")]
        return []

    def step(self, timeout_s: float, *, wake_fd: int) -> list[ConnectionEvent]:
        """Wait for the broker or for `wake_fd`, at most `timeout_s`; do what is due; return what happened."""
        sock = self._client.socket()
        if sock is not None:
            self._serve(sock.fileno(), timeout_s, wake_fd)
        elif not self._events:
            self._lost(f"the connection to {self._endpoint.named} was lost")
        events, self._events = self._events, []
        return events

    def publish(self, leaf: str, payload: bytes) -> int:
        """Publish on our upward branch with QoS 1 and return the message's id, which `Published` will carry.

        Without a connection nothing is given to paho, which would keep it in memory, and the id is 0: the next
        `step` says `Disconnected`.
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
            self._say_goodbye()
        with contextlib.suppress(OSError):
            sock.close()

    def _say_goodbye(self) -> None:
        """Say that we go offline, and wait a moment until the broker has it.

        Best effort: if it does not take it, our last will says the same. Something unread at the close would turn
        it into a reset, and the broker might then read neither.
        """
        mid = self._client.publish(topic(self._device, "st", ""), _OFFLINE, qos=1, retain=True).mid
        until = time.monotonic() + GOODBYE_S
        while Published(mid) not in self._events and (left_s := until - time.monotonic()) > 0:
            sock = self._client.socket()
            if sock is None:
                return
            wanted = [sock] if self._client.want_write() else []
            readable, writable, _ = select.select([sock], wanted, [], 0 if self._pending() else left_s)
            if writable:
                self._client.loop_write()
            if readable or self._pending():
                self._read()
        self._client.disconnect()

    def _serve(self, fd: int, timeout_s: float, wake_fd: int) -> None:
        poller = select.poll()
        poller.register(fd, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poller.register(wake_fd, select.POLLIN)
        # Rounded up, so that a moment just ahead is not polled for again and again.
        pending = self._pending()
        ready = dict(poller.poll(0 if pending else int(timeout_s * 1000) + 1))
        if wake_fd in ready:
            drain(wake_fd)
        state = ready.get(fd, 0)
        if pending or state & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._read()
        if state & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()

    def _read(self) -> None:
        """Read until nothing comes any more: what TLS or a WebSocket frame holds already, no poll tells of."""
        while True:
            told = len(self._events)
            self._client.loop_read()
            if len(self._events) == told and not self._pending():
                return

    def _pending(self) -> bool:
        # paho's WebSocket has the TLS socket inside, and tells what it holds.
        pending = getattr(self._client.socket(), "pending", None)
        return pending is not None and pending() > 0

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._lost(f"{self._endpoint.named} refused this device: {reason}")
            return
        self._ready = True
        _, self._ack_subscription = client.subscribe(topic(self._device, "dn", ACK), qos=0)
        for leaf in OTHERS:
            client.subscribe(topic(self._device, "dn", leaf), qos=0)
        client.publish(topic(self._device, "st", ""), _ONLINE, qos=1, retain=True)
        self._events.append(Connected())

    def _on_subscribe(
        self,
        _client: Client,
        _data: Any,
        mid: int,
        reasons: Sequence[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if mid != self._ack_subscription:
            return  # without news of the vantage a device only knows less
        for reason in reasons:
            if reason.is_failure:
                self._lost(f"{self._endpoint.named} refused our ack topic: {reason}")

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._lost(f"{self._endpoint.named} refused a message: {reason}")
        else:
            self._events.append(Published(mid))

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
        self._lost(f"the connection to {self._endpoint.named} was lost")

    def _lost(self, reason: str, failure: str = BROKEN_OFF) -> None:
        self._ready = False
        if not any(isinstance(event, Disconnected) for event in self._events):
            self._events.append(Disconnected(reason, failure, "mqtt_connect"))

    def _why_not(self, error: OSError | ValueError) -> Disconnected:
        named = self._endpoint.named
        if isinstance(error, WebsocketConnectionError):
            said = f"{named} does not speak MQTT over WebSocket ({error})"
            return Disconnected(said, Failure.HTTP_REQUEST_FAILED, "websocket_handshake")
        if isinstance(error, ssl.SSLError):
            why = getattr(error, "verify_message", "") or error.reason or error
            return Disconnected(
                f"{named}: no secure connection ({why})", from_os_error(error), "tls_handshake"
            )
        if isinstance(error, socket.gaierror | ValueError):
            said = f"{named}: its name cannot be resolved ({error})"
            return Disconnected(said, resolve_failure(error), "resolve")
        failure = from_os_error(error)
        if isinstance(error, ConnectionRefusedError):
            return Disconnected(f"{named} refused the connection", failure, "connect")
        if isinstance(error, TimeoutError):
            said = f"{named} did not answer within {self._settings.connect_timeout_s:g} s"
            return Disconnected(said, failure, "connect")
        return Disconnected(f"{named} cannot be reached ({error.strerror or error})", failure, "connect")


def resolve_failure(error: OSError | ValueError) -> str:
    """Return the failure word for what getaddrinfo said (OONI's for its own getaddrinfo)."""
    match getattr(error, "errno", None):
        case socket.EAI_NONAME:
            return Failure.DNS_NXDOMAIN
        case socket.EAI_NODATA:
            return Failure.DNS_NO_ANSWER
        case socket.EAI_AGAIN:
            return Failure.DNS_TEMPORARY_FAILURE
        case socket.EAI_FAIL:
            return Failure.DNS_NON_RECOVERABLE
        case _:
            return f"{UNKNOWN_PREFIX}{error}"
