"""A disk with a write cache that a power cut empties: an NBD server for the emulator, in this process.

What was written and not flushed is only in the cache; at the cut each such write is kept, lost or torn at a
sector's edge, independently of the others. A flush, or a write that asks for it (FUA), is honoured: what it covers is
never lost. `lies` makes a disk that says so and does not: the drill's second control. While it `refuses`, each write
and each flush ends with an input/output error, as on a card at its end, and it can be read. One that writes `through` has
no cache: what it answered is there.
"""

import random
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

SECTOR: Final = 512
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)
_FUA: Final = 1
_OPTION_ABORT, _OPTION_GO = 2, 7
_ACK, _INFO, _UNSUPPORTED = 1, 3, 0x8000_0001
_IO_ERROR: Final = 5


class Disk:
    """The content of one disk, and what of it is only in its cache."""

    def __init__(self, content: bytes, *, lies: bool = False, through: bool = False) -> None:
        self.writes = 0
        """Write requests since it was made."""
        self._durable = bytearray(content)
        self._now = bytearray(content)
        self._cached: list[tuple[int, bytes, bool]] = []
        """Writes since the last flush: offset, data, and whether the write itself was made durable."""
        self._lies = lies
        self._through = through
        self.is_on = True
        self.refuses = False
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            return bytes(self._now[offset : offset + length])

    def write(self, offset: int, data: bytes, *, durable: bool) -> bool:
        """Take a write; False when it refuses, the power is off or it lies outside."""
        with self._lock:
            if not self.is_on or self.refuses or offset + len(data) > len(self._now):
                return False
            self.writes += 1
            self._now[offset : offset + len(data)] = data
            self._cached.append((offset, data, (durable or self._through) and not self._lies))
            return True

    def flush(self) -> bool:
        with self._lock:
            if self.refuses:
                return False
            if self.is_on and not self._lies:
                for offset, data, _ in self._cached:
                    self._durable[offset : offset + len(data)] = data
                self._cached.clear()
            return self.is_on

    def fill(self, content: bytes) -> None:
        """Put another content of the same length in its place."""
        with self._lock:
            self._durable[:] = self._now[:] = content
            self._cached.clear()

    def lie(self) -> None:
        """Say from now on that it flushed, and do not."""
        with self._lock:
            self._lies = True

    def on(self) -> None:
        with self._lock:
            self.is_on = True

    def off(self) -> None:
        """Take nothing from here on."""
        with self._lock:
            self.is_on = False

    def cut(self, rng: random.Random) -> tuple[int, int]:
        """Empty the cache as a power cut does; return (writes it held, of those lost or torn)."""
        with self._lock:
            lost = 0
            for offset, data, durable in self._cached:
                fate = 1.0 if durable else rng.random()
                sectors = len(data) // SECTOR
                kept = 0 if fate < 0.4 else rng.randint(0, sectors - 1) if fate < 0.6 else sectors
                lost += kept < sectors
                self._durable[offset : offset + SECTOR * kept] = data[: SECTOR * kept]
            held = len(self._cached)
            self._cached.clear()
            self._now[:] = self._durable
            return held, lost


class Server:
    """Serves a disk on a Unix socket, to one client after the other; `written` is called after each write."""

    def __init__(self, disk: Disk, path: Path, *, written: Callable[[], None]) -> None:
        self._disk = disk
        self._written = written
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client:
                try:
                    # Only now: what a killed emulator had still sent came too late, and was refused.
                    self._disk.on()
                    if self._greeted(client):
                        self._answer(client)
                except (EOFError, ConnectionError):
                    continue  # the emulator was killed

    def _greeted(self, client: socket.socket) -> bool:
        """Agree on the one export there is; False when the client only looked."""
        client.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))  # fixed newstyle, no zeroes
        _exactly(client, 4)
        while True:
            _, option, length = struct.unpack(">8sII", _exactly(client, 16))
            _exactly(client, length)
            if option == _OPTION_GO:
                # What it can: flags (1), flush (4), FUA (8).
                info = struct.pack(">HQH", 0, len(self._disk._now), 1 | 4 | 8)
                client.sendall(_option_reply(option, _INFO, info) + _option_reply(option, _ACK))
                return True
            if option == _OPTION_ABORT:
                client.sendall(_option_reply(option, _ACK))
                return False
            client.sendall(_option_reply(option, _UNSUPPORTED))

    def _answer(self, client: socket.socket) -> None:
        while True:
            _, flags, what, handle, offset, length = struct.unpack(">IHHQQI", _exactly(client, 28))
            data, good = b"", False
            if what == _READ:
                data = self._disk.read(offset, length)
                good = len(data) == length
            elif what == _WRITE:
                good = self._disk.write(offset, _exactly(client, length), durable=bool(flags & _FUA))
                self._written()
            elif what == _FLUSH:
                good = self._disk.flush()
            elif what == _DISCONNECT:
                return
            if not self._disk.is_on:
                continue  # no answer, not a refusal: the guest must not learn of the cut before it is dead
            header = struct.pack(">IIQ", 0x67446698, 0 if good else _IO_ERROR, handle)
            client.sendall(header + (data if good else b""))


def _option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data


def _exactly(client: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = client.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
