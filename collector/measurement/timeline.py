"""A connection's TCP_INFO over time in a bounded number of points, however long it takes. Pure, with the time as an argument.

It begins with a point every 0.1 s. Where there is no more room every second point is left out and the distance doubled, so
that what is kept is spread evenly: between half of the room and all of it. The first and the last point always stay. This
file must never look at a clock or a socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from firmware.model.jsontypes import JsonObject

MOST_POINTS: Final = 64
FIRST_EVERY_US: Final = 100_000
NAMES: Final = (
    *("BytesSent", "BytesAcked", "BytesReceived", "BytesRetrans", "TotalRetrans", "DeliveryRate", "RTT"),
    *("MinRTT", "SndCwnd", "BusyTime", "RWndLimited", "SndBufLimited"),
)
"""What is kept of a point, by `firmware.net.tcp_info`'s names; what a kernel does not have is null."""

Point: TypeAlias = "tuple[int | None, ...]"


@dataclass(slots=True)
class TimeLine:
    """The points so far. `every_us` apart at least, but for the last."""

    most: int = MOST_POINTS
    every_us: int = FIRST_EVERY_US
    points: list[Point] = field(default_factory=list)

    @property
    def due_us(self) -> int:
        """When the next point is to be taken, in µs from the beginning."""
        return 0 if not self.points else (self.points[-1][0] or 0) + self.every_us

    def add(self, elapsed_us: int, tcp: Mapping[str, int]) -> None:
        """Take a point, or the last one: whether it was due is not asked."""
        if len(self.points) >= self.most:
            # Those at even places: the first among them, and they stand twice as far apart.
            self.points = self.points[::2]
            self.every_us *= 2
        self.points.append((elapsed_us, *map(tcp.get, NAMES)))

    def to_json(self) -> JsonObject:
        """Return it as a server's half has it; nothing where there is no point."""
        if not self.points:
            return {}
        return {
            "every_us": self.every_us,
            "names": ["elapsed_us", *NAMES],
            "points": [[*point] for point in self.points],
        }
