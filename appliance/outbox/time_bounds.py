"""When it is at least, and when something was at the latest, by all the sync points the outbox holds; never by the wall clock.

The bounds are `firmware.clock.retiming`'s: the boots in their order, each with the points that most others do not contradict.
Reading them takes a few hundredths of a second, so what is read is believed for some minutes. It must never take a time
from a clock that may have been set by hand or run for months alone.
"""

from collections.abc import Callable
from typing import Final

from appliance.outbox.box import Outbox
from firmware.clock import clocks
from firmware.clock.retiming import CEILING_UTC_NS, FLOOR_UTC_NS, Boot, SyncPoint, Timeline
from firmware.net.loop import boottime_ns

READ_EVERY_NS: Final = 600_000_000_000


class TimeBounds:
    """What the outbox says of time. `boot_id` and `now_ns` (CLOCK_BOOTTIME) are this boot's."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        boot_id: str | None = None,
        now_ns: Callable[[], int] = boottime_ns,
    ) -> None:
        self._outbox = outbox
        self.boot_id = clocks.read_boot_id() if boot_id is None else boot_id
        self._now_ns = now_ns
        self._read_ns: int | None = None
        self._timeline = Timeline()

    @property
    def now_ns(self) -> int:
        """This moment by the boot's clock."""
        return self._now_ns()

    def now_low_ns(self) -> int:
        """Return the earliest that it can be now (UTC)."""
        found = self._placed().at(self.boot_id, self._now_ns())
        return FLOOR_UTC_NS if found is None else found.low_ns

    def latest_ns(self, boot_id: str, boottime: int) -> int:
        """Return the latest that a moment of a boot can have been (UTC)."""
        found = self._placed().at(boot_id, boottime)
        return CEILING_UTC_NS if found is None else found.high_ns

    def _placed(self) -> Timeline:
        now_ns = self._now_ns()
        if self._read_ns is None or now_ns - self._read_ns > READ_EVERY_NS:
            self._timeline = self._read(now_ns)
            self._read_ns = now_ns
        return self._timeline

    def _read(self, now_ns: int) -> Timeline:
        names, points, acked = self._outbox.boots_and_points()
        if self.boot_id and self.boot_id not in names:
            names = [*names, self.boot_id]
        boots: list[Boot] = []
        for before, name in zip(["", *names], names, strict=False):
            own = tuple(SyncPoint(*point) for point in points.get(name, ()))
            last_ns = max([acked.get(name, 0), *(point.boottime_ns for point in own)])
            if name == self.boot_id:
                last_ns = max(last_ns, now_ns)
            boots.append(Boot(boot_id=name, last_ns=last_ns, points=own, previous=before))
        return Timeline.of(boots)
