"""Makes measurement servers' halves for the tests of the collector, signed as a server signs them."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from collector.store.server_halves import SignedHalf
from collector.trust.signing import Signer
from firmware.model.record import ClockQuality, ClockReading
from firmware.model.server_half import Direction, HalfEnd, ServerHalf
from firmware.wire.server_halves import HALF_LEAF, HalvesAccount, encode_half
from tests.collector.scripted_device import DEVICE

SERVER, LOG = "measurement", "9f1c04d27ab35e68"
SIGNER = Signer(key=ec.generate_private_key(ec.SECP256R1()), chain=b"")
"""A key that no authority knows."""


def nonce_of(number: int) -> str:
    return f"{number:032x}"


def signed_half(number: int, *, signer: Signer = SIGNER, **changes: Any) -> SignedHalf:
    """Return a half whose number, and whose nonce, is `number`, with changes to it."""
    given: dict[str, Any] = {
        "server": SERVER,
        "software": "tidegauge 1",
        "epoch": LOG,
        "number": number,
        "device": DEVICE,
        "nonce": nonce_of(number),
        "test": "download",
        "direction": Direction.DOWNLOAD,
        "boot_id": "b",
        "start": ClockReading(boottime_ns=1, utc_ns=number, quality=ClockQuality.UNSYNCHRONISED),
        "end": HalfEnd.DONE,
        **changes,
    }
    half = ServerHalf(**given)
    return SignedHalf(half=half, data=signer.sign(half.server, HALF_LEAF, encode_half(half)))


def account_of(last: int, *, epoch: str = LOG, evicted: int = 0) -> HalvesAccount:
    return HalvesAccount(epoch=epoch, last=last, evicted=evicted, unwritten=0, more=False)
