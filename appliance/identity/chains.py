"""Certificates read and chained to a root: who was issued by whom. Dates play no part: a device's clock may be years off.

It must never take a certificate for an issuer's that may not issue.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

_PEM_END: Final = b"-----END CERTIFICATE-----"


def leads_to(root: x509.Certificate, chain: list[x509.Certificate]) -> bool:
    """Return whether each certificate is signed by the next, and the last by the root, by those that may sign."""
    issuers = [*chain[1:], root]
    return all(_signed_by(one, issuer) for one, issuer in zip(chain, issuers[: len(chain)], strict=True))


def may_issue(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is an authority's own."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (ValueError, x509.ExtensionNotFound):
        return False


def parsed(text: bytes) -> list[x509.Certificate]:
    """Read one certificate or more. Raises `ValueError`."""
    parts = split(text)
    if not parts:
        raise ValueError("there is none in it")
    return [x509.load_pem_x509_certificate(part) for part in parts]


def split(text: bytes) -> list[bytes]:
    """Return the certificates in `text`, each as PEM."""
    return [part.strip() + b"\n" + _PEM_END + b"\n" for part in text.split(_PEM_END)[:-1]]


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        public = issuer.public_key()
        algorithm = certificate.signature_hash_algorithm
        if certificate.issuer != issuer.subject or not isinstance(public, ec.EllipticCurvePublicKey):
            return False
        if algorithm is None or not may_issue(issuer):
            return False
        public.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False  # a certificate is read only where it is looked at: what is damaged in it shows here
    return True
