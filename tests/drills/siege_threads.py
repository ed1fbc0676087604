"""What ends a thread of a drill by an exception is noted, so that the drill fails: Python itself only prints it.

A thread's future hands its exception on where somebody asks for it; threads of servers and relays have nobody who does.
"""

import asyncio
import threading
from types import TracebackType
from typing import Any, Self


class ThreadFaults:
    """Notes, inside `with`, each exception that ended a thread of this process, or a task of a loop in one."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._before = threading.excepthook

    def __enter__(self) -> Self:
        self._before = threading.excepthook
        threading.excepthook = self._note
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        threading.excepthook = self._before

    def _note(self, told: threading.ExceptHookArgs) -> None:
        name = told.thread.name if told.thread is not None else "a thread that is gone"
        self.found.append(f"{name}: {told.exc_value!r}")
        threading.__excepthook__(told)


def hand_on(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Hand a task's exception that nobody asks for to the thread's hook; for `set_exception_handler`."""
    error = context.get("exception")
    if error is None:
        loop.default_exception_handler(context)
        return
    words = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(words))
