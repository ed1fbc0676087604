"""This moment, on both clocks: apart from what judges clocks, since the measuring process needs no more and has 15 MB."""

import time

from firmware.net.loop import boottime_ns


def now() -> tuple[int, int]:
    """Return CLOCK_BOOTTIME and CLOCK_REALTIME in ns, at one moment (within the time of a system call)."""
    before_ns = boottime_ns()
    utc_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    return (before_ns + boottime_ns()) // 2, utc_ns
