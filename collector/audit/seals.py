"""Whether a kept message was signed by whom it says, at a time when that key counted.

A key counts from its issue on, also after its certificate has run out (`collector.trust.registry` says why); what came
after its revocation does not. Without a registry nothing is checked, and the audit says so.
"""

from typing import Final

from collector.trust.registry import LOOK_AGAIN_S, Registry
from firmware.model.jsontypes import RecordError
from firmware.wire.envelope import is_sealed, unseal

_NS: Final = 1_000_000_000
REVOCATION_SLACK_S: Final = 60.0
"""A revocation counts at the collector after `LOOK_AGAIN_S`; between two machines' clocks there may be more."""


class Seals:
    """Checks signatures by `registry`; None: there is none."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry

    @property
    def checked(self) -> bool:
        """Return whether signatures are checked at all."""
        return self._registry is not None

    def devices(self) -> frozenset[str]:
        """Return every device that a key was ever issued to; none without a registry. Raises `TrustError`."""
        return frozenset() if self._registry is None else self._registry.devices()

    def fault(self, device: str, leaf: str, data: bytes, received_ns: int) -> str:
        """Return what is wrong with a message's signature, "" where nothing is. Raises `TrustError`."""
        if self._registry is None:
            return ""
        try:
            envelope = unseal(data)
        except RecordError as error:
            return f"not signed ({error})"
        known = self._registry.key(envelope.key_id)
        if known is None:
            return f"signed with a key that was never issued here ({envelope.key_id.hex()})"
        if known.device != device:
            return f"signed by {known.device}"
        if not known.signed(leaf, envelope):
            return "its signature does not hold: the message or the signature was changed"
        slack_s = LOOK_AGAIN_S + REVOCATION_SLACK_S
        if known.revoked_s is not None and received_ns > (known.revoked_s + slack_s) * _NS:
            return f"signed with a key that had been revoked by then ({known.revoked or 'no reason given'})"
        return ""


def payload_of(data: bytes) -> bytes:
    """Return what a message says, without its signature if it has one. Raises `RecordError`."""
    return unseal(data).payload if is_sealed(data) else data
