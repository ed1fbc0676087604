"""What the journal writes down beyond what its parts are tested for: sync points, losses, the state they leave."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from unittest import mock

import pytest

from appliance import state_file
from appliance.measuring.journal import Journal, sync_point
from appliance.measuring.slots import Missed, Reason
from appliance.outbox import boots, group_commit
from appliance.outbox.boots import BootStart
from appliance.outbox.box import Outbox
from appliance.state_file import DaemonState
from firmware.model.record import ClockQuality, Outcome, Record, Zone, from_json
from firmware.model.statement import from_json as from_statement
from firmware.model.statement import stated
from firmware.model.statement_forms import GAPS
from firmware.model.task import Result, Task
from firmware.net.loop import boottime_ns
from firmware.plans import load as plans
from tests import namespaces, small_disk
from tests.english import ENGLISH

PLAN = plans.load()
STATE = DaemonState(pid=1, software="t", boot_id="b", plan=PLAN.label, started_utc_ns=0)
NTP = {"t4_boottime_ns": 5_000, "t4_utc_ns": 10**18, "offset_ns": -250, "error_ns": 40}


def ntp_task() -> Task:
    return Task(
        task_id="t/ntp/1",
        test="ntp",
        target="pool.ntp.org",
        target_name="ntp",
        zone=Zone.INTERNATIONAL,
        start_boottime_ns=boottime_ns(),
        deadline_boottime_ns=boottime_ns() + 1,
    )


def ntp_result(detail: Mapping[str, int] = MappingProxyType({}), *, failure: str | None = None) -> Result:
    now_ns = boottime_ns()
    return Result(
        task_id="t/ntp/1",
        test_version="0.1.0",
        target="pool.ntp.org",
        uplink="ethernet",
        start_boottime_ns=now_ns,
        start_utc_ns=10**18,
        runtime_ns=1,
        outcome=Outcome(failure=failure, detail={**detail}),
    )


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox.open(tmp_path / "outbox.sqlite3", device="a" * 16) as opened:
        yield opened


@pytest.fixture
def journal(tmp_path: Path, outbox: Outbox) -> Journal:
    return journal_of(tmp_path, outbox)


def journal_of(data: Path, outbox: Outbox) -> Journal:
    return Journal(
        data=data,
        plan=PLAN,
        outbox=outbox,
        place={"province": "Isfahan", "provider": "AS58224", "network_kind": ""},
        state=STATE,
    )


def kept(outbox: Outbox) -> list[Record]:
    return [from_json(json.loads(row.body)) for row in outbox.oldest(1000)]


def test_a_time_server_gives_a_sync_point() -> None:
    point = sync_point(ntp_result(NTP))
    assert point is not None
    assert (point.boottime_ns, point.utc_ns, point.error_ns) == (5_000, 10**18 - 250, 40)


@pytest.mark.parametrize(
    "result",
    [
        ntp_result(NTP, failure="ntp_unsynchronised"),
        ntp_result(),
        ntp_result({name: value for name, value in NTP.items() if name != "offset_ns"}),
    ],
    ids=["it failed", "it said nothing", "the clock stepped"],
)
def test_what_is_no_sync_point(result: Result) -> None:
    assert sync_point(result) is None


def test_what_a_time_server_said_makes_the_next_times_surer(journal: Journal) -> None:
    before = journal.result(ntp_task(), ntp_result(), slot_ns=0)
    journal.result(ntp_task(), ntp_result(NTP | {"t4_boottime_ns": boottime_ns() - 10}), slot_ns=0)
    after = journal.result(ntp_task(), ntp_result(), slot_ns=0)
    assert before.start.quality is ClockQuality.UNSYNCHRONISED
    assert before.start.error_ns is None
    assert after.start.quality is ClockQuality.SYNCHRONISED
    assert after.start.error_ns is not None


def test_missed_slots_are_counted_and_kept(journal: Journal, outbox: Outbox) -> None:
    journal.missed(Missed(name="round", first_ns=0, last_ns=30, count=2, reason=Reason.RUNNING))
    journal.missed(Missed(name="ntp", first_ns=0, last_ns=0, count=1, reason=Reason.BUDGET))
    assert journal.commit()
    assert [record.target for record in kept(outbox)] == ["round", "ntp"]
    reasons = [record.outcome.detail["reason"] for record in kept(outbox)]
    assert reasons == [["running", {}], ["budget", {}]]
    assert journal.state.missed_slots == 3


def test_a_worker_that_dies_again_and_again_is_counted(journal: Journal, outbox: Outbox) -> None:
    journal.worker_died("killed by SIGKILL", [ntp_task()])
    journal.worker_died("exit status 1", [])
    journal.commit()
    assert (journal.state.worker_restarts, journal.state.worker_last_end) == (2, "exit status 1")
    assert [record.outcome.detail["tasks"] for record in kept(outbox)] == [["t/ntp/1"], []]
    assert [record.outcome.detail["reason"] for record in kept(outbox)] == [
        ["worker-ended", {"how": "killed by SIGKILL"}],
        ["worker-ended", {"how": "exit status 1"}],
    ]


@pytest.mark.parametrize("reason", [*Reason])
def test_every_reason_to_miss_a_slot_is_a_statement(reason: Reason) -> None:
    assert GAPS[reason].parameters == ()
    assert ENGLISH.state("gap", stated(reason)) != reason


def holds_while_the_disk_is_full(folder: str) -> None:
    with (
        small_disk.mounted(Path(folder)) as disk,
        mock.patch.object(group_commit, "MAX_HELD", 3),
        Outbox.open(disk.path / "outbox.sqlite3", device="a" * 16) as outbox,
    ):
        journal = journal_of(disk.path, outbox)
        disk.fill()
        big = ntp_result({f"padding_{number}": number for number in range(5_000)})
        for _ in range(5):
            journal.result(ntp_task(), big, slot_ns=0)
            assert not journal.commit()
        assert "the disk is full" in journal.state.storage_fault
        assert journal.state.given_up == 2
        disk.empty()
        assert journal.commit()
        assert journal.state.storage_fault == ""
        gap, *rest = kept(outbox)
        assert (gap.test, gap.target, gap.outcome.failure) == ("gap", "outbox", "result_lost")
        assert gap.outcome.detail["count"] == 2
        reason = from_statement(gap.outcome.detail["reason"], where="gap")
        assert reason.code == "not-stored"
        assert "the disk is full" in str(reason.parameters["message"])
        assert len(rest) == 3
        assert outbox.counts().unstored == 2
        assert journal.state.given_up == 2


@pytest.mark.namespace
def test_what_memory_cannot_hold_while_the_disk_refuses_is_counted_and_told(tmp_path: Path) -> None:
    namespaces.call(holds_while_the_disk_is_full, str(tmp_path))


def test_the_round_number_is_never_used_twice(tmp_path: Path, outbox: Outbox) -> None:
    again = Journal(data=tmp_path, plan=PLAN, outbox=outbox, place={}, state=replace(STATE, round_id=41))
    assert [again.next_round_id(), again.next_round_id()] == [42, 43]
    assert state_file.read(tmp_path) is None


def test_a_boot_and_its_points_are_noted_again_after_a_heal(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    first, second = "1" * 36, "2" * 36
    with Outbox.open(path, device="a" * 16) as outbox:
        boots.begin(outbox, first)
        made = Journal(
            data=tmp_path, plan=PLAN, outbox=outbox, place={}, state=replace(STATE, boot_id=second)
        )
        made.result(ntp_task(), ntp_result(NTP), slot_ns=boottime_ns())
        assert made.commit()
        (point,) = boots.points(outbox, second)
        with outbox.transaction() as connection:
            connection.execute("DELETE FROM boot WHERE boot_id = ?", (second,))  # as lost with its page
            connection.execute("DELETE FROM sync_point")
        outbox.recover()
        made.result(ntp_task(), ntp_result(failure="generic_timeout_error"), slot_ns=boottime_ns())
        assert made.commit()
        assert boots.points(outbox, second) == (point,)
        assert boots.begin(outbox, second) == BootStart(previous=first)
        made.commit()
        rows = [row for box in (outbox, *outbox.past()) for row in box.oldest(100)]
        kept = [from_json(json.loads(row.body)) for row in rows]
        assert (
            sum(record.test == "gap" and "previous_boot_id" in record.outcome.detail for record in kept) == 1
        )
