"""The worker's way out to the daemon: never blocks, never grows past its bound, says what it dropped."""

import socket
from typing import Final

from firmware.net.job import Job
from firmware.net.loop import WRITABLE, Loop, boottime_ns
from firmware.worker import framing

MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024
"""How much of what the daemon has not read is kept: a stalled daemon is given minutes, not this machine's memory."""


class Outlet:
    """Frames on their way to a stream socket, which it makes non-blocking. `run` it as a job of its own."""

    def __init__(self, loop: Loop, sock: socket.socket, *, max_unsent_bytes: int = MAX_UNSENT_BYTES) -> None:
        sock.settimeout(0)
        self._loop = loop
        self._socket = sock
        self._max_unsent_bytes = max_unsent_bytes
        self._unsent = bytearray()
        self._dropped = 0
        self._parked: Job[object] | None = None

    def put(self, message: framing.Message) -> None:
        """Send a message, at once or as soon as the daemon reads, or drop it and count it.

        Raises `FramingError` for one that is too large for any frame.
        """
        frame = self._notice() + framing.encode(message)
        if len(self._unsent) + len(frame) > self._max_unsent_bytes:
            self._dropped += 1
            return
        self._dropped = 0
        self._unsent += frame
        self._flush()
        if self._unsent and self._parked is not None:
            self._loop.resume(self._parked)
            self._parked = None

    def offer(self, message: framing.Message) -> bool:
        """Send a message that may be left out, if all before it is on its way; return whether it was sent or kept."""
        if self._unsent or self._dropped:
            return False
        self.put(message)
        return True

    async def run(self) -> None:
        """Send what `put` could not, until cancelled."""
        while True:
            if self._unsent:
                await self._loop.wait(self._socket.fileno(), WRITABLE, deadline_ns=None)
                self._flush()
            else:
                self._parked = self._loop.current()
                await self._loop.park()

    async def drain(self, *, deadline_ns: int) -> None:
        """Wait until all is sent, or until `deadline_ns`."""
        while self._unsent and boottime_ns() < deadline_ns:
            await self._loop.sleep_until(boottime_ns() + 1_000_000)

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:  # the daemon is gone, and whoever reads the other direction is about to see it
                self._unsent.clear()
                return
            del self._unsent[:sent]
            if not self._unsent:
                self._unsent += self._notice()
                self._dropped = 0

    def _notice(self) -> bytes:
        return framing.encode({"type": "dropped", "count": self._dropped}) if self._dropped else b""
