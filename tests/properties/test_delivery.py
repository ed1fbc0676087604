"""Whatever the way to the collector does, everything is delivered, stored once, and never too much at a time.

A link in which time is a number: batches are slow, the broker forgets some, acks are lost, doubled and overtake one
another, the connection breaks, the collector rejects or asks for a pause. After a while the trouble ends, as it
must for "eventually" to mean anything; by then whatever the sender believes must still be true enough to finish.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.delivery.network.policy import (
    WINDOW_MAX,
    BatchKind,
    GiveUp,
    SendBatch,
    SendHello,
    SyncPolicy,
    Wait,
)
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack, Reject

EPOCH = "0123456789abcdef"
TROUBLE_ENDS_S = 400.0
LIMIT_S = TROUBLE_ENDS_S + 1500.0
BATCH_RECORDS = 40
UNWANTED = 13  # the collector rejects every seq that is a multiple of it


@dataclass
class World:
    """A device, a broker and a collector; `odds` are the chances of each kind of trouble."""

    chance: random.Random
    odds: dict[str, float]
    now: float = 0.0
    policy: SyncPolicy = field(default_factory=SyncPolicy)
    waiting: set[int] = field(default_factory=set)
    high: int = 0
    connection: int = 0
    in_flight: dict[int, set[int]] = field(default_factory=dict)
    left: Counter[int] = field(default_factory=Counter)
    stored: Counter[int] = field(default_factory=Counter)
    covered: SeqRanges = field(default_factory=SeqRanges)
    hold_until: float = 0.0
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    count: int = 0

    def trouble(self, kind: str) -> bool:
        return self.now < TROUBLE_ENDS_S and self.chance.random() < self.odds[kind]

    def later(self, delay_s: float, what: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + delay_s, self.count, what))

    def delay_s(self) -> float:
        return 0.05 + (self.chance.random() * 12 if self.trouble("slow") else 0.0)

    # the device

    def append(self, number: int) -> None:
        self.waiting |= set(range(self.high + 1, self.high + number + 1))
        self.high += number

    def connect(self) -> None:
        self.connection += 1
        self.in_flight.clear()
        self.policy.connected(self.now)

    def act(self) -> float | None:
        """Do what the policy says until it waits; return until when."""
        for _ in range(1000):
            action = self.policy.next_action(self.now, waiting=len(self.waiting), high=self.high)
            match action:
                case Wait(until):
                    assert until is None or until > self.now, "a wait that is over is a busy loop"
                    return until
                case SendHello():
                    self.policy.hello_sent(self.now)
                    self.send(None, ())
                case SendBatch():
                    self.send_batch(action)
                case GiveUp():
                    self.connect()
        raise AssertionError("the policy never waits")

    def send_batch(self, action: SendBatch) -> None:
        assert self.now >= self.hold_until, "sent although the collector asked for a pause"
        found: list[int] = []
        for low, high in action.spans:
            span = [seq for seq in range(low, high + 1) if seq in self.waiting]
            found += reversed(span) if action.kind is BatchKind.LIVE else span
        seqs = tuple(sorted(found[:BATCH_RECORDS]))
        if not seqs:
            self.policy.nothing_found(action.kind)
            return
        for others in self.in_flight.values():
            assert not others & set(seqs), "sent again while it was on its way"
        number = self.policy.batch_sent(self.now, kind=action.kind, seqs=seqs, size=70 * len(seqs))
        self.in_flight[number] = set(seqs)
        assert self.policy.in_flight <= min(self.policy.window, WINDOW_MAX)
        self.send(number, seqs)

    def send(self, number: int | None, seqs: tuple[int, ...]) -> None:
        connection = self.connection

        def at_broker() -> None:
            if connection != self.connection:
                return
            if number is not None:
                self.policy.batch_at_broker(self.now, number)
            if not self.trouble("broker_forgets"):
                self.later(self.delay_s(), lambda: self.collect(seqs))

        self.later(self.delay_s(), at_broker)

    def receive(self, connection: int, ack: Ack) -> None:
        if connection != self.connection:
            return
        rejected = {reject.seq for reject in ack.rejects}
        gone = {seq for seq in self.waiting if seq <= ack.upto or seq in ack.ranges or seq in rejected}
        self.waiting -= gone
        self.left.update(gone)
        self.policy.acked(self.now, ack)
        self.hold_until = max(self.hold_until, self.now + ack.retry_after_s if ack.retry_after_s else 0.0)
        for number, seqs in list(self.in_flight.items()):
            self.in_flight[number] = seqs - gone
        self.in_flight = {
            number: seqs for number, seqs in self.in_flight.items() if seqs and number in self.policy._flights
        }

    # the collector

    def collect(self, seqs: tuple[int, ...]) -> None:
        rejects = tuple(Reject(seq=seq, reason="no") for seq in seqs if seq % UNWANTED == 0)
        pause_s = 20.0 if self.trouble("pause") else 0.0
        if not self.trouble("not_stored"):
            for seq in seqs:
                if seq % UNWANTED and seq not in self.covered:
                    self.stored[seq] += 1
                    self.covered = self.covered.add(seq, seq)
        upto = self.covered.prefix_end()
        above = SeqRanges(tuple(pair for pair in self.covered if pair[0] > upto))
        ack = Ack(epoch=EPOCH, upto=upto, ranges=above, rejects=rejects, retry_after_s=pause_s)
        connection = self.connection
        for _ in range(0 if self.trouble("ack_lost") else 2 if self.trouble("ack_twice") else 1):
            self.later(self.delay_s(), lambda: self.receive(connection, ack))

    def run(self) -> None:
        while self.now < LIMIT_S:
            until = self.act()
            if not self.waiting and self.now >= TROUBLE_ENDS_S and not self.events:
                return
            if self.events and (until is None or self.events[0][0] <= until):
                self.now, _, happen = heapq.heappop(self.events)
                happen()
            elif until is not None:
                self.now = until
            else:
                return


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    odds=st.fixed_dictionaries(
        {
            kind: st.sampled_from([0.0, 0.05, 0.3, 0.8])
            for kind in ("slow", "broker_forgets", "not_stored", "ack_lost", "ack_twice", "pause")
        }
    ),
    backlog=st.integers(0, 2000),
    appends=st.lists(st.integers(1, 60), max_size=25),
    cuts=st.integers(0, 12),
)
def test_everything_is_delivered_and_stored_once(
    seed: int,
    odds: dict[str, float],
    backlog: int,
    appends: list[int],
    cuts: int,
) -> None:
    # A plain generator, so that moments are spread over the whole time and not drawn to its ends.
    chance = random.Random(seed)
    world = World(chance, odds)
    world.append(backlog)
    for number in appends:
        world.later(chance.uniform(0, TROUBLE_ENDS_S), lambda number=number: world.append(number))  # type: ignore[misc]
    for _ in range(cuts):
        # Early: a new connection forgives whatever the sender believed wrongly, and would hide it.
        world.later(chance.uniform(0, TROUBLE_ENDS_S / 2), world.connect)
    world.later(TROUBLE_ENDS_S, lambda: None)
    world.connect()
    world.run()
    everything = set(range(1, world.high + 1))
    assert not world.waiting, f"{len(world.waiting)} records still wait at {world.now:.0f} s"
    assert set(world.left) == everything
    assert set(world.left.values()) <= {1}
    assert set(world.stored) == {seq for seq in everything if seq % UNWANTED}
    assert set(world.stored.values()) <= {1}


@settings(max_examples=50, deadline=None)
@given(chance=st.randoms(use_true_random=False), backlog=st.integers(1, 3000))
def test_on_a_link_without_trouble_nothing_is_sent_twice(chance: random.Random, backlog: int) -> None:
    world = World(
        chance, dict.fromkeys(("slow", "broker_forgets", "not_stored", "ack_lost", "ack_twice", "pause"), 0)
    )
    world.append(backlog)
    sent: Counter[int] = Counter()
    collect = world.collect
    world.collect = lambda seqs: (sent.update(seqs), collect(seqs))[1]  # type: ignore[method-assign]
    world.connect()
    world.run()
    assert not world.waiting
    assert sent == Counter(range(1, backlog + 1))
