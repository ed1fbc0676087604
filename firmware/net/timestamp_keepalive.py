"""One socket that keeps the kernel's receive stamping switched on for as long as the process lives.

This file must never send anything that leaves the machine.
"""

import socket
import time

from firmware.net import kernel, stamps
from firmware.net.loop import READABLE, Loop, boottime_ns


class TimestampKeepalive:
    """A socket that keeps the kernel's receive stamping switched on for as long as it is open.

    The kernel switches it on some time after the first socket asks, and until then hands out the time of the
    read. Make one before the first probe, keep it to the end. `confirmed` says that a true stamp was seen.
    """

    def __init__(self) -> None:
        self.confirmed = False
        self._socket = socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING_NEW, kernel.KEEPER_FLAGS)
        except OSError:
            return

    def close(self) -> None:
        """Let go."""
        self._socket.close()

    async def confirm(self, loop: Loop, *, deadline_ns: int) -> bool:
        """Send to ourselves until a datagram has a true receive stamp, or the deadline; say whether one had.

        Only loopback carries it. Where loopback is down nothing is confirmed and nothing is lost: a false stamp is
        still found when it is read.
        """
        try:
            self._socket.bind(("127.0.0.1", 0))
            self._socket.connect(self._socket.getsockname())
            while not self.confirmed and boottime_ns() < deadline_ns:
                self._socket.send(b"stamp")
                if not await loop.wait(self._socket.fileno(), READABLE, deadline_ns=deadline_ns):
                    break
                ready_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
                _, ancillary, _, _ = self._socket.recvmsg(64, kernel.ANCILLARY_BYTES)
                arrival = stamps.arrive(kernel.parse_ancillary(ancillary), ready_ns)
                self.confirmed = arrival.stamp_ns is not None
        except OSError:
            return False
        return self.confirmed
