"""The moment before a connect: wait for it, and run the kernel's way of a SYN once, so that the timed one is not the first.

The kernel's sample of a handshake has its own way to the wire in it. Code and data that were not used for some
milliseconds are no longer in the processor's caches, and that way then takes 9 µs instead of 3 (measured by the timing
bench). So just before, a SYN goes to a port of our own on loopback, where nothing listens. This file must never send
anything that leaves the machine.
"""

import contextlib
import socket
from typing import Final, Protocol

from firmware.net import stamps
from firmware.net.loop import Loop, boottime_ns
from firmware.net.stamps import Departure

_AHEAD_NS: Final = 150_000
"""How long before its moment a connect is made ready: the other SYN takes some 50 µs, and is soon forgotten again."""
_LOOPBACK: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class ConnectOwner(Protocol):
    """What a connect needs of the `Net` that makes it."""

    loop: Loop
    slot_ns: int
    began_ns: int
    first_sent: Departure | None

    async def begin(self, lead_ns: int = 0) -> None:
        """Wait for the task's slot, or for so long before."""


async def depart(owner: ConnectOwner, family: socket.AddressFamily, *, due_ns: int = 0) -> Departure:
    """Wait for `due_ns` (CLOCK_BOOTTIME), a task's first for its slot; return a departure. Connect right after it.

    Nobody tells when a SYN leaves, only when we were about to send it: that is at the moment, the SYN a little later.
    """
    lead = owner.loop.lead("connect")
    begun = bool(owner.began_ns)
    aim_ns = (due_ns if begun or due_ns else owner.slot_ns) - lead.ns
    is_ahead = boottime_ns() < aim_ns
    if is_ahead:
        await owner.loop.sleep_exactly_until(aim_ns - _AHEAD_NS)
    if is_ahead or begun:  # else it is late already
        warm(family)
    await owner.begin(lead.ns)
    if due_ns:
        await owner.loop.sleep_exactly_until(aim_ns)
    departure = stamps.depart(aim_ns if is_ahead else 0)
    if is_ahead:
        lead.learn(departure.user_ns - aim_ns)
    owner.first_sent = owner.first_sent or departure
    return departure


def warm(family: socket.AddressFamily) -> None:
    """Send a SYN to a port of our own on loopback, which answers with a reset."""
    with (
        contextlib.suppress(OSError),  # no loopback, no such family: then the timed one is the first
        socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as bound,
        socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock,
    ):
        bound.bind((_LOOPBACK[family], 0))
        sock.connect_ex(bound.getsockname())
