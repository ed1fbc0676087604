"""The trust list a device holds: verified against its root, taken only with a higher number, and never given back.

    DATA/identity/trust-list.json     the newest one it has seen, as `firmware.wire.trust_list` has it

A list by the root itself outranks any by an issuing key, and after one no other is taken: so an authority whose issuing
key was stolen can still be heard. It must never take an older list for a newer one's place, nor one by a certificate
that may not issue.
"""

import threading
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from appliance.identity.chains import leads_to, may_issue, parsed
from appliance.identity.files import IdentityError, IdentityFiles, read, write
from firmware.model.jsontypes import RecordError
from firmware.wire.trust_list import SignedList, TrustList, decode, decode_text, signed_text

_LOCK: Final = threading.Lock()
"""The sender and a USB drive may bring one at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldList:
    """The list that is held, or None before the first. `fault` says why the one there cannot be read: nobody counts then."""

    trust: TrustList | None = None
    by_root: bool = False
    fault: str = ""

    @property
    def number(self) -> int:
        """Its number, 0 for none."""
        return 0 if self.trust is None else self.trust.number

    @property
    def rank(self) -> tuple[bool, int]:
        """What a list must exceed to take its place."""
        return self.by_root, self.number


def verified(root: x509.Certificate, signed: SignedList) -> HeldList:
    """Return what a list says, if `root` vouches for it. Raises `RecordError`."""
    try:
        chain = [] if signed.is_by_root else parsed(signed.chain)
    except ValueError as error:
        raise RecordError(f"trust list: chain: not a certificate ({error})") from error
    signer = chain[0] if chain else root
    public = signer.public_key() if leads_to(root, chain) and may_issue(signer) else None
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise RecordError("trust list: it is not signed by our authority")
    r, s = (int.from_bytes(signed.signature[at : at + 32], "big") for at in (0, 32))
    try:
        public.verify(encode_dss_signature(r, s), signed_text(signed.text), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise RecordError("trust list: its signature does not hold") from error
    return HeldList(trust=decode_text(signed.text), by_root=signed.is_by_root)


def read_held(files: IdentityFiles, root: x509.Certificate) -> HeldList:
    """Return the list that is held."""
    if not files.trust_list.exists():
        return HeldList()
    try:
        return verified(root, decode(read(files.trust_list)))
    except (RecordError, IdentityError) as error:
        return HeldList(fault=str(error))


def read_held_of(files: IdentityFiles) -> HeldList:
    """Return the list that is held, for who only looks: it takes no key to read it."""
    try:
        return read_held(files, parsed(read(files.trust))[0])
    except (ValueError, IdentityError) as error:
        return HeldList(fault=str(error))


def take(files: IdentityFiles, root: x509.Certificate, data: bytes) -> HeldList | None:
    """Hold the list in `data` from now on; None where it is not newer. Raises `RecordError`, `IdentityError`."""
    found = verified(root, decode(data))
    with _LOCK:
        if found.rank <= read_held(files, root).rank:
            return None
        write(files.trust_list, data)
    return found
