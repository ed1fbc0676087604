"""The sender: a thread that brings the outbox to the collector and lets a record go only on the collector's ack.

It does what `appliance.delivery.network.policy` decides, along the first of the ways (`appliance.transports`) that stands, with an outbox
connection of its own; what each try came to is told. It must never hold a record that is not in the outbox, and never stop the measuring: whatever fails here becomes a
`SyncChanged` that says what, and when the next try is.
"""

import contextlib
import logging
import math
import random
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.pace import Pace
from appliance.delivery.network.policy import SyncPolicy, reconnect_delay_s
from appliance.delivery.network.reachability import EVERY_S, ReachabilityProbe
from appliance.delivery.network.session import Session, SessionSetup
from appliance.delivery.network.tls_resumption import Resumption
from appliance.errors import ApplianceError
from appliance.events import Event, SyncChanged
from appliance.identity.identity import DeviceIdentity
from appliance.outbox.box import Outbox
from appliance.threads import WakeableThread, drain
from appliance.transports import endpoints

RETURN_JITTER_S: Final = 2.0
"""Within this after the outside has come back it is tried again: a country's devices do not return at one moment."""
PATIENCE_S: Final = 8.0
"""While the outside is gone, how long a connect is waited for: with SYNs at 1, 3 and 7 s the way is tried all along."""
STEADY_S: Final = 60.0
"""A connection that lasted this long, or brought an ack, starts the reconnect delays anew."""
FREE_TRIES: Final = 1
"""So many tries may fail before the delays grow: what cut a connection often meets the next try as well."""
_log: Final = logging.getLogger(__name__)


class Sync:
    """The sender of one outbox. `start` it once; `wake` it after every append; `stop` it.

    `notify` is called from the sender's thread with `SyncChanged` and `OutboxChanged`; it must not block.
    `software` and `country` go into the hello. `identity` gives the device's, or None, and is asked before each try, so
    that one installed meanwhile counts. `random` gives numbers in [0, 1) for the reconnect delays.
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
        identity: Callable[[], DeviceIdentity | None] = lambda: None,
        clock_is_sure: Callable[[], bool] = lambda: False,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._software = software
        self._country = country
        self._notify = notify
        self._identity = identity
        self._clock_is_sure = clock_is_sure
        self._random = random
        self._resumption = Resumption()
        self._gone = threading.Event()
        self._back = threading.Event()
        self._thread = WakeableThread(self._run, name="sync")

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new in the outbox."""
        self._thread.wake()

    def link_is_gone(self) -> None:
        """Say that the outside does not answer: until it does, it is probed instead of backed away from."""
        self._back.clear()
        self._gone.set()

    def link_is_back(self) -> None:
        """Say that the outside answers again: if the collector was waited for, it is tried within moments."""
        if self._gone.is_set():
            self._gone.clear()
            self._back.set()
            self.wake()

    def stop(self, *, timeout_s: float = 5.0) -> bool:
        """Say goodbye to the broker and end; return whether that was done in time.

        A name lookup or a connect under way cannot be interrupted: then the thread is left to end with the
        process, which is safe, since all it holds is in the outbox.
        """
        return self._thread.stop(timeout_s)

    def _run(self) -> None:
        policy = SyncPolicy(pace=Pace(keepalive_s=self._settings.keepalive_s))
        failures = 0
        probe = ReachabilityProbe(self._settings.host, self._door_port())
        while not self._thread.stopping.is_set():
            began = time.monotonic()
            reason, acks, silent = self._attempt(policy)
            if self._thread.stopping.is_set():
                break
            if acks:
                self._back.clear()
            if (port := self._door_port()) != probe.port:  # an identity was installed meanwhile
                probe = ReachabilityProbe(self._settings.host, port)
            worked = acks > 0 or time.monotonic() - began >= STEADY_S
            failures = 1 if worked else failures + 1
            delay_s = reconnect_delay_s(
                max(1, failures - FREE_TRIES), self._random, cap_s=self._settings.retry_max_s
            )
            self._pause(reason, delay_s, probe if silent else None)
        probe.cancel()
        self._notify(
            SyncChanged(state="off", message="sending has stopped; what waits is kept in the outbox")
        )

    def _door_port(self) -> int:
        ports = self._settings.ports
        has_identity = self._has_identity()
        return next(
            (endpoint.port for endpoint in endpoints("", ports, has_identity=has_identity)), ports.mqtt
        )

    def _has_identity(self) -> bool:
        with contextlib.suppress(ApplianceError):
            return self._identity() is not None
        return False

    def _attempt(self, policy: SyncPolicy) -> tuple[str, int, bool]:
        """Try the endpoints in order, and hold a session with the first that is established.

        Return why it ended, how many acks came, and whether nothing at all came back.
        """
        settings, reasons = self._settings, []
        try:
            authentication = MessageAuthentication(self._identity(), self._clock_is_sure)
        except ApplianceError as error:
            return str(error), 0, False
        if self._gone.is_set():
            settings = replace(settings, connect_timeout_s=min(PATIENCE_S, settings.connect_timeout_s))
        silent = True
        setup = SessionSetup(
            settings=settings,
            authentication=authentication,
            software=self._software,
            country=self._country,
            notify=self._notify,
            resumption=self._resumption,
        )
        has_identity = authentication.identity is not None
        for endpoint in endpoints(
            settings.host, settings.ports, has_identity=has_identity, path=settings.path
        ):
            session = Session(setup, endpoint, policy)
            reason = self._session(session)
            if session.is_established or self._thread.stopping.is_set():
                return reason, session.acks, False
            reasons.append(reason)
            silent = silent and session.was_silence
        return "; ".join(reasons), 0, silent

    def _session(self, session: Session) -> str:
        """Hold one connection until it ends, and return why it did."""
        try:
            with self._outbox.clone() as outbox:
                return session.converse(outbox, self._thread.stopping, self._thread.wake_fd)
        except ApplianceError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the outermost loop: a fault must not end sending for good
            _log.exception("sending failed")
            return f"sending failed on a fault of this program ({error!r})"

    def _pause(self, reason: str, delay_s: float, probe: ReachabilityProbe | None) -> None:
        """Wait for the next try; with a `probe`, while the outside is gone, probe there and go when it is answered."""
        probing: socket.socket | None = None
        if probe is not None and self._gone.is_set():
            probing = probe.send(time.monotonic())
            if probing is not None:
                # A try may take long to fail, and a SYN is on its way less often meanwhile.
                delay_s = max(delay_s, self._settings.retry_max_s)
        self._notify(
            SyncChanged(
                state="waiting",
                message=f"{reason}; next try in {max(1, math.ceil(delay_s))} s; measuring goes on",
            )
        )
        until = time.monotonic() + delay_s
        probe_at = time.monotonic() + EVERY_S
        while not self._thread.stopping.is_set() and (left_s := until - time.monotonic()) > 0:
            if self._back.is_set():
                self._back.clear()
                until = min(until, time.monotonic() + self._random() * RETURN_JITTER_S)
                probe, probing = None, None
                continue
            if probe is not None and self._gone.is_set():
                if time.monotonic() >= probe_at:
                    probe_at = time.monotonic() + EVERY_S
                    probing = probe.send(time.monotonic())
                left_s = min(left_s, max(0.0, probe_at - time.monotonic()))
            # New records wake us too, and change nothing: the broker is given its time.
            _, answered, _ = select.select([self._thread.wake_fd], [probing] if probing else [], [], left_s)
            drain(self._thread.wake_fd)
            if answered and probe is not None:
                probing = None
                if probe.is_answered():
                    self.link_is_back()
        if probe is not None:
            probe.cancel()
