r"""The token by which a measurement server knows a device of the fleet: signed with the device's own key. Pure.

    DEVICE.BASE64URL     BASE64URL is an envelope (`firmware.wire.envelope`) for the place `measure`, whose payload is
    {"v":1,"from":S,"until":S}     from and until when it counts: UTC, whole s, at most two days apart

A server needs only the certificates to check it, so that a stolen server gives nobody a token. It is sent over TLS alone,
as `Authorization: Bearer TOKEN` (RFC 6750). This file must never make or check a signature.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Final

from firmware.model.jsontypes import NewerVersionError, Reader, RecordError
from firmware.wire.envelope import Envelope, unseal
from firmware.wire.messages import DEVICE_PATTERN

LEAF: Final = "measure"
"""The place that a token is signed for: no message to a collector can be shown as one, nor the other way round."""
MAX_LIFETIME_S: Final = 2 * 24 * 3600
"""How long a token may count at most."""
MAX_CHARS: Final = 400
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementToken:
    """A token that was read, and not checked. `from_s` and `until_s` are UTC."""

    device: str
    envelope: Envelope
    from_s: int
    until_s: int


def payload(*, from_s: int, until_s: int) -> bytes:
    """Return what a device signs for the place `LEAF`. Raises `ValueError` for a span that no server takes."""
    if not 0 < until_s - from_s <= MAX_LIFETIME_S:
        raise ValueError(f"a token counts for more than 0 and at most {MAX_LIFETIME_S} s")
    return json.dumps({"v": VERSION, "from": from_s, "until": until_s}, separators=(",", ":")).encode()


def encode(device: str, envelope: bytes) -> str:
    """Return the token of `device`, whose signed payload `envelope` is."""
    return f"{device}.{base64.urlsafe_b64encode(envelope).rstrip(b'=').decode('ascii')}"


def decode(text: str) -> MeasurementToken:
    """Read a token; nothing is verified. Raises `RecordError`."""
    device, _, coded = text.partition(".")
    if len(text) > MAX_CHARS or not DEVICE_PATTERN.fullmatch(device):
        raise RecordError("token: allowed is DEVICE.BASE64URL")
    try:
        sealed = base64.b64decode(coded.encode("ascii") + b"=" * (-len(coded) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise RecordError("token: it is not base64url") from error
    envelope = unseal(sealed)
    reader = Reader.of_text(envelope.payload, where="token")
    if (version := reader.integer("v", low=1)) > VERSION:
        raise NewerVersionError(f"token: v: found {version}, but this software speaks {VERSION}")
    from_s = reader.integer("from", low=0, high=2**53)
    until_s = reader.integer("until", low=0, high=2**53)
    if not 0 < until_s - from_s <= MAX_LIFETIME_S:
        raise RecordError(
            f"token: it counts from {from_s} until {until_s}; allowed is at most {MAX_LIFETIME_S} s"
        )
    return MeasurementToken(device=device, envelope=envelope, from_s=from_s, until_s=until_s)
