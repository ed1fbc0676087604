"""The audit of measurement servers' halves: each against its signature, and its columns against what it says.

Whether one was taken out or put in, the digest chain says (`collector.audit.chain`). This file must never take a column's word
for what a server said.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from collector.audit.account import Faults
from collector.audit.seals import Seals, payload_of
from collector.store.queries import Queries
from collector.store.server_halves import HalfFilter, HalfQueries, HalfRow
from firmware.model.jsontypes import RecordError
from firmware.wire.server_halves import HALF_LEAF, decode_half

A_PAGE: Final = 500


@dataclass(slots=True, kw_only=True)
class HalvesAudit:
    """How many halves there are, how many bear a signature that holds (0 where none could be checked), and what is wrong."""

    halves: int = 0
    signed: int = 0
    faults: Faults = field(default_factory=Faults)

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is wrong."""
        return self.faults.count == 0


def audit_halves(queries: Queries, seals: Seals, *, device: str | None = None) -> HalvesAudit:
    """Audit every half, or those of one device. Raises `StoreError`, `TrustError`."""
    found, halves, after = HalvesAudit(), HalfQueries(queries), 0
    while page := halves.halves(HalfFilter(device=device), after=after, limit=A_PAGE):
        for row in page:
            found.halves += 1
            wrong = seals.fault(row.server, HALF_LEAF, row.data, row.received_ns) or _differing(row)
            if wrong:
                found.faults.add(f"half {row.number:,} of {row.server} ({row.epoch}): {wrong}")
            else:
                found.signed += seals.checked
        after = page[-1].id
    return found


def _differing(row: HalfRow) -> str:
    """Return what of a row is not what its half says, "" where all is."""
    try:
        half = decode_half(payload_of(row.data))
    except RecordError as error:
        return str(error)
    said = (half.server, half.epoch, half.number, half.device, half.nonce, str(half.end), half.start.utc_ns)
    stored = (row.server, row.epoch, row.number, row.device, row.nonce, row.ending, row.start_utc_ns)
    return "" if said == stored else "its columns are not what it says"


def to_json(found: HalvesAudit) -> dict[str, Any]:
    """Return it for machines."""
    return {
        "halves": found.halves,
        "signed": found.signed,
        "faults": found.faults.count,
        "faults_named": [str(one) for one in found.faults.named],
    }
