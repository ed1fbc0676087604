r"""The envelope: a payload, who signed it, and the signature, in the same bytes over every transport. Pure.

    magic      4 bytes   89 54 47 31 ("\\x89TG1"; no JSON text and no zlib stream begins so)
    key id     8 bytes   the first of SHA-256 over the signing certificate's SubjectPublicKeyInfo (DER)
    signature  64 bytes  ECDSA over P-256 with SHA-256 (FIPS 186-5), r then s, big-endian
    payload    the rest  a hello, a batch, an ack, as `firmware.wire.messages` writes them

What is signed is not the payload alone but `signed_text`: with the device and the place it was said in, so that no
message can be moved to another branch, nor an ack to another device. The signature is over what was said, not
over the connection it came by: it survives a proxy that ends TLS, a broker, and a USB drive carried over a border.
This file must never make or check a signature: that takes a key, and a library that is not pure Python.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from firmware.model.jsontypes import RecordError

MAGIC: Final = b"\x89TG1"
KEY_ID_BYTES: Final = 8
SIGNATURE_BYTES: Final = 64
OVERHEAD_BYTES: Final = len(MAGIC) + KEY_ID_BYTES + SIGNATURE_BYTES
"""What an envelope adds to its payload: 76 bytes, one and a half for each record of a batch of 50."""
_CONTEXT: Final = b"tidegauge envelope 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A signed payload. `key_id` has 8 bytes, `signature` 64."""

    key_id: bytes
    signature: bytes
    payload: bytes


def key_id(public_key: bytes) -> bytes:
    """Return what names a key in an envelope; `public_key` is its SubjectPublicKeyInfo, DER."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def signed_text(*, device: str, leaf: str, payload: bytes) -> bytes:
    """Return the bytes to be signed: `leaf` is the place, as the topic's last word (`live`, `ack`, …)."""
    return b"\n".join((_CONTEXT, device.encode(), leaf.encode(), payload))


def seal(envelope: Envelope) -> bytes:
    """Return the envelope as it travels."""
    if len(envelope.key_id) != KEY_ID_BYTES or len(envelope.signature) != SIGNATURE_BYTES:
        raise ValueError("a key id has 8 bytes and a signature 64")
    return MAGIC + envelope.key_id + envelope.signature + envelope.payload


def is_sealed(data: bytes) -> bool:
    """Return whether `data` is an envelope, whole or cut short; a bare payload is not one."""
    return data.startswith(MAGIC)


def unseal(data: bytes) -> Envelope:
    """Read an envelope; nothing is verified. Raises `RecordError` where `data` is not one."""
    if not is_sealed(data):
        raise RecordError("envelope: it is not signed; allowed is an envelope that begins with 89 54 47 31")
    if len(data) < OVERHEAD_BYTES:
        raise RecordError(f"envelope: cut short at {len(data)} bytes; its head alone has {OVERHEAD_BYTES}")
    after_id = len(MAGIC) + KEY_ID_BYTES
    return Envelope(
        key_id=data[len(MAGIC) : after_id],
        signature=data[after_id:OVERHEAD_BYTES],
        payload=data[OVERHEAD_BYTES:],
    )
