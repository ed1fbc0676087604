"""One address of a web page: connect, shake hands with the page's name; if that fails, with an innocuous one.

The second handshake, to the same address and port, is the reference target: a valid ClientHello that differs in its
server name alone, so that what stops the first and not the second is a filter of names. It is made only where the
first failed in a way that a filter could have caused, and not where the page's own name is the innocuous one. Where time ran
out for the first and the second was answered, the page's name is tried once more: one time-out is loss as easily. This file must never send application data, and never take
the control for the page: its session is closed as soon as the far end has answered.
"""

from typing import TYPE_CHECKING, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Phase
from firmware.net.access import Net, TcpStream
from firmware.protocols.http_fetch import HTTP_ALPN
from firmware.protocols.http_urls import Url
from firmware.protocols.reach import attempt_to_json

if TYPE_CHECKING:
    from firmware.protocols.tls_stream import Handshake, TlsStream

FILTERED: Final = frozenset(
    {
        Failure.CONNECTION_RESET,
        Failure.CONNECTION_ALREADY_CLOSED,
        Failure.CONNECTION_ABORTED,
        Failure.EOF,
        Failure.TIMEOUT,
        Failure.SSL_FAILED_HANDSHAKE,
    }
)
"""How a handshake fails that a filter stopped: reset, silence, an end, an alert or a page in clear text."""

_STOPPED: Final = FILTERED - {Failure.SSL_FAILED_HANDSHAKE}
CONTROL_TIMEOUT_S: Final = 10.0
_MARGIN_S: Final = 1.0
"""What connecting may take of the time for one more handshake."""


class WebEndpoint:
    """One address on its way. A context manager, or `close` it: then the streams are closed."""

    def __init__(self, net: Net, url: Url, address: str, *, control_sni: str) -> None:
        self.address = address
        self.error: MeasurementFailedError | None = None
        """What stopped it, the control apart."""
        self.phases: dict[str, Phase] = {}
        self.tcp_connect: list[JsonValue] = []
        self.tls_handshakes: list[JsonValue] = []
        self._net = net
        self._url = url
        self._control_sni = "" if control_sni.lower() == url.host.lower() else control_sni
        self._tcp: TcpStream | None = None
        self._tls: TlsStream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        if self._tcp is not None:
            self._tcp.close()

    @property
    def stream(self) -> "TcpStream | TlsStream | None":
        """What a request can be made over: proven by TLS where the URL asks for it; None where there is none."""
        if self.error is not None:
            return None
        return self._tls if self._url.scheme == "https" else self._tcp

    async def open(self) -> None:
        """Connect and shake hands, and ask by the other name if that fails. What happened is in the fields."""
        self.error = await self._reach()
        error = self.error
        if error is None or error.operation != "tls_handshake" or error.failure not in FILTERED:
            return
        is_answered = bool(self._control_sni) and await self._ask_control()
        if is_answered and error.failure == Failure.TIMEOUT and self._has_time():
            still = await self._reach()
            self.error = None if still is None else error

    async def _reach(self) -> MeasurementFailedError | None:
        """Connect, and shake hands by the page's name; return what stopped it."""
        try:
            self._tcp = await self._connect()
            self.phases["connect"] = self._tcp.connect
            if self._url.scheme == "https":
                self._tls = await self._shake(self._tcp, self._url.host, is_control=False)
        except MeasurementFailedError as error:
            self.close()
            return error
        return None

    def _has_time(self) -> bool:
        """Return whether a handshake begun now has all its time: one that is cut short says nothing."""
        return self._net.deadline_ns - self._net.now_ns() >= round((CONTROL_TIMEOUT_S + _MARGIN_S) * 1e9)

    async def _connect(self) -> TcpStream:
        """Connect, and keep the account of this very attempt among those made side by side."""
        before = len(self._net.attempts)
        try:
            return await self._net.connect_tcp(self.address, self._url.port)
        finally:
            made = [one for one in self._net.attempts[before:] if one.address == self.address]
            self.tcp_connect.extend(attempt_to_json(self._net, one) for one in made)

    async def _shake(self, tcp: TcpStream, name: str, *, is_control: bool) -> "TlsStream":
        from firmware.protocols.tls_stream import TlsStream  # noqa: PLC0415  # OpenSSL costs the worker 6 MB

        tls = TlsStream(self._net, tcp, server_name=name, alpn=HTTP_ALPN)
        try:
            await tls.handshake(timeout_s=CONTROL_TIMEOUT_S)
        finally:
            if not is_control:
                self.phases |= tls.story.phases
            self.tls_handshakes.append(_told(tls.story, self._url.port, is_control=is_control))
        return tls

    async def _ask_control(self) -> bool:
        """Shake hands by the innocuous name; return whether it was answered. That it fails is a finding, and kept too."""
        try:
            with await self._connect() as tcp:
                await self._shake(tcp, self._control_sni, is_control=True)
        except MeasurementFailedError as error:
            return error.operation == "tls_handshake" and error.failure not in _STOPPED
        return True


def _told(story: "Handshake", port: int, *, is_control: bool) -> JsonObject:
    """Return what a record keeps of a handshake; of the control's not the certificates, which are not the page's."""
    kept = story.to_json()
    if is_control:
        kept = {key: value for key, value in kept.items() if key not in {"chain", "chain_sha256"}}
    took = story.phases.get("tls_handshake") or story.phases.get("tls_first_flight")
    return {
        "port": port,
        "is_control": is_control,
        "was_answered": bool(story.answer_start),
        "took_ns": None if took is None else took.ns,
        "bytes_read": sum(flight.size for flight in story.flights if flight.direction == "down"),
        **kept,
    }
