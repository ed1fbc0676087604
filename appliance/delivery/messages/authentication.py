"""How this device speaks and whom it hears: signed where it has an identity, plain where it has none.

Upwards everything is put into an envelope. Downwards nothing counts that no collector of our authority signed, but for
two certificates, which prove themselves. A collector that is not known yet is asked who it is, once a connection, and
what it said meanwhile is heard then: on a slow line seconds would pass until it said that again. The next certificate is asked for when it is time.

It must never let an unsigned ack through to a device that has an identity, nor one by a collector that the device's
trust list does not name, nor any once that list has run out by what the device is sure of.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.delivery.messages.received import ACK, CERTIFICATE, COLLECTOR, TRUST, Received
from appliance.errors import ApplianceError
from appliance.identity import renewal
from appliance.identity.identity import DeviceIdentity, UncountedSignerError, UnknownSignerError
from appliance.storage.tables.delivered import Receipt
from firmware.model.jsontypes import RecordError
from firmware.wire.envelope import unseal

MAX_UNREAD: Final = 8
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class MessageAuthentication:
    """One connection's. `identity` None: there is none. `clock_is_sure` says whether the wall clock is synchronised."""

    identity: DeviceIdentity | None
    clock_is_sure: Callable[[], bool] = lambda: False
    now_low_ns: Callable[[], int] = lambda: 0
    uncounted: str = ""
    """Why the last ack that did not count did not, "" where it did: to be told."""
    has_new_list: bool = False
    """A newer trust list has come; whoever goes by it sets this back."""
    _signed_by: str = ""
    _asked: bool = False
    _met: bool = False
    _unread: list[Received] = field(default_factory=list)
    _renewal_asked_s: float = field(default=-1e9)

    def seal(self, leaf: str, payload: bytes) -> bytes:
        """Return a payload as it goes out."""
        return payload if self.identity is None else self.identity.sign(leaf, payload)

    @property
    def list_number(self) -> int | None:
        """The number of the trust list that is held, 0 for none; None without an identity."""
        return None if self.identity is None else self.identity.held.number

    def receipt(self, *, boot_id: str, boottime_ns: int) -> Receipt | None:
        """Return whose word the last message heard was, None where nothing is signed."""
        identity = self.identity
        if identity is None:
            return None
        return Receipt(
            key=self._signed_by, number=identity.held.number, boot_id=boot_id, boottime_ns=boottime_ns
        )

    def unprompted(self, now_s: float) -> Iterator[tuple[str, bytes]]:
        """Yield what is to be said beside records: the request for the next certificate, when it is due."""
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

    def open(self, received: Received) -> tuple[bytes | None, tuple[tuple[str, bytes], ...]]:
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
                case leaf if leaf == TRUST:
                    self.has_new_list = identity.take_list(received.payload) is not None or self.has_new_list
                    return None, ()
                case leaf:
                    return self._opened(identity, leaf, received.payload), ()
        except UnknownSignerError as error:
            if self._met:
                _log.warning("an answer was ignored: %s", error)
                return None, ()
            self._unread = [*self._unread, received][-MAX_UNREAD:]
            asked, self._asked = self._asked, True
            return None, () if asked else (("ask", b""),)
        except UncountedSignerError as error:
            if received.leaf == ACK and self.uncounted != str(error):
                _log.warning("an answer was ignored: %s", error)
                self.uncounted = str(error)
            return None, ()
        except (RecordError, ApplianceError) as error:
            _log.warning("a message was ignored: %s", error)
            return None, ()

    def _opened(self, identity: DeviceIdentity, leaf: str, data: bytes) -> bytes:
        payload = identity.open(leaf, data)
        if leaf == ACK:
            trust = identity.held.trust
            if trust is not None and self.now_low_ns() > trust.not_after_utc_ns:
                raise UncountedSignerError(
                    f"trust list {trust.number} has run out: nothing is let go of until there is a newer one"
                )
            self.uncounted = ""
        self._signed_by = unseal(data).key_id.hex()
        return payload

    def unread(self) -> list[Received]:
        """Return what could not be read for want of a certificate, to be heard anew once one has come."""
        unread, self._unread = self._unread, []
        return unread if self._met else []
