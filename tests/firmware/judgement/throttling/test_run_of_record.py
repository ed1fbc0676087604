"""A run's result from a transfer's detail: what is counted, and what says nothing."""

from typing import Any

import pytest

from firmware.judgement.throttling.counted_run import counted
from firmware.judgement.throttling.pace_of_run import Invalid, RunPace
from firmware.judgement.throttling.run_of_record import run_of_record
from firmware.judgement.throttling.runs import KIB, Ending, NameRole, PairedRun, Purpose
from firmware.model.jsontypes import RecordError

RUN = PairedRun(
    purpose=Purpose.PAIR,
    block=0,
    role=NameRole.SUSPECT,
    address=0,
    payload_bytes=176 * KIB,
    most_s=20.0,
    not_before_s=0.0,
)


def detail(**changes: Any) -> dict[str, Any]:
    """Return that of a download of 176 KiB at 8 KiB every 80 ms, with changes."""
    points = [[80_000 * number, 8192 * number] for number in range(1, 23)]
    round_trips = {"rtt_ns": 55_000_000, "min_rtt_ns": 50_000_000}
    tcp = {
        **round_trips,
        "wire_bytes": 190_000,
        "rwnd_limited_ns": 0,
        "sndbuf_limited_ns": 0,
        **changes.pop("tcp", {}),
    }
    return {
        "direction": "download",
        "ending": "complete",
        "points": points,
        "ended_us": 1_760_000,
        "waited_ns": 1_700_000_000,
        "tcp": tcp,
        **changes,
    }


def test_a_complete_run_has_the_rate_that_its_bytes_came_at() -> None:
    result = run_of_record(RUN, detail(), request_s=100.0)
    assert (result.ending, result.began_s, result.ended_s) == (Ending.COMPLETE, 100.0, 1.76)
    assert (result.cost_bytes, result.received_bytes) == (190_000, 176 * KIB)
    pace = counted(result).pace
    assert isinstance(pace, RunPace)
    assert pace.bytes_per_s == pytest.approx(8192 / 0.08)
    assert pace.converged


def test_silence_at_the_end_of_the_time_is_a_freeze() -> None:
    points = [[50_000, 8192], [90_000, 30_000]]
    frozen = detail(ending="time", points=points, ended_us=20_000_000, waited_ns=19_900_000_000)
    pace = counted(run_of_record(RUN, frozen, request_s=0.0)).pace
    assert isinstance(pace, RunPace)
    assert pace.frozen_after_bytes == 30_000


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ending": "failed"}, Invalid.FAILED),  # a reset: what had come is no rate
        ({"ending": "failed", "points": [], "ended_us": None}, Invalid.FAILED),
        ({"ending": "time", "points": [], "waited_ns": 2_000_000_000}, Invalid.FAILED),
        ({"cut": True}, Invalid.FAILED),  # points are missing in the middle
        ({"waited_ns": 800_000_000}, Invalid.RECEIVER_LIMITED),
        ({"direction": "upload", "tcp": {"rwnd_limited_ns": 400_000_000}}, Invalid.RECEIVER_LIMITED),
        ({"direction": "upload", "tcp": {"sndbuf_limited_ns": 400_000_000}}, Invalid.RECEIVER_LIMITED),
        ({"points": [[80_000, 8192]]}, Invalid.TOO_SHORT),
    ],
)
def test_what_says_nothing_says_why(changes: dict[str, Any], why: Invalid) -> None:
    assert counted(run_of_record(RUN, detail(**changes), request_s=0.0)).pace is why


def test_a_run_that_broke_off_has_no_time_line_and_its_cost() -> None:
    found = run_of_record(RUN, detail(ending="failed"), request_s=0.0)
    assert (found.points, found.cost_bytes) == ((), 190_000)


def test_an_upload_is_not_held_to_how_long_this_device_waited() -> None:
    found = run_of_record(RUN, detail(direction="upload", waited_ns=0), request_s=0.0)
    assert not found.receiver_limited


def test_a_window_that_a_queue_on_the_line_fills_is_not_what_was_slow() -> None:
    tcp = {"rwnd_limited_ns": 1_000_000_000, "rtt_ns": 600_000_000}
    assert not run_of_record(RUN, detail(direction="upload", tcp=tcp), request_s=0.0).receiver_limited


def test_a_connect_that_failed_cost_nothing_that_is_known() -> None:
    failed = detail(ending="failed", points=[], ended_us=None, waited_ns=None)
    del failed["tcp"]
    assert run_of_record(RUN, failed, request_s=3.0).cost_bytes == 0


def test_other_traffic_is_told_by_who_knows() -> None:
    assert (
        counted(run_of_record(RUN, detail(), request_s=0.0, other_share=0.06)).pace is Invalid.OTHER_TRAFFIC
    )


@pytest.mark.parametrize(
    "changes", [{"points": [[1]]}, {"points": [7]}, {"ending": "later"}, {"direction": 1}]
)
def test_what_is_no_transfer_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        run_of_record(RUN, detail(**changes), request_s=0.0)
