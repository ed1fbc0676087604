"""Records as columns are the records: not one value, key or order is another one after."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.wire.table import RecordTable
from tests.firmware.records import json_values

KEYS = ("a", "b", "c")

# Pairs that are equal in Python and are not the same as JSON.
ALIKE: list[tuple[JsonValue, JsonValue]] = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    ({"x": 1}, {"x": True}),
    ({"x": [1.0]}, {"x": [1]}),
    ({"x": 1, "y": 2}, {"y": 2, "x": 1}),
    ([0], [False]),
]


def texts(records: object) -> list[str]:
    assert isinstance(records, list | tuple | RecordTable)
    return [json.dumps(record, sort_keys=True) for record in records]


@given(st.lists(st.tuples(json_values, json_values, json_values), max_size=4))
def test_a_table_reads_as_the_records_it_was_made_of(rows: list[tuple[JsonValue, ...]]) -> None:
    records: list[JsonObject] = [dict(zip(KEYS, row, strict=True)) for row in rows]
    table = RecordTable.of(records)
    assert len(table) == len(records)
    assert texts(table) == texts(records)
    assert texts(table[1:]) == texts(records[1:])
    assert not table.same.keys() & table.columns.keys()
    for key in KEYS if records else ():
        assert list(table.spread(key)) == [record[key] for record in records]
        assert set(map(repr, table.column(key))) == {repr(record[key]) for record in records}


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_is_only_equal_is_not_the_same(one: JsonValue, other: JsonValue) -> None:
    assert one == other
    table = RecordTable.of([{"a": one}, {"a": other}])
    assert not table.same
    assert [json.dumps(record["a"]) for record in table] == [json.dumps(one), json.dumps(other)]


@pytest.mark.parametrize("other", [{"b": 1, "a": 1}, {"a": 1}, {"a": 1, "b": 1, "c": 1}])
def test_other_keys_or_another_order_make_no_table(other: JsonObject) -> None:
    with pytest.raises(ValueError, match="same keys"):
        RecordTable.of([{"a": 1, "b": 1}, other])


def test_past_the_end_there_is_nothing() -> None:
    with pytest.raises(IndexError):
        RecordTable.of([{"a": 1}])[1]
    with pytest.raises(KeyError):
        RecordTable.of([{"a": 1}]).column("b")
