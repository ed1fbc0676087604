"""Remembers what a subscriber said of its connection, for tests that wait for it."""

import threading

from collector.receive.mqtt.subscriber import LinkState
from tests.collector.scripted_device import WAIT_S


class States:
    """Called by the subscriber's thread; `wait_for` is called by the test."""

    def __init__(self) -> None:
        self._said: list[tuple[LinkState, str]] = []
        self._changed = threading.Condition()

    def __call__(self, state: LinkState, message: str) -> None:
        with self._changed:
            self._said.append((state, message))
            self._changed.notify_all()

    def count(self, state: LinkState) -> int:
        """Return how often `state` was said."""
        return len([one for one, _ in self._said if one is state])

    def wait_for(self, state: LinkState, *, times: int = 1) -> str:
        """Wait until `state` was said `times` times; return the last message with it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(state) >= times, WAIT_S), self._said
            return [message for one, message in self._said if one is state][-1]
