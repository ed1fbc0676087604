"""Downloads and uploads over HTTP: any size within the limits, streamed, what they are made of thrown away.

    GET  /v1/download?bytes=N&nonce=HEX     N bytes that nothing can compress
    POST /v1/upload?nonce=HEX               the body is counted: {"bytes": N, "elapsed_ms": T}

This file must never keep a byte of what was sent to it.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Final

from collector.measurement.http1 import PIECE_BYTES, HttpExchange, RequestHead
from collector.measurement.limits import Allowances
from collector.measurement.refusals import refused

_NOISE: Final = os.urandom(4 * 1024 * 1024)
"""What downloads are cut from, from a place that is drawn anew for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """What one transfer may take."""

    max_bytes: int
    max_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """The two handlers, and what they count against."""

    limits: TransferLimits
    allowances: Allowances

    async def download(self, exchange: HttpExchange, head: RequestHead, device: str) -> None:
        """Send as many bytes as are asked for; cut off at the limit of time. Raises `RefusedError`, `OSError`."""
        count = head.number("bytes", low=1, high=self.limits.max_bytes)
        lease = self.allowances.admit(device, head.nonce, count, now_s=time.monotonic())
        moved = exchange.moved
        try:
            async with asyncio.timeout(self.limits.max_s):
                await exchange.begin(length=count, content_type="application/octet-stream")
                at = int.from_bytes(os.urandom(4), "big") % len(_NOISE)
                while moved.sent < count:
                    piece = _NOISE[at : at + min(PIECE_BYTES, count - moved.sent)]
                    at = (at + len(piece)) % len(_NOISE)
                    exchange.writer.write(piece)
                    moved.sent += len(piece)
                    await exchange.drained()
        finally:
            self.allowances.release(lease, moved.sent)

    async def upload(self, exchange: HttpExchange, head: RequestHead, device: str) -> None:
        """Take a body and say how much came, and in how long from its head on. Raises `RefusedError`, `OSError`."""
        told = head.headers.get("content-length", "")
        if not told and "chunked" not in head.headers.get("transfer-encoding", "").lower():
            raise refused(411, "an upload has a Content-Length, or is chunked")
        most = int(told) if told else self.limits.max_bytes
        if most > self.limits.max_bytes:
            raise refused(413, f"an upload has at most {self.limits.max_bytes} bytes")
        lease = self.allowances.admit(device, head.nonce, most, now_s=time.monotonic())
        began_s, moved = time.monotonic(), exchange.moved
        try:
            async with asyncio.timeout(self.limits.max_s):
                async for size in exchange.body():
                    moved.received += size
                    if moved.received > most:
                        raise refused(413, f"an upload has at most {most} bytes")
        except TimeoutError as error:
            raise refused(
                408, f"it took more than {self.limits.max_s:g} s: {moved.received} bytes came"
            ) from error
        finally:
            self.allowances.release(lease, moved.received)
        elapsed_ms = round((time.monotonic() - began_s) * 1000)
        await exchange.answer_json({"bytes": moved.received, "elapsed_ms": elapsed_ms})
