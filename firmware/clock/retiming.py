"""When a moment on a device's boot clock was, by all that is known of it now: re-timing. Pure.

A record says how long after its boot it began (CLOCK_BOOTTIME), which no step of the wall clock touches. Here it is
placed in UTC, as an interval that holds the true time if what is assumed holds:

1. A boot clock runs fast or slow by at most `DRIFT`. A sync point so bounds every moment of its boot.
2. Of a boot's sync points fewer than half are wrong, and so in every run of them, once those are left out that
   contradict most of the others. (A wrong one that nothing contradicts may be among those asked, and does no harm.)
3. Of two boots that follow each other, the later began after the last record of the earlier.
4. What the collector received had happened by then, by the collector's clock give or take `ARRIVAL_ERROR_NS`.

A point that contradicts more than half of its neighbours is left out (`believed`): a right one never is. Of what is
left, up to three before and three after a moment are asked, and as many of them may still be wrong as are fewer than
half (Marzullo, "Maintaining the Time in a Distributed System", 1984): the interval is the hull of what all but those
agree on. Where no majority agrees it holds what every one says. A boot without points lies between its neighbours,
and boots that contradict each other bound nobody else. This file must never look at a clock.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

DRIFT: Final = 100e-6
"""How fast a clock's error grows that nothing corrects: 100 ppm, beyond any crystal in its temperature range."""
ARRIVAL_ERROR_NS: Final = 2_000_000_000
FLOOR_UTC_NS: Final = 1_735_689_600_000_000_000
"""2025-01-01: no device of this kind ran before."""
CEILING_UTC_NS: Final = 4_102_444_800_000_000_000
"""2100-01-01."""
NEIGHBOURS: Final = 3
COMPARED: Final = 64
"""Each point is compared with so many before it and after it: far ones say little of each other."""


class SyncPoint(NamedTuple):
    """At CLOCK_BOOTTIME `boottime_ns` of this boot it was `utc_ns`, give or take `error_ns`.

    A tuple, since a device has thousands of them, and they are sorted and compared whenever a time is asked for.
    """

    boottime_ns: int
    utc_ns: int
    error_ns: int


@dataclass(frozen=True, slots=True)
class UtcInterval:
    """The true time (UTC, ns) lies from `low_ns` to `high_ns`."""

    low_ns: int
    high_ns: int

    @property
    def utc_ns(self) -> int:
        """The middle."""
        return (self.low_ns + self.high_ns) // 2

    @property
    def error_ns(self) -> int:
        """How far the truth can be from the middle."""
        return (self.high_ns - self.low_ns + 1) // 2

    def hull(self, other: "UtcInterval") -> "UtcInterval":
        """Return what holds both."""
        return UtcInterval(min(self.low_ns, other.low_ns), max(self.high_ns, other.high_ns))


@dataclass(frozen=True, slots=True)
class Believed:
    """The points of one boot that most others do not contradict, ascending.

    `is_majority` is False when those are not most: then `points` are all of them, and none is believed alone.
    """

    points: tuple[SyncPoint, ...]
    is_majority: bool = True

    def at(self, boottime_ns: int) -> UtcInterval | None:
        """Return the bounds of a moment of this boot, None when there is no point."""
        if not self.points:
            return None
        if not self.is_majority:
            return _hull([_projected(point, boottime_ns) for point in self.points])
        index = _first_after(self.points, boottime_ns)
        near = self.points[max(0, index - NEIGHBOURS) : index + NEIGHBOURS]
        return _agreed([_projected(point, boottime_ns) for point in near])

    def distance_ns(self, boottime_ns: int) -> int | None:
        """Return how far the nearest point is, None when there is none."""
        index = _first_after(self.points, boottime_ns)
        near = self.points[max(0, index - 1) : index + 1]
        return min((abs(point.boottime_ns - boottime_ns) for point in near), default=None)


def believed(points: Iterable[SyncPoint]) -> Believed:
    """Leave out of `points` each that contradicts more than half of those it is compared with."""
    return _believed(tuple(sorted(set(points))))


@functools.lru_cache(maxsize=512)
def _believed(ordered: tuple[SyncPoint, ...]) -> Believed:
    if _all_agree(ordered):
        return Believed(ordered)
    against = [0] * len(ordered)
    for first, one in enumerate(ordered):
        for second in range(first + 1, min(len(ordered), first + 1 + COMPARED)):
            if not _agree(one, ordered[second]):
                against[first] += 1
                against[second] += 1
    kept = []
    for index, point in enumerate(ordered):
        compared = min(index, COMPARED) + min(len(ordered) - 1 - index, COMPARED)
        if 2 * against[index] <= compared:
            kept.append(point)
    if ordered and 2 * len(kept) <= len(ordered):
        return Believed(ordered, is_majority=False)
    return Believed(tuple(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What is known of one boot. `first_ns` and `last_ns` are the boottimes of its first and last known record.

    It began before `latest_start_ns` (UTC): the least of a record's arrival minus its boottime; None when nothing
    has arrived anywhere. `previous` is the boot before it on the same device, "" when that is not known.
    """

    boot_id: str
    first_ns: int = 0
    last_ns: int
    points: tuple[SyncPoint, ...] = ()
    latest_start_ns: int | None = None
    previous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A boot with what it and its neighbours bound: its start from below, its last record from above."""

    boot: Boot
    own: Believed
    disputed: bool = False
    start_low_ns: int = FLOOR_UTC_NS
    end_high_ns: int = CEILING_UTC_NS

    def from_others(self, boottime_ns: int) -> UtcInterval:
        boot = self.boot
        low = self.start_low_ns + _least(boottime_ns)
        high = self.end_high_ns - _least(max(0, boot.last_ns - boottime_ns))
        if boottime_ns > boot.last_ns:
            high = CEILING_UTC_NS
        return UtcInterval(low, min(high, _arrived(boot, boottime_ns)))

    def at(self, boottime_ns: int) -> UtcInterval:
        others = self.from_others(boottime_ns)
        own = self.own.at(boottime_ns)
        if own is None:
            return others if others.low_ns <= others.high_ns else UtcInterval(others.high_ns, others.low_ns)
        if self.disputed:
            return own.hull(others)
        low, high = max(own.low_ns, others.low_ns), min(own.high_ns, others.high_ns)
        return UtcInterval(low, high) if low <= high else own.hull(others)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The boots of one device, each placed in time by all of them."""

    _placed: Mapping[str, _Placed] = field(default_factory=dict)

    @classmethod
    def of(cls, boots: Iterable[Boot]) -> "Timeline":
        """Place `boots`, given in any order."""
        known = {boot.boot_id: boot for boot in boots}
        own = {name: believed(_possible(boot)) for name, boot in known.items()}
        order = _in_order(known)
        disputed = _disputed(known, own, order)
        start_low: dict[str, int] = {}
        end_low: dict[str, int] = {}
        for name in order:
            boot = known[name]
            start_low[name] = max(FLOOR_UTC_NS, end_low.get(boot.previous, FLOOR_UTC_NS))
            found = None if name in disputed else own[name].at(boot.last_ns)
            least = start_low[name] + _least(boot.last_ns)
            end_low[name] = least if found is None else max(found.low_ns, least)
        end_high: dict[str, int] = dict.fromkeys(known, CEILING_UTC_NS)
        for name in reversed(order):
            boot = known[name]
            if boot.previous not in known:
                continue
            found = None if name in disputed else own[name].at(0)
            start_high = min(end_high[name] - _least(boot.last_ns), _arrived(boot, 0))
            if found is not None:
                start_high = min(start_high, found.high_ns)
            end_high[boot.previous] = min(end_high[boot.previous], start_high)
        return cls(
            {
                name: _Placed(
                    boot=boot,
                    own=own[name],
                    disputed=name in disputed,
                    start_low_ns=start_low[name],
                    end_high_ns=end_high[name],
                )
                for name, boot in known.items()
            }
        )

    def at(self, boot_id: str, boottime_ns: int) -> UtcInterval | None:
        """Return when a moment of a boot was, None for a boot that nothing is known of."""
        placed = self._placed.get(boot_id)
        return None if placed is None else placed.at(boottime_ns)

    def distance_ns(self, boot_id: str, boottime_ns: int) -> int | None:
        """Return how far from a sync point of its own boot a moment is, None when the boot has none that counts."""
        placed = self._placed.get(boot_id)
        if placed is None or placed.disputed or not placed.own.is_majority:
            return None
        return placed.own.distance_ns(boottime_ns)


def _possible(boot: Boot) -> Iterator[SyncPoint]:
    """Yield the points that do not claim a time after the record that tells of them had arrived."""
    for point in boot.points:
        latest_ns = _arrived(boot, point.boottime_ns)
        if point.utc_ns + point.error_ns >= FLOOR_UTC_NS and point.utc_ns - point.error_ns <= latest_ns:
            yield point


def _disputed(known: Mapping[str, Boot], own: Mapping[str, Believed], order: Sequence[str]) -> frozenset[str]:
    """Return the boots whose points contradict those of boots before or after them, and are not in the majority."""
    against: dict[str, set[str]] = {name: set() for name in known}
    ends: dict[str, list[tuple[str, int]]] = {}
    for name in order:
        boot = known[name]
        before = ends.get(boot.previous, [])
        started = own[name].at(0)
        if started is not None:
            for other, low_ns in before:
                if low_ns > started.high_ns:
                    against[name].add(other)
                    against[other].add(name)
        ended = own[name].at(boot.last_ns)
        mine = [] if ended is None else [(name, ended.low_ns)]
        ends[name] = [*before, *mine][-COMPARED:]
    out: set[str] = set()
    while any(against.values()):
        most = max(len(others) for others in against.values())
        worst = [name for name, others in against.items() if len(others) == most]
        for name in worst:
            out.add(name)
            for other in against[name]:
                against[other].discard(name)
            against[name] = set()
    return frozenset(out)


def _in_order(known: Mapping[str, Boot]) -> list[str]:
    """Return the boots so that each comes after its previous one; one in a circle of claims has none."""
    order: list[str] = []
    done: set[str] = set()
    for name in known:
        path: list[str] = []
        cursor = name
        while cursor in known and cursor not in done and cursor not in path:
            path.append(cursor)
            cursor = known[cursor].previous
        for one in reversed(path):
            done.add(one)
            order.append(one)
    return order


def _agreed(intervals: Sequence[UtcInterval]) -> UtcInterval:
    """Return the hull of what lies in all of `intervals` but fewer than half of them; of one or two: in all.

    Where there is no such place, more than that are wrong: then the hull of them all.
    """
    needed = len(intervals) - (len(intervals) - 1) // 2
    edges = sorted([(one.low_ns, 0) for one in intervals] + [(one.high_ns, 1) for one in intervals])
    depth = 0
    low: int | None = None
    high: int | None = None
    for at_ns, closes in edges:
        if closes:
            high = at_ns if depth >= needed else high
            depth -= 1
        else:
            depth += 1
            low = at_ns if depth >= needed and low is None else low
    return _hull(intervals) if low is None or high is None else UtcInterval(low, high)


def _hull(intervals: Sequence[UtcInterval]) -> UtcInterval:
    return UtcInterval(min(one.low_ns for one in intervals), max(one.high_ns for one in intervals))


def _all_agree(ordered: Sequence[SyncPoint]) -> bool:
    """Return whether no two points contradict each other, in one pass; in doubt by less than a ns it says no.

    Points agree if each one's interval, widened by the drift since, reaches the other's. So for each the most that any
    before it asks for is enough, with the drift counted from boottime 0 (all times 10,000, so that it stays whole).
    """
    least_high = most_low = None
    for point in ordered:
        offset_ns = point.utc_ns - point.boottime_ns
        low, high = 10_000 * (offset_ns - point.error_ns), 10_000 * (offset_ns + point.error_ns)
        if most_low is not None and most_low > high + point.boottime_ns:
            return False
        if least_high is not None and low - point.boottime_ns > least_high:
            return False
        above, below = low + point.boottime_ns, high - point.boottime_ns
        most_low = above if most_low is None else max(most_low, above)
        least_high = below if least_high is None else min(least_high, below)
    return True


def _agree(one: SyncPoint, other: SyncPoint) -> bool:
    apart_ns = other.boottime_ns - one.boottime_ns
    off_ns = abs(other.utc_ns - one.utc_ns - apart_ns)
    return off_ns <= one.error_ns + other.error_ns + _drift(abs(apart_ns))


def _projected(point: SyncPoint, boottime_ns: int) -> UtcInterval:
    apart_ns = boottime_ns - point.boottime_ns
    error_ns = point.error_ns + _drift(abs(apart_ns))
    return UtcInterval(point.utc_ns + apart_ns - error_ns, point.utc_ns + apart_ns + error_ns)


def _arrived(boot: Boot, boottime_ns: int) -> int:
    """Return the latest that a moment of a boot can have been, by what has arrived of the boot."""
    if boot.latest_start_ns is None:
        return CEILING_UTC_NS
    span_ns = max(boot.last_ns, boottime_ns)
    return boot.latest_start_ns + boottime_ns + _drift(span_ns) + ARRIVAL_ERROR_NS


def _least(elapsed_ns: int) -> int:
    """Return the least true time that can have passed in `elapsed_ns` of a boot clock."""
    return elapsed_ns - _drift(elapsed_ns)


def _drift(elapsed_ns: int) -> int:
    # 100 ppm, rounded up, in whole numbers: a float has no nanoseconds left after a hundred days.
    return -(-elapsed_ns // 10_000)


def _first_after(points: Sequence[SyncPoint], boottime_ns: int) -> int:
    low, high = 0, len(points)
    while low < high:
        middle = (low + high) // 2
        if points[middle].boottime_ns <= boottime_ns:
            low = middle + 1
        else:
            high = middle
    return low
