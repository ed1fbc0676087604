"""What a connection over TLS leaves for the next one: a session to go on from, instead of two chains of certificates.

TLS 1.3's resumption (RFC 8446, 2.2): what was proved once is not proved again within the ticket's life, the keys are
new all the same (psk_dhe_ke). At 64 kbit/s that is a quarter of a second for each connection. A ticket is used once,
and only along the way it came by; where it is refused OpenSSL makes the whole handshake by itself. This file must
never write a session to disk, and never go on from one that another identity was given.
"""

import contextlib
import ssl
from dataclasses import dataclass, field

from cryptography import x509

from appliance.identity.identity import DeviceIdentity
from appliance.transports import Endpoint


@dataclass(slots=True)
class _Kept:
    """One way's. A session belongs to the context that it was made with."""

    certificate: x509.Certificate
    context: ssl.SSLContext
    session: ssl.SSLSession | None = None
    sock: ssl.SSLSocket | None = None


@dataclass(slots=True)
class Resumption:
    """What is kept for each way, in memory only. Used from the sender's thread."""

    _kept: dict[Endpoint, _Kept] = field(default_factory=dict)

    def context(self, identity: DeviceIdentity, endpoint: Endpoint) -> ssl.SSLContext:
        """Return what to connect along `endpoint` with, as `identity`. Raises `IdentityError`."""
        kept = self._kept.get(endpoint)
        if kept is None or kept.certificate != identity.certificate:
            context = identity.tls()
            kept = self._kept[endpoint] = _Kept(identity.certificate, context)
            context.sslsocket_class = _resuming(kept)
        return kept.context

    def established(self, endpoint: Endpoint) -> None:
        """Take note that the present connection works; the broker has given us tickets by now."""
        kept = self._kept.get(endpoint)
        if kept is not None and kept.sock is not None:
            kept.session = kept.sock.session

    def resumed(self, endpoint: Endpoint) -> bool:
        """Return whether the present connection went on from the session of one before."""
        kept = self._kept.get(endpoint)
        return kept is not None and kept.sock is not None and bool(kept.sock.session_reused)

    def ended(self, endpoint: Endpoint) -> None:
        """Take note that the try along `endpoint` is over: paho does not close the socket of one that failed half-way."""
        kept = self._kept.get(endpoint)
        if kept is not None and kept.sock is not None:
            with contextlib.suppress(OSError):
                kept.sock.close()
            kept.sock = None


def _resuming(kept: _Kept) -> type[ssl.SSLSocket]:
    """Return a kind of socket that begins from what is kept. Made here because `ssl` makes the object itself."""

    class ResumingSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as `ssl` has it
            kept.sock = self
            held, kept.session = kept.session, None
            if held is not None:
                self.session = held
            super().do_handshake(block)

    return ResumingSocket
