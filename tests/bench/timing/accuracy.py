"""How far each prober's times are from the capture's: probers take turns, so that load hits all alike."""

import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.timing.figures import Sample
from tests.bench.timing.lab import ADDRESS_OF, NEAR, running
from tests.bench.timing.probers import Prober
from tests.bench.timing.readings import Reading
from tests.bench.timing.wire import Exchange, exchanges, unpack

_ROOM_NS: Final = 50_000_000
"""A program's last packets may be captured this long after it was seen to end."""


@dataclass(slots=True)
class Truth:
    """What a capture saw, filled when it ends."""

    exchanges: list[Exchange] = field(default_factory=list)
    frames: int = 0
    dropped: int = 0

    def between(self, kind: str, address: str, begin_ns: int, end_ns: int) -> list[Exchange]:
        """Return the exchanges of a kind with an address whose questions were sent in a span of time."""
        return [
            exchange
            for exchange in self.exchanges
            if exchange.kind == kind
            and exchange.address == address
            and begin_ns <= exchange.sent_ns <= end_ns
        ]


@contextlib.contextmanager
def capturing(folder: Path) -> Iterator[Truth]:
    """Capture what passes the prober's own interface meanwhile."""
    path = folder / "frames"
    truth = Truth()
    with running([sys.executable, "-m", "tests.bench.timing.capture", NEAR, str(path)]) as (process, _):
        yield truth
        time.sleep(_ROOM_NS / 1e9)
        told, _ = process.communicate()
    found = json.loads(told)
    truth.frames, truth.dropped = found["frames"], found["dropped"]
    truth.exchanges = exchanges(unpack(path.read_bytes()))
    path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    prober: str
    begin_ns: int
    end_ns: int
    readings: list[Reading]


@dataclass(slots=True)
class Accuracy:
    """The samples of one condition, and what could not be used: turns whose packets and readings differ in number."""

    samples: list[Sample] = field(default_factory=list)
    unmatched: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    dropped: int = 0
    turns: int = 0


def measure(
    probers: Sequence[Prober], condition: str, folder: Path, *, seconds: float, tell: Callable[[str], None]
) -> Accuracy:
    """Let the probers take turns, in a new order each round, for `seconds`; then compare."""
    order = random.Random(1)
    turns: list[_Turn] = []
    with capturing(folder) as truth:
        end_s = time.monotonic() + seconds
        rounds = 0
        while time.monotonic() < end_s or rounds == 0:
            chances = [(prober, turn) for prober in probers for turn in prober.turns]
            order.shuffle(chances)
            for prober, turn in chances:
                begin_ns = time.time_ns()
                readings = prober.probe(turn)
                turns.append(
                    _Turn(prober=prober.name, begin_ns=begin_ns, end_ns=time.time_ns(), readings=readings)
                )
            rounds += 1
            tell(f"… {condition}: round {rounds}")
    found = Accuracy(frames=truth.frames, dropped=truth.dropped, turns=len(turns))
    for one in turns:
        _compare(one, truth, condition, found)
    return found


def _compare(turn: _Turn, truth: Truth, condition: str, found: Accuracy) -> None:
    """Put a turn's readings beside the exchanges that the capture saw of it."""
    for kind, seen_as in sorted({(reading.kind, reading.seen_as) for reading in turn.readings}):
        answered = [reading for reading in turn.readings if reading.kind == kind and reading.ns is not None]
        lost = [reading for reading in turn.readings if reading.kind == kind and reading.ns is None]
        seen = truth.between(seen_as or kind, ADDRESS_OF[turn.prober], turn.begin_ns, turn.end_ns)
        if len(seen) != len(answered):
            found.unmatched[f"{turn.prober} {kind}"] += len(answered)
            answered, seen = [], []
        for reading, exchange in zip(answered, seen, strict=True):
            found.samples.append(_sample(turn, condition, reading, exchange.rtt_ns))
        for reading in lost:
            found.samples.append(_sample(turn, condition, reading, None))


def _sample(turn: _Turn, condition: str, reading: Reading, true_ns: int | None) -> Sample:
    return Sample(
        prober=turn.prober,
        kind=reading.kind,
        condition=condition,
        reported_ns=reading.ns,
        true_ns=true_ns,
        stamp=reading.stamp,
        half_step_ns=reading.half_step_ns,
        joined=reading.joined,
    )
