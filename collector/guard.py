"""Become a program that ends with its parent: `python -m collector.guard PARENT_PID PROGRAM [ARGUMENT…]`.

Asks the kernel to kill this process when its parent dies, then becomes PROGRAM. It is a program of its own
because a process with threads, as the collector is, must run nothing between fork and exec. Only Linux has this
(prctl(2), PR_SET_PDEATHSIG); the request is lost if PROGRAM changes its user.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> None:
    """Become the program; does not return unless the parent is gone already."""
    parent, program = int(arguments[0]), arguments[1:]
    # SIGKILL: what is started here keeps nothing half written, and a leftover would hold the port.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == parent:
        os.execv(program[0], program)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
