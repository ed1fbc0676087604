"""A sweep in a real measuring process, against loopback: it brings what it measured, and ends whatever happens."""

import sys
from threading import Event

from collector.store.vantage_streaks import Key
from collector.vantage import sweep
from collector.vantage.targets import VantageTarget
from tests.english import ENGLISH
from tests.servers.tcp import TcpServer, stay_silent


def tcp(port: int, name: str) -> VantageTarget:
    return VantageTarget(key=Key(test="tcp", target=f"127.0.0.1:{port}", target_name=name))


def test_it_brings_a_record_of_every_target() -> None:
    with TcpServer(stay_silent) as server:
        port = server.port
        swept = sweep.measure([tcp(port, "up"), tcp(port, "again")], Event())
    assert swept.fault is None
    assert {record.target_name: record.outcome.failure for record in swept.records} == {
        "up": None,
        "again": None,
    }
    refused = sweep.measure([tcp(port, "down")], Event())
    (record,) = refused.records
    assert (record.outcome.failure, record.test, record.target) == (
        "connection_refused",
        "tcp",
        f"127.0.0.1:{port}",
    )


def test_a_process_that_dies_is_a_fault_and_no_more() -> None:
    swept = sweep.measure([tcp(9, "x")], Event(), command=(sys.executable, "-c", "raise SystemExit(3)"))
    assert swept.records == ()
    assert swept.fault is not None
    assert swept.fault.code == "sweep-failed"
    assert ENGLISH.state("gap", swept.fault).startswith("the measuring process failed: ")


def test_a_target_that_cannot_be_read_is_a_result_like_any_other() -> None:
    target = VantageTarget(key=Key(test="tcp", target="not a target", target_name="x"))
    (record,) = sweep.measure([target], Event()).records
    assert (record.outcome.failure or "").startswith("unknown_failure")


def test_it_ends_early_when_told_to_stop() -> None:
    stopping = Event()
    stopping.set()
    swept = sweep.measure([tcp(9, "x")], stopping)
    assert (swept.records, swept.fault) == ((), None)
