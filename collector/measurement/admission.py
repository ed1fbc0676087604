"""Who may measure here: a token that a device's key in force has signed, and the sentences for all others.

What is not a token of the fleet is told one sentence, whatever is wrong with it: an onlooker learns nothing of whom we know. This
file must never let a device in of which the authority's directory says nothing, or that it was revoked.
"""

from collections import OrderedDict
from typing import Final

from collector.errors import TrustError
from collector.measurement.refusals import refused
from collector.trust.registry import Registry
from firmware.model.jsontypes import RecordError
from firmware.wire.measurement_token import LEAF, decode

EARLY_S: Final = 3600
"""How far ahead of ours a device's clock may be."""
KEPT: Final = 4096
"""Tokens whose signature was found good: a device shows one many times."""

NOBODY: Final = "nothing is served here without a token of the fleet"


class Admission:
    """Checks tokens against what `registry` says now."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._good: OrderedDict[str, bytes] = OrderedDict()
        """Of each token the key that had signed it."""

    def device(self, token: str, *, utc_s: float) -> str:
        """Return whose token this is. Raises `RefusedError`."""
        if not token:
            raise refused(401, NOBODY)
        try:
            read = decode(token)
            if self._good.get(token) != read.envelope.key_id or self._is_gone(read.envelope.key_id):
                self._good.pop(token, None)
                self._registry.verify(read.device, LEAF, read.envelope)
                self._good[token] = read.envelope.key_id
                if len(self._good) > KEPT:
                    self._good.popitem(last=False)
        except RecordError as error:
            raise refused(401, NOBODY) from error
        except TrustError as error:
            raise refused(503, "who may measure cannot be read here at present", retry_after_s=60) from error
        if not read.from_s - EARLY_S <= utc_s < read.until_s:
            # Only a device of ours comes so far; the Date of this answer tells it what its clock is off by.
            raise refused(
                403, f"this token counts from {read.from_s} until {read.until_s}; here it is {int(utc_s)}"
            )
        return read.device

    def _is_gone(self, key_id: bytes) -> bool:
        known = self._registry.key(key_id)
        return known is None or known.revoked is not None
