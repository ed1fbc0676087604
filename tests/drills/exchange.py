"""A device's outbox and a collector's store talking without a network: real parts, messages as bytes, losses at will."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.delivery.messages.batches import TooLarge, pack, pack_tombstones
from appliance.outbox.box import Outbox
from collector.messages import Delivery
from collector.receive.validation import answer, validate
from collector.store.arrivals import BatchArrived, HelloArrived
from collector.store.completeness import Completeness
from collector.store.database import Store
from collector.store.queries import Queries
from firmware.wire.messages import Ack, decode_ack, encode_hello, topic


def never() -> bool:
    return False


@dataclass
class Collector:
    """A store in `directory`, and the time by its clock."""

    directory: Path
    now_ns: int = 1_790_000_000_000_000_000
    after_batch: Callable[[BatchArrived], None] = lambda _batch: None
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store.open(self.directory / "collector.sqlite3")

    def take(self, device: str, leaf: str, payload: bytes) -> Ack | None:
        """Judge, commit and answer one message."""
        self.now_ns += 1_000_000
        judgement = validate(
            Delivery(topic=topic(device, "up", leaf), payload=payload, received_ns=self.now_ns)
        )
        if isinstance(judgement.arrival, BatchArrived | HelloArrived):
            judgement = replace(judgement, arrival=replace(judgement.arrival, came=payload))
        (accounted,) = self.store.commit([judgement.arrival])
        if accounted is None or judgement.epoch is None:
            return None
        if isinstance(judgement.arrival, BatchArrived):
            self.after_batch(judgement.arrival)
        return decode_ack(answer(judgement, accounted, judgement.epoch).payload)

    def completeness(self, device: str) -> Completeness:
        queries = Queries(self.directory / "collector.sqlite3")
        try:
            return queries.completeness(device)
        finally:
            queries.close()

    def bodies(self) -> list[str]:
        rows = self.store._connection.execute("SELECT body FROM record ORDER BY id")
        return [body for (body,) in rows]

    def stored(self) -> list[tuple[tuple[str, int], str]]:
        """Return every record: its epoch and seq, and its body."""
        rows = self.store._connection.execute("SELECT epoch, seq, body FROM record ORDER BY id")
        return [((epoch, seq), body) for epoch, seq, body in rows]

    def close(self) -> None:
        self.store.close()


def deliver(
    outbox: Outbox,
    collector: Collector,
    *,
    lost: Callable[[], bool] = never,
    rng: random.Random | None = None,
    rounds: int = 10_000,
) -> None:
    """Bring all that waits to the collector, every epoch of it; `lost` says whether a message or an ack is lost."""
    for _ in range(rounds):
        if lost is never and not outbox.counts().waiting and not outbox.tombstones(1) and not outbox.past():
            # A hello all the same: the collector is to know how many there are.
            converse(outbox, collector)
            return
        for box in [outbox, *outbox.past()]:
            converse(box, collector, lost=lost, rng=rng)


def converse(
    box: Outbox,
    collector: Collector,
    *,
    lost: Callable[[], bool] = never,
    rng: random.Random | None = None,
    country: str = "xx",
) -> None:
    """Say hello for one epoch, and send one batch of it."""
    epoch = box.hello(software="", country="").epoch
    greet(box, collector, lost=lost, country=country)
    if box.hello(software="", country="").epoch == epoch:
        send_batch(box, collector, lost=lost, rng=rng)


def greet(
    box: Outbox, collector: Collector, *, lost: Callable[[], bool] = never, country: str = "xx"
) -> None:
    """Say hello for one epoch."""
    if box.incarnation:
        box.note_incarnation()
    _send(box, collector, "hello", encode_hello(box.hello(software="drill", country=country)), lost=lost)


def send_batch(
    box: Outbox,
    collector: Collector,
    *,
    lost: Callable[[], bool] = never,
    rng: random.Random | None = None,
) -> None:
    """Send one batch of an epoch."""
    epoch = box.epoch
    tombstones = box.tombstones(50)
    rows = box.newest(40) if rng is not None and rng.random() < 0.5 else box.oldest(40)
    if not rows:
        if tombstones:
            payload = pack_tombstones(tombstones, device=box.device, epoch=epoch, incarnation=box.incarnation)
            _send(box, collector, "bulk", payload, lost=lost)
        return
    packed = pack(
        [(row.seq, row.body) for row in rows],
        device=box.device,
        epoch=epoch,
        max_bytes=16_000,
        bytes_a_record=100,
        tombstones=tombstones,
        incarnation=box.incarnation,
    )
    if isinstance(packed, TooLarge):
        box.quarantine(packed.seq, packed.reason)
        return
    _send(box, collector, "live", packed.payload, lost=lost)


def _send(box: Outbox, collector: Collector, leaf: str, payload: bytes, *, lost: Callable[[], bool]) -> None:
    if lost():
        return
    ack = collector.take(box.device, leaf, payload)
    if ack is not None and not lost():
        box.acknowledge(ack)
