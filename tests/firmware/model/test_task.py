"""A task survives the way to the worker and its result the way back; a broken one is refused by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import JsonObject, RecordError
from firmware.model.record import Rung, Zone
from firmware.model.task import Result, Task, from_json, result_from_json, result_to_json, to_json
from tests.firmware.records import big, outcomes, words

TASK = Task(
    task_id="12/one",
    test="tls",
    target="198.51.100.7:443",
    target_name="one",
    options={"sni": "example.org", "timeout_s": 20.0, "verify": True},
    zone=Zone.INTERNATIONAL,
    rung=Rung.INTERNATIONAL,
    round_id=12,
    start_boottime_ns=5,
    deadline_boottime_ns=9,
)


def test_json_and_back() -> None:
    assert from_json(json.loads(json.dumps(to_json(TASK)))) == TASK


def test_a_broken_option_is_named() -> None:
    with pytest.raises(RecordError, match="options: sni: found"):
        from_json({**to_json(TASK), "options": {"sni": ["a"]}})


results = st.builds(
    Result,
    task_id=words,
    test_version=words,
    target=words,
    uplink=words,
    start_boottime_ns=big,
    start_utc_ns=big,
    runtime_ns=big,
    outcome=outcomes,
)


@given(results)
def test_a_result_is_json_and_back(result: Result) -> None:
    assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


def test_a_result_without_a_runtime_is_refused_by_name() -> None:
    value: JsonObject = {
        "task_id": "a",
        "test_version": "1",
        "target": "",
        "uplink": "",
        "start_boottime_ns": 1,
    }
    with pytest.raises(RecordError, match="result: start_utc_ns is missing"):
        result_from_json(value)
