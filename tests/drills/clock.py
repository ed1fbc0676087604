"""Random histories of a device whose true times are known, re-timed from what it would have told.

In each: boots with pauses between them; a crystal whose rate wanders within ±100 ppm; sync points with errors inside
what they state, in some boots none; wrong ones, fewer than half in every run of six: a little off, or in bursts by
days and years; in some a whole boot of wrong points that contradicts its neighbours; two weeks offline.
"""

import random
import statistics
from dataclasses import dataclass, field

from firmware.clock.retiming import Boot, SyncPoint, Timeline

S = 1_000_000_000
DAY = 86_400 * S
BORN_NS = 1_772_000_000 * S
PPM = 100


@dataclass
class History:
    """What was told (`boots`), and the truth: (boot, boottime, true UTC) of each record."""

    boots: list[Boot] = field(default_factory=list)
    truths: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass
class _Crystal:
    """Maps a boot's clock to the truth, with a rate that changes now and then."""

    start_ns: int
    knots: list[tuple[int, int]] = field(default_factory=list)
    rates: list[int] = field(default_factory=list)

    def true_ns(self, boottime_ns: int) -> int:
        index = max(i for i, (at, _) in enumerate(self.knots) if at <= boottime_ns)
        at, truth = self.knots[index]
        # Rates are parts in 10**9; truncation stays inside the bound since it is rounded up there.
        return truth + (boottime_ns - at) + (boottime_ns - at) * self.rates[index] // 10**9


def crystal(rng: random.Random, start_ns: int, length_ns: int) -> _Crystal:
    made = _Crystal(start_ns)
    at, truth = 0, start_ns
    while not made.knots or at < length_ns:
        rate = rng.choice([rng.randint(-PPM * 1000 + 1, PPM * 1000 - 1), PPM * 1000 - 1, -PPM * 1000 + 1])
        made.knots.append((at, truth))
        made.rates.append(rate)
        at += rng.randint(3600 * S, 5 * DAY)
        truth = made.true_ns(at)
    return made


def history(rng: random.Random) -> History:
    made = History()
    now_ns = BORN_NS + rng.randint(0, 300) * DAY
    previous = ""
    boots: list[tuple[str, _Crystal, int, tuple[SyncPoint, ...], str]] = []
    for number in range(rng.randint(1, 10)):
        now_ns += rng.choice([rng.randint(S, 120 * S), rng.randint(S, 10 * DAY)])
        length_ns = rng.choice([rng.randint(60 * S, 3600 * S), rng.randint(3600 * S, 20 * DAY)])
        clock = crystal(rng, now_ns, length_ns)
        name = f"boot-{number}"
        count = rng.choice([0, 0, 1, 2, rng.randint(3, 8), rng.randint(9, 60)])
        points = sync_points(rng, clock, length_ns, count)
        boots.append((name, clock, length_ns, points, previous if rng.random() < 0.9 else ""))
        moments = [*sorted(rng.randint(0, length_ns) for _ in range(8)), length_ns]
        made.truths += [(name, moment, clock.true_ns(moment)) for moment in moments]
        now_ns = clock.true_ns(length_ns)
        previous = name
    arrived_ns = now_ns + rng.choice([rng.randint(0, 60 * S), rng.randint(0, 30 * DAY)])
    for name, clock, length_ns, points, before in boots:
        # Some boots were delivered while they ran, most long after; the collector's clock is a little off.
        live = rng.random() < 0.3
        received_ns = (clock.true_ns(length_ns) if live else arrived_ns) + rng.randint(-S, S)
        made.boots.append(
            Boot(
                boot_id=name,
                last_ns=length_ns,
                points=lying_boot(rng, points, arrived_ns),
                latest_start_ns=received_ns - length_ns,
                previous=before,
            )
        )
    rng.shuffle(made.boots)
    return made


def sync_points(rng: random.Random, clock: _Crystal, length_ns: int, count: int) -> tuple[SyncPoint, ...]:
    moments = sorted(rng.randint(0, length_ns) for _ in range(count))
    if count and rng.random() < 0.3:
        # Two weeks and more with nothing but the first.
        moments = [moment // 50 for moment in moments]
    points = []
    for moment in moments:
        error_ns = rng.choice([S // 2, rng.randint(1_000_000, 80_000_000)])
        off_ns = rng.choice([rng.randint(-error_ns, error_ns), error_ns, -error_ns])
        points.append(SyncPoint(boottime_ns=moment, utc_ns=clock.true_ns(moment) + off_ns, error_ns=error_ns))
    return tuple(wrong(rng, points))


def wrong(rng: random.Random, points: list[SyncPoint]) -> list[SyncPoint]:
    """Make some of the points wrong, as the assumption allows it."""
    made = list(points)
    budget = (len(points) - 1) // 2
    if budget > 0 and rng.random() < 0.3:
        # One server that is wrong for a while, grossly: up to a third of the points, in one piece.
        size = rng.randint(1, max(1, min(budget, len(points) // 3)))
        begin = rng.randint(0, len(points) - size)
        lie_ns = rng.choice([-1, 1]) * rng.randint(30 * DAY, 3000 * DAY)
        for index in range(begin, begin + size):
            made[index] = moved(made[index], lie_ns)
        return made
    if budget > 0 and rng.random() < 0.5:
        chosen: list[int] = []
        for index in rng.sample(range(len(points)), len(points)):
            near = [one for one in chosen if abs(one - index) < 6]
            if len(chosen) < budget and len(near) < min(2, budget) and rng.random() < 0.3:
                chosen.append(index)
        for index in chosen:
            made[index] = moved(made[index], rng.choice([-1, 1]) * rng.randint(S // 10, 4000 * S))
    return made


def lying_boot(rng: random.Random, points: tuple[SyncPoint, ...], arrived_ns: int) -> tuple[SyncPoint, ...]:
    """Sometimes let every point of a boot claim a time after all of it has arrived: that is seen through."""
    if rng.random() < 0.05:
        ahead_ns = arrived_ns + rng.randint(31, 5000) * DAY
        return tuple(moved(point, ahead_ns - point.utc_ns + point.boottime_ns) for point in points)
    return points


def moved(point: SyncPoint, by_ns: int) -> SyncPoint:
    return SyncPoint(
        boottime_ns=point.boottime_ns, utc_ns=max(0, point.utc_ns + by_ns), error_ns=point.error_ns
    )


def drill(*, times: int, seed: int) -> bool:
    """Re-time `times` histories and print how many true times lay outside, and how wide the bounds are."""
    rng = random.Random(seed)
    outside, records, boots = 0, 0, 0
    synced: list[int] = []
    unsynced: list[int] = []
    for _ in range(times):
        told = history(rng)
        timeline = Timeline.of(told.boots)
        boots += len(told.boots)
        has_points = {boot.boot_id for boot in told.boots if boot.points}
        for boot_id, boottime_ns, true_ns in told.truths:
            bounds = timeline.at(boot_id, boottime_ns)
            assert bounds is not None
            records += 1
            if not bounds.low_ns <= true_ns <= bounds.high_ns:
                outside += 1
                if outside <= 5:
                    off_s = max(bounds.low_ns - true_ns, true_ns - bounds.high_ns) / S
                    print(f"  outside by {off_s:.3f} s: {boot_id} at {boottime_ns / S:.0f} s")
            (synced if boot_id in has_points else unsynced).append(bounds.error_ns)
    print(
        f"{times:,} histories, {boots:,} boots, {records:,} true times: {outside} outside the stated bounds"
    )
    widths("boots with a sync point", synced)
    widths("boots that never had one", unsynced)
    return outside == 0


def widths(words: str, errors_ns: list[int]) -> None:
    if len(errors_ns) < 2:
        return
    cuts = statistics.quantiles(errors_ns, n=100)
    shown = [f"{name} ± {value / S:,.2f} s" for name, value in (("p50", cuts[49]), ("p90", cuts[89]))]
    print(f"  {words}: {', '.join(shown)}, widest ± {max(errors_ns) / S:,.0f} s ({len(errors_ns):,} times)")
