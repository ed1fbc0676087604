"""TLS servers on loopback, good and bad: a certificate authority of the test's own, and what it signs.

Needs `cryptography` (a development dependency). `Authority.trusted` writes the bundle that SSL_CERT_FILE names.
"""

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.tcp import Behaviour, drain

_DAY: Final = dt.timedelta(days=1)


class Authority:
    """A certificate authority whose files go under `folder`."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        self._folder = folder / name.replace(" ", "-")
        self._folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            self._builder(self._name, self._key.public_key(), _now() - 365 * _DAY, _now() + 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._count = 0

    @property
    def trusted(self) -> Path:
        """A file that holds this authority's certificate, for SSL_CERT_FILE."""
        path = self._folder / "authority.pem"
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def server_context(
        self,
        *names: str,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        alpn: Sequence[str] = (),
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for `names` (host names and addresses), valid for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
                key.public_key(),
                not_before or _now() - _DAY,
                not_after or _now() + _DAY,
            )
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self._count += 1
        path = self._folder / f"server-{self._count}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
            + self._certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        not_before: dt.datetime,
        not_after: dt.datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )


def over_tls(context: ssl.SSLContext, behaviour: Behaviour = drain) -> Behaviour:
    """Return a behaviour that shakes hands and then does `behaviour` with the decrypted connection."""

    def wrapped(connection: socket.socket) -> None:
        # A second descriptor: wrapping takes the first away, and with it what ends a handshake that waits for ever.
        twin = connection.dup()
        with context.wrap_socket(twin, server_side=True, suppress_ragged_eofs=True) as secured:
            behaviour(secured)

    return wrapped


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
