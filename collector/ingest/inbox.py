"""The bounded queue between the subscriber, which reads from the broker, and ingest, which stores.

When it is full the subscriber stops reading from its socket, so that what is not yet taken stays with the
broker and, unacknowledged, with the devices. It must never drop a delivery and never block its reader.
"""

import threading
from collections import deque
from typing import Final

from collector.ingest.judge import Delivery

PAUSE_FROM: Final = 0.5
"""From this share of the room on, devices are asked to hold back."""
MAX_PAUSE_S: Final = 10.0


class Inbox:
    """Deliveries in order of arrival, bounded in number and in bytes."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._deliveries: deque[Delivery] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, delivery: Delivery) -> None:
        """Add one; never refused: the reader asks `has_room` before it reads from the socket."""
        with self._changed:
            self._deliveries.append(delivery)
            self._bytes += len(delivery.payload)
            self._changed.notify_all()

    def take(self, max_messages: int) -> list[Delivery]:
        """Return up to `max_messages`, waiting for the first; an empty list once the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._deliveries)
            if self._closed:
                return []
            taken = [self._deliveries.popleft() for _ in range(min(max_messages, len(self._deliveries)))]
            self._bytes -= sum(len(delivery.payload) for delivery in taken)
            return taken

    def close(self) -> None:
        """End `take`. What is still here was never acknowledged: the devices hold it and send it again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def has_room(self) -> bool:
        """Say whether the reader may read on."""
        return self.fill < 1

    @property
    def fill(self) -> float:
        """How much of the room is taken, by number or by bytes, whichever is fuller."""
        return max(len(self._deliveries) / self._max_messages, self._bytes / self._max_bytes)


def pause_s(fill: float) -> float:
    """Return how long devices are asked to hold back when the inbox is `fill` full: nothing, then ever longer."""
    if fill < PAUSE_FROM:
        return 0.0
    return round(min(1.0, (fill - PAUSE_FROM) / (1 - PAUSE_FROM)) * MAX_PAUSE_S, 1)
