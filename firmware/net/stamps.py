"""When something left and when something came, by the kernel's stamps and by this process, and the time between.

Shared by datagrams and streams. The kernel's stamps are CLOCK_REALTIME, so each departure and each arrival also
notes how far that clock is from CLOCK_MONOTONIC_RAW: a step between the two is found, and the time is then this
process's own (`user`). Classes are never mixed: a time has the class of its weaker end. This file must never
wait, and never hold a socket longer than a call.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from firmware.model.record import Phase, Stamp
from firmware.net import kernel
from firmware.net.kernel import Ancillary, ClockOffset
from firmware.net.loop import boottime_ns

_OPT_ID_TCP: Final = 1 << 16
"""Number a stream's bytes from the next one written (Linux 6.2); without it, from the oldest unacknowledged."""

_KINDS: Final = ((kernel.SND, Stamp.SND), (kernel.SCHED, Stamp.SCHED))


@dataclass(slots=True)
class Departure:
    """One send: this process's CLOCK_BOOTTIME just before, the clock's offset, the kernel's stamps as they come.

    `stamps` are CLOCK_REALTIME by kind, `kernel.SND` or `kernel.SCHED`. `aim_ns` is the CLOCK_BOOTTIME at which the
    send was to begin, 0 where it was not waited for.
    """

    user_ns: int
    offset: ClockOffset
    stamps: dict[int, int] = field(default_factory=dict)
    aim_ns: int = 0

    @property
    def egress_queue_ns(self) -> int | None:
        """How long the packet stood in this device's own queue (SND − SCHED), None if not both are known."""
        if kernel.SND in self.stamps and kernel.SCHED in self.stamps:
            return self.stamps[kernel.SND] - self.stamps[kernel.SCHED]
        return None

    @property
    def cost_ns(self) -> int | None:
        """How long it took from `aim_ns` until the kernel had the packet (SCHED, its queue apart), None if not known."""
        sched_ns = self.stamps.get(kernel.SCHED)
        if not self.aim_ns or sched_ns is None:
            return None
        return self.user_ns + sched_ns - self.offset.realtime_ns - self.aim_ns

    def late(self, slot_ns: int) -> Phase:
        """Return how long after `slot_ns` (CLOCK_BOOTTIME) it left, by the best stamp there is."""
        for kind, stamp in _KINDS:
            if kind in self.stamps:
                since_send_ns = self.stamps[kind] - self.offset.realtime_ns
                return Phase(ns=self.user_ns + since_send_ns - slot_ns, stamp=stamp)
        return Phase(ns=self.user_ns - slot_ns, stamp=Stamp.USER)


@dataclass(frozen=True, slots=True)
class ArrivalStamp:
    """One receive: this process's CLOCK_BOOTTIME after it, the kernel's CLOCK_REALTIME of the packet if it told."""

    user_ns: int
    stamp_ns: int | None
    offset: ClockOffset


@dataclass(frozen=True, slots=True)
class WallTimes:
    """A send and an arrival on CLOCK_REALTIME, and who took both times."""

    sent_utc_ns: int
    received_utc_ns: int
    stamp: Stamp


def depart(aim_ns: int = 0) -> Departure:
    """Return a departure as of now: call it just before the send."""
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    user_ns = (
        boottime_ns()
    )  # beside the other clocks' readings: a stamp is carried over from them to this one
    realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    return Departure(user_ns, _offset(before_ns, realtime_ns, after_ns), aim_ns=aim_ns)


def arrive(entry: Ancillary, ready_realtime_ns: int) -> ArrivalStamp:
    """Return an arrival that was ready at `ready_realtime_ns`; a later stamp than that is false, and left out."""
    # While receive stamping is being switched on, the kernel fills in the time of the read instead.
    stamp_ns = entry.stamp_ns
    if stamp_ns is not None and stamp_ns > ready_realtime_ns:
        stamp_ns = None
    return ArrivalStamp(boottime_ns(), stamp_ns, read_clock_offset())


def stepped(sent: Departure, arrival: ArrivalStamp) -> bool:
    """Return whether CLOCK_REALTIME stepped between."""
    return kernel.clock_stepped(sent.offset, arrival.offset)


def wall_times(sent: Departure, arrival: ArrivalStamp) -> WallTimes:
    """Return both on CLOCK_REALTIME, both of one class, the best there is."""
    if arrival.stamp_ns is not None and not stepped(sent, arrival):
        for kind, stamp in _KINDS:
            if kind in sent.stamps and sent.stamps[kind] <= arrival.stamp_ns:
                return WallTimes(sent.stamps[kind], arrival.stamp_ns, stamp)
    return WallTimes(sent.offset.realtime_ns, arrival.offset.realtime_ns, Stamp.USER)


def between(sent: Departure, arrival: ArrivalStamp) -> Phase:
    """Return the time from a send to an arrival, and its class."""
    times = wall_times(sent, arrival)
    if times.stamp is Stamp.USER:
        return Phase(ns=arrival.user_ns - sent.user_ns, stamp=Stamp.USER)
    return Phase(ns=times.received_utc_ns - times.sent_utc_ns, stamp=times.stamp)


def since_call(sent: Departure, arrival: ArrivalStamp) -> tuple[int, bool]:
    """Return the time from this process's own send to an arrival in ns, and whether the kernel stamped the arrival.

    For what has no stamp as it leaves (a SYN). The class is `user` either way: the time has the call in it.
    """
    if arrival.stamp_ns is not None and not stepped(sent, arrival):
        since_ns = arrival.stamp_ns - sent.offset.realtime_ns
        if since_ns >= 0:
            return since_ns, True
    return arrival.user_ns - sent.user_ns, False


def offsets(sent: Departure, moments: "Sequence[ArrivalStamp | Departure]") -> tuple[list[int], Stamp]:
    """Return how long after `sent` each moment was, in ns, and who took all of these times.

    One class for all: where the kernel's stamp of a single one is missing, all are this process's.
    """
    for kind, stamp in _KINDS:
        begin_ns = sent.stamps.get(kind)
        if begin_ns is None:
            continue
        ends = [_kernel_ns(moment, kind) for moment in moments]
        if any(kernel.clock_stepped(sent.offset, moment.offset) for moment in moments):
            break
        known = [end_ns - begin_ns for end_ns in ends if end_ns is not None and end_ns >= begin_ns]
        if len(known) == len(ends):
            return known, stamp
    return [max(0, moment.user_ns - sent.user_ns) for moment in moments], Stamp.USER


def _kernel_ns(moment: "ArrivalStamp | Departure", kind: int) -> int | None:
    return moment.stamp_ns if isinstance(moment, ArrivalStamp) else moment.stamps.get(kind)


def read_clock_offset() -> ClockOffset:
    """Read CLOCK_REALTIME − CLOCK_MONOTONIC_RAW; the reading's own error is half the time it took."""
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    return _offset(before_ns, realtime_ns, after_ns)


def _offset(before_ns: int, realtime_ns: int, after_ns: int) -> ClockOffset:
    middle_ns = (before_ns + after_ns) // 2
    return ClockOffset(realtime_ns - middle_ns, (after_ns - before_ns) // 2 + 1, middle_ns)


def stamp_stream(sock: socket.socket) -> bool:
    """Ask for stamps on a connected TCP socket, its bytes numbered from here; say whether the kernel gives them."""
    for numbering in (_OPT_ID_TCP, 0):  # the same here: of a stream just connected nothing is unacknowledged
        try:
            flags = kernel.STAMP_FLAGS | numbering
            sock.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING_NEW, flags)
        except OSError:
            continue
        return True
    return False
