"""The bounded queue between the subscriber, which reads from the broker, and ingest, which stores.

When it is full the subscriber stops reading from its socket, so that what is not yet taken stays with the
broker and, unacknowledged, with the devices. One device has at most `PER_DEVICE` messages here: what it sends past that is
not taken, so that one that floods holds up nobody else; one that keeps to the protocol never has so many on their way. What
came by HTTPS is counted apart, since anybody may call there under a device's name. It must never drop anything else, and
never block its reader.
"""

import threading
from collections import OrderedDict, deque
from typing import Final, TypeAlias

from collector.messages import Delivery

PAUSE_FROM: Final = 0.5
"""From this share of the room on, devices are asked to hold back."""
MAX_PAUSE_S: Final = 10.0
PER_DEVICE: Final = 64
"""A device has eight batches on their way at most, and a hello now and then."""
SHARE: Final = 16
"""So many of one device are taken together at most: what takes long to store holds up the others no longer than that."""

_Sender: TypeAlias = tuple[str, bool]
"""Whose branch a message came on, and whether it came by a way of its own (HTTPS) rather than by the broker."""


class Inbox:
    """Deliveries, bounded in number and in bytes: of each device in order of arrival, the devices in turn."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[_Sender, deque[Delivery]] = OrderedDict()
        self._count = 0
        self._bytes = 0
        self.refused = 0
        """How many were not taken because their device had too many here."""
        self._changed = threading.Condition()
        self._closed = False

    def put(self, delivery: Delivery) -> bool:
        """Add one, and say whether it was taken: not where its device has too many here, else always.

        The reader asks `has_room` before it reads from the socket.
        """
        with self._changed:
            waiting = self._waiting.setdefault(_sender(delivery), deque())
            if len(waiting) >= PER_DEVICE:
                self.refused += 1
                return False
            waiting.append(delivery)
            self._count += 1
            self._bytes += len(delivery.payload)
            self._changed.notify_all()
            return True

    def take(self, max_messages: int) -> list[Delivery]:
        """Return up to `max_messages`, waiting for the first; an empty list once the inbox is closed.

        Of a device it is `SHARE` at most; one that has more here comes after all others the next time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._count)
            if self._closed:
                return []
            taken: list[Delivery] = []
            for sender in list(self._waiting):
                if len(taken) == max_messages:
                    break
                waiting = self._waiting[sender]
                count = min(SHARE, len(waiting), max_messages - len(taken))
                taken += [waiting.popleft() for _ in range(count)]
                if waiting:
                    self._waiting.move_to_end(sender)
                else:
                    del self._waiting[sender]
            self._count -= len(taken)
            self._bytes -= sum(len(delivery.payload) for delivery in taken)
            return taken

    def close(self) -> None:
        """End `take`. What is still here was never acknowledged: the devices hold it and send it again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def has_room(self) -> bool:
        """Return whether the reader may read on."""
        return self.fill < 1

    @property
    def fill(self) -> float:
        """How much of the room is taken, by number or by bytes, whichever is fuller."""
        return max(self._count / self._max_messages, self._bytes / self._max_bytes)


def pause_s(fill: float) -> float:
    """Return how long devices are asked to hold back when the inbox is `fill` full: nothing, then ever longer."""
    if fill < PAUSE_FROM:
        return 0.0
    return round(min(1.0, (fill - PAUSE_FROM) / (1 - PAUSE_FROM)) * MAX_PAUSE_S, 1)


def _sender(delivery: Delivery) -> _Sender:
    """Return whose branch it came on, "" where it is none of ours; the broker lets nobody write on another's."""
    parts = delivery.topic.split("/", 3)
    return parts[2] if len(parts) > 2 else "", delivery.reply is not None
