"""A task survives the way to the worker; a broken one is refused by name."""

import json

import pytest

from firmware.jsontypes import RecordError
from firmware.record import Rung, Zone
from firmware.task import Task, from_json, to_json

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
