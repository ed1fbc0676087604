"""The state file: what a daemon leaves for who asks and for its next start, whatever became of the file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import state_file
from appliance.state_file import DaemonState, read, settled_before, spent_before, write

STATE = DaemonState(
    pid=4711,
    software="tidegauge 0.1.0",
    boot_id="3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f",
    plan="ir 2026-11-21",
    started_utc_ns=10**18,
    written_utc_ns=10**18 + 5,
    written_boottime_ns=7_000,
    settled_boottime_ns=6_900,
    round_id=12,
    sync_message="broker 127.0.0.1:1883 refused the connection",
    clock_error_ns=500_000_000,
    worker_pid=4712,
    spent=((500, 80_000), (0, 20)),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, STATE)
    assert read(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == [state_file.NAME]
    assert STATE.spent_bytes == 80_020


def test_a_directory_that_cannot_be_written_is_lived_with(tmp_path: Path) -> None:
    write(tmp_path / "gone", STATE)
    assert read(tmp_path / "gone") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"v": 1}',
        json.dumps({**state_file.to_json(STATE), "round_id": "twelve"}),
        json.dumps({**state_file.to_json(STATE), "round_id": 2**63 - 1}),
        json.dumps({**state_file.to_json(STATE), "spent": [[1, 2, 3]]}),
        json.dumps({**state_file.to_json(STATE), "spent": [[-1, 2]]}),
        json.dumps({**state_file.to_json(STATE), "written_boottime_ns": -1}),
    ],
)
def test_a_file_that_is_not_one_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / state_file.NAME).write_text(text)
    assert read(tmp_path) is None


@given(st.binary())
def test_no_bytes_break_the_reading(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / state_file.NAME).write_bytes(data)
    assert read(directory) is None


def test_the_budgets_account_ages_in_the_same_boot_and_stands_still_between_two() -> None:
    assert spent_before(STATE, boot_id=STATE.boot_id, now_ns=7_100) == ((600, 80_000), (100, 20))
    assert spent_before(STATE, boot_id="another", now_ns=50) == STATE.spent
    assert spent_before(None, boot_id="another", now_ns=50) == ()


def test_slots_are_known_to_be_settled_only_within_a_boot() -> None:
    assert settled_before(STATE, boot_id=STATE.boot_id, now_ns=8_000) == 6_900
    assert settled_before(STATE, boot_id=STATE.boot_id, now_ns=6_000) is None, "a clock that went back"
    assert settled_before(STATE, boot_id="another", now_ns=8_000) is None
    assert settled_before(None, boot_id="another", now_ns=8_000) is None
