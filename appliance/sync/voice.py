"""How this device speaks and whom it hears: signed where it has an identity, plain where it has none.

Upwards everything is put into an envelope. Downwards nothing counts that no collector of our authority signed, but for
two certificates, which prove themselves. A collector that is not known yet is asked who it is, once a connection, and
what it said meanwhile is heard then: on a slow line seconds would pass until it said that again. The next certificate is asked for when it is time. It must never let an unsigned ack through to a device that has an identity.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.errors import ApplianceError
from appliance.identity import renewal
from appliance.identity.identity import Identity, UnknownSignerError
from appliance.sync.link import CERTIFICATE, COLLECTOR, Received
from firmware.jsontypes import RecordError

MAX_UNREAD: Final = 8
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Voice:
    """One connection's. `identity` None: there is none. `clock_is_sure` says whether the wall clock is synchronised."""

    identity: Identity | None
    clock_is_sure: Callable[[], bool] = lambda: False
    _asked: bool = False
    _met: bool = False
    _unread: list[Received] = field(default_factory=list)
    _renewal_asked_s: float = field(default=-1e9)

    def said(self, leaf: str, payload: bytes) -> bytes:
        """Return a payload as it goes out."""
        return payload if self.identity is None else self.identity.sign(leaf, payload)

    def unprompted(self, now_s: float) -> Iterator[tuple[str, bytes]]:
        """Give what is to be said beside records: the request for the next certificate, when it is due."""
        identity = self.identity
        if identity is None or now_s - self._renewal_asked_s < renewal.ASK_AGAIN_S:
            return
        self._renewal_asked_s = now_s
        before, after = renewal.span_of(identity.certificate)
        sure = self.clock_is_sure()
        if renewal.is_due(time.time_ns(), clock_is_sure=sure, not_before=before, not_after=after):
            try:
                yield "renew", renewal.request(identity.files, device=identity.device)
            except ApplianceError as error:
                _log.warning("the next certificate cannot be asked for: %s", error)

    def heard(self, received: Received) -> tuple[bytes | None, tuple[tuple[str, bytes], ...]]:
        """Return what a message says, None if it does not count, and what is to be said to it."""
        identity = self.identity
        if identity is None:
            return received.payload, ()
        try:
            match received.leaf:
                case leaf if leaf == CERTIFICATE:
                    self.identity = renewal.take(identity, received.payload) or identity
                    return None, ()
                case leaf if leaf == COLLECTOR:
                    identity.meet_collector(received.payload)
                    self._met = True
                    return None, ()
                case leaf:
                    return identity.open(leaf, received.payload), ()
        except UnknownSignerError as error:
            if self._met:
                _log.warning("an answer was ignored: %s", error)
                return None, ()
            self._unread = [*self._unread, received][-MAX_UNREAD:]
            asked, self._asked = self._asked, True
            return None, () if asked else (("ask", b""),)
        except (RecordError, ApplianceError) as error:
            _log.warning("a message was ignored: %s", error)
            return None, ()

    def unread(self) -> list[Received]:
        """Return what could not be read for want of a certificate, to be heard anew once one has come."""
        unread, self._unread = self._unread, []
        return unread if self._met else []
