"""M-Lab's two throughput tests, the server's side: ndt7 and msak's throughput1, by one pair of loops and two forms.

    /ndt/v7/download, /ndt/v7/upload                  https://github.com/m-lab/ndt-server/blob/main/spec/ndt7-protocol.md
    /throughput/v1/download, /throughput/v1/upload    https://github.com/m-lab/msak

Both are WebSockets on which one side sends binary messages that grow while they are small against all that was sent, and each
tells the other what it measured, as JSON in text messages. They end after their time, or when the bytes that were set aside for them are used. This file must never
keep what a client says of itself.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from collector.measurement import tcp_info
from collector.measurement.http1 import HttpExchange, RequestHead
from collector.measurement.limits import Allowances
from collector.measurement.refusals import refused
from collector.measurement.transfers import TransferLimits
from collector.measurement.websocket import WebSocketChannel, is_binary, size_of
from firmware.model.jsontypes import JsonObject, JsonValue

MAX_MESSAGE_BYTES: Final = 1 << 20
SCALING: Final = 16
"""A message is doubled while it is at most this part of what was sent."""
EVERY_S: Final = 0.25
NDT7_S: Final = 10.0
THROUGHPUT1_S: Final = 5.0
MAX_S: Final = 15.0
_NOISE: Final = os.urandom(MAX_MESSAGE_BYTES)
_NDT7_TCP: Final = (
    *("BusyTime", "BytesAcked", "BytesReceived", "BytesSent", "BytesRetrans", "MinRTT", "RTT", "RTTVar"),
    *("RWndLimited", "SndBufLimited"),
)


@dataclass(slots=True, kw_only=True)
class StreamCounts:
    """What one stream has moved so far, and since when (monotonic, s)."""

    test: str
    began_s: float
    client: str
    server: str
    uuid: str = field(default_factory=lambda: os.urandom(8).hex())
    sent: int = 0
    received: int = 0
    told: int = 0

    def elapsed_us(self, now_s: float) -> int:
        """Return how long it has gone on."""
        return int((now_s - self.began_s) * 1_000_000)


Form: TypeAlias = Callable[[StreamCounts, "tcp_info.HasOptions", float], JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProtocol:
    """What tells one of the two from the other."""

    subprotocol: str
    first_bytes: int
    measurement: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class MlabTests:
    """The handlers of one of the two."""

    protocol: StreamProtocol
    limits: TransferLimits
    allowances: Allowances

    async def download(self, exchange: HttpExchange, head: RequestHead, who: str) -> None:
        """Send for as long as the test lasts. Raises `RefusedError`, `OSError`."""
        await self._run(exchange, head, who, "download")

    async def upload(self, exchange: HttpExchange, head: RequestHead, who: str) -> None:
        """Take for as long as the test lasts. Raises `RefusedError`, `OSError`."""
        await self._run(exchange, head, who, "upload")

    async def _run(self, exchange: HttpExchange, head: RequestHead, who: str, test: str) -> None:
        lasts_s = min(duration_s(self.protocol, head), MAX_S, self.limits.max_s)
        most = byte_limit(head, self.limits.max_bytes)
        lease = self.allowances.admit(who, os.urandom(8).hex(), most, now_s=time.monotonic())
        counts = StreamCounts(
            test=test,
            began_s=time.monotonic(),
            client=_endpoint(exchange, "peername"),
            server=_endpoint(exchange, "sockname"),
        )
        try:
            channel = await WebSocketChannel.accept(exchange, self.protocol.subprotocol)
            counts.began_s = time.monotonic()
            ends_s = counts.began_s + lasts_s
            stream = _Stream(channel, exchange, self.protocol, counts, most, ends_s)
            async with asyncio.timeout(MAX_S + EVERY_S):
                await (stream.download() if test == "download" else stream.upload())
        finally:
            exchange.moved.sent, exchange.moved.received = counts.sent, counts.received
            self.allowances.release(lease, counts.sent + counts.received)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One test under way."""

    channel: WebSocketChannel
    exchange: HttpExchange
    protocol: StreamProtocol
    counts: StreamCounts
    most: int
    ends_s: float

    async def download(self) -> None:
        """Send binary messages, and between them what was measured."""
        receiving = asyncio.create_task(self._receive(takes_binary=False))
        try:
            size, next_s = self.protocol.first_bytes, 0.0
            while not receiving.done() and (now_s := time.monotonic()) < self.ends_s:
                if now_s >= next_s:
                    await self._tell(now_s)
                    next_s = now_s + EVERY_S
                left = self.most - self.counts.sent
                if left <= 0:
                    break
                while size < MAX_MESSAGE_BYTES and size <= self.counts.sent // SCALING:
                    size *= 2
                message = _NOISE[: min(size, left)]
                self.counts.sent += len(message)
                await self.channel.send(message)
            await self._tell(time.monotonic())
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        await self.channel.close()

    async def upload(self) -> None:
        """Take binary messages, and tell what came."""
        receiving = asyncio.create_task(self._receive(takes_binary=True))
        try:
            while not receiving.done() and time.monotonic() < self.ends_s:
                await self._tell(time.monotonic())
                left_s = min(EVERY_S, self.ends_s - time.monotonic())
                await asyncio.wait({receiving}, timeout=max(0.0, left_s))
            if self.channel.is_open:
                await self._tell(time.monotonic())
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        await self.channel.close()

    async def _receive(self, *, takes_binary: bool) -> None:
        """Take what comes until the other side closes, sends what it must not, or has used its bytes."""
        while frames := await self.channel.receive():
            self.counts.received += sum(map(size_of, frames))
            if self.counts.received > self.most or (not takes_binary and any(map(is_binary, frames))):
                return

    async def _tell(self, now_s: float) -> None:
        if not self.channel.is_open:
            return
        sock = self.exchange.writer.get_extra_info("socket")
        text = json.dumps(self.protocol.measurement(self.counts, sock, now_s), separators=(",", ":"))
        self.counts.told += 1
        await self.channel.send(text)


def ndt7_measurement(counts: StreamCounts, sock: tcp_info.HasOptions, now_s: float) -> JsonObject:
    """Return a measurement as ndt7 has it. Times are µs."""
    elapsed_us = counts.elapsed_us(now_s)
    tcp = tcp_info.of(sock)
    kept: JsonObject = {name: tcp[name] for name in _NDT7_TCP if name in tcp}
    moved = counts.sent if counts.test == "download" else counts.received
    return {
        "AppInfo": {"ElapsedTime": elapsed_us, "NumBytes": moved},
        "ConnectionInfo": {"Client": counts.client, "Server": counts.server, "UUID": counts.uuid},
        "Origin": "server",
        "Test": counts.test,
        "TCPInfo": {**kept, "ElapsedTime": elapsed_us},
    }


def throughput1_measurement(counts: StreamCounts, sock: tcp_info.HasOptions, now_s: float) -> JsonObject:
    """Return a measurement as throughput1 has it; the first one says what the connection is. Times are µs."""
    elapsed_us = counts.elapsed_us(now_s)
    tcp = tcp_info.of(sock)
    first: JsonObject = {
        "CC": tcp_info.congestion_control(sock),
        "UUID": counts.uuid,
        "LocalAddr": counts.server,
        "RemoteAddr": counts.client,
    }
    every: dict[str, JsonValue] = {
        "Application": {"BytesSent": counts.sent, "BytesReceived": counts.received},
        "Network": {"BytesSent": tcp.get("BytesSent", 0), "BytesReceived": tcp.get("BytesReceived", 0)},
        "ElapsedTime": elapsed_us,
        "TCPInfo": {**tcp, "ElapsedTime": elapsed_us},
    }
    return every if counts.told else {**first, **every}


NDT7: Final = StreamProtocol(
    subprotocol="net.measurementlab.ndt.v7", first_bytes=1 << 13, measurement=ndt7_measurement
)
THROUGHPUT1: Final = StreamProtocol(
    subprotocol="net.measurementlab.throughput.v1", first_bytes=1 << 10, measurement=throughput1_measurement
)


def duration_s(protocol: StreamProtocol, head: RequestHead) -> float:
    """Return how long a test is to last. Raises `RefusedError` for what throughput1 does not take."""
    if protocol is NDT7:
        return NDT7_S
    for name in ("mid", "streams"):
        if not head.query.get(name):
            raise refused(400, f"{name}: it must be there")
    if "duration" not in head.query:
        return THROUGHPUT1_S
    return head.number("duration", low=1, high=3_600_000) / 1000


def byte_limit(head: RequestHead, most: int) -> int:
    """Return after how many bytes a test ends: as asked for by `bytes`, and never more than it may take. Raises `RefusedError`."""
    asked = head.number("bytes", low=0, high=2**50) if "bytes" in head.query else 0
    return min(asked, most) if asked else most


def _endpoint(exchange: HttpExchange, which: str) -> str:
    host, port = exchange.writer.get_extra_info(which)[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
