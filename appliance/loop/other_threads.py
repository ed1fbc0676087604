"""What other threads have to say: events wait here until the loop takes them, and wake it."""

import contextlib
import socket
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from appliance.events import Event


class OtherThreads:
    """The events that other threads `put`, in order. `waker` is the end of a socket pair whose other end the loop waits for."""

    def __init__(self, waker: socket.socket) -> None:
        self._waker = waker
        self._events: SimpleQueue[Event] = SimpleQueue()

    def put(self, event: Event) -> None:
        """Keep an event for the loop. Callable from any thread."""
        self._events.put(event)
        with contextlib.suppress(OSError):  # full: the loop is awake already; closed: it has ended
            self._waker.send(b"\0")

    def take(self) -> Iterator[Event]:
        """Yield what was put, until there is nothing more."""
        with contextlib.suppress(Empty):
            while True:
                yield self._events.get_nowait()


def drain(sock: socket.socket) -> None:
    """Read away what woke the loop."""
    with contextlib.suppress(BlockingIOError):
        while sock.recv(4096):
            pass
