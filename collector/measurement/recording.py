"""Writes the server's half of each test down: begun, sampled while it runs, ended, whatever ends it.

    Front ──▶ HalfRecorder ──▶ handler
                 │  └ ConnectionSamples (TCP_INFO)
                 └──▶ HalfWriter ──▶ one thread ──▶ HalfLog

The disk is never waited for by a transfer: what is written stands in a queue, in order. What it does not take is counted. Of
a request without a device's token, or without a nonce, nothing is written. This file must never hand an address on.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeAlias

from collector.measurement.ended import end_of
from collector.measurement.http1 import HttpExchange, RequestHead
from collector.measurement.refusals import HttpRefusal, RefusedError
from collector.measurement.sampling import ConnectionSamples
from collector.measurement.watching import SenderWatch
from collector.store.half_log import HalfLog, HalfPage
from firmware import __version__
from firmware.clock.clocks import ClockTracker, now, read_boot_id, read_timesync
from firmware.model.jsontypes import JsonObject
from firmware.model.nonce import PATTERN
from firmware.model.server_half import Direction, HalfEnd, ServerHalf
from firmware.wire.messages import DEVICE_PATTERN

MOST_WAITING: Final = 2000
"""How many writes may wait for the disk; what comes past it is counted as unwritten."""
_SETTLING_S: Final = 10.0
"""How long is waited at most for the acknowledgements of what was beside the test: an answer, a close."""

Handler: TypeAlias = Callable[[HttpExchange, RequestHead, str], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTest:
    """What a path is a test of."""

    test: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class HalfTicket:
    """A half that was begun; by it it is ended."""

    half: ServerHalf
    written: "Future[int] | None"
    began_ns: int


class HalfWriter:
    """The log, in a thread of its own. `close` waits until all is written."""

    def __init__(self, halves: HalfLog) -> None:
        self._halves = halves
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="halves")
        self._room = threading.Semaphore(MOST_WAITING)
        self.unwritten = 0
        """How many halves this process could not write."""

    def begin(self, half: ServerHalf) -> HalfTicket:
        """Note that a transfer has begun, soon."""
        began_ns = time.monotonic_ns()
        if not self._room.acquire(blocking=False):
            return HalfTicket(half, None, began_ns)
        return HalfTicket(half, self._thread.submit(self._halves.begin, half), began_ns)

    def end(
        self, ticket: HalfTicket, half: ServerHalf, limit: Callable[[], JsonObject] | None = None
    ) -> None:
        """Note how it ended, soon; `limit` tells what held it to its rate, and is asked in the log's thread."""
        runtime_ns = time.monotonic_ns() - ticket.began_ns
        if ticket.written is None:
            self.unwritten += 1
        self._thread.submit(self._end, ticket.written, replace(half, runtime_ns=runtime_ns), limit)

    async def page(self, epoch: str, upto: int) -> HalfPage:
        """Let go of what is collected, and return what follows. Raises `sqlite3.Error`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._page, epoch, upto)

    def close(self) -> None:
        """Write what waits, and close the log."""
        self._thread.shutdown(wait=True)
        self._halves.close()

    def _end(
        self, written: "Future[int] | None", half: ServerHalf, limit: Callable[[], JsonObject] | None
    ) -> None:
        if limit is not None:
            half = replace(half, limit=limit())
        if written is None:
            return
        self._room.release()
        try:
            self._halves.end(written.result(), half)
        except sqlite3.Error as error:
            self.unwritten += 1
            if self.unwritten == 1:
                log.warning("servers' halves cannot be written (%s); transfers go on without", error)

    def _page(self, epoch: str, upto: int) -> HalfPage:
        self._halves.collected(epoch, upto)
        return self._halves.page(upto if epoch == self._halves.epoch else 0, unwritten=self.unwritten)


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfRecorder:
    """Has halves written by `writer`, in the name of `server`; a transfer takes `max_s` at most."""

    writer: HalfWriter
    server: str
    max_s: float
    watch: SenderWatch = field(default_factory=SenderWatch)

    async def run(
        self, handle: Handler, exchange: HttpExchange, head: RequestHead, who: str, what: RecordedTest
    ) -> None:
        """Serve a request and write its half. Raises what `handle` does, and what ends the connection after it."""
        nonce = head.query.get("nonce", "")
        if not PATTERN.fullmatch(nonce) or not DEVICE_PATTERN.fullmatch(who):
            await handle(exchange, head, who)
            return
        ends_s = time.monotonic() + self.max_s
        ticket = self.writer.begin(self.begun(who, nonce, what, asked_bytes=_asked(head)))
        samples = ConnectionSamples(exchange.reader, exchange.writer)
        sends = what.direction is Direction.DOWNLOAD
        capture = self.watch.begin(samples.connection) if sends else None
        sampling = asyncio.create_task(samples.run())
        end, refusal = HalfEnd.DONE, None
        try:
            await handle(exchange, head, who)
            await self._settled(samples, what, ends_s)
        except RefusedError as error:
            end, refusal = end_of(error), error.refusal
            raise
        except BaseException as error:
            end = end_of(error, samples.state)
            raise
        finally:
            sampling.cancel()
            samples.close()
            tcp = samples.line.to_json()
            self.writer.end(
                ticket,
                replace(
                    ticket.half,
                    end=end,
                    bytes_sent=exchange.moved.sent,
                    bytes_received=exchange.moved.received,
                    status=None if refusal is None else refusal.status,
                    reason="" if refusal is None else refusal.sentence,
                    family=samples.family,
                    congestion_control=samples.congestion_control,
                    tcp=tcp,
                ),
                partial(self.watch.told, capture, tcp, samples.segment_bytes) if sends else None,
            )

    def begun(
        self, device: str, nonce: str, what: RecordedTest, *, asked_bytes: int | None = None
    ) -> ServerHalf:
        """Return the half of a test that begins now."""
        boottime_ns, utc_ns = now()
        point = read_timesync()
        tracker = ClockTracker(() if point is None else (point,))
        return ServerHalf(
            server=self.server,
            software=f"tidegauge {__version__}",
            device=device,
            nonce=nonce,
            test=what.test,
            direction=what.direction,
            boot_id=read_boot_id(),
            start=tracker.reading(boottime_ns=boottime_ns, utc_ns=utc_ns),
            asked_bytes=asked_bytes,
        )

    def refused(self, device: str, nonce: str, what: RecordedTest, refusal: HttpRefusal) -> None:
        """Write the half of a test that was not let in."""
        ticket = self.writer.begin(self.begun(device, nonce, what))
        half = replace(ticket.half, end=HalfEnd.REFUSED, status=refusal.status, reason=refusal.sentence)
        self.writer.end(ticket, half)

    async def _settled(self, samples: ConnectionSamples, what: RecordedTest, ends_s: float) -> None:
        """Wait for the last acknowledgement; only a download is not done without it."""
        if what.test == Direction.DOWNLOAD:
            await samples.settled(ends_s)
            return
        try:
            await samples.settled(min(ends_s, time.monotonic() + _SETTLING_S))
        except OSError:
            return


def _asked(head: RequestHead) -> int | None:
    """Return how many bytes a request says it is about, None where it says nothing that is a number."""
    text = head.query.get("bytes") or head.headers.get("content-length") or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
