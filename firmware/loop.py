"""The worker's loop: coroutines that wait for a file descriptor or a moment, in one thread.

Why not an event loop off the shelf: they round timers up to a millisecond (epoll_wait's unit) and run helper
threads, and a thread that holds the interpreter costs 5 ms at the median. This one waits in select(2), whose
time-out is in microseconds, on an epoll descriptor that holds the sockets. It knows nothing of networks or
measurements, and must never start a thread, swallow an exception, or block anywhere but in `_wait`.

All times are CLOCK_BOOTTIME in ns: absolute, and still running after a suspend.
"""

import heapq
import select
import time
import types
from collections import deque
from collections.abc import Coroutine, Generator, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
ERROR = select.EPOLLERR | select.EPOLLHUP


def boottime_ns() -> int:
    """Return CLOCK_BOOTTIME in ns, the clock of every deadline here."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class CancelledJobError(BaseException):
    """Thrown into a coroutine whose job was cancelled. A coroutine may clean up, and must let it pass."""


class Job(Generic[T]):
    """A coroutine on its way. `await job` gives its result or raises what it raised; many may await it."""

    __slots__ = ("_coroutine", "_error", "_loop", "_result", "_token", "_waiters", "done", "name")

    def __init__(self, loop: "Loop", coroutine: "Coroutine[Any, Any, T]", name: str) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._result: T | None = None
        self._error: BaseException | None = None
        self._waiters: list[Job[Any]] = []
        self._token = 0
        self.done = False
        self.name = name

    def __await__(self) -> Generator[None, Any, T]:
        while not self.done:
            self._waiters.append(self._loop.current())
            yield from _park()
        return self.result()

    def result(self) -> T:
        """Return what the coroutine returned, or raise what it raised. Only once `done`."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set exactly when done without an error

    def cancel(self) -> None:
        """Throw `CancelledJobError` into the coroutine at its present wait. Nothing happens if it is done."""
        if not self.done:
            self._loop.resume(self, error=CancelledJobError())


class Loop:
    """One thread's coroutines. Make one, `run` one coroutine in it, `close` it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: deque[tuple[Job[Any], int, object, BaseException | None]] = deque()
        self._timers: list[tuple[int, int, int, Job[Any]]] = []
        self._timer_count = 0
        self._waiting: dict[int, Job[Any]] = {}
        self._current: Job[Any] | None = None

    def run(self, coroutine: "Coroutine[Any, Any, T]") -> T:
        """Run `coroutine` to its end, and everything spawned meanwhile until then; return its result."""
        main = self.spawn(coroutine, name="main")
        while not main.done:
            self._wait()
            self._step()
        return main.result()

    def spawn(self, coroutine: "Coroutine[Any, Any, T]", *, name: str = "") -> Job[T]:
        """Start a coroutine beside the present one. Its exception is raised where it is awaited."""
        job = Job(self, coroutine, name)
        self._ready.append((job, job._token, None, None))
        return job

    async def gather(self, coroutines: "Iterable[Coroutine[Any, Any, T]]") -> list[T]:
        """Run coroutines side by side; return their results in order. The first error cancels the rest."""
        jobs = [self.spawn(coroutine) for coroutine in coroutines]
        try:
            return [await job for job in jobs]
        finally:
            for job in jobs:
                job.cancel()

    async def sleep_until(self, when_ns: int) -> None:
        """Wait until CLOCK_BOOTTIME reaches `when_ns`."""
        if when_ns > boottime_ns():
            self._arm(self.current(), when_ns)
            await _suspend()

    async def wait(self, fd: int, events: int, *, deadline_ns: int) -> int:
        """Wait until `fd` shows one of `events` (READABLE, WRITABLE) or an error; return the mask, 0 when late.

        One coroutine at a time may wait for one descriptor.
        """
        job = self.current()
        if fd in self._waiting:
            raise RuntimeError(f"two coroutines wait for descriptor {fd}")
        self._waiting[fd] = job
        self._epoll.register(fd, events | select.EPOLLONESHOT)
        self._arm(job, deadline_ns)
        try:
            mask = await _suspend()
        finally:
            del self._waiting[fd]
            self._epoll.unregister(fd)
        return mask if isinstance(mask, int) else 0

    def current(self) -> Job[Any]:
        """Return the job that is running; only a coroutine of this loop may ask."""
        if self._current is None:
            raise RuntimeError("called from outside the loop")
        return self._current

    def resume(self, job: Job[Any], value: object = None, *, error: BaseException | None = None) -> None:
        """Let a parked job go on with `value`, or with `error` thrown into it."""
        self._ready.append((job, job._token, value, error))

    def close(self) -> None:
        """Close the loop's own descriptor."""
        self._epoll.close()

    def _arm(self, job: Job[Any], when_ns: int) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (when_ns, self._timer_count, job._token, job))

    def _wait(self) -> None:
        """Sleep until a descriptor or a timer is due, and move what is due to the ready queue."""
        while self._timers and self._timers[0][3]._token != self._timers[0][2]:
            heapq.heappop(self._timers)
        timeout_s: float | None = None
        if self._ready:
            timeout_s = 0.0
        elif self._timers:
            timeout_s = max(0, self._timers[0][0] - boottime_ns()) / 1e9
        if select.select((self._epoll,), (), (), timeout_s)[0]:
            for fd, mask in self._epoll.poll(0):
                self.resume(self._waiting[fd], mask)
        now_ns = boottime_ns()
        while self._timers and self._timers[0][0] <= now_ns:
            _, _, token, job = heapq.heappop(self._timers)
            if token == job._token:
                self._ready.append((job, token, None, None))

    def _step(self) -> None:
        """Run every job that is ready now, once."""
        for _ in range(len(self._ready)):
            job, token, value, error = self._ready.popleft()
            if job.done or token != job._token:
                continue  # a second wake-up for a wait that has ended
            job._token += 1
            self._current = job
            try:
                if error is not None:
                    job._coroutine.throw(error)
                else:
                    job._coroutine.send(value)
            except StopIteration as stop:
                job._result = stop.value
                self._finish(job)
            except BaseException as raised:  # noqa: BLE001  # kept whole, raised where the job is awaited
                job._error = raised
                self._finish(job)
            finally:
                self._current = None

    def _finish(self, job: Job[Any]) -> None:
        job.done = True
        for waiter in job._waiters:
            self.resume(waiter)
        job._waiters.clear()


@types.coroutine
def _park() -> Generator[None, Any, object]:
    return (yield)


async def _suspend() -> object:
    return await _park()
