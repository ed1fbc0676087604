"""`python -m tests.bench.validation`: a batch checked a column at a time, and a record at a time, in one run.

Processor time of one record of a batch of 50, from the message's bytes to the rows of the store; the median of both, taken in turn.
"""

import statistics
import time
from collections.abc import Callable

from collector.receive.record_rows import to_row, to_rows
from collector.store.arrivals import IngestRow
from firmware.model.record import to_json
from firmware.wire.messages import Batch, decode_batch, encode_batch
from firmware.wire.table import RecordTable
from tests.firmware.records import tcp_record

RECORDS = 50
ROOM_BYTES = 10_000_000


def message() -> bytes:
    """Return a batch as it arrives."""
    records = tuple(to_json(tcp_record(number)) for number in range(RECORDS))
    return encode_batch(
        Batch(device="a" * 16, epoch="1" * 16, seqs=tuple(range(1, RECORDS + 1)), records=records)
    )


def by_columns(payload: bytes) -> tuple[IngestRow, ...]:
    """Return the rows as the collector makes them."""
    batch = decode_batch(payload)
    rows = to_rows(batch.seqs, RecordTable.of(batch.records), room=ROOM_BYTES)
    assert rows is not None
    return rows


def by_records(payload: bytes) -> tuple[IngestRow, ...]:
    """Return the same rows by the reader of one record alone."""
    batch = decode_batch(payload)
    return tuple(to_row(seq, record) for seq, record in zip(batch.seqs, batch.records, strict=True))


def compare(*, times: int) -> tuple[float, float]:
    """Return the microseconds a record takes by columns, and by records."""
    payload = message()
    ways: tuple[Callable[[bytes], object], ...] = (by_columns, by_records)
    found: dict[Callable[[bytes], object], list[int]] = {way: [] for way in ways}
    for _ in range(times):
        for way in ways:
            began_ns = time.process_time_ns()
            way(payload)
            found[way].append(time.process_time_ns() - began_ns)
    columns, records = (statistics.median(found[way]) / RECORDS / 1000 for way in ways)
    return columns, records


if __name__ == "__main__":
    columns_us, records_us = compare(times=400)
    print(f"a record of a batch of {RECORDS}: {columns_us:.1f} µs by columns, {records_us:.1f} µs by records")
