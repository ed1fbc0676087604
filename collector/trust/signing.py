"""What the collector says to devices, signed: a device lets go of a record on no other word.

This file must never sign anything but `firmware.wire.envelope.signed_text`.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from collector.errors import TrustError
from firmware.wire.envelope import Envelope, seal, signed_text
from firmware.wire.envelope import key_id as envelope_key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """The collector's key; `chain` is what shows whose it is, PEM, for a device that does not know it yet."""

    key: ec.EllipticCurvePrivateKey
    chain: bytes

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read key.pem and certificate.pem, as `tidegauge provision collector` writes them. Raises `TrustError`."""
        try:
            key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
            chain = (folder / "certificate.pem").read_bytes()
        except (OSError, ValueError, TypeError) as error:
            raise TrustError(
                f"{folder}: the collector's identity cannot be read ({error}); make one with: "
                f"tidegauge provision collector --out {folder}"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TrustError(f"{folder / 'key.pem'}: it is not an EC key")
        return cls(key=key, chain=chain)

    @staticmethod
    def tls(folder: Path) -> ssl.SSLContext:
        """Return what a connection to the broker is made with: TLS 1.3, both sides show who they are."""
        try:
            context = ssl.create_default_context(cafile=str(folder / "trust.pem"))
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        except (OSError, ssl.SSLError) as error:
            raise TrustError(f"{folder}: TLS cannot be set up with it ({error})") from error
        return context

    def sign(self, device: str, leaf: str, payload: bytes) -> bytes:
        """Return `payload` in an envelope for the device's topic whose last word is `leaf`."""
        der = self.key.sign(signed_text(device=device, leaf=leaf, payload=payload), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return seal(Envelope(key_id=key_id(self.key.public_key()), signature=signature, payload=payload))


def key_id(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return what names a key in an envelope."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return envelope_key_id(der)
