r"""Servers' halves as they travel from a measurement server to a collector, and how a collector asks for them. Pure.

    half      an envelope of the server's for the place `half`: zlib over the JSON of `firmware.model.server_half`
    asking    Authorization: Bearer BASE64URL, an envelope of the collector's for the *server's* name and the place `halves`:
              {"v":1,"from":S,"until":S,"epoch":HEX,"upto":N}
              what is up to N in the log HEX is stored durably: let go of it, and give what follows
    answer    a bundle (`firmware.wire.bundle`): halves, ascending, and last the `account`, an envelope of the server's:
              {"v":1,"epoch":HEX,"last":N,"evicted":N,"unwritten":N,"more":true}

What a collector asks is signed for one server, so that a server that was taken cannot ask another in its name. Each half is
signed by itself when it is written: it proves who said it wherever it is kept. This file must never make or check a signature.
"""

import base64
import binascii
import json
import re
import zlib
from dataclasses import dataclass
from typing import Final

from firmware.model import server_half
from firmware.model.jsontypes import NewerVersionError, Reader, RecordError
from firmware.model.server_half import ServerHalf
from firmware.wire.envelope import Envelope, unseal

HALF_LEAF: Final = "half"
ASKING_LEAF: Final = "halves"
ACCOUNT_LEAF: Final = "account"
VERSION: Final = 1
HALVES_PATH: Final = "/v1/halves"
"""Where a server is asked for them."""
MAX_JSON_BYTES: Final = 64 * 1024
"""What a half's JSON has at most: more is not unpacked."""
MAX_LIFETIME_S: Final = 600
"""How long what a collector asks may count."""
MAX_CHARS: Final = 1000
_EPOCH: Final = re.compile(r"(?:[0-9a-f]{16})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvesAsked:
    """What a collector has of a server's log, and when its asking counts (UTC, s). `epoch` "": it has none."""

    from_s: int
    until_s: int
    epoch: str = ""
    upto: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvesAccount:
    """How a server's log stands: `last` was written last; `evicted` for want of room; `unwritten` could not be written."""

    epoch: str
    last: int
    evicted: int
    unwritten: int
    more: bool


def encode_half(half: ServerHalf) -> bytes:
    """Return what a server signs for the place `HALF_LEAF`."""
    text = json.dumps(server_half.to_json(half), separators=(",", ":"))
    return zlib.compress(text.encode())


def half_text(payload: bytes) -> str:
    """Return the JSON text of a half that was signed. Raises `RecordError`."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(payload, MAX_JSON_BYTES)
        if not unpacking.eof:
            raise RecordError(f"server's half: cut short, or more than {MAX_JSON_BYTES} bytes")
        return text.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise RecordError(f"server's half: it cannot be unpacked ({error})") from error


def decode_half(payload: bytes) -> ServerHalf:
    """Read a half; nothing is verified. Raises `RecordError`."""
    try:
        return server_half.from_json(json.loads(half_text(payload)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"server's half: not JSON ({error})") from error


def encode_asked(asked: HalvesAsked) -> bytes:
    """Return what a collector signs for a server's name and the place `ASKING_LEAF`."""
    return json.dumps(
        {
            "v": VERSION,
            "from": asked.from_s,
            "until": asked.until_s,
            "epoch": asked.epoch,
            "upto": asked.upto,
        },
        separators=(",", ":"),
    ).encode()


def bearer(envelope: bytes) -> str:
    """Return the text that stands as the bearer's token; `envelope` is what `encode_asked` gave, signed."""
    return base64.urlsafe_b64encode(envelope).rstrip(b"=").decode("ascii")


def decode_bearer(text: str) -> tuple[Envelope, HalvesAsked]:
    """Read what a collector asks; nothing is verified. Raises `RecordError`."""
    if len(text) > MAX_CHARS:
        raise RecordError("halves: too long")
    try:
        sealed = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise RecordError("halves: not base64url") from error
    envelope = unseal(sealed)
    reader = _reader(envelope.payload, "halves")
    asked = HalvesAsked(
        from_s=reader.integer("from", low=0),
        until_s=reader.integer("until", low=0),
        epoch=_epoch(reader),
        upto=reader.integer("upto", low=0),
    )
    if not 0 < asked.until_s - asked.from_s <= MAX_LIFETIME_S:
        raise RecordError(f"halves: allowed is at most {MAX_LIFETIME_S} s from `from` to `until`")
    return envelope, asked


def encode_account(account: HalvesAccount) -> bytes:
    """Return what a server signs for the place `ACCOUNT_LEAF`."""
    return json.dumps(
        {
            "v": VERSION,
            "epoch": account.epoch,
            "last": account.last,
            "evicted": account.evicted,
            "unwritten": account.unwritten,
            "more": account.more,
        },
        separators=(",", ":"),
    ).encode()


def decode_account(payload: bytes) -> HalvesAccount:
    """Read an account; nothing is verified. Raises `RecordError`."""
    reader = _reader(payload, "account")
    return HalvesAccount(
        epoch=_epoch(reader),
        last=reader.integer("last", low=0),
        evicted=reader.integer("evicted", low=0),
        unwritten=reader.integer("unwritten", low=0),
        more=reader.raw("more") is True,
    )


def _reader(payload: bytes, where: str) -> Reader:
    reader = Reader.of_text(payload, where=where)
    if (version := reader.integer("v", low=1)) > VERSION:
        raise NewerVersionError(f"{where}: v: found {version}, but this software speaks {VERSION}")
    return reader


def _epoch(reader: Reader) -> str:
    epoch = reader.text("epoch")
    if not _EPOCH.fullmatch(epoch):
        raise RecordError("epoch: allowed are 16 of the digits 0-9 and a-f")
    return epoch
