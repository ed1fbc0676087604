"""The loop that carries frames between the two ends, and does what the engine says. Thin.

It must never stop forwarding because of a log that cannot be written or a client of the control socket.
"""

import contextlib
import heapq
import json
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

from firmware.model.jsontypes import JsonObject
from tests.nation.censor import rules, wire
from tests.nation.censor.engine import Engine, Send
from tests.nation.censor.events import Event
from tests.nation.censor.offload import HEADER, PLAIN, finished

_BATCH: Final = 64
_COUNTS_NS: Final = 10**9
_LONGEST_S: Final = 1.0
_CONTROL_MAX: Final = 1 << 21


class Bump:
    """Forwards between `inside` and `outside` until `stopped` says so. `folder` is where rules' paths start."""

    def __init__(
        self,
        inside: socket.socket,
        outside: socket.socket,
        engine: Engine,
        *,
        log: TextIO | None,
        control: socket.socket | None,
        folder: Path,
    ) -> None:
        self._ends = {False: inside, True: outside}
        """By the direction of what is sent there."""
        self._engine = engine
        self._log = log
        self._control = control
        self._folder = folder
        self._waiting: list[tuple[int, int, bool, bytes]] = []
        self._number = 0
        self._told_ns = time.monotonic_ns()
        self._buffer = memoryview(bytearray(wire.BUFFER_BYTES))
        self._clients: dict[socket.socket, bytearray] = {}

    def run(self, stopped: Callable[[], bool]) -> None:
        """Carry frames."""
        inside, outside = self._ends[False], self._ends[True]
        ends = [inside, outside] if self._control is None else [inside, outside, self._control]
        while not stopped():
            timeout_s = self._timeout_s(time.monotonic_ns())
            ready, _, _ = select.select([*ends, *self._clients], [], [], timeout_s)
            if inside in ready:
                self._carry(inside, outside, up=True)
            if outside in ready:
                self._carry(outside, inside, up=False)
            self._release(time.monotonic_ns())
            for one in ready:
                if one is self._control:
                    self._accept(one)
                elif one in self._clients:
                    self._listen(one)
            self._tell()
        self._tell(last=True)
        for client in self._clients:
            client.close()

    def _timeout_s(self, now_ns: int) -> float:
        """Return how long nothing needs to be done unless a frame comes."""
        self._engine.idle(now_ns)  # takes up what the timetable says
        next_ns = self._engine.next_edge_ns
        if self._waiting:
            next_ns = min(next_ns, self._waiting[0][0])
        return min(_LONGEST_S, max(0, next_ns - now_ns) / 1e9)

    def _carry(self, near: socket.socket, far: socket.socket, *, up: bool) -> None:
        buffer, engine, size = self._buffer, self._engine, HEADER.size
        for _ in range(_BATCH):
            length = wire.take(near, buffer)
            if length <= size:
                return
            now_ns = time.monotonic_ns()
            if engine.idle(now_ns):
                wire.send(far, buffer[:length])
                continue
            raw = bytes(buffer[:length])
            header, frame = raw[:size], raw[size:]
            if engine.is_free(frame, now_ns):
                wire.send(far, raw)
                continue
            for piece in finished(header, frame):
                made = engine.handle(piece, up=up, now_ns=now_ns)
                if made is None:
                    wire.send(far, PLAIN + piece)
                    continue
                self._tell()  # before anybody can feel it
                self._send(made, now_ns)

    def _send(self, made: list[Send], now_ns: int) -> None:
        for due_ns, up, frame in made:
            if due_ns <= now_ns:
                wire.send(self._ends[up], PLAIN + frame)
            else:
                self._number += 1
                heapq.heappush(self._waiting, (due_ns, self._number, up, frame))

    def _release(self, now_ns: int) -> None:
        """Send what was held back until now."""
        while self._waiting and self._waiting[0][0] <= now_ns:
            _, _, up, frame = heapq.heappop(self._waiting)
            wire.send(self._ends[up], PLAIN + frame)

    def _accept(self, control: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = control.accept()
            client.setblocking(False)
            self._clients[client] = bytearray()

    def _listen(self, client: socket.socket) -> None:
        """Take a piece of new rules; once they are whole, use them or not, and answer which."""
        text = self._clients[client]
        try:
            piece = client.recv(65536)
            text += piece
            if piece and len(text) <= _CONTROL_MAX:
                return
            answer = {"ok": False, "faults": ["rules: cut short"]} if piece else self._changed(bytes(text))
            client.sendall(json.dumps(answer).encode())
        except BlockingIOError:
            return
        except OSError:  # the client went; whatever it said whole is in force
            pass
        del self._clients[client]
        client.close()

    def _changed(self, text: bytes) -> JsonObject:
        try:
            found = rules.loads(text, folder=self._folder)
        except rules.SettingsError as error:
            return {"ok": False, "faults": [str(fault) for fault in error.faults]}
        now_ns = time.monotonic_ns()
        self._engine.change(found, now_ns=now_ns)
        self._write(Event(at_ns=now_ns, rule="", did="changed", said={"rules": len(found.rules)}))
        return {"ok": True, "rules": len(found.rules)}

    def _tell(self, *, last: bool = False) -> None:
        now_ns = time.monotonic_ns()
        events = self._engine.events()
        if last or now_ns - self._told_ns >= _COUNTS_NS:
            self._told_ns = now_ns
            events += self._engine.counts(now_ns)
        for event in events:
            self._write(event)

    def _write(self, event: Event) -> None:
        if self._log is None:
            return
        at_ns = time.time_ns() - (time.monotonic_ns() - event.at_ns)
        line: JsonObject = {"at_ns": at_ns, "rule": event.rule, "did": event.did, **event.said}
        with contextlib.suppress(OSError):
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()
