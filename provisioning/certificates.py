"""Makes X.509 certificates, requests and revocation lists in memory (RFC 5280), by the `cryptography` library.

Keys are EC over P-256: what TLS 1.3, mosquitto and every proxy take, and small (a mutual handshake costs a device
1.6 kB up). The time is an argument. This file must never read or write a file, and never decide who is given what:
that is `provisioning.authority`'s.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from firmware.wire.messages import DEVICE_PATTERN
from provisioning.errors import BadRequestError

ROOT_LIFETIME: Final = dt.timedelta(days=20 * 365)
ISSUING_LIFETIME: Final = dt.timedelta(days=10 * 365)
LIFETIME: Final = dt.timedelta(days=730)
"""A device's, a broker's, a collector's. A device asks for the next from half of it on."""
BACKDATED: Final = dt.timedelta(days=1)
"""A certificate is valid from a day before it was made: a device's clock may be late."""

Key: TypeAlias = ec.EllipticCurvePrivateKey


class Role(StrEnum):
    """Whom a certificate is for; in its subject as the organisational unit."""

    DEVICE = "device"
    COLLECTOR = "collector"
    BROKER = "broker"
    MEASUREMENT_SERVER = "measurement-server"


_SERVERS: Final = frozenset({Role.BROKER, Role.MEASUREMENT_SERVER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A certificate that may sign others, with its key."""

    certificate: x509.Certificate
    key: Key


def make_key() -> Key:
    """Return a new key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """Return a private key as unencrypted PKCS #8 PEM: it is read by programs that start without anybody near."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM, in the order given: a chain begins with the leaf."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def make_root(name: str, key: Key, *, now: dt.datetime) -> x509.Certificate:
    """Return the certificate of a new authority: it signs the issuing one, and nothing else."""
    subject = _subject(f"{name} root")
    return (
        _builder(subject, subject, key.public_key(), now=now, lifetime=ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_issuing(name: str, key: Key, root: Issuer, *, now: dt.datetime) -> x509.Certificate:
    """Return the certificate that signs those of devices, brokers and collectors, so that the root can be away."""
    until = min(now + ISSUING_LIFETIME, root.certificate.not_valid_after_utc)
    return (
        _builder(
            _subject(f"{name} issuing"),
            root.certificate.subject,
            key.public_key(),
            now=now,
            lifetime=until - now,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority(root.certificate), critical=False)
        .sign(root.key, hashes.SHA256())
    )


def make_leaf(
    name: str,
    role: Role,
    public: ec.EllipticCurvePublicKey,
    issuer: Issuer,
    *,
    now: dt.datetime,
    hosts: Sequence[str] = (),
    lifetime: dt.timedelta = LIFETIME,
) -> x509.Certificate:
    """Return a certificate for `name` in `role`; `hosts` are the names and addresses a server is reached by."""
    until = min(now + lifetime, issuer.certificate.not_valid_after_utc)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if role in _SERVERS else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_subject(name, role), issuer.certificate.subject, public, now=now, lifetime=until - now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority(issuer.certificate), critical=False)
    )
    if hosts:
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def make_request(device: str, key: Key) -> bytes:
    """Return a request (PKCS #10, PEM) for `device`, signed with its key, which stays where it is."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_subject(device, Role.DEVICE))
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(text: bytes) -> tuple[str, ec.EllipticCurvePublicKey]:
    """Return the device and the key of a request whose signature holds. Raises `BadRequestError`."""
    try:
        request = x509.load_pem_x509_csr(text)
        public = request.public_key()
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        sound = request.is_signature_valid
    except (ValueError, TypeError) as error:
        raise BadRequestError(f"it is not a certificate request ({error})") from error
    if not sound:
        raise BadRequestError("the request's own signature does not hold: it was changed on the way")
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise BadRequestError("the request's key is of another kind; allowed is EC over P-256")
    device = str(names[0].value) if len(names) == 1 else ""
    if not DEVICE_PATTERN.fullmatch(device):
        raise BadRequestError(
            f"the request's name: found {device[:60]!r}; allowed is a device's id, {DEVICE_PATTERN.pattern}"
        )
    return device, public


def make_revocations(
    serials: Sequence[tuple[int, dt.datetime]], issuer: Issuer, *, now: dt.datetime
) -> bytes:
    """Return the revocation list (PEM) of `serials`, each with when it was revoked.

    It names no early date of its own next issue: a broker that holds an outdated list refuses everybody, and a
    list that is made anew at each revocation loses nothing by it.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(max(issuer.certificate.not_valid_after_utc, now + BACKDATED))
        .add_extension(_authority(issuer.certificate), critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
    )
    for serial, when in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(revoked)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def common_name(certificate: x509.Certificate) -> str:
    """Return whom a certificate names."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def role_of(certificate: x509.Certificate) -> Role | None:
    """Return the role a certificate was issued for, None for an authority's own."""
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return next((role for role in Role if units and units[0].value == role), None)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    *,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _subject(name: str, role: Role | None = None) -> x509.Name:
    unit = [] if role is None else [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role)]
    return x509.Name([*unit, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _authority(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
