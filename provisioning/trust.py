"""The trust list as the authority makes it: which collectors count, from what was issued and revoked; signed.

By the issuing key as a rule; by the root's where that was stolen, since a list by the root outranks any other. It must
never give a number that was given before, and never leave out a revoked key that may still be believed somewhere.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from firmware.model.jsontypes import RecordError
from firmware.wire.trust_list import (
    FILE_NAME,
    MAX_KEYS,
    ListedKey,
    SignedList,
    TrustList,
    decode,
    decode_text,
    encode,
    encode_text,
    fingerprint,
    signed_text,
)
from provisioning.certificates import Key, pem
from provisioning.errors import BadRequestError, ProvisioningError

LIFETIME: Final = dt.timedelta(days=400)
"""How long a list counts: the longest cut seen lasted 87 days, and a device must outlast it with the list it has."""
SHORTEST_LIFETIME: Final = dt.timedelta(days=180)
RENEWED_AFTER: Final = dt.timedelta(days=30)
"""How old `tidegauge provision renew` lets the list become: with each one devices let go of what was delivered before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorKey:
    """A collector's certificate: its key, its name, since when, and when it was revoked (None: it counts)."""

    public: ec.EllipticCurvePublicKey
    name: str
    since: dt.datetime
    revoked: dt.datetime | None = None


def current(path: Path) -> TrustList | None:
    """Return the list in an authority's directory, None where there is none yet. Raises `ProvisioningError`."""
    file = path / FILE_NAME
    try:
        return decode_text(decode(file.read_bytes()).text)
    except FileNotFoundError:
        return None
    except RecordError as error:
        raise ProvisioningError(
            f"{file}: it cannot be read ({error}); move it away and make the next one with a number above its own: "
            "tidegauge provision trust --number N"
        ) from error


def make(
    keys: Iterable[CollectorKey], *, number: int, now: dt.datetime, lifetime: dt.timedelta = LIFETIME
) -> TrustList:
    """Return the list of `keys`. Raises `BadRequestError` where it could not outlast a cut, or is too long."""
    if lifetime < SHORTEST_LIFETIME:
        raise BadRequestError(
            f"a list for {lifetime.days} days would run out in a long cut, and devices then let go of nothing; "
            f"allowed is {SHORTEST_LIFETIME.days} days and more"
        )
    collectors: list[ListedKey] = []
    revoked: list[ListedKey] = []
    for one in keys:
        key = fingerprint(_info(one.public))
        since = one.since if one.revoked is None else one.revoked
        listed = ListedKey(key=key, name=one.name, since_utc_ns=_ns(since))
        (collectors if one.revoked is None else revoked).append(listed)
    if max(len(collectors), len(revoked)) > MAX_KEYS:
        raise BadRequestError(f"a list holds {MAX_KEYS} collectors and as many revoked keys at most")
    return TrustList(
        number=number,
        issued_utc_ns=_ns(now),
        not_after_utc_ns=_ns(now + lifetime),
        collectors=tuple(collectors),
        revoked=tuple(revoked),
    )


def signed(trust: TrustList, key: Key, *, issuing: x509.Certificate | None) -> bytes:
    """Return the list as it travels, signed with the key of `issuing`, or the root's where that is None."""
    text = encode_text(trust)
    r, s = decode_dss_signature(key.sign(signed_text(text), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return encode(SignedList(text=text, signature=signature, chain=b"" if issuing is None else pem(issuing)))


def _info(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _ns(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
