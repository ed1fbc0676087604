"""A thread that sleeps in the kernel and is woken by a descriptor: for those that wait for sockets or files at once.

It must never be waited for without an end: what it is stuck in (a name lookup, a USB drive that hangs) may take minutes,
so it is a daemon, and left to end with the process.
"""

import contextlib
import os
import threading
from collections.abc import Callable


class WakeableThread:
    """Runs `target` until `stopping` is set; `wake_fd` is readable after each `wake`. Start it at most once."""

    def __init__(self, target: Callable[[], None], *, name: str) -> None:
        self.stopping = threading.Event()
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=target, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Have it look up. For any thread, also after the end."""
        with self._lock:
            if self.wake_fd >= 0:
                os.eventfd_write(self.wake_fd, 1)

    def stop(self, timeout_s: float) -> bool:
        """Have it end, and wait for that; return whether it was over in time. Stopping twice is harmless."""
        self.stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        with self._lock:
            if self.wake_fd >= 0:
                os.close(self.wake_fd)
                self.wake_fd = -1
        return True


def drain(wake_fd: int) -> None:
    """Empty a wake-up descriptor, which may be empty already."""
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(wake_fd)
