"""TLS over one TCP stream: the handshake with its flights and times, then the stream decrypted.

What the record says of a handshake is made here (`Handshake.to_json`), for `tls` and `http` alike. To keep
records small the certificates themselves are kept only where they did not verify, for they are then the
evidence; otherwise each one's SHA-256 and when the leaf expires. A clock that is wrong makes a good certificate
look expired: `verify_code` (OpenSSL's X509_V_ERR_*: 9 not yet valid, 10 expired) lets a verdict tell.

This file must never send application data over a session that did not verify.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

from firmware.failures import Failure, MeasurementFailedError
from firmware.jsontypes import JsonObject, JsonValue
from firmware.net import Net, TcpStream
from firmware.record import Phase, Stamp
from firmware.tls_bio import OPERATION, TlsMachine, verifying_context

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""From the ClientHello on, as OONI's; a throttled handshake takes over 3 s and still ends."""

_MAX_FLIGHTS: Final = 16
_MAX_CHAIN: Final = 8
_ANSWER_START: Final = 64
"""Bytes kept of an answer that ended in failure: enough to know a block page from a TLS alert."""


@dataclass(slots=True)
class Flight:
    """Bytes in one direction without any in the other between: `t_ns` since the ClientHello was sent."""

    t_ns: int
    direction: str
    size: int


@dataclass(slots=True, kw_only=True)
class Handshake:
    """How one handshake went.

    `phases` holds `tls_first_flight` (ClientHello sent to first bytes back) and, when it was completed,
    `tls_handshake` (ClientHello sent to session agreed, our own verification included).
    """

    address: str
    server_name: str
    failure: str | None = None
    phases: dict[str, Phase] = field(default_factory=dict)
    flights: list[Flight] = field(default_factory=list)
    session: JsonObject = field(default_factory=dict)
    chain: list[bytes] = field(default_factory=list)
    leaf_not_after_s: int | None = None
    verify_code: int | None = None
    reason: str = ""
    answer_start: bytes = b""

    def to_json(self) -> JsonObject:
        """Return what a record keeps: `chain` base64 DER where the certificate did not verify, else its hashes."""
        chain = self.chain[:_MAX_CHAIN]
        flights: list[JsonValue] = [[flight.t_ns, flight.direction, flight.size] for flight in self.flights]
        kept: JsonObject = {
            "address": self.address,
            "server_name": self.server_name,
            "failure": self.failure,
            **self.session,
            "flights": flights,
            "chain_sha256": [hashlib.sha256(certificate).hexdigest() for certificate in chain],
            "leaf_not_after_s": self.leaf_not_after_s,
        }
        if self.verify_code is not None:
            kept["chain"] = [base64.b64encode(certificate).decode("ascii") for certificate in chain]
            kept["verify_code"] = self.verify_code
        if self.failure is not None:
            kept["reason"] = self.reason
            kept["answer_start"] = self.answer_start.hex()
        return kept


class TlsStream:
    """The decrypted side of a TCP stream. `handshake` comes first; the TCP stream stays its opener's to close."""

    def __init__(self, net: Net, stream: TcpStream, *, server_name: str, alpn: tuple[str, ...]) -> None:
        self.story = Handshake(address=net.host.label(stream.remote[0]), server_name=server_name)
        """How the handshake went, filled as it goes."""
        self._net = net
        self._stream = stream
        self._machine = TlsMachine(verifying_context(alpn), server_name)
        self._sent_ns = 0

    @property
    def last_receive_ns(self) -> int:
        """CLOCK_BOOTTIME of the last arrival from the wire."""
        return self._stream.last_receive_ns

    async def handshake(self, *, timeout_s: float = HANDSHAKE_TIMEOUT_S) -> None:
        """Agree on a session. Raises `MeasurementFailedError` (operation `tls_handshake`); `story` has the rest."""
        try:
            await self._shake(round(timeout_s * 1e9))
        except MeasurementFailedError as error:
            self.story.failure = error.failure
            self.story.verify_code = self._machine.verify_code
            self.story.reason = self._machine.reason
            self.story.chain = self._machine.chain()
            raise MeasurementFailedError(error.failure, operation=OPERATION) from error
        self.story.session = self._machine.facts()
        self.story.chain = self._machine.chain()
        self.story.leaf_not_after_s = self._machine.leaf_not_after_s()

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Encrypt and send. Raises `MeasurementFailedError` (operation `write`)."""
        self._machine.write(data)
        await self._stream.send_all(self._machine.take(), deadline_ns=deadline_ns)

    async def receive(self, *, deadline_ns: int | None = None) -> bytes:
        """Return decrypted bytes, b"" at the end. Raises `MeasurementFailedError` (operation `read`)."""
        while (data := self._machine.read()) is None:
            self._machine.feed(await self._stream.receive(deadline_ns=deadline_ns))
        return data

    async def _shake(self, timeout_ns: int) -> None:
        self._machine.handshake()
        hello = self._machine.take()
        self._sent_ns = self._net.now_ns()
        deadline_ns = self._sent_ns + timeout_ns
        await self._send(hello, deadline_ns)
        done = False
        while not done:
            data = await self._stream.receive(deadline_ns=deadline_ns)
            if not data:
                raise MeasurementFailedError(Failure.EOF, operation=OPERATION)
            self._note("down", data, self._stream.last_receive_ns)
            self._machine.feed(data)
            try:
                done = self._machine.handshake()
            except MeasurementFailedError:
                await self._say_goodbye(deadline_ns)
                raise
            await self._send(self._machine.take(), deadline_ns)
        self.story.phases["tls_handshake"] = Phase(ns=self._net.now_ns() - self._sent_ns, stamp=Stamp.USER)

    async def _send(self, data: bytes, deadline_ns: int) -> None:
        if data:
            await self._stream.send_all(data, deadline_ns=deadline_ns)
            self._note("up", data, self._net.now_ns())

    async def _say_goodbye(self, deadline_ns: int) -> None:
        """Send the alert that says why, as every browser does; that it cannot be sent changes nothing."""
        try:
            await self._send(self._machine.take(), deadline_ns)
        except MeasurementFailedError:
            return

    def _note(self, direction: str, data: bytes, now_ns: int) -> None:
        story = self.story
        t_ns = max(0, now_ns - self._sent_ns)
        if direction == "down":
            story.answer_start = (story.answer_start + data)[:_ANSWER_START]
            story.phases.setdefault("tls_first_flight", Phase(ns=t_ns, stamp=Stamp.USER))
        if story.flights and story.flights[-1].direction == direction:
            story.flights[-1].size += len(data)
        elif len(story.flights) < _MAX_FLIGHTS:
            story.flights.append(Flight(t_ns, direction, len(data)))
