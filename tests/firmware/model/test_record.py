"""A record survives the way through JSON whole, and what is not a record is refused by name."""

import json

import pytest
from hypothesis import given

from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.record import SCHEMA, Record, from_json, to_json
from tests.firmware.records import records, tcp_record


@given(records)
def test_json_and_back_is_the_same_record(record: Record) -> None:
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", SCHEMA + 1, "upgrade the collector"),
        ("schema", "1", "schema: found '1'"),
        ("zone", "moon", "zone: found 'moon'; allowed is one of local, domestic, international"),
        ("rung", "roof", "rung: found 'roof'"),
        ("failure", "it_broke", "not on the list of failure words"),
        ("runtime_ns", -1, "runtime_ns: found -1; allowed is a whole number from 0"),
        ("runtime_ns", 2**63, "runtime_ns"),
        ("runtime_ns", True, "runtime_ns: found True"),
        ("clock_quality", None, "clock_quality: found None"),
        ("phases", {"connect": {"ns": 1, "stamp": "guess"}}, "phases: connect: stamp: found 'guess'"),
        ("phases", [], "phases: found \\[\\]; allowed is an object"),
        ("verdict", {"verdict": "ok"}, "verdict: evidence is missing"),
        ("verdict", {"verdict": "ok", "rule_id": "r", "evidence": [1], "overturned_by": ""}, "evidence"),
        ("detail", "text", "detail: found 'text'; allowed is an object"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: JsonValue, message: str) -> None:
    broken = {**to_json(tcp_record(1)), key: value}
    with pytest.raises(RecordError, match=message):
        from_json(broken)


@pytest.mark.parametrize("key", list(to_json(tcp_record(1))))
def test_a_missing_key_is_named(key: str) -> None:
    broken = to_json(tcp_record(1))
    del broken[key]
    with pytest.raises(RecordError, match=f"{key} is missing"):
        from_json(broken)


@pytest.mark.parametrize("value", [None, 1, "record", []])
def test_what_is_no_object_is_refused(value: JsonValue) -> None:
    with pytest.raises(RecordError, match="a JSON object belongs here"):
        from_json(value)
