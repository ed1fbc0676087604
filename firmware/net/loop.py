"""The worker's loop: coroutines that wait for a file descriptor or a moment, in one thread.

Why not an event loop off the shelf: they round timers up to a millisecond (epoll_wait's unit) and run helper
threads, and a thread that holds the interpreter costs 5 ms at the median. This one waits in select(2), whose
time-out is in microseconds, on an epoll descriptor that holds the sockets.

What is sent must leave on time; what arrives may be read late, for the kernel has stamped it. So a job that
sleeps with `sleep_exactly_until` comes before all others: nothing else is begun shortly before its moment, and
the last stretch, about as long as this machine takes to wake, is not slept but waited out. It knows nothing of
networks or measurements, and must never start a thread, lose an exception, or block anywhere but in `_wait`.

All times are CLOCK_BOOTTIME in ns: absolute, and still running after a suspend.
"""

import contextlib
import heapq
import select
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Final, TypeAlias, TypeVar

from firmware.net.job import CancelledJobError, Job, matters, suspend
from firmware.net.send_compensation import SendCompensation

T = TypeVar("T")

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
ERROR = select.EPOLLERR | select.EPOLLHUP


def boottime_ns() -> int:
    """Return CLOCK_BOOTTIME in ns, the clock of every deadline here."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


_Timer: TypeAlias = "tuple[int, int, int, Job[Any]]"
"""When it is due, its number, the wait it belongs to (a job's `token`), and whose it is."""


class Loop:
    """One thread's coroutines. Make one, `run` one coroutine in it at a time, `close` it.

    A job that ends takes its children with it: those still on their way are cancelled, and the error of one
    that nobody awaited becomes the job's own, so that none is lost.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: deque[tuple[Job[Any], int, object]] = deque()
        self._first: deque[tuple[Job[Any], int, object]] = deque()
        self._timers: list[_Timer] = []
        self._exact: list[_Timer] = []
        self._timer_count = 0
        self._wake_ns = _WAKE_NS
        self._waiting: dict[int, Job[Any]] = {}
        self._live: dict[Job[Any], None] = {}
        self._current: Job[Any] | None = None
        self._leads: dict[str, SendCompensation] = {}

    def run(self, coroutine: "Coroutine[Any, Any, T]") -> T:
        """Run `coroutine` to its end and return its result; whatever it spawned has ended too by then."""
        main = self.spawn(coroutine, name="main")
        try:
            while not main.done:
                self._wait()
                self._step()
        finally:
            self._wind_up()
        if main.error is None:
            main.error = next((child.error for child in main.children if matters(child)), None)
        return main.result()

    def spawn(self, coroutine: "Coroutine[Any, Any, T]", *, name: str = "") -> Job[T]:
        """Start a coroutine beside the present one, as its child. Its exception is raised where it is awaited."""
        job = Job(self, coroutine, name)
        if self._current is not None:
            job.parent = self._current
            job.parent.children = [child for child in job.parent.children if matters(child)]
            job.parent.children.append(job)
        self._live[job] = None
        self.resume(job)
        return job

    async def gather(self, coroutines: "Iterable[Coroutine[Any, Any, T]]") -> list[T]:
        """Run coroutines side by side; return their results in order.

        The first error, in their order, is raised, and what is still on its way then is cancelled.
        """
        jobs = [self.spawn(coroutine) for coroutine in coroutines]
        for job in jobs:
            job.claimed = True
        try:
            return [await job for job in jobs]
        finally:
            for job in jobs:
                job.cancel()

    async def sleep_until(self, when_ns: int) -> None:
        """Wait until CLOCK_BOOTTIME reaches `when_ns`."""
        if when_ns > boottime_ns():
            self._arm(self.current(), when_ns)
            await suspend()

    async def sleep_exactly_until(self, when_ns: int) -> None:
        """Wait until CLOCK_BOOTTIME reaches `when_ns`, for what must not be late: then go before all others.

        Costs up to `MAX_SPIN_NS` of processor time.
        """
        if when_ns > boottime_ns():
            self._arm(self.current(), when_ns, exact=True)
            await suspend()

    def lead(self, kind: str) -> SendCompensation:
        """Return what has been learned of how long before an exact moment work of a kind must begin."""
        return self._leads.setdefault(kind, SendCompensation())

    async def turn(self) -> None:
        """Let others that are ready run first; where an exact moment is near, go on only after it."""
        self.resume(self.current())
        await suspend()

    async def park(self) -> object:
        """Wait until somebody calls `resume` for this job; return the value given."""
        return await suspend()

    async def wait(self, fd: int, events: int, *, deadline_ns: int | None) -> int:
        """Wait until `fd` shows one of `events` (READABLE, WRITABLE) or an error; return the mask, 0 when late.

        The mask holds bits of ERROR whether asked for or not: an error queue, a hang-up. A descriptor that is
        ready at the deadline is ready, not late. One coroutine at a time may wait for one descriptor.
        """
        job = self.current()
        if fd in self._waiting:
            raise RuntimeError(f"two coroutines wait for descriptor {fd}")
        self._epoll.register(fd, events | select.EPOLLONESHOT)
        self._waiting[fd] = job
        if deadline_ns is not None:
            self._arm(job, deadline_ns)
        try:
            mask = await suspend()
        finally:
            del self._waiting[fd]
            with contextlib.suppress(OSError):  # closed meanwhile: the kernel has forgotten it already
                self._epoll.unregister(fd)
        return mask if isinstance(mask, int) else 0

    def current(self) -> Job[Any]:
        """Return the job that is running; only a coroutine of this loop may ask."""
        if self._current is None:
            raise RuntimeError("called from outside the loop")
        return self._current

    def resume(self, job: Job[Any], value: object = None) -> None:
        """Let a parked job go on with `value`. Of several for one wait the first counts."""
        self._ready.append((job, job.token, value))

    def close(self) -> None:
        """Close the loop's own descriptor."""
        self._epoll.close()

    def _arm(self, job: Job[Any], when_ns: int, *, exact: bool = False) -> None:
        if len(self._timers) > _TIMERS_KEPT + 2 * len(self._live):  # a live job has one timer at most
            self._timers = [timer for timer in self._timers if timer[2] == timer[3].token]
            heapq.heapify(self._timers)
        self._timer_count += 1
        timers = self._exact if exact else self._timers
        heapq.heappush(timers, (when_ns, self._timer_count, job.token, job))

    def _wait(self) -> None:
        """Sleep until a descriptor or a timer is due, and move what is due to the ready queues."""
        _forget_ended(self._timers)
        _forget_ended(self._exact)
        if self._exact_is_near():
            self._wait_exactly(self._exact[0][0])
            self._first.extend(_due(self._exact, boottime_ns()))
            return
        wake_ns = self._exact[0][0] - self._wake_ns if self._exact else _NEVER_NS
        if self._timers:
            wake_ns = min(wake_ns, self._timers[0][0])
        timeout_s = min(max(0, wake_ns - boottime_ns()) / 1e9, _LONGEST_SLEEP_S)
        if select.select((self._epoll,), (), (), 0.0 if self._ready else timeout_s)[0]:
            for fd, mask in self._epoll.poll(0):
                self.resume(self._waiting[fd], mask)
        elif self._exact and wake_ns == self._exact[0][0] - self._wake_ns:
            self._learn(boottime_ns() - wake_ns)
        self._ready.extend(_due(self._timers, boottime_ns()))

    def _exact_is_near(self) -> bool:
        return bool(self._exact) and self._exact[0][0] - boottime_ns() < _HOLD_NS

    def _wait_exactly(self, when_ns: int) -> None:
        """Sleep for as long as waking will not be late, and wait out the rest."""
        wake_ns = when_ns - self._wake_ns
        sleep_ns = wake_ns - boottime_ns()
        if sleep_ns > 0:
            time.sleep(sleep_ns / 1e9)
            self._learn(boottime_ns() - wake_ns)
        while boottime_ns() < when_ns:
            pass

    def _learn(self, late_ns: int) -> None:
        """Follow the ninth decile of how late this machine wakes."""
        if late_ns > 0:  # less than nothing: something else woke us
            step_ns = 9 * _WAKE_STEP_NS if late_ns > self._wake_ns else -_WAKE_STEP_NS
            self._wake_ns = max(_MIN_SPIN_NS, min(MAX_SPIN_NS, self._wake_ns + step_ns))

    def _step(self) -> None:
        """Run every job that is ready now, once, unless an exact moment is near: then those that it is for."""
        for _ in range(len(self._first)):
            self._run_one(self._first.popleft())
        for _ in range(len(self._ready)):
            if self._exact_is_near():
                return
            self._run_one(self._ready.popleft())

    def _run_one(self, entry: tuple[Job[Any], int, object]) -> None:
        job, token, value = entry
        if job.done or (token != job.token and not job.cancelling):
            return  # a second wake-up for a wait that has ended
        job.token += 1
        self._current = job
        try:
            if job.cancelling:
                job.cancelling = False
                job.coroutine.throw(CancelledJobError())
            else:
                job.coroutine.send(value)
        except StopIteration as stop:
            job.value = stop.value
            self._finish(job)
        except BaseException as raised:  # noqa: BLE001  # kept whole, raised where the job is awaited
            job.error = raised
            self._finish(job)
        finally:
            self._current = None

    def _finish(self, job: Job[Any]) -> None:
        job.done = True
        del self._live[job]
        for child in job.children:
            child.cancel()
            if child.done and matters(child) and job.error is None:
                child.claimed = True
                job.error = child.error
        left = [child for child in job.children if matters(child)]
        job.children = left if job.parent is None else []
        if job.parent is not None:  # so that what goes wrong while they are cancelled is not lost either
            job.parent.children.extend(left)
            for child in left:
                child.parent = job.parent
        for waiter in job.waiters:
            self.resume(waiter)
        job.waiters.clear()

    def _wind_up(self) -> None:
        """Cancel what is left and see it end. Raises `RuntimeError` for what will not be cancelled."""
        self._exact.clear()
        for _ in range(_CANCEL_TRIES):
            for job in list(self._live):
                job.cancel()
            self._step()
        if self._live:
            names = ", ".join(repr(job.name) for job in self._live)
            self._live.clear()
            raise RuntimeError(f"jobs that swallow their cancellation: {names}")


def _forget_ended(timers: "list[_Timer]") -> None:
    while timers and timers[0][3].token != timers[0][2]:
        heapq.heappop(timers)


def _due(timers: "list[_Timer]", now_ns: int) -> "Iterator[tuple[Job[Any], int, object]]":
    while timers and timers[0][0] <= now_ns:
        _, _, token, job = heapq.heappop(timers)
        if token == job.token:
            yield job, token, None


_CANCEL_TRIES: Final = 100

MAX_SPIN_NS: Final = 100_000
_MIN_SPIN_NS: Final = 10_000
_WAKE_NS: Final = 60_000
"""How long waking takes, before it is known: a processor leaves its idle state, the scheduler comes round."""
_WAKE_STEP_NS: Final = 1_000
_HOLD_NS: Final = 1_000_000
"""Nothing else is begun so shortly before an exact moment; most steps of a job take less."""
_NEVER_NS: Final = 1 << 62

_TIMERS_KEPT: Final = 64
"""Timers of waits that ended early are swept out once there are more than this."""

_LONGEST_SLEEP_S: Final = 10.0
"""select(2) sleeps on a clock that stands still in a suspend, and CLOCK_BOOTTIME does not: look up now and then."""
