"""TLS as a machine without a socket: bytes from the wire in, bytes for the wire out (`ssl.MemoryBIO`). Pure.

Whoever owns the socket moves the bytes and takes the times, so a handshake's flights can be told apart. This
file must never read or write a socket, look at a clock, or soften verification: an interceptor's certificate is
read off the session that refused it.
"""

import contextlib
import functools
import os
import re
import ssl
import sys
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError, from_ssl_error
from firmware.model.jsontypes import JsonObject

OPERATION: Final = "tls_handshake"
_READ_BYTES: Final = 65_536
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (OpenSSL, X509_VERIFY_PARAM_set_flags(3)): Python has no name for it."""
_APPLICATION_VERIFICATION: Final = 50
"""X509_V_ERR_APPLICATION_VERIFICATION: the chain holds, and we do not take it."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MARCH: Final = 3
_DAYS_TO_1970: Final = 719_469
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def verifying_context(alpn: tuple[str, ...]) -> ssl.SSLContext:
    """Return the context that trusts the system's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name.

    There is one, kept, so `alpn` is what the sessions offer that are made of it until the next call.
    """
    context = _verifying_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    context.set_alpn_protocols(list(alpn))
    return context


@functools.lru_cache(maxsize=1)
def _verifying_context(cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    folder = cert_dir or ssl.get_default_verify_paths().openssl_capath
    if cert_file is None and _is_hashed(folder):
        # OpenSSL looks an authority up there when a chain needs it. All of them, read ahead, take tens of
        # milliseconds, a second on the smallest boards, and a megabyte.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(capath=folder)
    else:
        context = ssl.create_default_context()
    # Python 3.13 turned this on; browsers do not ask for it, and records must not depend on Python's version.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@functools.lru_cache(maxsize=1)
def pinned_context(authority_pem: str, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """Return the context that trusts `authority_pem` alone, over TLS 1.3, whatever name is asked for. Raises `ValueError`.

    Dates are not looked at: a device's clock may be years off.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        context.load_verify_locations(cadata=authority_pem)
    except ssl.SSLError as error:
        raise ValueError(f"not a certificate ({error.reason or error})") from error
    context.set_alpn_protocols(list(alpn))
    return context


def _is_hashed(folders: str) -> bool:
    """Return whether a directory (or several, parted by `:`) holds certificates under the names that OpenSSL looks for."""
    with contextlib.suppress(OSError):
        return any(
            _HASHED.fullmatch(name)
            for folder in folders.split(os.pathsep)
            for name in os.listdir(folder)  # noqa: PTH208  # see firmware.net.files
        )
    return False


class TlsMachine:
    """One TLS client session. Feed what arrives, take what must be sent, and step it.

    Every method that steps it raises `MeasurementFailedError` with TLS's failure word.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str, *, role: str = "") -> None:
        self.verify_code: int | None = None
        """OpenSSL's X509_V_ERR_* number when the certificate did not verify."""
        self.reason = ""
        """OpenSSL's own words for what went wrong."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # As bytes, since text would have the codec for other scripts loaded, 0.5 MB, which our ASCII does not need.
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name.encode("ascii") or None
        )
        self._role = role

    def feed(self, data: bytes) -> None:
        """Take what came from the wire; b"" says that the far end has ended."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def take(self) -> bytes:
        """Return what must go to the wire now."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go as far as the bytes at hand allow; True when the handshake is complete."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise self._failed(error, OPERATION) from error
        if self._role and self.leaf_subject("organizationalUnitName") != self._role:
            self.verify_code = _APPLICATION_VERIFICATION
            self.reason = f"the certificate is not of the role {self._role}"
            raise MeasurementFailedError(
                Failure.SSL_INVALID_CERTIFICATE, operation=OPERATION, message=self.reason
            )
        return True

    def read(self) -> bytes | None:
        """Return decrypted bytes, b"" at the end of the session, None when more must be fed first.

        An end without TLS's own goodbye is taken for an end, as browsers do: HTTP says whether all was there.
        """
        try:
            return self._session.read(_READ_BYTES)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise self._failed(error, "read") from error

    def write(self, data: bytes) -> None:
        """Encrypt `data`: all of it, since the memory on the other side takes everything."""
        try:
            self._session.write(data)
        except ssl.SSLError as error:
            raise self._failed(error, "write") from error

    def facts(self) -> JsonObject:
        """Return what was agreed: version, cipher, ALPN; nulls for what was not."""
        cipher = self._session.cipher()
        return {
            "tls_version": self._session.version(),
            "cipher": cipher[0] if cipher else None,
            "alpn": self._session.selected_alpn_protocol(),
        }

    def chain(self) -> list[bytes]:
        """Return the certificates the far end sent, DER, leaf first; empty where it sent none.

        They are there even when they did not verify: OpenSSL 3 keeps them before it judges them.
        """
        return _unverified_chain(self._session)

    def leaf_not_after_s(self) -> int | None:
        """Return when the leaf expires (Unix seconds). Only after a complete handshake."""
        certificate = self._session.getpeercert()
        not_after = certificate.get("notAfter") if certificate else None
        return utc_s(not_after) if isinstance(not_after, str) else None

    def leaf_subject(self, name: str) -> str:
        """Return what the verified leaf's subject has under OpenSSL's long `name`, "" for nothing."""
        certificate = self._session.getpeercert() or {}
        subject = certificate.get("subject", ())
        pairs = [pair for part in subject if isinstance(part, tuple) for pair in part]
        return next((str(pair[1]) for pair in pairs if pair[0] == name), "")

    def _failed(self, error: ssl.SSLError, operation: str) -> MeasurementFailedError:
        self.reason = error.reason or str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            self.verify_code = error.verify_code
            self.reason = error.verify_message
        return MeasurementFailedError(from_ssl_error(error), operation=operation, message=self.reason)


def utc_s(text: str) -> int:
    """Return OpenSSL's form of a time (`Jan  5 09:34:43 2018 GMT`) in Unix seconds.

    As `ssl.cert_time_to_seconds`, which for this loads calendar, locale and datetime: decision 0031 says what that costs.
    """
    month_name, day, clock, year_text, _ = text.split()
    month = _MONTHS.index(month_name) + 1
    year = int(year_text) - (
        month < _MARCH
    )  # years begin in March, so that the day that some lack is the last
    days = (
        365 * year
        + year // 4
        - year // 100
        + year // 400
        + (153 * ((month - _MARCH) % 12) + 2) // 5
        + int(day)
    )
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((days - _DAYS_TO_1970) * 24 + hours) * 3600 + minutes * 60 + seconds


def _unverified_chain(session: ssl.SSLObject) -> list[bytes]:
    """Read the chain as it was sent: a public method from Python 3.13 on, the same one unlisted before."""
    if sys.version_info >= (3, 13):
        return list(session.get_unverified_chain())
    import _ssl  # noqa: PLC0415  # only these versions need it

    certificates = session._sslobj.get_unverified_chain() or []  # type: ignore[attr-defined]  # noqa: SLF001
    return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in certificates]
