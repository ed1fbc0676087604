"""A made line in time: transfers over it, in rounds of one round trip, and what the throttle on it remembers.

A fluid of a Reno-like sender: a window that doubles until something is lost, is halved by loss, and grows by a segment a
round trip after it; a buffer of a fifth of a second before the line. Nothing here knows the rules, nor what a run is for.
"""

from dataclasses import dataclass, field
from math import exp, log, pi, sin, sqrt
from random import Random

from tests.throttling.lines import Made, Scope, Throttle

SEGMENT = 1448.0
FIRST_WINDOW = 10 * SEGMENT
BUFFER_S = 0.2
LEAST_BOOST = 20_000.0
DAY_S = 86_400.0


@dataclass(slots=True)
class Bucket:
    """A token bucket: what it holds, and when that was."""

    tokens: float
    at_s: float

    def tokens_at(self, throttle: Throttle, now_s: float) -> float:
        """Return what it holds now, with what has come in since it was last looked at."""
        more = max(0.0, now_s - self.at_s) * throttle.rate_bytes_per_s
        self.tokens = min(_size(throttle), self.tokens + more)
        self.at_s = max(self.at_s, now_s)
        return self.tokens

    def let_through(
        self, throttle: Throttle, sent: float, now_s: float, arrives_s: float
    ) -> tuple[float, float]:
        """Return how much of what is sent passes, and how long that takes: a policer drops the rest, a shaper holds it back."""
        tokens = self.tokens_at(throttle, now_s)
        if throttle.polices:
            gained = throttle.rate_bytes_per_s * arrives_s
            passed = min(sent, tokens + gained)
            self.tokens = max(0.0, min(_size(throttle), tokens + gained - passed))
            self.at_s = now_s + arrives_s
            return passed, arrives_s
        fast = min(sent, tokens)
        held_s = (sent - fast) / throttle.rate_bytes_per_s
        self.tokens = tokens - fast
        self.at_s = now_s + held_s
        return sent, max(arrives_s, held_s)


def _size(throttle: Throttle) -> float:
    return max(throttle.burst_bytes, 2 * SEGMENT)


@dataclass(slots=True)
class World:
    """A made line as time goes on. Times are seconds since it began, and never go back."""

    made: Made
    lot: Random
    sway: float = 0.0
    sway_at_s: float = 0.0
    crossed_by: float = 0.0
    cross_until_s: float = 0.0
    boost_left: float = 0.0
    boost_at_s: float = 0.0
    last_used_s: float = -1e9
    buckets: dict[object, Bucket] = field(default_factory=dict)
    marked: dict[object, float] = field(default_factory=dict)

    @classmethod
    def of(cls, made: Made) -> "World":
        """Return the line at its beginning."""
        lot = Random(f"world {made.seed}")
        return cls(
            made=made,
            lot=lot,
            sway=made.line.sway * lot.gauss(0, 1),
            boost_left=made.line.boost_bytes,
        )

    def transfer(
        self, name: str, address: int, payload: int, begins_s: float, most_s: float
    ) -> tuple[list[tuple[float, int]], bool]:
        """Return the time line of one transfer, and whether it came to its end: points since it began."""
        line, lot = self.made.line, self.lot
        bucket, throttle = self._bucket(name, address, begins_s)
        slower = line.other_address if address % 2 else 1.0
        rtt_s = line.rtt_s * slower
        now = begins_s + 2 * rtt_s + (line.wakes_s if begins_s - self.last_used_s > 30 else 0.0)
        end = begins_s + most_s
        window, threshold, got, lost_before = FIRST_WINDOW, 1e12, 0.0, 0
        points: list[tuple[float, int]] = [(now - begins_s, 0)]
        while got < payload and now < end:
            if throttle and throttle.freezes_after_bytes is not None and got >= throttle.freezes_after_bytes:
                return points, False
            if line.stalls_per_s and lot.random() < line.stalls_per_s * rtt_s:
                now += lot.expovariate(1 / line.stall_s)
                points.append((now - begins_s, int(got)))
            rate = self._rate(now) / slower
            sent = min(window, payload - got)
            if throttle and throttle.freezes_after_bytes is not None:
                sent = min(sent, throttle.freezes_after_bytes - got)
            round_s = rtt_s * exp(line.jitter * lot.gauss(0, 1))
            passed, dropped, first = sent, 0.0, 0.0
            took_s = max(round_s, sent / rate)
            arrives_s = max(round_s * sent / window, sent / rate) if line.paced else sent / rate
            if window > rate * (round_s + BUFFER_S):
                dropped += SEGMENT
            if bucket is not None and throttle is not None:
                fast = min(sent, bucket.tokens_at(throttle, now))
                passed, arrives_s = bucket.let_through(throttle, sent, now, arrives_s)
                dropped += sent - passed
                took_s = max(took_s, arrives_s)
                first = 0.0 if throttle.polices else min(fast, sent)
            packets = passed / SEGMENT
            if line.loss and lot.random() < 1 - (1 - line.loss) ** packets:
                dropped += SEGMENT
            self._use(passed, now)
            first_s = min(first / rate, arrives_s)
            _arrive(points, now - begins_s, first_s, got, first)
            _arrive(points, now - begins_s + first_s, arrives_s - first_s, got + first, passed - first)
            got += passed
            now += took_s if got < payload else arrives_s
            window, threshold, waits_s = _after(
                window, threshold, sent, dropped, lost_before=lost_before, growth=line.growth
            )
            lost_before = lost_before + 1 if waits_s else 0
            now += max(waits_s, 2 * rtt_s) if waits_s else 0.0
        self.last_used_s = now
        self._seen(name, address, now)
        if now > end:
            points = _cut(points, most_s)
        return points, points[-1][1] >= payload

    def _bucket(self, name: str, address: int, now_s: float) -> tuple[Bucket | None, Throttle | None]:
        throttle = self.made.throttle
        if throttle is None:
            return None, None
        key: object = {Scope.FLOW: object(), Scope.ADDRESS: address, Scope.SOURCE: "all"}[throttle.scope]
        if not _is_meant(throttle, name) and now_s - self.marked.get(key, -1e9) > throttle.remembers_s:
            return None, None
        bucket = self.buckets.setdefault(key, Bucket(tokens=throttle.burst_bytes, at_s=now_s))
        return bucket, throttle

    def _seen(self, name: str, address: int, now_s: float) -> None:
        """Remember a name that is meant, to the end of its flow; an innocuous one does not prolong that."""
        throttle = self.made.throttle
        if throttle is not None and throttle.scope is not Scope.FLOW and _is_meant(throttle, name):
            self.marked[address if throttle.scope is Scope.ADDRESS else "all"] = now_s

    def _rate(self, now_s: float) -> float:
        line, lot = self.made.line, self.lot
        rate = line.rate_bytes_per_s
        if line.sway:
            kept = exp(-max(0.0, now_s - self.sway_at_s) / line.sway_s)
            self.sway = self.sway * kept + line.sway * sqrt(1 - kept * kept) * lot.gauss(0, 1)
            self.sway_at_s = now_s
            rate *= exp(self.sway)
        if line.cross_share:
            while now_s > self.cross_until_s:
                busy = lot.random() < line.cross_share
                self.crossed_by = lot.choice((0.5, 0.67)) if busy else 0.0
                self.cross_until_s = max(self.cross_until_s, now_s - 60) + lot.expovariate(1 / line.cross_s)
            rate *= 1 - self.crossed_by
        if line.daily:
            rate *= 1 - line.daily * max(0.0, sin(2 * pi * (self.made.begins_s + now_s) / DAY_S))
        if line.boost_bytes:
            gained = max(0.0, now_s - self.boost_at_s) * line.rate_bytes_per_s * line.boost_refills
            self.boost_left = min(line.boost_bytes, self.boost_left + gained)
            self.boost_at_s = now_s
            rate *= line.boost if self.boost_left >= LEAST_BOOST else 1.0
        return max(rate, 500.0)

    def _use(self, amount: float, now_s: float) -> None:
        if self.made.line.boost_bytes:
            self.boost_left = max(0.0, self.boost_left - amount)
            self.boost_at_s = now_s


def _arrive(
    points: list[tuple[float, int]], from_s: float, arrives_s: float, got: float, more: float
) -> None:
    """Add the points of one round, in steps of a tenth of a second where it takes long."""
    steps = max(1, min(40, int(arrives_s / 0.1)))
    for part in range(1, steps + 1):
        at_s, amount = from_s + arrives_s * part / steps, int(got + more * part / steps)
        if at_s > points[-1][0] and amount >= points[-1][1]:
            points.append((at_s, amount))


def _is_meant(throttle: Throttle, name: str) -> bool:
    return name != "control" if throttle.allow_list else name == "suspect"


def _after(
    window: float, threshold: float, sent: float, dropped: float, *, lost_before: int, growth: float
) -> tuple[float, float, float]:
    """Return the window, where it grows slowly from, and for how long the sender then waits for its timer (0: it does not)."""
    passed = sent - dropped
    if dropped and passed < 3 * SEGMENT:
        return 2 * SEGMENT, 2 * SEGMENT, 0.2 * 2 ** min(3, lost_before)
    if dropped:
        half = max(2 * SEGMENT, min(window / 2, passed))
        return half, half, 0.0
    if window < threshold:
        return min(growth * window, max(threshold, window + SEGMENT)), threshold, 0.0
    return window + SEGMENT, threshold, 0.0


def _cut(points: list[tuple[float, int]], most_s: float) -> list[tuple[float, int]]:
    """Return the points up to `most_s`, the last one in proportion."""
    kept = [(0.0, 0)]
    for at_s, got in points:
        if at_s >= most_s:
            before_s, before = kept[-1]
            share = (most_s - before_s) / (at_s - before_s) if at_s > before_s else 0.0
            kept.append((most_s, before + int((got - before) * share)))
            break
        kept.append((at_s, got))
    return kept


def log_spread(cv: float) -> float:
    """Return the standard deviation of the logarithm of what has this coefficient of variation (a lognormal)."""
    return sqrt(log(1 + cv * cv))
