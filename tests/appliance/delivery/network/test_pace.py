"""How large batches become on lines of any speed, and what of a slow line is used for records; time is a number."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.delivery.network.pace import (
    BATCH_BYTES_MIN,
    BATCH_BYTES_START,
    BATCH_COST_BYTES,
    LEAD_S,
    LEAD_TRIPS,
    SHARE,
    STALL_MAX_S,
    STALL_MIN_S,
    Pace,
)
from appliance.delivery.network.policy import (
    BatchKind,
    GiveUp,
    SendBatch,
    SendHello,
    SyncPolicy,
    Wait,
    reconnect_delay_s,
)
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import MAX_BATCH_BYTES, Ack

RECORD_BYTES = 64
HELLO_BYTES = 400
RECONNECT_ROUND_TRIPS = 3


@dataclass
class Line:
    """A device on a line of `rate` bytes a second that is cut every `cut_every_s`, and a collector at its end.

    What a cut connection had on its way is carried all the same, and the next one's hand-shake waits behind it.
    """

    rate: float
    rtt_s: float
    cut_every_s: float = 1e9
    seed: int = 0
    keepalive_s: float = 60.0
    now: float = 0.0
    waiting: set[int] = field(default_factory=set)
    high: int = 0

    def __post_init__(self) -> None:
        self.policy = SyncPolicy(pace=Pace(keepalive_s=self.keepalive_s))
        self.chance = random.Random(self.seed)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.connection = 0
        self.up = False
        self.free = 0.0
        self.covered = SeqRanges()

    def at(self, moment: float, what: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (moment, self.count, what))

    def run(self, records: int, limit_s: float) -> float:
        """Send `records`; return how long that took."""
        self.waiting = set(range(1, records + 1))
        self.high = records
        self.connect()
        if self.cut_every_s < limit_s:
            self.at(self.cut_every_s, self.cut)
        while self.waiting and self.now < limit_s:
            until = self.act() if self.up else None
            if self.events and (until is None or self.events[0][0] <= until):
                self.now, _, happen = heapq.heappop(self.events)
                happen()
            else:
                assert until is not None
                self.now = until
        return self.now

    def connect(self) -> None:
        self.up = True
        self.connection += 1
        self.free = max(self.free, self.now)
        self.policy.connected(self.now)

    def cut(self) -> None:
        self.lose()
        self.at(self.now + self.cut_every_s, self.cut)

    def lose(self) -> None:
        self.up = False
        self.connection += 1
        wait_s = reconnect_delay_s(1, self.chance.random)
        self.at(max(self.free, self.now + wait_s) + RECONNECT_ROUND_TRIPS * self.rtt_s, self.connect)

    def act(self) -> float | None:
        for _ in range(100):
            action = self.policy.next_action(self.now, waiting=len(self.waiting), high=self.high)
            match action:
                case Wait(until):
                    return until
                case SendHello():
                    self.policy.hello_sent(self.now)
                    self.send(None, (), HELLO_BYTES)
                case SendBatch():
                    self.send_batch(action)
                case GiveUp():
                    self.lose()
                    return None
        raise AssertionError("the policy never waits")

    def send_batch(self, action: SendBatch) -> None:
        wanted = max(1, action.max_bytes // RECORD_BYTES)
        found: list[int] = []
        for low, high in action.spans:
            span = range(high, low - 1, -1) if action.kind is BatchKind.LIVE else range(low, high + 1)
            found += [seq for seq in span if seq in self.waiting][: wanted - len(found)]
            if len(found) == wanted:
                break
        if not found:
            self.policy.nothing_found(action.kind)
            return
        size = len(found) * RECORD_BYTES
        goodput = self.policy.pace.goodput
        batch = self.policy.batch_sent(self.now, kind=action.kind, seqs=tuple(sorted(found)), size=size)
        if goodput is not None and size > BATCH_BYTES_MIN:
            on_its_way = self.policy.un_taken_bytes
            assert on_its_way <= SHARE * goodput * self.keepalive_s + 1
        self.send(batch, tuple(sorted(found)), size)

    def send(self, batch: int | None, seqs: tuple[int, ...], size: int) -> None:
        self.free = max(self.free, self.now) + size / self.rate
        connection = self.connection

        def arrive() -> None:
            if connection == self.connection:
                self.at(self.now + self.rtt_s / 2, lambda: self.taken(connection, batch))
                self.store(connection, seqs)

        self.at(self.free + self.rtt_s / 2, arrive)

    def taken(self, connection: int, batch: int | None) -> None:
        if connection != self.connection:
            return
        if batch is None:
            self.policy.hello_at_broker(self.now)
        else:
            self.policy.batch_at_broker(self.now, batch)

    def store(self, connection: int, seqs: tuple[int, ...]) -> None:
        for seq in seqs:
            self.covered = self.covered.add(seq, seq)
        upto = self.covered.prefix_end()
        above = SeqRanges(tuple(pair for pair in self.covered if pair[0] > upto))
        ack = Ack(epoch="0123456789abcdef", upto=upto, ranges=above)

        def hear() -> None:
            if connection == self.connection:
                self.waiting = {seq for seq in self.waiting if seq > upto and seq not in above}
                self.policy.acked(self.now, ack)

        self.at(self.now + self.rtt_s / 2 + 0.05, hear)


@pytest.mark.parametrize(
    ("rtt_s", "cut_every_s", "share"),
    [(0.05, 1e9, 0.95), (0.6, 1e9, 0.95), (0.05, 15.0, 0.8), (0.12, 15.0, 0.8), (0.25, 15.0, 0.75)],
)
def test_most_of_a_slow_line_carries_records(rtt_s: float, cut_every_s: float, share: float) -> None:
    records, rate = 12_000, 8000.0
    line = Line(rate=rate, rtt_s=rtt_s, cut_every_s=cut_every_s, seed=5)
    took_s = line.run(records, 3600)
    assert not line.waiting
    assert records * RECORD_BYTES / rate >= share * took_s


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(60, 1e6),
    rtt_s=st.floats(0.01, 2),
    cut_every_s=st.floats(10, 1000),
    seed=st.integers(0, 2**16),
)
def test_any_line_that_carries_a_batch_between_two_cuts_delivers(
    rate: float, rtt_s: float, cut_every_s: float, seed: int
) -> None:
    # Of what a connection has, the hello, a second's wait and the hand-shakes are gone before a batch can go.
    spare_s = cut_every_s - 1 - 6 * rtt_s - (HELLO_BYTES + 2 * BATCH_BYTES_MIN) / rate
    line = Line(rate=rate, rtt_s=rtt_s, cut_every_s=cut_every_s if spare_s > 1 else 1e9, seed=seed)
    line.run(300, 40_000)
    assert not line.waiting


@given(
    goodput=st.floats(1, 1e8),
    keepalive_s=st.floats(1, 600),
    life_s=st.none() | st.floats(0, 1e7),
    un_taken=st.integers(0, 10**7),
)
def test_what_is_on_its_way_stays_below_goodput_times_keepalive(
    goodput: float, keepalive_s: float, life_s: float | None, un_taken: int
) -> None:
    pace = Pace(keepalive_s=keepalive_s, goodput=goodput, life_s=life_s)
    room = pace.room(0.0, un_taken)
    assert 0 <= room <= MAX_BATCH_BYTES
    if room > BATCH_BYTES_MIN or un_taken:
        assert room == 0 or un_taken + room <= goodput * keepalive_s
    assert BATCH_BYTES_MIN <= pace.batch_bytes(0.0) <= MAX_BATCH_BYTES
    assert STALL_MIN_S <= pace.stall_s(un_taken) <= STALL_MAX_S


def test_until_something_is_measured_one_batch_goes_at_a_time() -> None:
    assert Pace().room(0.0, 0) == BATCH_BYTES_START
    assert Pace().room(0.0, 1) == 0


def test_batches_that_cuts_destroy_become_smaller() -> None:
    pace = Pace()
    for start in range(0, 40, 4):
        pace.connected(start)
        pace.begins(start)
        for second in range(1, 4):
            pace.taken(start + second, 8000)
        pace.cut(start + 4, un_taken=True)
    pace.connected(40.0)
    assert pace.life(40.0) == pytest.approx(4)
    assert pace.batch_bytes(40.0) == int((2 * BATCH_COST_BYTES * 8000 * 4) ** 0.5)
    assert pace.batch_bytes(1e5) > 15_000, "a connection that lasts is believed"


def test_acknowledgements_that_come_together_are_no_faster_line() -> None:
    pace = Pace(goodput=8000.0)
    pace.begins(0.0)
    pace.taken(1.0, 8000)
    for _ in range(5):
        pace.taken(1.001, 200)
    assert pace.goodput == pytest.approx(8000, rel=0.01)


def test_where_connections_are_cut_a_batch_goes_shortly_before_the_one_ahead_is_through() -> None:
    pace = Pace(goodput=8000.0, rtt_s=0.1)
    assert pace.room(100.0, 8000, 100.0) > 0, "a line that nobody cuts is kept full"
    pace.life_s = 15.0
    assert pace.room_at(100.0, 8000, 100.0) == pytest.approx(101 - LEAD_S)
    assert pace.room(100.4, 8000, 100.0) == 0
    assert pace.room(100.5, 8000, 100.0) == pace.batch_bytes(100.5)
    assert pace.room(100.0, 0, None) == pace.batch_bytes(100.0)


def test_the_lead_covers_the_round_trip_that_was_measured() -> None:
    pace = Pace(goodput=8000.0, life_s=15.0)
    assert pace.room_at(0.0, 8000, 0.0) == 0, "unknown: nothing is held back"
    for sample_s in (2.0, 0.6):
        pace.round_trip(sample_s)
    assert pace.room_at(0.0, 16_000, 0.0) == pytest.approx(2 - LEAD_TRIPS * 0.6)
    pace.round_trip(1.0)
    assert pace.rtt_s == pytest.approx(0.7), "a longer one is believed little by little"
