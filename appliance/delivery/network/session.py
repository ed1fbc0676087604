"""One session with the collector at one endpoint: carries the policy's decisions out and tells it what came back.

It must never hold a record that is not in the outbox, and never let one go but on the collector's ack.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.messages.batches import (
    BYTES_A_RECORD_START,
    TooLarge,
    pack,
    pack_tombstones,
    read_bounds,
    tombstone_limit,
)
from appliance.delivery.messages.headline import with_headline
from appliance.delivery.messages.received import ACK, COLLECTOR, Received
from appliance.delivery.network.ended_epochs import PastEpochs
from appliance.delivery.network.https import HttpsLink
from appliance.delivery.network.link import Connected, Connection, Disconnected, Published, SyncSettings
from appliance.delivery.network.mqtt import MqttLink
from appliance.delivery.network.policy import BatchKind, GiveUp, SendBatch, SendHello, SyncPolicy, Wait
from appliance.delivery.network.reachability import is_silence
from appliance.delivery.network.tls_resumption import Resumption
from appliance.events import Event, OutboxChanged, SyncChanged, TransportTried, VantageNewsArrived
from appliance.outbox.box import ROUNDS_KEPT, Outbox, WaitingRow
from appliance.outbox.time_bounds import TimeBounds
from appliance.storage.errors import OutboxError
from appliance.storage.tables.delivered import Receipt
from appliance.transports import BROKEN_OFF, ConnectionAttempt, Endpoint, Transport
from firmware.model.failures import Failure
from firmware.model.jsontypes import RecordError
from firmware.net.loop import boottime_ns
from firmware.wire.messages import decode_ack, encode_hello
from firmware.wire.vantage_news import LEAF

_STEP_MAX_S: Final = 5.0
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSetup:
    """What a session is made with. `notify` must not block; `resumption` is kept from one to the next."""

    settings: SyncSettings
    authentication: MessageAuthentication
    software: str
    country: str
    notify: Callable[[Event], None]
    resumption: Resumption


class Session:
    """One session. `acks` counts the answers, `is_established` says whether we were ever let in.

    `was_silence` says that the try failed because nothing came back at all.
    """

    def __init__(self, setup: SessionSetup, endpoint: Endpoint, policy: SyncPolicy) -> None:
        self._settings = setup.settings
        self._authentication = setup.authentication
        self._endpoint = endpoint
        self._policy = policy
        self._software = setup.software
        self._country = setup.country
        self._notify = setup.notify
        self._resumption = setup.resumption
        self._batches: dict[int, int] = {}
        self._bytes_a_record = BYTES_A_RECORD_START
        self._ready = False
        self._hellos = 0
        self._hello_mid = 0
        self._not_named = 0
        self._past = PastEpochs(setup.software, setup.country)
        self._buried = False
        self._began_ns = 0
        self._told = False
        self._moments: TimeBounds | None = None
        self._answered = False
        self._in_doubt = False
        self._uncounted = ""
        self.acks = 0
        self.is_established = False
        self.was_silence = False

    def converse(self, outbox: Outbox, stopping: threading.Event, wake_fd: int) -> str:
        """Connect and converse until the connection ends; return why it did ("" when asked to stop)."""
        settings = self._settings
        self._notify(SyncChanged(state="connecting", message=f"connecting to {self._endpoint.named}"))
        self._began_ns = boottime_ns()
        self._moments = TimeBounds(outbox)
        self._authentication.now_low_ns = self._moments.now_low_ns
        self._go_by_list(outbox)
        link = self._link(outbox.device)
        try:
            events = link.open()
            until = time.monotonic() + settings.connect_timeout_s
            while not stopping.is_set():
                for event in events:
                    if isinstance(event, Disconnected):
                        self._tell_tried(event)
                        return event.reason
                    self._take(event, outbox, link)
                wait_s = min(_STEP_MAX_S, settings.keepalive_s / 4)
                if self._ready:
                    action = self._act(outbox, link)
                    if isinstance(action, GiveUp):
                        return f"{self._endpoint.named}: {action.reason}"
                    action = self._act_on_past(action, outbox, link)
                    if self._answered and self._bring_back(outbox):
                        action = Wait(time.monotonic())
                    for leaf, payload in self._authentication.unprompted(time.monotonic()):
                        self._say(link, leaf, payload)
                    if action.until is not None:
                        wait_s = min(wait_s, max(0.0, action.until - time.monotonic()))
                elif (left_s := until - time.monotonic()) > 0:
                    wait_s = min(wait_s, left_s)
                else:
                    reason = f"{self._endpoint.named} did not answer within {settings.connect_timeout_s:g} s"
                    self._tell_tried(Disconnected(reason, Failure.TIMEOUT, "mqtt_connect"))
                    return reason
                events = link.step(wait_s, wake_fd=wake_fd)
            return ""
        finally:
            link.close()
            self._resumption.ended(self._endpoint)

    def _link(self, device: str) -> Connection:
        identity = None if self._endpoint.transport is Transport.MQTT else self._authentication.identity
        if self._endpoint.transport is Transport.HTTPS:
            tls = None if identity is None else identity.tls()
            return HttpsLink(self._settings, self._endpoint, device=device, tls=tls)
        tls = None if identity is None else self._resumption.context(identity, self._endpoint)
        return MqttLink(self._settings, self._endpoint, device=device, tls=tls)

    def _take(self, event: Connected | Published | Received, outbox: Outbox, link: Connection) -> None:
        match event:
            case Connected():
                self._begin()
            case Published(mid) if mid == self._hello_mid:
                self._policy.hello_at_broker(time.monotonic())
            case Published(mid):
                self._policy.batch_at_broker(time.monotonic(), self._batches.pop(mid, 0))
            case Received(leaf=leaf):
                payload, replies = self._authentication.open(event)
                for reply_leaf, reply in replies:
                    self._say(link, reply_leaf, reply)
                if self._authentication.has_new_list:
                    self._take_list(outbox)
                if self._authentication.uncounted != self._uncounted:
                    self._tell_uncounted()
                if payload is not None and leaf == LEAF:
                    self._notify(VantageNewsArrived(payload=payload))
                elif payload is not None and leaf == ACK:
                    self._take_ack(outbox, payload)
                elif leaf == COLLECTOR:
                    for one in self._authentication.unread():
                        self._take(one, outbox, link)

    def _begin(self) -> None:
        self._ready = self.is_established = True
        self._resumption.established(self._endpoint)
        self._tell_tried(None)
        self._policy.connected(time.monotonic())
        self._notify(SyncChanged(state="connected", message=f"connected to {self._endpoint.named}"))

    def _tell_tried(self, lost: Disconnected | None) -> None:
        """Tell once what the attempt at this endpoint came to; what ends an established session is another matter."""
        if self._told:
            return
        self._told = True
        self.was_silence = lost is not None and is_silence(lost.failure, lost.operation)
        tried = ConnectionAttempt(
            endpoint=self._endpoint,
            failure=None if lost is None else lost.failure or BROKEN_OFF,
            operation="" if lost is None else lost.operation,
            start_boottime_ns=self._began_ns,
            runtime_ns=boottime_ns() - self._began_ns,
        )
        self._notify(TransportTried(tried=tried))

    def _say(self, link: Connection, leaf: str, payload: bytes) -> int:
        return link.publish(leaf, self._authentication.seal(leaf, payload))

    def _act(self, outbox: Outbox, link: Connection) -> Wait | GiveUp:
        """Do all that is due now, and return what is due next."""
        while True:
            hello = outbox.hello(software=self._software, country=self._country)
            now = time.monotonic()
            buried = bool(outbox.tombstones(1)) and not self._buried
            action = self._policy.next_action(now, waiting=hello.waiting + buried, high=hello.high)
            match action:
                case SendHello():
                    with contextlib.suppress(
                        OutboxError
                    ):  # a full disk must not keep anything from being sent
                        outbox.note_incarnation()
                    headed = with_headline(hello, outbox.recent_rounds(ROUNDS_KEPT))
                    headed = replace(headed, trust=self._authentication.list_number)
                    self._hello_mid = self._say(link, "hello", encode_hello(headed))
                    self._not_named = hello.ended_beyond
                    self._policy.hello_sent(now)
                    self._note_hello()
                case SendBatch():
                    self._send(outbox, link, action)
                case _:
                    return action

    def _act_on_past(self, action: Wait, outbox: Outbox, link: Connection) -> Wait:
        """Send what ended epochs left, once a collector answers; return what is due next of all."""
        if not self.acks:
            return action
        due = self._past.act(
            time.monotonic(),
            outbox,
            lambda leaf, payload: self._say(link, leaf, payload),
            max_bytes=self._policy.batch_bytes,
            timeout_s=self._policy.timeout_s,
            bytes_a_record=self._bytes_a_record,
        )
        if due is None or (action.until is not None and action.until <= due):
            return action
        return Wait(due)

    def _note_hello(self) -> None:
        self._hellos += 1
        if self._hellos == 2 and not self.acks:
            message = f"connected to {self._endpoint.named}, but no collector answers; all of it is kept"
            self._notify(SyncChanged(state="connected", message=message))

    def _send(self, outbox: Outbox, link: Connection, action: SendBatch) -> None:
        rows = _gather(outbox, action, self._bytes_a_record)
        tombstones = [] if self._buried else outbox.tombstones(tombstone_limit(action.max_bytes))
        if not rows and not tombstones:
            self._policy.nothing_found(action.kind)
            return
        if not rows:
            payload = pack_tombstones(
                tombstones, device=outbox.device, epoch=outbox.epoch, incarnation=outbox.incarnation
            )
            self._publish(link, action.kind, payload, (tombstones[-1].high,))
            self._buried = True
            return
        packed = pack(
            [(row.seq, row.body) for row in rows],
            device=outbox.device,
            epoch=outbox.epoch,
            max_bytes=action.max_bytes,
            bytes_a_record=self._bytes_a_record,
            tombstones=tombstones,
            incarnation=outbox.incarnation,
        )
        if isinstance(packed, TooLarge):
            outbox.quarantine(packed.seq, packed.reason)
            self._notify_counts(outbox)
            return
        self._bytes_a_record = packed.bytes_a_record
        told = tuple(one.high for one in tombstones[-1:])
        self._publish(link, action.kind, packed.payload, (*packed.seqs, *told))
        self._buried = self._buried or bool(tombstones)

    def _publish(self, link: Connection, kind: BatchKind, payload: bytes, seqs: tuple[int, ...]) -> None:
        mid = self._say(link, kind, payload)
        self._batches[mid] = self._policy.batch_sent(
            time.monotonic(), kind=kind, seqs=seqs, size=len(payload)
        )

    def _take_ack(self, outbox: Outbox, payload: bytes) -> None:
        try:
            ack = decode_ack(payload)
        except RecordError as error:
            _log.warning("an ack that cannot be read was ignored: %s", error)
            return
        self._buried = False
        receipt = self._receipt()
        if ack.epoch != outbox.epoch:
            if self._past.take(time.monotonic(), outbox, ack, receipt):
                self._notify_counts(outbox)
            self._name_the_rest(outbox)
            return
        if ack.conflict is not None and self._in_doubt:
            # It answers a hello that left out what only a collector that counts no longer was told: ask anew.
            self._in_doubt = False
            self._policy.ask(time.monotonic())
            return
        removed = outbox.acknowledge(ack, receipt)
        self._answered = True
        if outbox.epoch != ack.epoch:
            _log.warning(
                "another device answers to this one's name, or its card was copied: %s", outbox.epoch
            )
            self._policy.connected(time.monotonic())
            return
        self._policy.acked(time.monotonic(), ack)
        self.acks += 1
        if self.acks == 1 and self._hellos > 1:
            message = f"connected to {self._endpoint.named}; the collector answers again"
            self._notify(SyncChanged(state="connected", message=message))
        if removed:
            self._notify_counts(outbox)

    def _name_the_rest(self, outbox: Outbox) -> None:
        """Have a hello sent once it has room for every ended epoch: the collector counts those that none has named."""
        if self._not_named and not outbox.hello(software=self._software, country=self._country).ended_beyond:
            self._not_named = 0
            self._policy.ask(time.monotonic())

    def _receipt(self) -> Receipt | None:
        assert self._moments is not None
        return self._authentication.receipt(boot_id=self._moments.boot_id, boottime_ns=boottime_ns())

    def _go_by_list(self, outbox: Outbox) -> None:
        """Let the newest trust list decide about what was delivered; where the disk refuses, the next connection does."""
        identity, moments = self._authentication.identity, self._moments
        if identity is None or moments is None:
            return
        self._answered = False
        try:
            outbox.reclaim.settle(
                identity.held.trust, latest_ns=moments.latest_ns, now_low_ns=moments.now_low_ns
            )
        except OutboxError as error:
            _log.warning("what was delivered stays as it is: %s", error)
        self._in_doubt = outbox.reclaim.owes

    def _take_list(self, outbox: Outbox) -> None:
        self._authentication.has_new_list = False
        self._go_by_list(outbox)
        message = (
            f"connected to {self._endpoint.named}; trust list {self._authentication.list_number} has come"
        )
        if outbox.reclaim.owes:
            self._policy.ask(time.monotonic())
            message += ": what was delivered to a collector that counts no longer is sent again"
        self._notify(SyncChanged(state="connected", message=message))

    def _bring_back(self, outbox: Outbox) -> bool:
        """Let some of what is owed wait again; return whether any does."""
        if not outbox.reclaim.owes or not outbox.reclaim.bring_back():
            return False
        self._policy.more_waits()
        self._notify_counts(outbox)
        return True

    def _tell_uncounted(self) -> None:
        self._uncounted = self._authentication.uncounted
        if self._uncounted:
            message = (
                f"connected to {self._endpoint.named}; what it answers does not count, and all is kept: "
            )
            self._notify(SyncChanged(state="connected", message=message + self._uncounted))

    def _notify_counts(self, outbox: Outbox) -> None:
        counts = outbox.counts()
        self._notify(
            OutboxChanged(
                waiting=counts.waiting, acknowledged=counts.acknowledged, quarantined=counts.quarantined
            )
        )


def _gather(outbox: Outbox, action: SendBatch, bytes_a_record: float) -> list[WaitingRow]:
    """Read the rows of the spans, in order, until there is enough for one batch."""
    limit, room = read_bounds(action.max_bytes, bytes_a_record)
    rows: list[WaitingRow] = []
    for low, high in action.spans:
        if action.kind is BatchKind.LIVE:
            found = outbox.newest(limit - len(rows), below=high + 1, above=low - 1, max_bytes=room)
        else:
            found = outbox.oldest(limit - len(rows), above=low - 1, below=high + 1, max_bytes=room)
        rows += found
        room -= sum(len(row.body) for row in found)
        if len(rows) >= limit or room <= 0:
            break
    return rows
