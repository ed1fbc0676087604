"""The delay line: a bump in the wire that holds every frame for a fixed time, each way. A process of its own.

Two AF_PACKET sockets and a queue, since not every kernel has netem. How well it keeps its time does not matter:
it is not the truth, the capture beside the prober is. It asks the kernel for no stamp, so that it does not switch
on what the capture-free run looks for. `python -m tests.bench.timing.delay_line NEAR FAR MICROSECONDS` says
`ready`, and ends with its standard input.
"""

import contextlib
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_IGNORE_OUTGOING: Final = 23
_PROMISCUOUS: Final = 1
_ETH_P_ALL: Final = 3
_PRIORITY: Final = 40
_LARGEST: Final = 65535


def open_end(interface: str) -> socket.socket:
    """Return a socket that takes what arrives at `interface` for anyone, and sends there."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL))
    sock.bind((interface, _ETH_P_ALL))
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    membership = struct.pack("=iHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
    sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    return sock


def hurry() -> None:
    """Come before the load, where that is allowed: a network is no slower because the prober's host is busy."""
    Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))


def carry(
    near: str,
    far: str,
    *,
    delay_ns: int,
    passes: Callable[[bytes, bool, int], bool] = lambda _frame, _is_from_far, _now_ns: True,
) -> None:
    """Carry frames both ways, each held for `delay_ns`, until the standard input ends; say `ready` first.

    `passes` is given a frame, whether it comes from `far`, and when it came (CLOCK_MONOTONIC, ns): what does not is lost.
    """
    hurry()
    queue: deque[tuple[int, socket.socket, bytes]] = deque()
    with open_end(near) as one, open_end(far) as other:
        opposite = {one: other, other: one}
        print("ready", flush=True)
        while True:
            timeout_s = max(0, queue[0][0] - time.monotonic_ns()) / 1e9 if queue else None
            ready, _, _ = select.select([one, other, sys.stdin], [], [], timeout_s)
            if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
                return
            for end, to in opposite.items():
                with contextlib.suppress(BlockingIOError):
                    while end in ready:
                        frame, now_ns = end.recv(_LARGEST), time.monotonic_ns()
                        if passes(frame, end is other, now_ns):
                            queue.append((now_ns + delay_ns, to, frame))
            while queue and queue[0][0] <= time.monotonic_ns():
                _, to, frame = queue.popleft()
                with contextlib.suppress(OSError):  # a full or closed interface loses it, as a network would
                    to.send(frame)


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], delay_ns=int(sys.argv[3]) * 1000)
