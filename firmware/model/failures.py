"""The words for what failed: OONI's failure strings (df-007) as a closed list, and their one translation.

A network failure is data, so it is a word in a record, never an exception that escapes a probe. This file
must never invent a word for something df-007 already names, and never re-use a name for something else.
Source: OONI data format df-007-errors; our additions are in `ADDITIONS` and keep its style.
"""

import errno
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl


class Failure(StrEnum):
    """What failed, as OONI writes it. A measurement that worked has `None` instead."""

    # DNS
    DNS_NXDOMAIN = "dns_nxdomain_error"
    DNS_BOGON = "dns_bogon_error"
    DNS_NO_ANSWER = "dns_no_answer"
    DNS_SERVFAIL = "dns_servfail_error"
    DNS_REFUSED = "dns_refused_error"
    DNS_TEMPORARY_FAILURE = "dns_temporary_failure"
    DNS_NON_RECOVERABLE = "dns_non_recoverable_failure"
    DNS_SERVER_MISBEHAVING = "dns_server_misbehaving"
    DNS_WRONG_QUERY_ID = "dns_reply_with_wrong_query_id"
    # network
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_RESET = "connection_reset"
    CONNECTION_ABORTED = "connection_aborted"
    CONNECTION_ALREADY_CLOSED = "connection_already_closed"
    EOF = "eof_error"
    TIMEOUT = "generic_timeout_error"
    HOST_UNREACHABLE = "host_unreachable"
    NETWORK_UNREACHABLE = "network_unreachable"
    NETWORK_DOWN = "network_down"
    NETWORK_RESET = "network_reset"
    INTERRUPTED = "interrupted"
    # TLS
    SSL_FAILED_HANDSHAKE = "ssl_failed_handshake"
    SSL_INVALID_HOSTNAME = "ssl_invalid_hostname"
    SSL_UNKNOWN_AUTHORITY = "ssl_unknown_authority"
    SSL_INVALID_CERTIFICATE = "ssl_invalid_certificate"
    # HTTP
    HTTP_REQUEST_FAILED = "http_request_failed"
    HTTP_UNEXPECTED_REDIRECT_URL = "http_unexpected_redirect_url"
    HTTP_UNEXPECTED_STATUS_CODE = "http_unexpected_status_code"
    HTTP_INVALID_REDIRECT_LOCATION_HOST = "http_invalid_redirect_location_host"
    # ours, in the same style
    ADDRESS_FAMILY_NOT_SUPPORTED = "address_family_not_supported"
    ADMINISTRATIVELY_PROHIBITED = "administratively_prohibited"
    TTL_EXCEEDED = "ttl_exceeded"
    MESSAGE_SIZE = "message_size"
    PERMISSION_DENIED = "permission_denied"
    LINK_DOWN = "link_down"
    NO_ADDRESS = "no_address"
    NO_GATEWAY = "no_gateway"
    NO_RESOLVER = "no_resolver"
    NTP_UNSYNCHRONISED = "ntp_unsynchronised"
    NTP_KISS_OF_DEATH = "ntp_kiss_of_death"
    MISSED_SLOT = "missed_slot"
    WORKER_DIED = "worker_died"
    RESULT_LOST = "result_lost"
    DISK_FULL = "disk_full"


ADDITIONS: Final[frozenset[Failure]] = frozenset(
    {
        Failure.ADDRESS_FAMILY_NOT_SUPPORTED,
        Failure.ADMINISTRATIVELY_PROHIBITED,
        Failure.TTL_EXCEEDED,
        Failure.MESSAGE_SIZE,
        Failure.PERMISSION_DENIED,
        Failure.LINK_DOWN,
        Failure.NO_ADDRESS,
        Failure.NO_GATEWAY,
        Failure.NO_RESOLVER,
        Failure.NTP_UNSYNCHRONISED,
        Failure.NTP_KISS_OF_DEATH,
        Failure.MISSED_SLOT,
        Failure.WORKER_DIED,
        Failure.RESULT_LOST,
        Failure.DISK_FULL,
    }
)

UNKNOWN_PREFIX: Final = "unknown_failure: "
"""df-007's open end: `unknown_failure: …` with the original message."""

_BY_ERRNO: Final[dict[int, Failure]] = {
    errno.ECONNREFUSED: Failure.CONNECTION_REFUSED,
    errno.ECONNRESET: Failure.CONNECTION_RESET,
    errno.EPIPE: Failure.CONNECTION_ALREADY_CLOSED,
    errno.ENOTCONN: Failure.CONNECTION_ALREADY_CLOSED,
    errno.ECONNABORTED: Failure.CONNECTION_ABORTED,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.EHOSTUNREACH: Failure.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Failure.HOST_UNREACHABLE,
    errno.ENETUNREACH: Failure.NETWORK_UNREACHABLE,
    errno.EADDRNOTAVAIL: Failure.NETWORK_UNREACHABLE,
    errno.ENETDOWN: Failure.NETWORK_DOWN,
    errno.ENONET: Failure.NETWORK_DOWN,
    errno.ENETRESET: Failure.NETWORK_RESET,
    errno.EINTR: Failure.INTERRUPTED,
    errno.EAFNOSUPPORT: Failure.ADDRESS_FAMILY_NOT_SUPPORTED,
    errno.EACCES: Failure.PERMISSION_DENIED,
    errno.EPERM: Failure.PERMISSION_DENIED,
    errno.EMSGSIZE: Failure.MESSAGE_SIZE,
    errno.ENOSPC: Failure.DISK_FULL,
    errno.EDQUOT: Failure.DISK_FULL,
    errno.EFBIG: Failure.DISK_FULL,
}

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h).
_HOSTNAME_MISMATCH: Final = frozenset({62, 64})
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21, 27})


class MeasurementFailedError(Exception):
    """Raised inside a probe to end an operation with a failure word; no probe lets it escape.

    `failure` is a `Failure` or an `unknown_failure: …` string; `operation` is OONI's word for the step
    (`resolve`, `connect`, `tls_handshake`, `read`, `write`, …).
    """

    def __init__(self, failure: str, *, operation: str, message: str = "") -> None:
        super().__init__(f"{operation}: {failure}" + (f" ({message})" if message else ""))
        self.failure = failure
        self.operation = operation


def is_failure(word: str) -> bool:
    """Return whether `word` is on the closed list, `unknown_failure: …` included."""
    return word in _WORDS or word.startswith(UNKNOWN_PREFIX)


def from_os_error(error: OSError) -> str:
    """Translate the operating system's error into its failure word."""
    loaded = sys.modules.get(
        "ssl"
    )  # nothing raises its errors before it is loaded, which costs the worker 6 MB
    if loaded is not None and isinstance(error, loaded.SSLError):
        return from_ssl_error(error)
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if error.errno is not None and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return f"{UNKNOWN_PREFIX}{name}: {error.strerror or error}"


def from_ssl_error(error: "ssl.SSLError") -> str:
    """Translate OpenSSL's error into its failure word (OONI `netxlite` classifies alike)."""
    import ssl  # noqa: PLC0415  # there already, since its error is

    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOSTNAME_MISMATCH:
            return Failure.SSL_INVALID_HOSTNAME
        if error.verify_code in _UNKNOWN_AUTHORITY:
            return Failure.SSL_UNKNOWN_AUTHORITY
        return Failure.SSL_INVALID_CERTIFICATE
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Failure.EOF
    return Failure.SSL_FAILED_HANDSHAKE


_WORDS: Final[frozenset[str]] = frozenset(Failure)
