"""NTP against real servers on loopback, good ones and bad ones."""

import itertools
import struct
from typing import Any

import pytest

from firmware.measurements.ntp import Ntp
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.targets import TargetError
from firmware.worker.single import measure_once
from tests.probing import probe
from tests.servers.ntp import Answer, NtpServer, truthful

HOUR_NS = 3600 * 1_000_000_000


def ask(answer: Answer, **options: OptionValue) -> tuple[Outcome, dict[str, Any]]:
    with NtpServer(answer) as server:
        outcome = measure_once("ntp", f"127.0.0.1:{server.port}", options).outcome
        assert outcome.bytes_up == 48 * len(server.questions)
    return outcome, dict(outcome.detail)


@pytest.mark.parametrize("ahead_ns", [0, HOUR_NS, -24 * HOUR_NS])
def test_the_offset_of_the_local_clock_is_found_within_its_error(ahead_ns: int) -> None:
    outcome, detail = ask(lambda question: [truthful(question, ahead_ns=ahead_ns)])
    assert outcome.failure is None
    assert abs(detail["offset_ns"] - ahead_ns) <= detail["error_ns"]
    assert detail["t1_utc_ns"] < detail["t4_utc_ns"]
    assert detail["stamp"] == "snd"
    assert outcome.phases["rtt"].ns == detail["t4_utc_ns"] - detail["t1_utc_ns"]
    assert detail["stratum"] == 1
    assert detail["reference"] == "TEST"
    assert detail["tries"] == 1
    assert detail["clock_stepped"] is False


def test_over_ipv6() -> None:
    with NtpServer(lambda question: [truthful(question)], address="::1") as server:
        outcome = measure_once("ntp", f"[::1]:{server.port}", {}).outcome
    assert outcome.failure is None
    assert outcome.detail["family"] == 6


@pytest.mark.parametrize(
    ("stratum", "leap", "reference", "failure"),
    [
        (0, 3, b"RATE", "ntp_kiss_of_death"),
        (0, 0, b"DENY", "ntp_kiss_of_death"),
        (16, 0, b"", "ntp_unsynchronised"),
        (2, 3, b"", "ntp_unsynchronised"),
    ],
)
def test_a_server_that_tells_no_time(stratum: int, leap: int, reference: bytes, failure: str) -> None:
    outcome, detail = ask(
        lambda question: [truthful(question, stratum=stratum, leap=leap, reference=reference)]
    )
    assert (outcome.failure, outcome.failed_operation) == (failure, "ntp")
    assert "offset_ns" not in detail
    assert detail["reference"] == (reference.decode() if stratum == 0 else "")
    assert "rtt" in outcome.phases


def test_what_does_not_echo_our_number_is_counted_and_not_believed() -> None:
    def forge(question: bytes) -> list[bytes]:
        forged = bytearray(truthful(question, ahead_ns=HOUR_NS))
        struct.pack_into(">Q", forged, 24, 1)
        return [bytes(forged), b"nonsense", truthful(question)]

    outcome, detail = ask(forge)
    assert outcome.failure is None
    assert detail["ignored"] == 2
    assert abs(detail["offset_ns"]) <= detail["error_ns"]


def test_a_lost_question_is_asked_again_with_another_number() -> None:
    turn = itertools.count()
    with NtpServer(lambda question: [truthful(question)] if next(turn) else []) as server:
        outcome = measure_once("ntp", f"127.0.0.1:{server.port}", {"timeout_ms": 50}).outcome
        assert outcome.failure is None
        assert outcome.detail["tries"] == 2
        assert len(set(server.questions)) == 2


def test_silence_is_a_time_out() -> None:
    outcome, detail = ask(lambda _: [], timeout_ms=20)
    assert (outcome.failure, outcome.failed_operation) == ("generic_timeout_error", "ntp")
    assert detail["tries"] == 3


def test_the_tasks_deadline_ends_the_tries() -> None:
    with NtpServer(lambda _: []) as server:
        target = f"127.0.0.1:{server.port}"

        async def use(net: Net) -> Outcome:
            return await Ntp.parse(target, {}).measure(net)

        outcome = probe(use, deadline_s=0.1)
    assert outcome.failure == "generic_timeout_error"
    assert outcome.detail["tries"] == 1


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("", {}, "allowed is a host name"),
        ("host:0", {}, "from 1 to 65535"),
        ("host", {"count": 1}, "the options of ntp are: family, timeout_ms"),
    ],
)
def test_what_cannot_be_asked(target: str, options: dict[str, OptionValue], told: str) -> None:
    with pytest.raises(TargetError) as caught:
        Ntp.parse(target, options)
    assert told in str(caught.value)
