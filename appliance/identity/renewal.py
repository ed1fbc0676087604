"""When a device asks for its next certificate, and how the answer is taken. The decision is pure.

From half of a certificate's life on, and after its end too: a device that was offline the whole time asks when it is
back, under the signature of the key that has run out, which the collector takes as long as it was not revoked. The next
key is made here and stays here; the old identity is used until the new certificate has come and fits.
"""

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.identity.files import IdentityError, IdentityFiles, read, write
from appliance.identity.identity import DeviceIdentity, parse_key
from firmware.model.jsontypes import RecordError

ASK_AGAIN_S: Final = 3600.0
"""How long after it asked a device asks again: somebody may have to look at it first."""


def is_due(now_utc_ns: int, *, clock_is_sure: bool, not_before: dt.datetime, not_after: dt.datetime) -> bool:
    """Return whether the next certificate should be asked for.

    A clock that is not sure may be years off either way: outside the certificate's own span it tells nothing, and
    asking once too often costs 700 bytes.
    """
    now = dt.datetime.fromtimestamp(now_utc_ns / 1e9, tz=dt.UTC)
    half = not_before + (not_after - not_before) / 2
    if not clock_is_sure and now < not_before:
        return True
    return now >= half


def span_of(certificate: x509.Certificate) -> tuple[dt.datetime, dt.datetime]:
    """Return from when to when a certificate is valid; `cryptography` before 42 has no times with a zone."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    before, after = certificate.not_valid_before, certificate.not_valid_after
    return before.replace(tzinfo=dt.UTC), after.replace(tzinfo=dt.UTC)


def request(files: IdentityFiles, *, device: str, first: bool = False) -> bytes:
    """Return a request (PKCS #10, PEM) for the device's next certificate; its key is made if there is none yet.

    With `first` it is for the key that the device will begin with. Raises `IdentityError`.
    """
    path = files.key if first else files.next_key
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write(path, text, secret=True)
    key = parse_key(files, read(path), path.name)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "device"),
            x509.NameAttribute(NameOID.COMMON_NAME, device),
        ]
    )
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def take(identity: DeviceIdentity, chain: bytes) -> DeviceIdentity | None:
    """Take the next certificate: return the new identity, or None where we have it already.

    Raises `RecordError` where it is not the one that was asked for; the old identity then stays.
    """
    files, device = identity.files, identity.device
    try:
        leaf = x509.load_pem_x509_certificate(chain)
    except ValueError as error:
        raise RecordError(f"certificate: not one ({error})") from error
    if leaf.public_key() == identity.certificate.public_key():
        return None
    if not files.next_key.exists():
        raise RecordError("certificate: none was asked for")
    key_pem = read(files.next_key)
    if leaf.public_key() != parse_key(files, key_pem, files.next_key.name).public_key():
        raise RecordError("certificate: it is not for the key that was asked with")
    try:
        renewed = DeviceIdentity.of(files, key_pem, chain, read(files.trust), device=device)
    except IdentityError as error:
        raise RecordError(f"certificate: {error}") from error
    # Certificate first: a power cut between the two is mended by `recover`, which finds the key beside it.
    write(files.certificate, chain)
    recover(files)
    renewed.remember_collectors_of(identity)
    return renewed


def recover(files: IdentityFiles) -> None:
    """Finish a change of identity that a power cut broke off: the key must be the certificate's."""
    if not files.next_key.exists():
        return
    leaf = x509.load_pem_x509_certificate(read(files.certificate))
    key_pem = read(files.next_key)
    if leaf.public_key() == parse_key(files, key_pem, files.next_key.name).public_key():
        write(files.key, key_pem, secret=True)
        files.next_key.unlink()
