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

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Phase, Stamp
from firmware.net.access import Net, TcpStream
from firmware.net.stamps import ArrivalStamp, Departure, offsets
from firmware.protocols.tls_bio import OPERATION, TlsMachine, pinned_context, verifying_context

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""From the ClientHello on, as OONI's; a throttled handshake takes over 3 s and still ends."""

_MAX_FLIGHTS: Final = 16
_MAX_CHAIN: Final = 8
_BITE: Final = 1_400
_READ_BYTES: Final = 65_536
_ANSWER_START: Final = 64
"""Bytes kept of an answer that ended in failure: enough to know a block page from a TLS alert."""
_LEFT_BEHIND_NS: Final = 500_000_000
"""How long is looked for an answer where nothing could be sent: what came before that is there already."""


@dataclass(slots=True)
class Flight:
    """Bytes in one direction without any in the other between, and when the first of them left or came."""

    direction: str
    size: int
    began: ArrivalStamp | Departure


@dataclass(slots=True, kw_only=True)
class Handshake:
    """How one handshake went.

    `phases` holds `tls_first_flight` (ClientHello sent to first bytes back) and, when it was completed,
    `tls_handshake` (ClientHello sent to the last bytes that our side needed). `finish_ns` is how long this
    machine then took to verify and agree, which is no part of it. `egress_queue_ns` is the ClientHello's wait in
    our own queue (SND − SCHED); `first_segments` how many segments of the answer had come when its first was
    looked at: with more than one, `tls_first_flight` may be a later one's. `retransmissions` are ours.
    """

    address: str
    server_name: str
    failure: str | None = None
    phases: dict[str, Phase] = field(default_factory=dict)
    flights: list[Flight] = field(default_factory=list)
    hello: Departure | None = None
    first_segments: int | None = None
    finish_ns: int | None = None
    retransmissions: int | None = None
    session: JsonObject = field(default_factory=dict)
    chain: list[bytes] = field(default_factory=list)
    leaf_not_after_s: int | None = None
    verify_code: int | None = None
    reason: str = ""
    answer_start: bytes = b""

    def to_json(self) -> JsonObject:
        """Return what a record keeps: `chain` base64 DER where the certificate did not verify, else its hashes."""
        chain = self.chain[:_MAX_CHAIN]
        flights, stamp = self._flights()
        kept: JsonObject = {
            "address": self.address,
            "server_name": self.server_name,
            "failure": self.failure,
            **self.session,
            "flights": flights,
            "flights_stamp": str(stamp),
            "first_segments": self.first_segments,
            "egress_queue_ns": None if self.hello is None else self.hello.egress_queue_ns,
            "finish_ns": self.finish_ns,
            "retransmissions": self.retransmissions,
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

    def _flights(self) -> tuple[list[JsonValue], Stamp]:
        """Return [ns since the ClientHello, direction, bytes] of each, and who took these times."""
        if self.hello is None:
            return [], Stamp.USER
        times, stamp = offsets(self.hello, [flight.began for flight in self.flights])
        flights = zip(times, self.flights, strict=True)
        return [[t_ns, flight.direction, flight.size] for t_ns, flight in flights], stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What alone is believed, whatever name is asked for: certificates of this role under this authority (PEM)."""

    authority_pem: str
    role: str


class TlsStream:
    """The decrypted side of a TCP stream. `handshake` comes first; the TCP stream stays its opener's to close."""

    def __init__(
        self,
        net: Net,
        stream: TcpStream,
        *,
        server_name: str,
        alpn: tuple[str, ...],
        pinned: Pinned | None = None,
    ) -> None:
        self.story = Handshake(address=net.host.label(stream.remote[0]), server_name=server_name)
        """How the handshake went, filled as it goes."""
        self._net = net
        self._stream = stream
        if pinned is None:
            self._machine = TlsMachine(verifying_context(alpn), server_name)
        else:
            context = pinned_context(pinned.authority_pem, alpn)
            self._machine = TlsMachine(context, server_name, role=pinned.role)
        self.most_at_once = _READ_BYTES
        """How many bytes are taken from the wire at once at most."""
        self.first_arrival: ArrivalStamp | None = None
        """When the first decrypted bytes after the last send came."""

    @property
    def sent(self) -> Departure | None:
        """The last send."""
        return self._stream.sent

    @property
    def last_arrival(self) -> ArrivalStamp | None:
        """When the last bytes from the wire came."""
        return self._stream.last_arrival

    @property
    def segments(self) -> int:
        """Not told: what else TLS sends, new tickets above all, comes first."""
        return 0

    def elapsed(self, sent: Departure, arrival: ArrivalStamp) -> Phase:
        """Return the time from a send to an arrival, and its class."""
        return self._stream.elapsed(sent, arrival)

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
        finally:
            self._stream.settle()
            self.story.retransmissions = self._stream.retransmissions()
        self.story.session = self._machine.facts()
        self.story.chain = self._machine.chain()
        self.story.leaf_not_after_s = self._machine.leaf_not_after_s()

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Encrypt and send. Raises `MeasurementFailedError` (operation `write`)."""
        self._machine.write(data)
        self.first_arrival = None
        await self._stream.send_all(self._machine.take(), deadline_ns=deadline_ns)

    def leaf_subject(self, name: str) -> str:
        """Return what the verified leaf's subject has under OpenSSL's long `name`, "" for nothing."""
        return self._machine.leaf_subject(name)

    async def receive(self, *, deadline_ns: int | None = None) -> bytes:
        """Return decrypted bytes, b"" at the end. Raises `MeasurementFailedError` (operation `read`)."""
        while (data := self._machine.read()) is None:
            # In small bites until the first is decrypted, so that its stamp is not a much later segment's.
            size = _BITE if self.first_arrival is None else self.most_at_once
            self._machine.feed(await self._stream.receive(size, deadline_ns=deadline_ns))
        if self.first_arrival is None:
            self.first_arrival = self._stream.last_arrival
        return data

    async def _shake(self, timeout_ns: int) -> None:
        self._machine.handshake()
        hello = self._machine.take()
        deadline_ns = self._net.now_ns() + timeout_ns
        try:
            await self._send(hello, deadline_ns)
        except MeasurementFailedError:
            await self._keep_what_came()
            raise
        self.story.hello = self._stream.sent
        done = False
        while not done:
            data = await self._stream.receive(deadline_ns=deadline_ns)
            if not data:
                raise MeasurementFailedError(Failure.EOF, operation=OPERATION)
            self._note_answer(data)
            self._machine.feed(data)
            try:
                done = self._machine.handshake()
            except MeasurementFailedError:
                await self._say_goodbye(deadline_ns)
                raise
            if done:
                self._note_end()
            await self._send(self._machine.take(), deadline_ns)

    async def _send(self, data: bytes, deadline_ns: int) -> None:
        if data:
            await self._stream.send_all(data, deadline_ns=deadline_ns)
            if self._stream.sent is not None:
                self._note("up", len(data), self._stream.sent)

    async def _keep_what_came(self) -> None:
        """Note the start of an answer that was there before the ClientHello could be sent."""
        try:
            self._note_answer(
                await self._stream.receive(_ANSWER_START, deadline_ns=self._net.now_ns() + _LEFT_BEHIND_NS)
            )
        except MeasurementFailedError:
            return

    async def _say_goodbye(self, deadline_ns: int) -> None:
        """Send the alert that says why, as every browser does; that it cannot be sent changes nothing."""
        try:
            await self._send(self._machine.take(), deadline_ns)
        except MeasurementFailedError:
            return

    def _note_answer(self, data: bytes) -> None:
        story, first = self.story, self._stream.first_arrival
        story.answer_start = (story.answer_start + data)[:_ANSWER_START]
        if story.hello is not None and first is not None:
            if story.first_segments is None:
                story.first_segments = self._stream.segments
                story.phases["tls_first_flight"] = self._stream.elapsed(story.hello, first)
            self._note("down", len(data), first)

    def _note_end(self) -> None:
        story, last = self.story, self._stream.last_arrival
        if story.hello is not None and last is not None:
            story.finish_ns = self._net.now_ns() - last.user_ns
            story.phases["tls_handshake"] = self._stream.elapsed(story.hello, last)

    def _note(self, direction: str, size: int, began: ArrivalStamp | Departure) -> None:
        flights = self.story.flights
        if flights and flights[-1].direction == direction:
            flights[-1].size += size
        elif len(flights) < _MAX_FLIGHTS:
            flights.append(Flight(direction, size, began))
