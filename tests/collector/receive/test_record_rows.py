"""The rows of a batch are the rows of its records: written together or one by one."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.receive.record_rows import MAX_RECORD_BYTES, to_row, to_rows
from collector.store.arrivals import IngestRow
from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import Record, to_json
from firmware.wire.messages import Batch, decode_batch, encode_batch
from firmware.wire.table import RecordTable
from tests.firmware.records import records, tcp_record

ROOM = 4 * MAX_RECORD_BYTES


def columns_of(values: Sequence[JsonObject]) -> dict[str, list[JsonValue]]:
    return {key: [value[key] for value in values] for key in values[0]}


def one_by_one(seqs: tuple[int, ...], values: Sequence[JsonObject]) -> tuple[IngestRow, ...] | None:
    try:
        return tuple(to_row(seq, value) for seq, value in zip(seqs, values, strict=True))
    except RecordError:
        return None


@given(st.lists(records, min_size=1, max_size=5))
def test_together_or_one_by_one_the_rows_are_the_same(made: list[Record]) -> None:
    """As a batch brings them (values that are the same for all are one object), and each on its own."""
    values = tuple(to_json(one) for one in made)
    seqs = tuple(range(1, len(values) + 1))
    batch = Batch(device="a" * 16, epoch="0" * 16, seqs=seqs, records=values)
    try:
        travelled = RecordTable.of(decode_batch(encode_batch(batch)).records)
    except (ValueError, RecordError):  # half a surrogate pair, or more than a batch may hold
        travelled = RecordTable.of(values)
    for found in (
        RecordTable.of(values),
        RecordTable(same={}, columns=columns_of(values), height=len(values)),
        travelled,
    ):
        rows = to_rows(seqs, found, room=ROOM)
        assert rows == one_by_one(seqs, found)
        for row, value in zip(rows or (), found, strict=bool(rows)):
            assert json.loads(row.body) == value
            assert list(json.loads(row.body)) == list(value)


def test_values_that_are_alike_are_written_once_and_stand_in_every_body() -> None:
    values = tuple(to_json(tcp_record(number)) for number in range(3))
    batch = Batch(device="a" * 16, epoch="0" * 16, seqs=(1, 2, 3), records=values)
    rows = to_rows((1, 2, 3), RecordTable.of(decode_batch(encode_batch(batch)).records), room=ROOM)
    assert rows is not None
    assert [json.loads(row.body) for row in rows] == list(values)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"zone": "nowhere"},
        {"target": "\ud800"},
        {"detail": {"a": float("nan")}},
        {"detail": {"a": "x" * MAX_RECORD_BYTES}},
        {"schema": 99},
    ],
)
def test_where_one_is_not_sound_none_is_written_together(spoiled: JsonObject) -> None:
    values = (to_json(tcp_record(1)), to_json(tcp_record(2)) | spoiled)
    assert to_rows((1, 2), RecordTable.of(values), room=ROOM) is None
    with pytest.raises(RecordError):
        to_row(2, values[1])


def test_more_than_there_is_room_for_is_not_written_together() -> None:
    table = RecordTable.of((to_json(tcp_record(1)), to_json(tcp_record(2))))
    size = sum(len(row.body.encode()) for row in to_rows((1, 2), table, room=ROOM) or ())
    assert to_rows((1, 2), table, room=size) is not None
    assert to_rows((1, 2), table, room=size - 1) is None
