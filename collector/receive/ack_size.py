"""An ack made to fit the ways it goes by: a broker cuts off whoever sends it a larger packet, and with it all acks. Pure.

What is left out was not said, so it is sent again, and answered then. It must never leave a reject out: the device would
take the record for stored.
"""

from dataclasses import replace
from typing import Final

from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack, encode_ack

MAX_ACK_BYTES: Final = 60 * 1024
"""Brokers and bundles take 64 KiB, topic and signature included. An honest batch's ack has a few hundred bytes."""
SHORT_REASON: Final = 40
NO_REASON: Final = "rejected"


def fitted(ack: Ack) -> bytes:
    """Return `ack` encoded: where it is too large with shorter reasons, then with none, then without the highest ranges."""
    text = encode_ack(ack)
    for short in (SHORT_REASON, 0):
        if len(text) > MAX_ACK_BYTES:
            rejects = (replace(one, reason=one.reason[:short] or NO_REASON) for one in ack.rejects)
            ack = replace(ack, rejects=tuple(rejects))
            text = encode_ack(ack)
    while len(text) > MAX_ACK_BYTES and ack.ranges:
        kept = len(ack.ranges.ranges) * 3 // 4
        ack = replace(ack, ranges=SeqRanges(ack.ranges.ranges[:kept]))
        text = encode_ack(ack)
    return text
