"""A coroutine on its way in the loop, and what it gives or raises at its end. The loop alone moves it.

This file must never wait for anything itself.
"""

import types
from collections.abc import Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class JobLoop(Protocol):
    """What a job needs of its loop."""

    def current(self) -> "Job[Any]":
        """Return the job that is running."""

    def resume(self, job: "Job[Any]", value: object = None) -> None:
        """Let a parked job go on."""


class CancelledJobError(BaseException):
    """Thrown into a coroutine whose job was cancelled. A coroutine may clean up, and must let it pass."""


class Job(Generic[T]):
    """A coroutine on its way. `await job` gives its result or raises what it raised; many may await it.

    The fields are the loop's. `claimed` says that somebody awaited the job, or asked for its result.
    """

    __slots__ = (
        "cancelling", "children", "claimed", "coroutine", "done", "error", "loop", "name", "parent", "token", "value", "waiters",
    )  # fmt: skip

    def __init__(self, loop: JobLoop, coroutine: "Coroutine[Any, Any, T]", name: str) -> None:
        self.loop = loop
        self.parent: Job[Any] | None = None
        self.coroutine = coroutine
        self.name = name
        self.value: T | None = None
        self.error: BaseException | None = None
        self.waiters: list[Job[Any]] = []
        self.children: list[Job[Any]] = []
        self.token = 0
        self.cancelling = False
        self.claimed = False
        self.done = False

    def __await__(self) -> Generator[None, Any, T]:
        self.claimed = True
        me = self.loop.current()
        while not self.done:
            self.waiters.append(me)
            try:
                yield from park()
            finally:
                if me in self.waiters:  # cancelled: this job's end must not wake a later wait
                    self.waiters.remove(me)
        return self.result()

    def result(self) -> T:
        """Return what the coroutine returned, or raise what it raised. Only once `done`."""
        if not self.done:
            raise RuntimeError(f"job {self.name!r} has not ended")
        self.claimed = True
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # set exactly when done without an error

    def cancel(self) -> None:
        """Throw `CancelledJobError` into the coroutine at its present wait, or before its first step.

        Nothing happens if it is done.
        """
        if not self.done:
            self.cancelling = True
            self.loop.resume(self)


def matters(job: Job[Any]) -> bool:
    """Return whether a job still runs, or failed and nobody knows."""
    if not job.done:
        return True
    return job.error is not None and not job.claimed and not isinstance(job.error, CancelledJobError)


@types.coroutine
def park() -> Generator[None, Any, object]:
    """Let the loop run others, from within a generator."""
    return (yield)


async def suspend() -> object:
    """Let the loop run others; return what the job is resumed with."""
    return await park()
