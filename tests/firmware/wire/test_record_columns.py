"""By columns or one by one, the same records are taken and the same refused."""

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import from_json, to_json
from firmware.wire.record_columns import all_records
from firmware.wire.table import RecordTable
from tests.firmware.records import json_values, records, tcp_record

odd: st.SearchStrategy[Any] = json_values | st.sampled_from(
    [
        True,
        1.0,
        -1,
        0,
        2,
        2**63,
        -(2**63),
        -(2**63) - 1,
        1e400,
        "",
        "local",
        "link",
        "snd",
        [],
        {},
        [1],
        ["a"],
        [["a", {}]],
        [["a", {"b": [], "c": ["d"], "e": None}]],
        [["a", {"b": {}}]],
        [["a", {"b": 2**63}]],
        [["", {}]],
        [["a"]],
        None,
    ]
)


@st.composite
def batches(draw: st.DrawFn) -> list[JsonObject]:
    """Return records as JSON, most of them sound: some keys, and keys within, have another value, or none in all."""
    found: list[JsonObject] = [to_json(one) for one in draw(st.lists(records, max_size=4))]
    for place in range(len(found) if draw(st.booleans()) else 0):
        broken = copy.deepcopy(found[place])
        _spoil(draw, broken)
        found[place] = broken
    keys = set(found[0]).intersection(*found) if found else set()
    return [{key: value for key, value in one.items() if key in keys} for one in found]


def _spoil(draw: st.DrawFn, value: JsonObject) -> None:
    key = draw(st.sampled_from(list(value)))
    inner = value[key]
    if isinstance(inner, dict) and inner and draw(st.booleans()):
        _spoil(draw, inner)
    elif draw(st.integers(0, 4)) == 0:
        del value[key]
    else:
        value[key] = draw(odd)


def taken(value: JsonValue) -> bool:
    try:
        from_json(value)
    except RecordError:
        return False
    return True


@given(batches())
def test_all_are_taken_by_columns_exactly_where_each_is_taken_alone(values: list[JsonObject]) -> None:
    assert all_records(RecordTable.of(values)) == all(taken(value) for value in values)


@given(st.sampled_from(list(to_json(tcp_record(0)))), odd)
def test_every_key_alone_is_judged_alike(key: str, value: Any) -> None:
    spoiled = to_json(tcp_record(1)) | {key: value}
    assert all_records(RecordTable.of([to_json(tcp_record(0)), spoiled])) == taken(spoiled)


def test_every_key_that_a_record_has_is_looked_at() -> None:
    for key in to_json(tcp_record(0)):
        lacking = to_json(tcp_record(0))
        del lacking[key]
        assert not all_records(RecordTable.of([lacking]))


def test_what_came_as_json_is_taken() -> None:
    came = json.loads(json.dumps([to_json(tcp_record(number)) for number in range(50)]))
    assert all_records(RecordTable.of(came))
    assert all_records(RecordTable.of([]))
