"""What to send to the collector, and when: decided here, done by `appliance.delivery.network.sender`. Pure; every time is an argument.

On connecting, a hello; its answer (or any ack) says what the collector has. Live records, newest first, may go
before that answer, one batch of them: the first bytes after a cut should say something new. The backlog, oldest
first and in turn with the live ones, waits for the answer, because without one nobody is there to store it; but not
on a connection that follows one on which a collector answered, where a round trip's silence is a waste. What was on
its way at a cut waits for the answer in any case: it may be stored, and only the answer knows.

At most `window` batches are un-acked. A batch whose ack is late is not sent again at once: a hello, a few bytes,
asks what became of it, and only what the answer does not cover is sent again. The clock for that starts when the
broker has the batch (its PUBACK), since before that TCP is still at it. The time-out is RFC 6298's, from the acks'
round trips, with a floor above 1 s. The window grows with acks and shrinks on time-outs; how large a batch is, and
how much may be on its way at all, follows the measured goodput (`appliance.delivery.network.pace`).

This file must never hold a record, only numbers; and never believe that something is stored unless an ack says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from appliance.delivery.network.pace import BATCH_BYTES_START, Pace
from firmware.model.seqs import SeqRanges
from firmware.net import backoff
from firmware.wire.messages import Ack

LIVE_DEPTH: Final = 256
"""The newest so many seqs are live; what is older is backlog."""
LINGER_S: Final = 1.0
"""How long a live record may wait for company: 50 records in a batch cost a fifth of 50 batches."""
WINDOW_START: Final = 2
WINDOW_MAX: Final = 8
TIMEOUT_START_S: Final = 3.0
TIMEOUT_MIN_S: Final = 2.0
TIMEOUT_MAX_S: Final = 120.0
HOLD_ACROSS_S: Final = 300.0
"""A pause that was asked for lasts so long past a new connection at most."""
RECONNECT_BASE_S: Final = 1.0
RECONNECT_CAP_S: Final = 300.0


class BatchKind(StrEnum):
    """Which of a device's two streams a batch belongs to; also the last word of its topic."""

    LIVE = "live"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class SendHello:
    """Say what the outbox holds, then tell the policy `hello_sent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBatch:
    """Send what waits within `spans` (inclusive), taken in their order, as one batch of at most `max_bytes`.

    LIVE takes each span from its top, BULK from its bottom. Then tell the policy `batch_sent`, or `nothing_found`.
    """

    kind: BatchKind
    spans: tuple[tuple[int, int], ...]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until `until` (None: until something happens)."""

    until: float | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This connection does not work: close it and connect anew."""

    reason: str


Action: TypeAlias = "SendHello | SendBatch | Wait | GiveUp"


@dataclass(slots=True, kw_only=True)
class _Flight:
    """A batch on its way: its seqs not yet answered, when it was sent, when the broker had it (None: not yet)."""

    kind: BatchKind
    left: tuple[int, ...]
    size: int
    sent: float
    at_broker: float | None = None
    late: bool = False


@dataclass(slots=True)
class SyncPolicy:
    """One connection after another; `connected` begins a new one. All times are seconds on one monotonic clock."""

    window: int = WINDOW_START
    batch_bytes: int = BATCH_BYTES_START
    timeout_s: float = TIMEOUT_START_S
    pace: Pace = field(default_factory=Pace)
    _flights: dict[int, _Flight] = field(default_factory=dict)
    _next_batch: int = 0
    _smoothed_s: float | None = None
    _deviation_s: float = 0.0
    _hello_due: float | None = None
    _hello_open: bool = False
    _hello_sent: float | None = None
    _answered: bool = False
    _trusted: bool = False
    _doubtful: SeqRanges = SeqRanges()
    _hold_until: float = 0.0
    _grown: int = 0
    _turn: BatchKind = BatchKind.LIVE
    _empty: set[BatchKind] = field(default_factory=set)
    _high: int = 0
    _fresh_since: float | None = None
    _seen: float = 0.0
    _last_taken: float = 0.0

    def connected(self, now: float) -> None:
        """Begin on a new connection: nothing is on its way, and a hello is due."""
        un_taken = any(flight.at_broker is None for flight in self._flights.values())
        self.pace.cut(min(self._seen, now), un_taken=un_taken)
        self.pace.connected(now)
        self._doubtful = self._doubtful.union(self._sent())
        self._flights.clear()
        self.window = WINDOW_START
        self._grown = 0
        self._hello_due = now
        self._hello_open = False
        self._hello_sent = None
        # Whoever asked for a longer pause may be gone, or may have been no collector.
        self._hold_until = min(self._hold_until, now + HOLD_ACROSS_S)
        # That a collector was there a moment ago is believed once: where it does not answer, it is waited for again.
        self._trusted, self._answered = self._answered, False
        self._turn = BatchKind.LIVE
        self._empty.clear()
        self._fresh_since = None

    def next_action(self, now: float, *, waiting: int, high: int) -> Action:
        """Return what to do: `waiting` records are in the outbox, `high` is the highest seq it ever gave."""
        self._seen = now
        self._note_high(now, high)
        if now < self._hold_until:
            return Wait(self._hold_until)
        self._note_late(now)
        stall = self._stall()
        if stall is not None and now >= stall:
            self.pace.stalled()
            return GiveUp("a batch that was sent is not taken any more")
        if self._hello_due is not None and now >= self._hello_due:
            return SendHello()
        return self._batch(now, waiting=waiting) or Wait(self._next_moment(now, waiting=waiting))

    def ask(self, now: float) -> None:
        """Have a hello sent: what was said of this outbox before may not hold any more."""
        self._hello_due = now
        self._hold_until = min(self._hold_until, now)
        self._empty.clear()

    def more_waits(self) -> None:
        """Take note that records wait again where none did."""
        self._empty.clear()

    def hello_sent(self, now: float) -> None:
        """Take note that a hello is on its way; until an ack comes it is repeated, ever more rarely."""
        if self._hello_open:
            self._back_off()
        self._hello_sent = None if self.un_taken_bytes else now
        self._hello_open = True
        self._hello_due = now + self.timeout_s

    def hello_at_broker(self, now: float) -> None:
        """Take note of the broker's PUBACK of a hello: a round trip, if the line was free."""
        if self._hello_sent is not None:
            self.pace.round_trip(now - self._hello_sent)
            self._hello_sent = None

    def batch_sent(self, now: float, *, kind: BatchKind, seqs: tuple[int, ...], size: int) -> int:
        """Take note that a batch of `size` bytes is on its way; return its number, for `batch_at_broker`."""
        self._next_batch += 1
        if not self.un_taken_bytes:
            self.pace.begins(now)
        self._flights[self._next_batch] = _Flight(kind=kind, left=seqs, size=size, sent=now)
        self._turn = BatchKind.BULK if kind is BatchKind.LIVE else BatchKind.LIVE
        if kind is BatchKind.LIVE:
            self._fresh_since = None
        return self._next_batch

    def nothing_found(self, kind: BatchKind) -> None:
        """Take note that the spans of the last `SendBatch` of `kind` held nothing."""
        self._empty.add(kind)
        if kind is BatchKind.LIVE:
            self._fresh_since = None

    def batch_at_broker(self, now: float, batch: int) -> None:
        """Take note of the broker's PUBACK: the clock of the collector's answer starts."""
        flight = self._flights.get(batch)
        if flight is not None and flight.at_broker is None:
            self._note_taken(now, flight)

    def acked(self, now: float, ack: Ack) -> None:
        """Take note of an ack of this outbox's epoch, also of a repeated one."""
        hello_answered = self._hello_open
        self._hello_open = False
        self._hello_due = None
        if not self._answered:
            self._answered = True
            self._doubtful = SeqRanges()
            self._empty.clear()
        rejected = frozenset(reject.seq for reject in ack.rejects)
        for number, flight in list(self._flights.items()):
            flight.left = tuple(
                seq for seq in flight.left if seq > ack.upto and seq not in ack.ranges and seq not in rejected
            )
            if not flight.left:
                del self._flights[number]
                self._note_success(now, flight)
            elif flight.late and hello_answered:
                # The collector was asked and does not have it: it is waiting again, as if never sent.
                del self._flights[number]
                self._empty.clear()
        if ack.retry_after_s > 0:
            self._hold_until = now + ack.retry_after_s
            self.window = max(1, self.window // 2)

    @property
    def in_flight(self) -> int:
        """How many batches are un-acked."""
        return len(self._flights)

    @property
    def un_taken_bytes(self) -> int:
        """How much of what was sent the broker does not have yet."""
        return sum(flight.size for flight in self._flights.values() if flight.at_broker is None)

    def _note_high(self, now: float, high: int) -> None:
        if high > self._high:
            self._high = high
            self._empty.clear()
            if self._fresh_since is None:
                self._fresh_since = now

    def _note_late(self, now: float) -> None:
        late = [
            flight
            for flight in self._flights.values()
            if not flight.late and flight.at_broker is not None and now >= flight.at_broker + self.timeout_s
        ]
        for flight in late:
            flight.late = True
        if late:
            # Once for all that are late together: one silence is one event, however many batches fell into it.
            self.window = max(1, self.window // 2)
            self._grown = 0
        if self._hello_due is None and any(flight.late for flight in self._flights.values()):
            self._hello_due = now

    def _batch(self, now: float, *, waiting: int) -> SendBatch | None:
        open_to_backlog = self._answered or self._trusted
        if waiting <= self._on_its_way() or len(self._flights) >= (self.window if open_to_backlog else 1):
            return None
        self.batch_bytes = self.pace.batch_bytes(now)
        room = self.pace.room(now, self.un_taken_bytes, self._un_taken_since())
        if not room:
            return None
        for kind in (self._turn, BatchKind.BULK if self._turn is BatchKind.LIVE else BatchKind.LIVE):
            if kind in self._empty or (kind is BatchKind.BULK and not open_to_backlog):
                continue
            if kind is BatchKind.LIVE and self._answered and self._lingers(now):
                continue
            spans = self._spans(kind)
            if spans:
                return SendBatch(kind=kind, spans=spans, max_bytes=room)
            self._empty.add(kind)
        return None

    def _on_its_way(self) -> int:
        return sum(len(flight.left) for flight in self._flights.values())

    def _sent(self) -> SeqRanges:
        return SeqRanges.of(seq for flight in self._flights.values() for seq in flight.left)

    def _lingers(self, now: float) -> bool:
        return self._fresh_since is not None and now < self._fresh_since + LINGER_S

    def _spans(self, kind: BatchKind) -> tuple[tuple[int, int], ...]:
        sent = self._sent().union(self._doubtful)
        cut = max(0, self._high - LIVE_DEPTH)
        if kind is BatchKind.LIVE:
            return tuple(reversed(sent.gaps(cut + 1, self._high).ranges))
        return sent.gaps(1, cut).ranges

    def _next_moment(self, now: float, *, waiting: int) -> float | None:
        moments = [self._hello_due] if self._hello_due is not None else []
        stall = self._stall()
        if stall is not None:
            moments.append(stall)
        moments += [
            flight.at_broker + self.timeout_s
            for flight in self._flights.values()
            if flight.at_broker is not None and not flight.late
        ]
        if waiting > self._on_its_way():
            if self._fresh_since is not None and self._lingers(now):
                moments.append(self._fresh_since + LINGER_S)
            since = self._un_taken_since()
            if since is not None and len(self._flights) < self.window:
                at = self.pace.room_at(now, self.un_taken_bytes, since)
                moments += [at] if at > now else []
        return min(moments, default=None)

    def _stall(self) -> float | None:
        """Return when the connection is to be given up, if no batch is taken until then; None: nothing is sent."""
        since = self._un_taken_since()
        if since is None:
            return None
        first = next(flight for flight in self._flights.values() if flight.at_broker is None)
        return since + self.pace.stall_s(first.size)

    def _un_taken_since(self) -> float | None:
        """Return since when the oldest batch that the broker does not have has been on the line; None: there is none."""
        for flight in self._flights.values():
            if flight.at_broker is None:
                return max(self._last_taken, flight.sent)
        return None

    def _note_taken(self, now: float, flight: _Flight) -> None:
        flight.at_broker = self._last_taken = now
        self.pace.taken(now, flight.size)

    def _note_success(self, now: float, flight: _Flight) -> None:
        if flight.at_broker is None:
            self._note_taken(now, flight)
        if flight.late:
            return  # Karn: its round trip may be that of the question, not of the batch.
        self._note_round_trip(now - (flight.at_broker or now))
        self._grown += 1
        if self._grown >= self.window and self.window < WINDOW_MAX:
            self.window += 1
            self._grown = 0

    def _note_round_trip(self, sample_s: float) -> None:
        """RFC 6298, section 2: a new sample weighs 1/8 in the mean and 1/4 in the deviation, which counts 4 times."""
        if self._smoothed_s is None:
            self._smoothed_s = sample_s
            self._deviation_s = sample_s / 2
        else:
            self._deviation_s += (abs(self._smoothed_s - sample_s) - self._deviation_s) / 4
            self._smoothed_s += (sample_s - self._smoothed_s) / 8
        self.timeout_s = min(TIMEOUT_MAX_S, max(TIMEOUT_MIN_S, self._smoothed_s + 4 * self._deviation_s))

    def _back_off(self) -> None:
        """RFC 6298, 5.5: double the time-out; the next round trip measured sets it anew."""
        self.timeout_s = min(TIMEOUT_MAX_S, self.timeout_s * 2)


def reconnect_delay_s(failures: int, random: Callable[[], float], *, cap_s: float = RECONNECT_CAP_S) -> float:
    """Return how long to wait before connecting again after `failures` ≥ 1 in a row, in seconds: `firmware.net.backoff`."""
    return backoff.delay_s(failures, random, base_s=RECONNECT_BASE_S, cap_s=cap_s)
