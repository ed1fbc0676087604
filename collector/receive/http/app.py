"""Messages by POST: each is put where those of the broker are, and answered with what is answered to it.

    POST /p1/up/{device}/{leaf}   body: the message; 200: a bundle with the answers, once what was sent is durable
                                  503: too much waits, or the disk fails; Retry-After says how long to wait
    GET  /p1/                     204: one of ours is here

What it takes is checked by signature like all else; where the collector has no registry, it must be served on the
loopback only. It must never hold more of a message in memory than a message may be, nor answer before the commit.
"""

import asyncio
import time
from typing import Final

from fastapi import FastAPI, Request, Response

from collector.messages import Delivery, OutgoingMessage
from collector.receive.inbox import Inbox
from firmware.wire import bundle as wire_bundle
from firmware.wire.messages import DEVICE_PATTERN, topic

MAX_BODY_BYTES: Final = wire_bundle.MAX_PAYLOAD_BYTES
BODY_S: Final = 60.0
"""How long a body may take to come."""
ANSWER_S: Final = 20.0
"""How long a commit may take before the device is told to come again."""
RETRY_AFTER_S: Final = 5


def make_app(inbox: Inbox) -> FastAPI:
    """Return the application that feeds `inbox`."""
    app = FastAPI(title="Tidegauge intake", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/p1/", status_code=204)
    async def here() -> Response:
        return Response(status_code=204)

    @app.post("/p1/up/{device}/{leaf}")
    async def take(device: str, leaf: str, request: Request) -> Response:
        if not DEVICE_PATTERN.fullmatch(device) or not wire_bundle.LEAF_PATTERN.fullmatch(leaf):
            return _said(404, f"allowed is /p1/up/DEVICE/LEAF, DEVICE as {DEVICE_PATTERN.pattern}")
        if not inbox.has_room():
            return _hung_up(_later("too much waits here"))
        try:
            body = await asyncio.wait_for(_body(request), BODY_S)
        except TimeoutError:
            return _hung_up(_said(408, f"the message did not come within {BODY_S:.0f} s"))
        if body is None:
            return _hung_up(_said(413, f"a message has at most {MAX_BODY_BYTES} bytes"))
        answers = await _answers(inbox, topic(device, "up", leaf), body)
        if answers is None:
            return _later("it could not be stored")
        messages = [
            wire_bundle.BundleMessage(leaf=one.topic.rpartition("/")[2], payload=one.payload)
            for one in answers
        ]
        return Response(wire_bundle.encode(messages), media_type="application/octet-stream")

    return app


async def _body(request: Request) -> bytes | None:
    """Return the whole body, None where it is too large, or says that it will be: it is read no further then."""
    told = request.headers.get("content-length", "0")
    if not told.isdecimal() or int(told) > MAX_BODY_BYTES:
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


async def _answers(inbox: Inbox, topic_name: str, body: bytes) -> tuple[OutgoingMessage, ...] | None:
    """Put the message where ingest finds it, and wait for what it answers; None: it could not say in time."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[tuple[OutgoingMessage, ...]] = loop.create_future()

    def settle(answers: tuple[OutgoingMessage, ...]) -> None:
        if not answered.done():
            answered.set_result(answers)

    def reply(answers: tuple[OutgoingMessage, ...]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, answers)

    if not inbox.put(Delivery(topic=topic_name, payload=body, received_ns=time.time_ns(), reply=reply)):
        return None
    try:
        return await asyncio.wait_for(answered, ANSWER_S)
    except TimeoutError:
        return None


def _said(status: int, words: str) -> Response:
    return Response(words + "\n", status_code=status, media_type="text/plain")


def _hung_up(response: Response) -> Response:
    """Have the connection closed after `response`: what is left of the body is not read."""
    response.headers["Connection"] = "close"
    return response


def _later(words: str) -> Response:
    response = _said(503, f"{words}; come again in {RETRY_AFTER_S} s")
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
