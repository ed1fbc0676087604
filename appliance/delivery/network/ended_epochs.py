"""The records of epochs that have ended (a damaged database, a copied card), sent under the identity they have.

One batch at a time beside the live epoch's: first a hello for the epoch, then its tombstones and its records, oldest
first; the next when the collector has answered, or after a time-out. It must never hold a record, and never take an
answer to one epoch for another's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from appliance.delivery.messages.batches import TooLarge, pack, pack_tombstones, read_bounds, tombstone_limit
from appliance.outbox.box import Outbox
from appliance.storage.tables.delivered import Receipt
from firmware.wire.messages import Ack, encode_hello

PATIENCE: Final = 3.0
"""How many of the policy's time-outs an answer is waited for before the epoch is told of again."""
Publish: TypeAlias = Callable[[str, bytes], object]


@dataclass(slots=True)
class PastEpochs:
    """One connection's sending of what ended epochs left behind."""

    software: str
    country: str
    _told: set[str] = field(default_factory=set)
    _due: float = 0.0

    def act(
        self,
        now: float,
        outbox: Outbox,
        publish: Publish,
        *,
        max_bytes: int,
        timeout_s: float,
        bytes_a_record: float,
    ) -> float | None:
        """Send what is due; return when to look again, None when nothing is left."""
        waiting = outbox.past()
        if not waiting:
            return None
        if now < self._due:
            return self._due
        box = waiting[0]
        self._due = now + PATIENCE * timeout_s
        if box.epoch not in self._told:
            self._told.add(box.epoch)
            publish("hello", encode_hello(box.hello(software=self.software, country=self.country)))
            return self._due
        limit, room = read_bounds(max_bytes, bytes_a_record)
        tombstones = box.tombstones(tombstone_limit(max_bytes))
        rows = box.oldest(limit, max_bytes=room)
        if not rows:
            if tombstones:
                publish("bulk", pack_tombstones(tombstones, device=box.device, epoch=box.epoch))
        else:
            packed = pack(
                [(row.seq, row.body) for row in rows],
                device=box.device,
                epoch=box.epoch,
                max_bytes=max_bytes,
                bytes_a_record=bytes_a_record,
                tombstones=tombstones,
            )
            if isinstance(packed, TooLarge):
                box.quarantine(packed.seq, packed.reason)
                self._due = now
            else:
                publish("bulk", packed.payload)
        # What is not answered in time is told of anew: the answer to a hello says what the collector has.
        self._told.discard(box.epoch)
        return self._due

    def take(self, now: float, outbox: Outbox, ack: Ack, receipt: Receipt | None = None) -> int | None:
        """Take an answer; return how many records left, None when it is not about one of these epochs."""
        box = next((one for one in outbox.past() if one.epoch == ack.epoch), None)
        if box is None:
            return None
        self._told.add(box.epoch)
        self._due = now + ack.retry_after_s
        return box.acknowledge(ack, receipt)
