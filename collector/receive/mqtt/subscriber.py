"""The collector's ear at the broker: reads what devices publish into the inbox, and sends the acks.

One thread of its own does all that touches the connection; acks are handed to it from the ingest thread. It
stops reading while the inbox is full, and keeps answering the broker's keep-alive meanwhile. Its subscription
lives as long as its connection (clean session): what a broker holds for an absent collector proves nothing,
and a device sends again whatever was not acknowledged. It must never end because the broker did.
"""

import contextlib
import logging
import os
import random
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collector.errors import TrustError
from collector.messages import Delivery, OutgoingMessage
from collector.receive.inbox import Inbox
from firmware.net import backoff
from firmware.wire.messages import ROOT

SUBSCRIPTIONS: Final = ((f"{ROOT}/up/+/+", 1), (f"{ROOT}/st/+", 1))
KEEPALIVE_S: Final = 30
CONNECT_TIMEOUT_S: Final = 30.0
"""paho's own 5 s includes a TLS handshake, which on a poor line takes longer."""
FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 15.0
STABLE_S: Final = 10.0
"""A connection that stood this long was a good one: the next retry starts from the shortest wait again."""
MAX_ACKS_WAITING: Final = 10_000
"""Acks for a broker that does not take them are dropped past this: a device that misses one says hello."""

log = logging.getLogger("collector.receive.mqtt.subscriber")


class LinkState(StrEnum):
    """How the collector stands to the broker."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """Not connected; will try again."""


class Subscriber:
    """Runs from `start` to `stop`. `send` may be called from any thread.

    `tls` gives what a connection is made with, anew for each, so that a renewed certificate counts; None: plain.
    """

    def __init__(
        self,
        host: str,
        port: int,
        inbox: Inbox,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        on_state: Callable[[LinkState, str], None] = lambda _state, _message: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._host = host
        self._port = port
        self._inbox = inbox
        self._tls = tls
        self._on_state = on_state
        self._jitter = jitter
        self._acks: deque[OutgoingMessage] = deque(maxlen=MAX_ACKS_WAITING)
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="subscriber")
        self._subscribed = False
        self._lost = ""

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Send the acks that wait, disconnect and end."""
        self._stopping.set()
        self._wake()
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def send(self, answer: OutgoingMessage) -> None:
        """Send an ack as soon as may be; dropped when there is no connection (the device will ask again)."""
        if self._subscribed:
            self._acks.append(answer)
            self._wake()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._on_state(LinkState.CONNECTING, f"connecting to the broker at {self._host}:{self._port}")
            began_s = time.monotonic()
            try:
                reason = self._one_connection()
            except Exception as fault:
                # The outermost loop: a packet that paho chokes on costs this connection, not the collector.
                log.exception("the connection to the broker ended on a fault")
                reason = f"{type(fault).__name__}: {fault}"
            failures = 0 if time.monotonic() - began_s > STABLE_S else failures + 1
            if not self._stopping.is_set():
                wait_s = retry_wait_s(failures, self._jitter())
                self._on_state(
                    LinkState.WAITING, f"broker {self._host}:{self._port}: {reason}; again in {wait_s:.1f} s"
                )
                self._stopping.wait(wait_s)

    def _one_connection(self) -> str:
        """Serve one connection from its first byte to its last; return why it ended."""
        self._acks.clear()
        self._lost = ""
        try:
            client = self._client()
        except TrustError as error:
            return str(error)
        try:
            client.connect(self._host, self._port, keepalive=KEEPALIVE_S)
            while client.socket() is not None and not self._lost and not self._stopping.is_set():
                self._tick(client)
            if self._stopping.is_set() and self._subscribed:
                self._publish_acks(client)
                client.disconnect()
        except (OSError, ValueError) as error:
            return str(error)
        finally:
            self._subscribed = False
            _close(client)
        return self._lost or "connection closed"

    def _client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"collector-{os.urandom(8).hex()}",
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._tls is not None:
            client.tls_set_context(self._tls())
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _tick(self, client: Client) -> None:
        """Wait for the broker, an ack or the end, and do what is due."""
        sock = client.socket()
        if sock is None:
            return
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        room = self._inbox.has_room()
        events = (select.POLLIN if room else 0) | (select.POLLOUT if client.want_write() else 0)
        poll.register(sock, events)
        # What TLS holds already, no poll tells of.
        pending = room and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        # A full inbox is looked at again soon: ingest empties it without telling.
        ready = dict(poll.poll(0 if pending else 1000 if room else 20))
        if self._wake_read in ready:
            _drain(self._wake_read)
        state = ready.get(sock.fileno(), 0)
        if pending or state & (select.POLLIN | select.POLLHUP | select.POLLERR):
            client.loop_read()
        if state & select.POLLOUT:
            client.loop_write()
        self._publish_acks(client)
        client.loop_misc()

    def _publish_acks(self, client: Client) -> None:
        while self._acks and self._subscribed and client.socket() is not None and not client.want_write():
            ack = self._acks.popleft()
            client.publish(ack.topic, ack.payload, qos=0)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # It is awake already.
            os.write(self._wake_write, b"\0")

    def _on_connect(
        self,
        client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._lost = f"refused the collector: {reason}"
            return
        client.subscribe(list(SUBSCRIPTIONS))

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        _mid: int,
        reasons: Sequence[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._lost = f"refused the subscription: {', '.join(refused)}"
            return
        self._subscribed = True
        self._on_state(LinkState.CONNECTED, f"listening at the broker {self._host}:{self._port}")

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not Unicode)"
        self._inbox.put(Delivery(topic=topic, payload=bytes(message.payload), received_ns=time.time_ns()))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # paho says "Unspecified error" whenever the other side has simply gone.
        why = "" if str(reason) == "Unspecified error" else f" ({reason})"
        self._lost = self._lost or f"the connection was lost{why}"


def retry_wait_s(failures: int, jitter: float) -> float:
    """Return the wait before the next attempt, in seconds: `firmware.net.backoff`.

    `failures` connections in a row have failed or ended soon; `jitter` is 0 to 1.
    """
    return backoff.delay_s(failures + 1, lambda: jitter, base_s=FIRST_RETRY_S, cap_s=LONGEST_RETRY_S)


def _close(client: Client) -> None:
    sock = client.socket()
    if sock is not None:
        client.loop_write()
        sock.close()


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass
