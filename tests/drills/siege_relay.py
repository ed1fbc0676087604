"""What lies between one device of the siege and everything else: ports that forward, and can be cut for that device alone.

A cut resets what stands and refuses what comes, as a line does whose far end has gone. Bytes pass unchanged. The last pair
is the one of HTTPS: a line may be joined for that alone.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Sequence

from tests.drills.siege_threads import hand_on

HOST = "127.0.0.1"
READ_BYTES = 65536
LIMIT_S = 60.0


class Relay:
    """Forwards each of `pairs` (own port, far port) on the loopback, from `join` to `cut`."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._pairs = tuple(pairs)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(hand_on)
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self.is_cut = True

    def join(self, *, https_only: bool = False) -> None:
        """Forward from now on."""
        if self.is_cut:
            pairs = self._pairs[-1:] if https_only else self._pairs
            asyncio.run_coroutine_threadsafe(self._join(pairs), self._loop).result(LIMIT_S)
            self.is_cut = False

    def cut(self) -> None:
        """Forward nothing any more."""
        if not self.is_cut:
            asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(LIMIT_S)
            self.is_cut = True

    def close(self) -> None:
        """End it."""
        self.cut()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(LIMIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    async def _join(self, pairs: Sequence[tuple[int, int]]) -> None:
        for own, far in pairs:
            self._servers.append(
                await asyncio.start_server(functools.partial(self._forward, far=far), HOST, own)
            )

    async def _cut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        """Let the connections that were cut come to their ends."""
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=5)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: int) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, far)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            for one in (writer, far_writer):
                one.transport.abort()
                self._writers.discard(one)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    # Either half's end is the end of both: nobody here uses half of a connection.
    writer.transport.abort()
