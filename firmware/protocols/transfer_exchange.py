"""One download from a measurement server, or one upload to it, over a TLS stream: moved in bounded pieces, with its time line.

    GET  /v1/download?bytes=N&nonce=HEX
    POST /v1/upload?nonce=HEX

After each piece of 16 KiB, one TLS record, the loop has its turn: a probe that is due meanwhile leaves on time
(decision 48). A download's time line is when its bytes came here, by the kernel's stamps where there are, in TLS records that are whole
or not (one that waits for its end would make a slow line look like one that stops and goes); an upload's when the
other side had acknowledged them (TCP_INFO), read every 2 ms at first and less often later, within 1 in 256 of the
time. Silence is no error: a transfer that is still going on, or silent, when its time is over has `TransferEnd.TIME`. This file
must never keep what came but a refusal's sentence, and never send on once the time is over.
"""

import json
import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import h11

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net import tcp_info
from firmware.net.access import Net, TcpStream
from firmware.net.stamps import ArrivalStamp, Departure, offsets
from firmware.protocols.byte_line import ByteLine
from firmware.protocols.http_exchange import LEFT_BEHIND_S
from firmware.protocols.http_urls import OPERATION
from firmware.protocols.tls_records import RECORD_BYTES, RECORD_OVERHEAD, payload_of, wire_bytes_of
from firmware.protocols.tls_stream import TlsStream

PIECE_BYTES: Final = RECORD_BYTES
"""What is moved between two turns of the loop."""
_OK: Final = 200
_MAX_SAID: Final = 400
_SAMPLE_LEAST_NS: Final = 2_000_000
_SAMPLE_MOST_NS: Final = 50_000_000
_SAMPLE_SHARE: Final = 256


class TransferEnd(StrEnum):
    """How a transfer ended, as the device saw it."""

    COMPLETE = "complete"
    """All came; of an upload, the server said that all came."""
    TIME = "time"
    """It was still going on, or silent, when its time was over."""
    FAILED = "failed"
    """It never began, was refused, or broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequest:
    """What is asked for. `host` is the name that the request names."""

    is_upload: bool
    byte_count: int
    most_ns: int
    nonce: str
    token: str
    host: str

    def head(self) -> h11.Request:
        """Return the request."""
        way = f"/v1/upload?nonce={self.nonce}"
        if not self.is_upload:
            way = f"/v1/download?bytes={self.byte_count}&nonce={self.nonce}"
        headers = [("Host", self.host), ("Authorization", f"Bearer {self.token}")]
        if self.is_upload:
            headers.append(("Content-Length", str(self.byte_count)))
        return h11.Request(method="POST" if self.is_upload else "GET", target=way, headers=headers)


@dataclass(slots=True, kw_only=True)
class TransferStory:
    """How it went, filled as it goes. Times of `points` and `ended_ns` are since the request was sent; `points` are (ns, bytes).

    `waited_ns` is how long of it this device waited for the network; `said` what an upload's answer holds, or a refusal's sentence.
    """

    ending: TransferEnd = TransferEnd.FAILED
    status: int | None = None
    points: list[tuple[int, int]] = field(default_factory=list)
    stamp: Stamp = Stamp.USER
    ended_ns: int | None = None
    waited_ns: int | None = None
    said: bytes = b""
    phases: dict[str, Phase] = field(default_factory=dict)

    def counted_by_server(self) -> tuple[int, int] | None:
        """Return how many bytes of an upload the server says came, and in how many ms; None where it said nothing of the kind."""
        try:
            told = json.loads(self.said)
        except ValueError:
            return None
        if self.status != _OK or not isinstance(told, dict):
            return None
        count, elapsed_ms = told.get("bytes"), told.get("elapsed_ms")
        if type(count) is not int or type(elapsed_ms) is not int:
            return None
        return count, elapsed_ms


async def run_transfer(
    net: Net, tcp: TcpStream, tls: TlsStream, asked: TransferRequest, story: TransferStory
) -> None:
    """Make the transfer; what happened goes into `story`.

    Raises `MeasurementFailedError`: `read` and `write` for a connection that broke, `http_round_trip` for an answer that is a refusal or no
    answer. That the time was over is none.
    """
    await _Transfer(net, tcp, tls, asked, story).run()


class _Transfer:
    """One transfer on its way."""

    def __init__(
        self, net: Net, tcp: TcpStream, tls: TlsStream, asked: TransferRequest, story: TransferStory
    ) -> None:
        self._net = net
        self._tcp = tcp
        self._tls = tls
        tls.most_at_once = PIECE_BYTES
        self._asked = asked
        self._story = story
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._came: ByteLine[ArrivalStamp] = ByteLine(wire_bytes_of(asked.byte_count))
        self._acked: ByteLine[int] = ByteLine(asked.byte_count)
        self._first: ArrivalStamp | None = None
        self._request: Departure | None = None
        self._end_ns = net.now_ns() + asked.most_ns
        self._body_begins = 0
        self._answer_begins = 0
        self._plain_bytes = 0
        self._ended = False

    async def run(self) -> None:
        waited_ns = self._tcp.waited_ns
        self._body_begins = self._tcp.sent_bytes
        try:
            await self._tls.send_all(self._http.send(self._asked.head()) or b"", deadline_ns=self._end_ns)
            self._request = self._tcp.sent
            self._body_begins = self._tcp.sent_bytes
            await (self._upload() if self._asked.is_upload else self._download())
            self._story.ending = TransferEnd.COMPLETE
        except MeasurementFailedError as error:
            if not self._is_over(error):
                raise
            self._story.ending = TransferEnd.TIME
        finally:
            if self._story.ending is not TransferEnd.COMPLETE:
                self._tcp.reset_at_close()
            self._story.waited_ns = self._tcp.waited_ns - waited_ns
            self._tell_times()

    def _is_over(self, error: MeasurementFailedError) -> bool:
        """Return whether it was its own time that ended it. Raises where the task's deadline was sooner, which says nothing of the network."""
        if error.failure != Failure.TIMEOUT:
            return False
        if self._net.now_ns() < self._end_ns:
            raise MeasurementFailedError(Failure.INTERRUPTED, operation=error.operation) from error
        return True

    async def _download(self) -> None:
        self._http.send(h11.EndOfMessage())
        self._answer_begins = self._tcp.received_bytes
        self._tcp.on_arrival = self._note_arrival
        await self._read_answer()

    def _note_arrival(self, arrival: ArrivalStamp) -> None:
        self._came.add(self._tcp.received_bytes - self._answer_begins, arrival.user_ns, arrival)

    async def _upload(self) -> None:
        sampling = self._net.loop.spawn(self._sample(), name="sampling")
        try:
            await self._send_body()
            await self._read_answer()
        finally:
            sampling.cancel()
            self._take_sample()
        counted = self._story.counted_by_server()
        if counted is None or counted[0] != self._asked.byte_count:
            raise MeasurementFailedError(Failure.HTTP_REQUEST_FAILED, operation=OPERATION)

    async def _send_body(self) -> None:
        piece, left = os.urandom(PIECE_BYTES), self._asked.byte_count
        try:
            while left:
                data = self._http.send(h11.Data(data=piece[:left])) or b""
                await self._tls.send_all(data, deadline_ns=self._end_ns)
                left -= len(data)
                self._take_sample()
                await self._turn("write")
        except MeasurementFailedError as unsent:
            if unsent.failure != Failure.TIMEOUT:
                await self._read_refusal(unsent)
            raise
        self._http.send(h11.EndOfMessage())

    async def _read_refusal(self, unsent: MeasurementFailedError) -> None:
        """Read what was there already when nothing more could be sent. Raises if it is a refusal."""
        self._end_ns = min(self._end_ns, self._net.now_ns() + round(LEFT_BEHIND_S * 1e9))
        try:
            await self._read_answer()
        except MeasurementFailedError as error:
            if error.failure == Failure.HTTP_UNEXPECTED_STATUS_CODE:
                raise
        raise unsent

    async def _read_answer(self) -> None:
        try:
            while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    await self._receive()
                elif isinstance(event, h11.Response):
                    self._story.status = event.status_code
                    if not self._asked.is_upload:
                        head_bytes = self._plain_bytes - len(self._http.trailing_data[0])
                        self._body_begins = head_bytes + RECORD_OVERHEAD
                elif isinstance(event, h11.Data):
                    self._take(bytes(event.data))
                elif not isinstance(event, h11.InformationalResponse):
                    raise MeasurementFailedError(Failure.EOF, operation="read")
        except h11.RemoteProtocolError as error:
            failure = Failure.EOF if self._ended else Failure.HTTP_REQUEST_FAILED
            raise MeasurementFailedError(failure, operation=OPERATION, message=str(error)) from error
        if self._story.status != _OK:
            raise MeasurementFailedError(Failure.HTTP_UNEXPECTED_STATUS_CODE, operation=OPERATION)

    async def _receive(self) -> None:
        data = await self._tls.receive(deadline_ns=self._end_ns)
        if self._first is None:
            self._first = self._tls.first_arrival
        self._ended = not data
        self._plain_bytes += len(data)
        self._http.receive_data(data)
        await self._turn("read")

    async def _turn(self, operation: str) -> None:
        """Let others run, and end where the time is over: what never has to wait would else never end."""
        await self._net.loop.turn()
        if self._net.now_ns() >= min(self._end_ns, self._net.deadline_ns):
            raise MeasurementFailedError(Failure.TIMEOUT, operation=operation)

    def _take(self, data: bytes) -> None:
        if self._asked.is_upload or self._story.status != _OK:
            self._story.said = (self._story.said + data)[:_MAX_SAID]

    def _payload_points(self, times: list[int]) -> list[tuple[int, int]]:
        """Return a download's points by what of its body had come, in TLS records that were whole by then or not.

        The server sends no tickets: what came since the request is the answer's head, in a record of its own, and the body.
        """
        most = self._asked.byte_count
        points = [
            (at_ns, payload_of(size - self._body_begins, most))
            for at_ns, (size, _) in zip(times, self._came.points, strict=True)
        ]
        return [point for point in points if point[1]]

    async def _sample(self) -> None:
        began_ns = self._net.now_ns()
        while True:
            self._take_sample()
            now_ns = self._net.now_ns()
            pause_ns = min(_SAMPLE_MOST_NS, max(_SAMPLE_LEAST_NS, (now_ns - began_ns) // _SAMPLE_SHARE))
            await self._net.loop.sleep_until(now_ns + pause_ns)

    def _take_sample(self) -> None:
        acked = tcp_info.value(self._tcp.raw_info(), "BytesAcked")
        if acked is not None:
            payload = payload_of(acked - 1 - self._body_begins, self._asked.byte_count)  # the SYN is one
            self._acked.add(payload, now_ns := self._net.now_ns(), now_ns)

    def _tell_times(self) -> None:
        story, request = self._story, self._request
        if request is None:
            return
        self._tcp.settle()
        story.ended_ns = self._net.now_ns() - request.user_ns
        if self._first is not None:
            story.phases["first_byte"] = self._tcp.elapsed(request, self._first)
        if self._asked.is_upload:
            self._acked.finish()
            story.points = [(at_ns - request.user_ns, size) for size, at_ns in self._acked.points]
        else:
            self._came.finish()
            moments = [moment for _, moment in self._came.points]
            times, story.stamp = offsets(request, moments)
            if story.status == _OK:
                story.points = self._payload_points(times)
        story.phases["transfer"] = Phase(ns=story.ended_ns, stamp=Stamp.USER)
