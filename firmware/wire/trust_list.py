"""The trust list: which collectors count, and which keys no longer do; numbered, signed by the authority. Pure.

    {"v": 1, "text": "…", "signature": "<128 hex>", "chain": "<PEM>"}     the file, and the message on p1/dn/<device>/trust
    text = {"v": 1, "number": 7, "issued": UTC, "not_after": UTC,
            "collectors": [[key, name, since], …], "revoked": [[key, name, since], …]}

`text` is what is signed, byte for byte (`signed_text`), with ECDSA over P-256 as in `firmware.wire.envelope`; `chain` is the
issuing certificate that signed it, empty where the root itself did. A key is named by the whole SHA-256 of its
SubjectPublicKeyInfo. What is listed is all that counts: a certificate that the authority issued and does not list
counts for nobody who has a list. Why a key was revoked is not in it: whoever finds a device could read it.

This file must never make or check a signature: that takes a library that is not pure Python.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from firmware.model.jsontypes import JsonObject, JsonValue, NewerVersionError, Reader, RecordError

LEAF: Final = "trust"
"""The topic's last word under which a collector hands it on."""
FILE_NAME: Final = "trust-list.json"
"""What the file is called: in the authority's directory, in an identity, and on a USB drive."""
MAX_BYTES: Final = 60 * 1024
MAX_KEYS: Final = 200
"""Collectors that count, and revoked keys: at most so many of each."""
VERSION: Final = 1
_KEY_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE_PATTERN: Final = re.compile(r"[0-9a-f]{128}")
_MAX_NAME: Final = 64
_CONTEXT: Final = b"tidegauge trust list 1\n"
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A collector's key (64 hex digits), whose it is, and since when it counts, or counts no longer."""

    key: str
    name: str
    since_utc_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """What the authority says of collectors, as of `issued_utc_ns`; past `not_after_utc_ns` nobody counts by it."""

    number: int
    issued_utc_ns: int
    not_after_utc_ns: int
    collectors: tuple[ListedKey, ...] = ()
    revoked: tuple[ListedKey, ...] = ()
    _counting: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        gone = {one.key for one in self.revoked}
        counting = frozenset(one.key for one in self.collectors if one.key not in gone)
        object.__setattr__(self, "_counting", counting)

    @property
    def counting(self) -> int:
        """How many collectors count."""
        return len(self._counting)

    def counts(self, key: str) -> bool:
        """Return whether `key`, or the key whose first 16 digits these are, is a collector's that counts."""
        return any(one.startswith(key) for one in self._counting) if len(key) >= 16 else False

    def is_revoked(self, key: str) -> bool:
        """Return whether `key` was revoked; one that is in neither list was not, and does not count either."""
        return any(one.key == key for one in self.revoked)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedList:
    """A list as it travels. `signature` has 64 bytes; `chain` is PEM, b"" where the root signed."""

    text: bytes
    signature: bytes
    chain: bytes = b""

    @property
    def is_by_root(self) -> bool:
        """Return whether the root is said to have signed it."""
        return not self.chain


def fingerprint(public_key: bytes) -> str:
    """Return what names a key in a list; `public_key` is its SubjectPublicKeyInfo, DER."""
    return hashlib.sha256(public_key).hexdigest()


def signed_text(text: bytes) -> bytes:
    """Return the bytes to be signed."""
    return _CONTEXT + text


def encode_text(trust: TrustList) -> bytes:
    """Return the part that is signed."""
    return json.dumps(
        {
            "v": VERSION,
            "number": trust.number,
            "issued": _moment(trust.issued_utc_ns),
            "not_after": _moment(trust.not_after_utc_ns),
            "collectors": [[one.key, one.name, _moment(one.since_utc_ns)] for one in trust.collectors],
            "revoked": [[one.key, one.name, _moment(one.since_utc_ns)] for one in trust.revoked],
        },
        separators=(",", ":"),
    ).encode()


def decode_text(text: bytes) -> TrustList:
    """Read the part that is signed. Raises `RecordError`."""
    reader = _reader(text)
    issued, not_after = _ns(reader.text("issued")), _ns(reader.text("not_after"))
    if not_after <= issued:
        raise RecordError("trust list: it ends before it begins")
    return TrustList(
        number=reader.integer("number", low=1, high=2**53),
        issued_utc_ns=issued,
        not_after_utc_ns=not_after,
        collectors=_keys(reader, "collectors"),
        revoked=_keys(reader, "revoked"),
    )


def encode(signed: SignedList) -> bytes:
    """Return the list as it travels."""
    value: JsonObject = {
        "v": VERSION,
        "text": signed.text.decode(),
        "signature": signed.signature.hex(),
        "chain": signed.chain.decode(),
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def decode(data: bytes) -> SignedList:
    """Read a list as it travels; nothing is verified. Raises `RecordError`."""
    if len(data) > MAX_BYTES:
        raise RecordError(f"trust list: {len(data):,} bytes; allowed is {MAX_BYTES:,}")
    reader = _reader(data)
    signature = reader.text("signature")
    if not _SIGNATURE_PATTERN.fullmatch(signature):
        raise RecordError(
            f"trust list: signature: found {signature[:40]!r}; allowed is {_SIGNATURE_PATTERN.pattern}"
        )
    try:
        text, chain = reader.text("text").encode(), reader.text("chain").encode("ascii")
    except UnicodeError as error:
        raise RecordError("trust list: text that is not Unicode") from error
    return SignedList(text=text, signature=bytes.fromhex(signature), chain=chain)


def _reader(data: bytes) -> Reader:
    reader = Reader.of_text(data, where="trust list")
    if (version := reader.integer("v", low=1)) > VERSION:
        raise NewerVersionError(f"trust list: v: found {version}, but this software speaks {VERSION}")
    return reader


def _keys(reader: Reader, name: str) -> tuple[ListedKey, ...]:
    items = reader.array(name)
    if len(items) > MAX_KEYS:
        raise RecordError(f"trust list: {name}: found {len(items)}; allowed is {MAX_KEYS}")
    return tuple(_key(item, name) for item in items)


def _key(item: JsonValue, name: str) -> ListedKey:
    match item:
        case [str(key), str(whose), str(since)] if _KEY_PATTERN.fullmatch(key) and len(whose) <= _MAX_NAME:
            return ListedKey(key=key, name=whose, since_utc_ns=_ns(since))
        case _:
            raise RecordError(
                f"trust list: {name}: found {str(item)[:100]}; allowed is [64 hex digits, a name, a time]"
            )


def _moment(utc_ns: int) -> str:
    return datetime.fromtimestamp(utc_ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ns(text: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()) * _NS
    except ValueError as error:
        raise RecordError(
            f"trust list: found {text[:40]!r}; allowed is a time as 2026-11-29T12:00:00Z"
        ) from error
