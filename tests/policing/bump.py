"""A bump in the wire that delays, loses by lot and polices: a process of its own that comes before the machine's load.

    python -m tests.policing.bump NEAR FAR '{"delay_us": 20000, "loss": 0.0, "seed": 1, "rate_bit_s": 0, "burst_bytes": 0}'

What goes from FAR to NEAR is policed (where there is a rate) and lost; both ways are delayed. It says `ready`, and ends with its standard input. The censor
does more and takes longer for each packet: on a busy machine what waits in it is a queue that nobody built. It must never send anything of its own.
"""

import contextlib
import json
import os
import random
import select
import socket
import sys
import time
from collections import deque
from typing import Final

from tests.bench.timing.delay_line import hurry, open_end
from tests.nation.censor.lines import Bucket

_LARGEST: Final = 65535
_ETHERNET_BYTES: Final = 14


def main(near: str, far: str, settings: str) -> None:
    """Carry frames both ways until the standard input ends."""
    asked = json.loads(settings)
    delay_ns, lots = asked["delay_us"] * 1000, random.Random(asked["seed"])
    policer = Bucket(asked["rate_bit_s"], asked["burst_bytes"]) if asked["rate_bit_s"] else None
    hurry()
    queue: deque[tuple[int, socket.socket, bytes]] = deque()
    with open_end(near) as client, open_end(far) as server:
        opposite = {client: server, server: client}
        print("ready", flush=True)
        while True:
            timeout_s = max(0, queue[0][0] - time.monotonic_ns()) / 1e9 if queue else None
            ready, _, _ = select.select([client, server, sys.stdin], [], [], timeout_s)
            if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
                return
            for end, to in opposite.items():
                with contextlib.suppress(BlockingIOError):
                    while end in ready:
                        frame, now_ns = end.recv(_LARGEST), time.monotonic_ns()
                        if end is server and lots.random() < asked["loss"]:
                            continue
                        if (
                            end is server
                            and policer
                            and not policer.pass_at(len(frame) - _ETHERNET_BYTES, now_ns)
                        ):
                            continue
                        queue.append((now_ns + delay_ns, to, frame))
            while queue and queue[0][0] <= time.monotonic_ns():
                _, to, frame = queue.popleft()
                with contextlib.suppress(OSError):  # a full or closed interface loses it, as a network would
                    to.send(frame)


if __name__ == "__main__":
    main(*sys.argv[1:4])
