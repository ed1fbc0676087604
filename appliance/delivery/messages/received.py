"""What the collector says to a device, by the last word of its topic; the same words whichever way it came."""

from dataclasses import dataclass
from typing import Final

from firmware.wire.trust_list import LEAF

ACK: Final = "ack"
"""The topic's last word of what collectors acknowledge by."""
CERTIFICATE: Final = "certificate"
"""… of the device's next certificate (PEM, unsigned: it proves itself)."""
TRUST: Final = LEAF
"""… of the authority's list of which collectors count (unsigned by the collector: it proves itself)."""
COLLECTOR: Final = "collector"
"""… of the collector's own certificate, in answer to `ask` (PEM, unsigned)."""


@dataclass(frozen=True, slots=True)
class Received:
    """The collector said something on our ack topic, or on another of ours: `leaf` is the topic's last word."""

    payload: bytes
    leaf: str = ACK
