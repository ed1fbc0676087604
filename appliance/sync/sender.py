"""The sender: a thread that brings the outbox to the collector and lets a record go only on the collector's ack.

It does what `appliance.sync.policy` decides, over an `MqttLink`, with an outbox connection of its own. It must
never hold a record that is not in the outbox, and never stop the measuring: whatever fails here becomes a
`SyncChanged` that says what, and when the next try is.
"""

import contextlib
import logging
import math
import os
import random
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from appliance.errors import ApplianceError
from appliance.events import ControlHeard, Event, OutboxChanged, SyncChanged
from appliance.outbox.box import Outbox, Row
from appliance.outbox.file import OutboxError
from appliance.sync.link import ACK, Lost, MqttLink, Ready, Received, SyncSettings, Taken, drain
from appliance.sync.packing import (
    BYTES_A_RECORD_START,
    TooLarge,
    pack,
    pack_tombstones,
    read_bounds,
    tombstone_limit,
)
from appliance.sync.past import PastEpochs
from appliance.sync.policy import GiveUp, Kind, SendBatch, SendHello, SyncPolicy, Wait, reconnect_delay_s
from firmware.control_news import LEAF
from firmware.exchange import decode_ack, encode_hello
from firmware.jsontypes import RecordError

STEADY_S: Final = 60.0
"""A connection that lasted this long, or brought an ack, starts the reconnect delays anew."""
_STEP_MAX_S: Final = 5.0
_log: Final = logging.getLogger(__name__)


class Sync:
    """The sender of one outbox. `start` it once; `wake` it after every append; `stop` it.

    `notify` is called from the sender's thread with `SyncChanged` and `OutboxChanged`; it must not block.
    `software` and `country` go into the hello. `random` gives numbers in [0, 1) for the reconnect delays.
    All methods here may be called from any thread.
    """

    def __init__(
        self,
        settings: SyncSettings,
        outbox: Outbox,
        *,
        software: str,
        country: str,
        notify: Callable[[Event], None],
        random: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._software = software
        self._country = country
        self._notify = notify
        self._random = random
        self._stopping = threading.Event()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new in the outbox."""
        with self._wake_lock:
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def stop(self, *, timeout_s: float = 5.0) -> bool:
        """Say goodbye to the broker and end; return whether that was done in time.

        A name lookup or a connect under way cannot be interrupted: then the thread is left to end with the
        process, which is safe, since all it holds is in the outbox.
        """
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        with self._wake_lock:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1
        return True

    def _run(self) -> None:
        policy = SyncPolicy()
        failures = 0
        while not self._stopping.is_set():
            talk = _Talk(
                self._settings, policy, software=self._software, country=self._country, notify=self._notify
            )
            began = time.monotonic()
            reason = self._talk(talk)
            if self._stopping.is_set():
                break
            worked = talk.acks > 0 or time.monotonic() - began >= STEADY_S
            failures = 1 if worked else failures + 1
            self._pause(reason, reconnect_delay_s(failures, self._random, cap_s=self._settings.retry_max_s))
        self._notify(
            SyncChanged(state="off", message="sending has stopped; what waits is kept in the outbox")
        )

    def _talk(self, talk: "_Talk") -> str:
        """Hold one connection until it ends, and return why it did."""
        try:
            with self._outbox.again() as outbox:
                return talk.hold(outbox, self._stopping, self._wake_fd)
        except ApplianceError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the outermost loop: a fault must not end sending for good
            _log.exception("sending failed")
            return f"sending failed on a fault of this program ({error!r})"

    def _pause(self, reason: str, delay_s: float) -> None:
        self._notify(
            SyncChanged(
                state="waiting",
                message=f"{reason}; next try in {max(1, math.ceil(delay_s))} s; measuring goes on",
            )
        )
        until = time.monotonic() + delay_s
        while not self._stopping.is_set() and (left_s := until - time.monotonic()) > 0:
            # New records wake us too, and change nothing: the broker is given its time.
            select.select([self._wake_fd], [], [], left_s)
            drain(self._wake_fd)


class _Talk:
    """One connection's conversation: carries the policy's decisions out and tells it what came back."""

    def __init__(
        self,
        settings: SyncSettings,
        policy: SyncPolicy,
        *,
        software: str,
        country: str,
        notify: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._software = software
        self._country = country
        self._notify = notify
        self._batches: dict[int, int] = {}
        self._bytes_a_record = BYTES_A_RECORD_START
        self._ready = False
        self._hellos = 0
        self._past = PastEpochs(software, country)
        self._buried = False
        self.acks = 0

    def hold(self, outbox: Outbox, stopping: threading.Event, wake_fd: int) -> str:
        """Connect and converse until the connection ends; return why it did ("" when asked to stop)."""
        settings = self._settings
        self._notify(SyncChanged(state="connecting", message=f"connecting to broker {settings.address}"))
        link = MqttLink(settings, device=outbox.device)
        try:
            events = link.open()
            until = time.monotonic() + settings.connect_timeout_s
            while not stopping.is_set():
                for event in events:
                    match event:
                        case Lost(reason):
                            return reason
                        case Ready():
                            self._begin()
                        case Taken(mid):
                            self._policy.batch_at_broker(time.monotonic(), self._batches.pop(mid, 0))
                        case Received(payload, leaf):
                            self._hear(outbox, payload, leaf)
                wait_s = min(_STEP_MAX_S, settings.keepalive_s / 4)
                if self._ready:
                    action = self._act(outbox, link)
                    if isinstance(action, GiveUp):
                        return f"broker {settings.address}: {action.reason}"
                    action = self._act_on_past(action, outbox, link)
                    if action.until is not None:
                        wait_s = min(wait_s, max(0.0, action.until - time.monotonic()))
                elif (left_s := until - time.monotonic()) > 0:
                    wait_s = min(wait_s, left_s)
                else:
                    return f"broker {settings.address} did not answer within {settings.connect_timeout_s:g} s"
                events = link.step(wait_s, wake_fd=wake_fd)
            return ""
        finally:
            link.close()

    def _begin(self) -> None:
        self._ready = True
        self._policy.connected(time.monotonic())
        self._notify(SyncChanged(state="connected", message=f"connected to broker {self._settings.address}"))

    def _act(self, outbox: Outbox, link: MqttLink) -> Wait | GiveUp:
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
                        outbox.note_run()
                    link.publish("hello", encode_hello(hello))
                    self._policy.hello_sent(now)
                    self._note_hello()
                case SendBatch():
                    self._send(outbox, link, action)
                case _:
                    return action

    def _act_on_past(self, action: Wait, outbox: Outbox, link: MqttLink) -> Wait:
        """Send what ended epochs left, once a collector answers; return what is due next of all."""
        if not self.acks:
            return action
        due = self._past.act(
            time.monotonic(),
            outbox,
            link.publish,
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
            message = (
                f"connected to broker {self._settings.address}, but no collector answers; all of it is kept"
            )
            self._notify(SyncChanged(state="connected", message=message))

    def _send(self, outbox: Outbox, link: MqttLink, action: SendBatch) -> None:
        rows = _gather(outbox, action, self._bytes_a_record)
        tombstones = [] if self._buried else outbox.tombstones(tombstone_limit(action.max_bytes))
        if not rows and not tombstones:
            self._policy.nothing_found(action.kind)
            return
        if not rows:
            payload = pack_tombstones(tombstones, device=outbox.device, epoch=outbox.epoch)
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
        )
        if isinstance(packed, TooLarge):
            outbox.quarantine(packed.seq, packed.reason)
            self._notify_counts(outbox)
            return
        self._bytes_a_record = packed.bytes_a_record
        told = tuple(one.high for one in tombstones[-1:])
        self._publish(link, action.kind, packed.payload, (*packed.seqs, *told))
        self._buried = self._buried or bool(tombstones)

    def _publish(self, link: MqttLink, kind: Kind, payload: bytes, seqs: tuple[int, ...]) -> None:
        mid = link.publish(kind, payload)
        self._batches[mid] = self._policy.batch_sent(time.monotonic(), kind=kind, seqs=seqs)

    def _hear(self, outbox: Outbox, payload: bytes, leaf: str) -> None:
        if leaf == LEAF:
            self._notify(ControlHeard(payload=payload))
        elif leaf == ACK:
            self._take_ack(outbox, payload)

    def _take_ack(self, outbox: Outbox, payload: bytes) -> None:
        try:
            ack = decode_ack(payload)
        except RecordError as error:
            _log.warning("an ack that cannot be read was ignored: %s", error)
            return
        self._buried = False
        if ack.epoch != outbox.epoch:
            if self._past.take(time.monotonic(), outbox, ack):
                self._notify_counts(outbox)
            return
        removed = outbox.acknowledge(ack)
        if outbox.epoch != ack.epoch:
            _log.warning(
                "another device answers to this one's name, or its card was copied: %s", outbox.epoch
            )
            self._policy.connected(time.monotonic())
            return
        self._policy.acked(time.monotonic(), ack)
        self.acks += 1
        if self.acks == 1 and self._hellos > 1:
            message = f"connected to broker {self._settings.address}; the collector answers again"
            self._notify(SyncChanged(state="connected", message=message))
        if removed:
            self._notify_counts(outbox)

    def _notify_counts(self, outbox: Outbox) -> None:
        counts = outbox.counts()
        self._notify(
            OutboxChanged(
                waiting=counts.waiting, acknowledged=counts.acknowledged, quarantined=counts.quarantined
            )
        )


def _gather(outbox: Outbox, action: SendBatch, bytes_a_record: float) -> list[Row]:
    """Read the rows of the spans, in order, until there is enough for one batch."""
    limit, room = read_bounds(action.max_bytes, bytes_a_record)
    rows: list[Row] = []
    for low, high in action.spans:
        if action.kind is Kind.LIVE:
            found = outbox.newest(limit - len(rows), below=high + 1, above=low - 1, max_bytes=room)
        else:
            found = outbox.oldest(limit - len(rows), above=low - 1, below=high + 1, max_bytes=room)
        rows += found
        room -= sum(len(row.body) for row in found)
        if len(rows) >= limit or room <= 0:
            break
    return rows
