"""A child process that never outlives its parent, however the parent ends.

Only Linux offers this (prctl(2), PR_SET_PDEATHSIG). Used for the programs that `tidegauge run` starts, and by the
timing bench. It must never be called in a process that has threads: it runs between fork and exec.
"""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def end_with_parent(by: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """Return a `preexec_fn` for `subprocess`: the child gets the signal from the kernel when this process dies."""
    parent = os.getpid()

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died between fork and prctl: there is nobody left to work for

    return ask
