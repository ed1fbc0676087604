"""One HTTP/1.1 request on one connection, read and answered: by h11, over asyncio's streams.

After it the connection is closed: a transfer has a connection of its own, so that nothing of one is in the other's times. This file must
never hold more of a request than its head, nor read on where nothing comes for `HEAD_S`.
"""

import asyncio
import contextlib
import email.utils
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import h11

from collector.measurement.refusals import HttpRefusal, refused
from firmware.model.jsontypes import JsonObject
from firmware.model.nonce import FORM, PATTERN

HEAD_S: Final = 20.0
"""How long a request's head may take: a network was seen to act 12 s after the first packet."""
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 4 * 1024 * 1024
"""How much is read of what a refused client still sends, so that the refusal reaches it before the reset."""
PIECE_BYTES: Final = 64 * 1024
_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_PARAMETERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """What is asked. Header names are in small letters; of one that stands twice the last counts."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """What stands as the bearer's token (RFC 6750), "" where there is none.

        A browser can put no header on a WebSocket's request: M-Lab's clients have it in the query.
        """
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else self.query.get("access_token", "")

    @property
    def nonce(self) -> str:
        """What names this transfer at both ends. Raises `RefusedError`."""
        nonce = self.query.get("nonce", "")
        if not PATTERN.fullmatch(nonce):
            raise refused(400, f"nonce: allowed are {FORM}")
        return nonce

    def number(self, name: str, *, low: int, high: int) -> int:
        """Return a whole number that must be there. Raises `RefusedError`."""
        text = self.query.get(name, "")
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
            raise refused(400, f"{name}: allowed is a whole number from {low} to {high}")
        return int(text)


@dataclass(slots=True, kw_only=True)
class Moved:
    """How many bytes of a test have gone each way so far: of its own, without what carries them."""

    sent: int = 0
    received: int = 0


class HttpExchange:
    """One request and its answer on a connection that is open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.raw_head = b""
        """The request's head as it came, with what came after it in one piece: for a protocol that takes the connection over."""
        self.moved = Moved()
        self.taken_over = False
        """Whether another protocol than HTTP answers from here on."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)

    @property
    def tls(self) -> ssl.SSLObject:
        """The TLS session it came over."""
        session = self.writer.get_extra_info("ssl_object")
        assert isinstance(session, ssl.SSLObject)
        return session

    async def head(self) -> RequestHead | None:
        """Return the request's head; None where the other side left before. Raises `RefusedError`, `OSError`."""
        try:
            async with asyncio.timeout(HEAD_S):
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    piece = await self.reader.read(PIECE_BYTES)
                    self.raw_head += piece
                    self._http.receive_data(piece)
        except TimeoutError as error:
            raise refused(408, f"no request came within {HEAD_S:.0f} s") from error
        except h11.RemoteProtocolError as error:
            raise refused(error.error_status_hint, "it is not a request of HTTP/1.1") from error
        return _head(event) if isinstance(event, h11.Request) else None

    async def body(self) -> AsyncIterator[int]:
        """Yield how many bytes of the body came, piece by piece; none is kept. Raises `RefusedError`, `OSError`."""
        if self._http.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        try:
            while not isinstance(event := self._http.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
                if isinstance(event, h11.Data):
                    yield len(event.data)
                elif event is h11.NEED_DATA:
                    self._http.receive_data(await self.reader.read(PIECE_BYTES))
        except h11.RemoteProtocolError as error:
            raise ConnectionResetError("the body ended before its end") from error

    async def drained(self) -> None:
        """Wait until there is room for more to be written. Raises `OSError` where the connection is lost."""
        await self.writer.drain()
        # Between a reset and asyncio's telling us, its TLS takes whatever is written and drops it: without a turn nobody tells us.
        await asyncio.sleep(0)

    async def begin(self, *, length: int, content_type: str) -> None:
        """Send the head of an answer with a body of `length` bytes, which the caller then writes to `writer`."""
        self._send(
            h11.Response(
                status_code=200,
                headers=_headers(length, content_type, ("Cache-Control", "no-store")),
                reason=b"OK",
            )
        )
        await self.writer.drain()

    async def answer(self, body: bytes, *, content_type: str) -> None:
        """Answer 200 with `body`."""
        await self.begin(length=len(body), content_type=content_type)
        self.writer.write(body)
        await self.writer.drain()

    async def answer_json(self, value: JsonObject) -> None:
        """Answer 200 with `value`."""
        await self.answer(json.dumps(value).encode() + b"\n", content_type="application/json")

    async def refuse(self, refusal: HttpRefusal) -> None:
        """Answer with a refusal, if nothing was answered yet; what is still sent to us is read for a moment."""
        if self.taken_over or self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        body = refusal.sentence.encode() + b"\n"
        more = [] if refusal.retry_after_s is None else [("Retry-After", str(refusal.retry_after_s))]
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            more.append(("WWW-Authenticate", "Bearer"))
        self._send(
            h11.Response(
                status_code=refusal.status,
                headers=_headers(len(body), "text/plain; charset=utf-8", *more),
                reason=HTTPStatus(refusal.status).phrase.encode(),
            )
        )
        self.writer.write(body)
        await self.writer.drain()
        with contextlib.suppress(h11.RemoteProtocolError):
            if not isinstance(self._http.next_event(), h11.EndOfMessage):
                await self._linger()

    async def _linger(self) -> None:
        left = LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while left > 0 and (piece := await self.reader.read(PIECE_BYTES)):
                    left -= len(piece)

    def _send(self, event: h11.InformationalResponse | h11.Response) -> None:
        data = self._http.send(event)
        assert data is not None  # None stands for a connection that is to be closed
        self.writer.write(data)


def _head(event: h11.Request) -> RequestHead:
    target = event.target.decode("ascii", "replace")
    try:
        parts = urlsplit(target)
        query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise refused(400, "the request's target cannot be read") from error
    return RequestHead(
        method=event.method.decode("ascii"),
        path=parts.path,
        query=dict(query),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in event.headers},
    )


def _headers(length: int, content_type: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        ("Date", email.utils.formatdate(usegmt=True)),
        ("Content-Type", content_type),
        ("Content-Length", str(length)),
        ("Connection", "close"),
        *more,
    ]
