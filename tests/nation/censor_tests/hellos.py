"""What OpenSSL sends first, for tests of what a censor reads in it."""

import ssl

import pytest


def hello(name: str | None) -> bytes:
    """Return the first flight that OpenSSL sends."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    wrapped = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return outgoing.read()
