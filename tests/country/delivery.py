"""How a device's records reach the collector on the virtual clock: its outbox and the collector's store are the product's.

Simplified, and said so: one endpoint instead of three, one connection that stands until its path fails, batches of 40
records one after the other (a hello, the newest or the oldest in turn, an ack), each as late as its round trips and its
bytes make it. The product's full-jitter back-off (`firmware.net.backoff`) is called; its probe every 3 s while the
outside is gone, and its prompt try when told that the link is back, have its times. Messages are packed, validated,
committed and acknowledged by the product's code. This file must never decide what is stored.
"""

import random
from collections.abc import Callable
from typing import Any, Final, Protocol

from appliance.delivery.network.policy import RECONNECT_BASE_S, RECONNECT_CAP_S
from appliance.events import Event, VantageNewsArrived
from appliance.outbox.box import Outbox
from firmware.net import backoff
from tests.country import hosts as far
from tests.country.internet import Internet
from tests.country.passages import Flow
from tests.country.rules import Kind
from tests.country.virtual_time import Agenda

_PORT: Final = 443
_CONNECT_S: Final = 20.0
_KEEPALIVE_S: Final = 60.0
_DEAD_S: Final = 30.0
"""A batch that is not through by then ends the connection."""
_PROBE_S: Final = 3.0
_BACK_S: Final = 2.0
_BATCH_BYTES: Final = 3_000
_SEGMENT: Final = 1_400


class Intake(Protocol):
    """What a device's delivery needs of the collector."""

    def converse(self, outbox: Outbox) -> bool:
        """Take a hello and a batch; return whether anything more waits."""

    def presence(self, device: str, *, online: bool, take_news: Callable[[bytes], None] | None) -> None:
        """Take note that a device is connected, and how news reaches it, or that it is not any more."""


class Delivery:
    """In the place of a device's sender."""

    outbox: Outbox

    def __init__(
        self, *, home: int, device: str, internet: Internet, agenda: Agenda, intake: Intake, seed: str
    ) -> None:
        self._home = home
        self._device = device
        self._internet = internet
        self._agenda = agenda
        self._intake = intake
        self._rng = random.Random(f"{seed}/delivery")
        self._notify: Callable[[Event], None] = lambda _event: None
        self._flow: Flow | None = None
        self._is_gone = False
        self._is_busy = False
        self._failures = 0
        self._is_new = True
        """Whether nothing has been tried since the daemon began."""
        self._number = 0
        """Of the try or the connection that counts: what an earlier one left on the agenda does nothing."""

    def started(self, *_: Any, notify: Callable[[Event], None], **__: Any) -> "Delivery":
        """Take the place of a sender that is made."""
        self._notify = notify
        self._is_new, self._is_gone, self._failures = True, False, 0
        return self

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the collector."""
        return self._flow is not None

    def start(self) -> None:
        """Begin to connect."""

    def stop(self) -> None:
        """Nothing: there is no thread."""

    def power_off(self) -> None:
        """End the connection, if there is one; the collector's broker finds out."""
        self._cut()
        self._number += 1
        self._is_busy = False

    def wake(self) -> None:
        """Take note of new records."""
        if self._flow is not None:
            self._send()
        elif self._is_new:
            self._is_new = False
            self._try_in(0.0)

    def link_is_gone(self) -> None:
        """Take note that the outside is gone: probe, instead of backing off."""
        if not self._is_gone:
            self._is_gone = True
            if self._flow is None:
                self._try_in(_PROBE_S)

    def link_is_back(self) -> None:
        """Take note that something outside answers."""
        was_gone, self._is_gone = self._is_gone, False
        if self._flow is None and (was_gone or self._failures):
            self._failures = 0
            self._try_in(_BACK_S * self._rng.random())

    def _try_in(self, wait_s: float) -> None:
        self._number += 1
        number = self._number
        self._agenda.after(wait_s, lambda: self._try(number))

    def _try(self, number: int) -> None:
        if number != self._number or self._flow is not None:
            return
        now_s = self._agenda.clock.since_s
        wait_s = _PROBE_S if self._is_gone else _CONNECT_S
        server = self._internet.hosts.by_name[far.COLLECTOR]
        told, flow = self._internet.connect(self._home, server.addresses[0], _PORT, now_s, now_s + wait_s)
        self._agenda.at(round(told.at_s * 1e9), lambda: self._tried(number, flow))

    def _tried(self, number: int, flow: Flow | None) -> None:
        if number != self._number:
            return
        if flow is None:
            self._failures += 1
            self._try_in(
                0.0
                if self._is_gone
                else backoff.delay_s(
                    self._failures, self._rng.random, base_s=RECONNECT_BASE_S, cap_s=RECONNECT_CAP_S
                )
            )
            return
        self._failures, self._flow = 0, flow
        self._intake.presence(self._device, online=True, take_news=self._take_news)
        self._send()
        self._keep_alive(number)

    def _take_news(self, payload: bytes) -> None:
        """Take what the collector tells of its vantage, if it gets here."""
        if self._flow is not None and self._round_trip(len(payload)) is not None:
            self._notify(VantageNewsArrived(payload=payload))

    def _send(self) -> None:
        """Send a hello and a batch; what is stored is stored when they are through."""
        if self._is_busy or self._flow is None:
            return
        through_s = self._round_trip(_BATCH_BYTES)
        self._is_busy = True
        number = self._number
        if through_s is None:
            self._agenda.after(_DEAD_S, lambda: self._lost(number))
        else:
            self._agenda.at(round(through_s * 1e9), lambda: self._sent(number))

    def _sent(self, number: int) -> None:
        self._is_busy = False
        if number == self._number and self._intake.converse(self.outbox):
            self._send()

    def _lost(self, number: int) -> None:
        self._is_busy = False
        if number == self._number:
            self._cut()
            self._try_in(self._rng.random())

    def _keep_alive(self, number: int) -> None:
        if number != self._number or self._flow is None:
            return
        if not self._is_busy and self._round_trip(2) is None:
            self._agenda.after(_DEAD_S, lambda: self._lost(number))
            return
        self._agenda.after(_KEEPALIVE_S, lambda: self._keep_alive(number))

    def _round_trip(self, size: int) -> float | None:
        """Return when `size` bytes are through and answered for; None where they are not in time."""
        assert self._flow is not None
        now_s = self._agenda.clock.since_s
        until_s, at_s = now_s + _DEAD_S, now_s
        for place in range(0, size, _SEGMENT):
            sent = min(_SEGMENT, size - place)
            passage = self._internet.ask(
                self._flow, Kind.DATA, sent, name=far.COLLECTOR, now_s=now_s, deadline_s=until_s
            )
            if passage.arrives_s is None:
                return None
            at_s = max(at_s, passage.arrives_s)
        back = self._internet.answer(self._flow, (60,), at_s, until_s)
        return back.segments[0][0] if back.complete else None

    def _cut(self) -> None:
        if self._flow is not None:
            self._flow = None
            self._intake.presence(self._device, online=False, take_news=None)
