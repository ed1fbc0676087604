"""The words for failure: closed, in OONI's form, and the operating system's errors in them."""

import errno
import socket
import ssl

import pytest

from firmware.model.failures import ADDITIONS, Failure, from_os_error, is_failure

# df-007 of the OONI data format, the words that a probe of ours can meet.
OONI = {
    *("dns_nxdomain_error", "dns_bogon_error", "dns_no_answer", "dns_servfail_error", "dns_refused_error"),
    *("dns_temporary_failure", "dns_non_recoverable_failure", "dns_server_misbehaving"),
    *("dns_reply_with_wrong_query_id", "connection_refused", "connection_reset", "connection_aborted"),
    *("connection_already_closed", "eof_error", "generic_timeout_error", "host_unreachable"),
    *("network_unreachable", "network_down", "network_reset", "interrupted", "ssl_failed_handshake"),
    *("ssl_invalid_hostname", "ssl_unknown_authority", "ssl_invalid_certificate", "http_request_failed"),
    *("http_unexpected_redirect_url", "http_unexpected_status_code", "http_invalid_redirect_location_host"),
}


def test_every_word_is_oonis_or_declared_as_an_addition() -> None:
    assert {str(word) for word in set(Failure) - ADDITIONS} == OONI
    assert {str(word) for word in ADDITIONS}.isdisjoint(OONI)


def test_the_list_is_closed_but_for_the_unknown() -> None:
    assert is_failure("connection_reset")
    assert is_failure("unknown_failure: EBADMSG: Bad message")
    assert not is_failure("connection reset")
    assert not is_failure("")


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ECONNREFUSED, "connection_refused"),
        (errno.ECONNRESET, "connection_reset"),
        (errno.EHOSTUNREACH, "host_unreachable"),
        (errno.ENETUNREACH, "network_unreachable"),
        (errno.ETIMEDOUT, "generic_timeout_error"),
        (errno.EACCES, "permission_denied"),
    ],
)
def test_the_operating_systems_errors(number: int, word: str) -> None:
    assert from_os_error(OSError(number, "said the kernel")) == word


def test_a_refused_connection_on_this_machine() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
    with pytest.raises(OSError, match="refused") as caught:
        socket.create_connection(address, timeout=5)
    assert from_os_error(caught.value) == Failure.CONNECTION_REFUSED


def test_what_has_no_word_keeps_its_message() -> None:
    word = from_os_error(OSError(errno.EBADMSG, "Bad message"))
    assert word == "unknown_failure: EBADMSG: Bad message"
    assert is_failure(word)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (62, "ssl_invalid_hostname"),
        (18, "ssl_unknown_authority"),
        (20, "ssl_unknown_authority"),
        (10, "ssl_invalid_certificate"),
    ],
)
def test_certificate_errors(code: int, word: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    assert from_os_error(error) == word
    assert from_os_error(ssl.SSLError(1, "wrong version number")) == "ssl_failed_handshake"
    assert from_os_error(ssl.SSLEOFError(8, "EOF occurred")) == "eof_error"
