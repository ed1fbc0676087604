"""A device's identity at work: it signs what is said upwards, and believes downwards only what a collector signed.

The certificates of collectors are checked against the root the device was given, by the `cryptography` library, and
where the device holds a trust list (`appliance.identity.trusted`) nobody counts who is not in it. The dates of
certificates play no part: a device's clock may be years off. A list's end does, by what the device is sure of.
This file must never use a key for anything but `firmware.wire.envelope.signed_text`, a request, and TLS.
"""

import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import NameOID

from appliance.identity import trusted
from appliance.identity.chains import leads_to, parsed, split
from appliance.identity.files import IdentityError, IdentityFiles, read, write
from appliance.identity.trusted import HeldList
from firmware.model.jsontypes import RecordError
from firmware.wire import measurement_token
from firmware.wire.envelope import Envelope, seal, signed_text, unseal
from firmware.wire.envelope import key_id as envelope_key_id
from firmware.wire.trust_list import TrustList, fingerprint

_P256: Final = ec.ECDSA(hashes.SHA256())
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (OpenSSL, X509_VERIFY_PARAM_set_flags(3)): Python has no name for it."""
_COLLECTOR: Final = "collector"
MAX_COLLECTORS: Final = 16


class UnknownSignerError(RecordError):
    """It is signed with a key no collector has shown us: ask for its certificate."""


class UncountedSignerError(RecordError):
    """It is signed by a collector that does not count, or counts no longer."""


@dataclass(slots=True)
class DeviceIdentity:
    """The device `device`'s identity as its files hold it. Belongs to one thread."""

    device: str
    files: IdentityFiles
    _key: ec.EllipticCurvePrivateKey
    _key_id: bytes
    _root: x509.Certificate
    certificate: x509.Certificate
    collectors: dict[bytes, ec.EllipticCurvePublicKey] = field(default_factory=dict)
    _held: HeldList = field(default_factory=HeldList)
    _held_as: tuple[int, int] | None = None

    @classmethod
    def load(cls, files: IdentityFiles, *, device: str) -> Self:
        """Read the identity of `device`. Raises `IdentityError` where its parts do not belong together."""
        parts = (read(files.key), read(files.certificate), read(files.trust))
        identity = cls.of(files, *parts, device=device)
        if files.collectors.exists():
            for one in _bundles(read(files.collectors)):
                with contextlib.suppress(RecordError):
                    identity.believe(one)
        return identity

    @classmethod
    def of(
        cls, files: IdentityFiles, key_pem: bytes, chain_pem: bytes, trust_pem: bytes, *, device: str
    ) -> Self:
        """Return the identity that these parts make for `device`. Raises `IdentityError` where they make none."""
        key = parse_key(files, key_pem, files.key.name)
        chain = _certificates(files, chain_pem, files.certificate.name)
        root = _certificates(files, trust_pem, files.trust.name)[0]
        leaf = chain[0]
        if leaf.public_key() != key.public_key():
            raise _misfit(files, "key.pem is not the key of certificate.pem")
        if _name(leaf) != device:
            raise _misfit(
                files, f"certificate.pem is for device {_name(leaf)[:60]}, and this is device {device}"
            )
        if not leads_to(root, chain):
            raise _misfit(files, "certificate.pem was not issued under trust.pem")
        return cls(device, files, key, key_id(key.public_key()), root, leaf)

    def sign(self, leaf: str, payload: bytes) -> bytes:
        """Return `payload` in an envelope, as it goes to the topic whose last word is `leaf`."""
        der = self._key.sign(signed_text(device=self.device, leaf=leaf, payload=payload), _P256)
        r, s = decode_dss_signature(der)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return seal(Envelope(key_id=self._key_id, signature=signature, payload=payload))

    def measurement_token(self, now_s: int, *, lasts_s: int = measurement_token.MAX_LIFETIME_S) -> str:
        """Return what a measurement server knows this device by, from `now_s` (UTC) on. Raises `ValueError` for a span that none takes."""
        signed = measurement_token.payload(from_s=now_s, until_s=now_s + lasts_s)
        return measurement_token.encode(self.device, self.sign(measurement_token.LEAF, signed))

    def open(self, leaf: str, data: bytes) -> bytes:
        """Return what a collector that counts signed for this device and `leaf`.

        Raises `UnknownSignerError`, `UncountedSignerError`, `RecordError`.
        """
        envelope = unseal(data)
        public = self.collectors.get(envelope.key_id)
        if public is None:
            raise UnknownSignerError(f"{leaf}: signed with a key that is not known ({envelope.key_id.hex()})")
        refusal = self._refusal(public)
        if refusal:
            raise UncountedSignerError(f"{leaf}: {refusal}")
        text = signed_text(device=self.device, leaf=leaf, payload=envelope.payload)
        r, s = (int.from_bytes(envelope.signature[at : at + 32], "big") for at in (0, 32))
        try:
            public.verify(encode_dss_signature(r, s), text, _P256)
        except InvalidSignature as error:
            raise RecordError(f"{leaf}: the collector's signature does not hold") from error
        return envelope.payload

    @property
    def held(self) -> HeldList:
        """The trust list that is held now, whoever brought it."""
        try:
            found = self.files.trust_list.stat()
            now_as = (found.st_ino, found.st_mtime_ns)
        except OSError:
            now_as = None
        if now_as != self._held_as or now_as is None:
            self._held, self._held_as = trusted.read_held(self.files, self._root), now_as
        return self._held

    def take_list(self, data: bytes) -> TrustList | None:
        """Take a trust list; None where it is not newer than ours. Raises `RecordError`, `IdentityError`."""
        found = trusted.take(self.files, self._root, data)
        return None if found is None else found.trust

    def _refusal(self, public: ec.EllipticCurvePublicKey) -> str:
        """Return why a collector's key does not count, "" where it does."""
        held = self.held
        if held.fault:
            return f"the trust list here cannot be read, so nobody counts ({held.fault})"
        if held.trust is None:
            return ""
        key = fingerprint(_info(public))
        if held.trust.is_revoked(key):
            return f"signed with a key that trust list {held.number} revokes ({key[:16]})"
        return (
            ""
            if held.trust.counts(key)
            else f"signed with a key not in trust list {held.number} ({key[:16]})"
        )

    def meet_collector(self, chain: bytes) -> None:
        """Take a collector's certificate chain (PEM), and keep it if the root vouches for it. Raises `RecordError`."""
        self.believe(chain)
        kept = _bundles(read(self.files.collectors)) if self.files.collectors.exists() else []
        if chain.strip() not in [one.strip() for one in kept]:
            write(self.files.collectors, b"\n".join([*kept, chain][-MAX_COLLECTORS:]))

    def remember_collectors_of(self, before: "DeviceIdentity") -> None:
        """Know the collectors that `before` knew: they signed for this device, whatever its key."""
        self.collectors.update(before.collectors)

    def tls(self) -> ssl.SSLContext:
        """Return what a connection to the broker or the collector is made with: TLS 1.3, our certificate, our root.

        Validity dates are not looked at: without a clock they would keep every device out, or one that has run out.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        try:
            context.load_verify_locations(self.files.trust)
            context.load_cert_chain(self.files.certificate, self.files.key)
        except (OSError, ssl.SSLError) as error:
            raise _misfit(self.files, f"OpenSSL does not take it ({error})") from error
        return context

    def believe(self, chain: bytes) -> None:
        """Take a collector's chain for as long as this object lives. Raises `RecordError`."""
        try:
            certificates = parsed(chain)
        except ValueError as error:
            raise RecordError(f"collector: not a certificate ({error})") from error
        public = certificates[0].public_key()
        units = certificates[0].subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        if not (units and units[0].value == _COLLECTOR and leads_to(self._root, certificates)):
            raise RecordError("collector: the certificate is not a collector's under our authority")
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise RecordError("collector: its key is not EC")
        self.collectors[key_id(public)] = public


def parse_key(files: IdentityFiles, text: bytes, name: str) -> ec.EllipticCurvePrivateKey:
    """Read a key of this device; `name` is its file's. Raises `IdentityError`."""
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError) as error:
        raise _misfit(files, f"{name} is not a private key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _misfit(files, f"{name} is not an EC key over P-256")
    return key


def leaf_name(chain: bytes, *, where: object) -> str:
    """Return whom the first certificate of `chain` (PEM) names. Raises `IdentityError`."""
    try:
        return _name(parsed(chain)[0])
    except ValueError as error:
        raise IdentityError(
            f"certificate.pem is not a certificate ({error})",
            where=where,
            remedy="Give the directory that `tidegauge provision device` wrote",
        ) from error


def key_id(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return what names a key in an envelope."""
    return envelope_key_id(_info(public))


def _info(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _certificates(files: IdentityFiles, text: bytes, name: str) -> list[x509.Certificate]:
    try:
        return parsed(text)
    except ValueError as error:
        raise _misfit(files, f"{name} is not a certificate ({error})") from error


def _bundles(text: bytes) -> list[bytes]:
    """Return the chains of `collectors.pem`, leaf and issuing certificate each."""
    parts = split(text)
    return [b"".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _misfit(files: IdentityFiles, what: str) -> IdentityError:
    return IdentityError(
        what, where=files.folder, remedy="Install the device's identity again: tidegauge identity install DIR"
    )
