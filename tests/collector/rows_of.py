"""Makes arrivals for the tests of the store, through the same door as real ones."""

from collections.abc import Iterable, Sequence
from typing import Any

from collector.receive.record_rows import to_row
from collector.store.arrivals import BatchArrived, Refusal
from firmware.wire.messages import Tombstone
from tests.collector.scripted_device import DEVICE, EPOCH, batch_of


def arrived(
    seqs: Iterable[int],
    *,
    device: str = DEVICE,
    epoch: str = EPOCH,
    rejected: Sequence[int] = (),
    tombstones: Sequence[Tombstone] = (),
    **changes: Any,
) -> BatchArrived:
    """Return a batch of sound records with these seqs; `changes` are made to each record."""
    batch = batch_of(tuple(seqs), **changes)
    return BatchArrived(
        device=device,
        epoch=epoch,
        received_ns=1_795_000_000_000_000_000,
        topic=f"p1/up/{device}/live",
        rows=tuple(to_row(seq, record) for seq, record in zip(batch.seqs, batch.records, strict=True)),
        tombstones=tuple(tombstones),
        rejected=tuple(rejected),
        refusals=tuple(Refusal(epoch=epoch, seq=seq, reason="no good", payload=b"{}") for seq in rejected),
    )
