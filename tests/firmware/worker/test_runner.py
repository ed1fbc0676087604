"""A result always comes: at the slot, by the deadline, and when our own code fails."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pytest

from firmware.measurements import EVERY_MEASUREMENT
from firmware.model.record import Outcome, Zone
from firmware.model.task import OptionValue, Result, Task
from firmware.net.access import Net
from firmware.net.host_view import DefaultRoute, Host
from firmware.net.job import CancelledJobError
from firmware.net.kernel import IcmpError
from firmware.net.loop import Loop, boottime_ns
from firmware.net.targets import TargetError
from firmware.worker import runner
from firmware.worker.runner import failed_result, run_task, with_evidence
from firmware.worker.single import measure_once

MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Trying:
    """A measurement that does what its target says; its tests put it among the real ones."""

    name: ClassVar[str] = "trying"
    version: ClassVar[str] = "7"
    summary: ClassVar[str] = "for tests"

    what: str

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        return cls(target)

    async def measure(self, net: Net) -> Outcome:
        if self.what == "raise":
            net.traffic.bytes_up = 5
            raise KeyError("ours")
        if self.what == "forever":
            net.traffic.bytes_down = 6
            await net.loop.sleep_until(net.deadline_ns + 3600 * 1000 * MS)
        if self.what == "child":

            async def fail() -> None:
                raise ZeroDivisionError("in a child that nobody awaits")

            net.loop.spawn(fail())
            await net.loop.sleep_until(net.now_ns() + MS)
        await net.begin()
        return net.outcome(phases={}, detail={"what": self.what})


@pytest.fixture
def trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "EVERY_MEASUREMENT", {**EVERY_MEASUREMENT, "trying": Trying})


def task(test: str = "trying", target: str = "", *, start_ms: int = 0, deadline_ms: int = 60_000) -> Task:
    now_ns = boottime_ns()
    return Task(
        task_id="id",
        test=test,
        target=target,
        zone=Zone.LOCAL,
        start_boottime_ns=now_ns + start_ms * MS,
        deadline_boottime_ns=now_ns + deadline_ms * MS,
    )


def run(one: Task) -> Result:
    loop = Loop()
    try:
        return loop.run(run_task(loop, one))
    finally:
        loop.close()


@pytest.mark.usefixtures("trying")
def test_it_starts_at_its_slot_and_not_before() -> None:
    one = task(start_ms=50)
    result = run(one)
    assert result.start_boottime_ns >= one.start_boottime_ns
    assert (result.task_id, result.test_version, result.outcome.failure) == ("id", "7", None)
    assert result.outcome.detail == {"what": "", "clock_stepped": False}
    assert abs(result.start_utc_ns - result.start_boottime_ns) > 0
    assert result.runtime_ns >= 0


def test_the_first_packet_waits_for_the_slot_and_says_how_late_it_was() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        port = silent.getsockname()[1]
        one = task("ntp", f"127.0.0.1:{port}", start_ms=30, deadline_ms=40)
        result = run(one)
        assert len(silent.recv(99)) == 48
    assert result.outcome.failure == "generic_timeout_error"
    assert result.start_boottime_ns >= one.start_boottime_ns
    late_ns = result.outcome.detail["late_ns"]
    assert isinstance(late_ns, int)
    assert late_ns >= result.start_boottime_ns - one.start_boottime_ns
    assert result.outcome.detail["late_stamp"] in ("snd", "sched")


def test_a_connect_waits_for_the_slot_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = task("tcp", f"127.0.0.1:{server.getsockname()[1]}", start_ms=30)
        result = run(one)
    assert result.outcome.failure is None
    assert result.start_boottime_ns >= one.start_boottime_ns
    assert result.outcome.detail["late_stamp"] == "user"


@pytest.mark.usefixtures("trying")
def test_a_slot_that_is_past_its_deadline_was_missed() -> None:
    result = run(task(start_ms=-2000, deadline_ms=-1000))
    assert (result.outcome.failure, result.outcome.failed_operation) == ("missed_slot", "start")


@pytest.mark.usefixtures("trying")
def test_what_does_not_end_by_its_deadline_is_ended() -> None:
    result = run(task(target="forever", deadline_ms=50))
    assert (result.outcome.failure, result.outcome.failed_operation) == ("generic_timeout_error", "measure")
    assert result.outcome.bytes_down == 6


@pytest.mark.usefixtures("trying")
@pytest.mark.parametrize(
    ("target", "failure"),
    [
        ("raise", "unknown_failure: KeyError: 'ours'"),
        ("child", "unknown_failure: ZeroDivisionError: in a child that nobody awaits"),
    ],
)
def test_a_fault_of_ours_is_a_result_and_told_on_stderr(
    target: str, failure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(task(target=target))
    assert result.outcome.failure == failure
    assert result.outcome.failed_operation == "measure"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("trying")
def test_a_cancelled_task_passes_its_cancellation_on() -> None:
    loop = Loop()

    async def main() -> None:
        job = loop.spawn(run_task(loop, task(target="forever")))
        await loop.sleep_until(boottime_ns() + 10 * MS)
        job.cancel()
        with pytest.raises(CancelledJobError):
            await job

    loop.run(main())
    loop.close()


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (task("nosuch"), "found test 'nosuch'; allowed is one of link, address, "),
        (task("tcp", "example.org"), "has no port"),
    ],
)
def test_a_task_that_cannot_be_read_is_a_result(one: Task, told: str) -> None:
    outcome = run(one).outcome
    assert outcome.failure is not None
    assert outcome.failure.startswith("unknown_failure: TargetError: ")
    assert told in outcome.failure
    assert outcome.failed_operation == "parse"


def test_measure_once_goes_the_same_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = measure_once("tcp", f"127.0.0.1:{server.getsockname()[1]}", {})
    assert result.outcome.failure is None
    with pytest.raises(TargetError, match="found test 'nosuch'"):
        measure_once("nosuch", "", {})
    with pytest.raises(TargetError, match="the options of tcp are"):
        measure_once("tcp", "127.0.0.1:1", {"no": 1})


def test_measure_once_ends_in_its_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        result = measure_once("ntp", f"127.0.0.1:{silent.getsockname()[1]}", {}, timeout_s=0.1)
    assert result.outcome.failure == "generic_timeout_error"


def error(offender: str) -> IcmpError:
    return IcmpError(
        failure="host_unreachable", errno=113, family=4, icmp_type=3, icmp_code=1, offender=offender
    )


def test_the_evidence_names_routers_and_not_the_host() -> None:
    host = Host(routes=(DefaultRoute(interface="eth0", family=4, gateway="10.0.0.1", metric=0),))
    errors = [error("10.0.0.1"), error("198.51.100.1"), error("10.0.0.1"), error("")]
    detail: dict[str, Any] = dict(with_evidence(Outcome(), host, errors, stepped=True).detail)
    assert detail["clock_stepped"] is True
    assert [(one["from"], one["count"]) for one in detail["icmp"]] == [
        ("@gateway", 2),
        ("198.51.100.1", 1),
        ("", 1),
    ]
    assert "icmp" not in with_evidence(Outcome(), host, [], stepped=False).detail


def test_a_failed_result_has_the_tests_version_where_there_is_one() -> None:
    known = failed_result("id", "tcp", "a", failure="worker_died", operation="run")
    assert known.test_version == EVERY_MEASUREMENT["tcp"].version
    assert failed_result("id", "nosuch", "a", failure="worker_died", operation="run").test_version == ""


@pytest.mark.parametrize("name", list(EVERY_MEASUREMENT))
def test_every_measurement_is_what_the_map_says(name: str) -> None:
    kind = EVERY_MEASUREMENT[name]
    assert kind.name == name
    assert kind.version
    assert kind.summary
    with pytest.raises(TargetError):
        kind.parse("@nothing such", {})
