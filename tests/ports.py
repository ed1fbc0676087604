"""Ports for programs that cannot take port 0: no two test processes on one network are given the same.

A process holds a block of them by the name of an abstract Unix socket, which the kernel keeps for each network
namespace, as it does ports, and lets go of with the process.
"""

import atexit
import os
import random
import socket
from dataclasses import dataclass, field
from typing import Final

from collector.broker.child import LISTENING_PORTS

# Not ports that the kernel hands out: while a broker is down, its port could become another's source port.
BLOCK: Final = 60
_BLOCKS: Final = range(LISTENING_PORTS.start, LISTENING_PORTS.stop, BLOCK)


@dataclass(slots=True)
class _Held:
    """What this process holds. A child after a fork takes a block of its own."""

    pid: int = 0
    block: range = range(0)
    at: int = 0
    holder: socket.socket | None = field(default=None, repr=False)


_held = _Held()


def take(count: int = 1) -> list[int]:
    """Return ports on which nobody listens on loopback, and which no other test process is given."""
    if _held.pid != os.getpid():
        if _held.holder is not None:
            _held.holder.close()  # the parent's, which it holds itself
        _held.pid, _held.at = os.getpid(), 0
        _held.block, _held.holder = _hold()
    taken: list[int] = []
    for _ in range(BLOCK):
        port = _held.block[_held.at % BLOCK]
        _held.at += 1
        if _is_free(port):
            taken.append(port)
        if len(taken) == count:
            return taken
    raise AssertionError(f"of the ports {_held.block} only {taken} are free")


def take_one() -> int:
    """Return one; see `take`."""
    (port,) = take()
    return port


def _hold() -> tuple[range, socket.socket]:
    for first in random.sample(_BLOCKS, k=len(_BLOCKS)):
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0tidegauge-test-ports-{first}")
        except OSError:
            holder.close()
        else:
            atexit.register(holder.close)
            return range(first, first + BLOCK), holder
    raise AssertionError("every block of ports is held by another test process")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
