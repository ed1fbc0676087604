"""`tidegauge measure`: one result, for a person or a program, and exit codes that mean something."""

import json
import re
import sys

import pytest

from firmware.commands import main as command
from firmware.measurements import EVERY_MEASUREMENT
from firmware.model.failures import Failure
from firmware.model.jsontypes import Reader
from firmware.model.record import outcome_from_json
from tests.servers.dns import DnsServer, reply, zone
from tests.servers.http import http, page
from tests.servers.tcp import TcpServer, stay_silent


class Command:
    """Runs `tidegauge measure …` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["tidegauge", "measure", *words])
        with pytest.raises(SystemExit) as exited:
            command.main()
        printed = self._capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return exited.value.code, printed.out, printed.err


@pytest.fixture
def measure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


def test_a_result_for_a_person(measure: Command) -> None:
    with TcpServer(http(lambda request: page(b"<title>Hello</title>"))) as server:
        status, out, err = measure("http", f"http://127.0.0.1:{server.port}/")
    assert (status, err) == (0, "")
    assert re.search(r"^outcome +ok$", out, re.MULTILINE)
    assert re.search(r"connect +\d+\.\d{3} ms +by the kernel's TCP$", out, re.MULTILINE)
    assert re.search(r"first_byte +\d+\.\d{3} ms +by the kernel, at the driver$", out, re.MULTILINE)
    assert "200, 20 bytes, titled 'Hello'" in out
    assert re.search(r"^bytes +\d+ up, \d+ down$", out, re.MULTILINE)


def test_a_result_for_a_program(measure: Command) -> None:
    with TcpServer(stay_silent) as server:
        status, out, err = measure("tcp", f"127.0.0.1:{server.port}", "--json")
    assert (status, err) == (0, "")
    assert out.count("\n") == 1
    told = json.loads(out)
    assert (told["test"], told["failure"], told["detail"]["port"]) == ("tcp", None, server.port)
    assert told["test_version"] == EVERY_MEASUREMENT["tcp"].version
    assert told["phases"]["connect"]["ns"] > 0
    assert outcome_from_json(Reader(told, where="printed")).failure is None


def test_a_failure_of_the_network_is_a_result_and_is_explained(measure: Command) -> None:
    with TcpServer(stay_silent) as server:
        port = server.port
    status, out, err = measure("tcp", f"127.0.0.1:{port}")
    assert (status, err) == (0, "")
    assert "connection_refused in connect\n           The far end, or something in between, refused" in out


def test_an_answer_that_was_forged_shows(measure: Command) -> None:
    with DnsServer(
        lambda query, transport: [reply(query, "10.10.34.34"), reply(query, "93.184.216.34")]
    ) as server:
        status, out, err = measure(
            "dns", "www.example.org", "-o", f"resolver={server.place}", "-o", "window_ms=500"
        )
    assert (status, err) == (0, "")
    assert "dns_bogon_error" in out
    assert "differing_answers  yes" in out
    assert re.search(r"answers 1 +NOERROR 10\.10\.34\.34 after", out)
    assert re.search(r"answers 2 +NOERROR 93\.184\.216\.34 after", out)


def test_a_name_that_cannot_be_resolved_is_told_and_ends_in_3(measure: Command) -> None:
    with DnsServer(zone({})) as server:
        status, out, err = measure("dns", "missing.example.org", "-o", f"resolver={server.place}", "--json")
    assert status == 3
    assert json.loads(out)["failure"] == Failure.DNS_NXDOMAIN
    assert err == "Error: missing.example.org could not be resolved: dns_nxdomain_error\n"


def test_a_name_without_that_record_is_an_answer(measure: Command) -> None:
    with DnsServer(zone({"www.example.org": ("93.184.216.34",)})) as server:
        status, out, _ = measure(
            "dns", "www.example.org", "-o", "type=AAAA", "-o", f"resolver={server.place}"
        )
    assert status == 0
    assert "dns_no_answer" in out


def test_the_tests_are_listed(measure: Command) -> None:
    status, out, _ = measure("--list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(EVERY_MEASUREMENT)


def test_a_test_takes_its_time_out(measure: Command) -> None:
    with TcpServer(stay_silent) as server:
        status, out, _ = measure("tls", f"127.0.0.1:{server.port}", "--timeout", "0.3", "--json")
    assert (status, json.loads(out)["failure"]) == (0, Failure.TIMEOUT)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no test was given; allowed is one of link, address, ping"),
        (["pingg", "127.0.0.1"], "found test 'pingg'; did you mean ping? allowed is one of"),
        (["http"], "http: no target was given"),
        (["http", "example.org"], "http: found 'example.org'; allowed is http://"),
        (["tcp", "127.0.0.1"], "tcp: found '127.0.0.1', which has no port; allowed is HOST:PORT"),
        (["dns", "127.0.0.1"], "dns: found address '127.0.0.1'; allowed is a name"),
        (
            ["dns", "x.test", "-o", "resolver=example.org"],
            "dns: option resolver: found 'example.org'; allowed is @system",
        ),
        (["dns", "x.test", "-o", "type=AXFR"], "dns: option type: found 'AXFR'; allowed is one of A, NS"),
        (["dns", "x.test", "-o", "attempts=3"], "dns: options attempts and timeout_ms are for one resolver"),
        (["tls", "a..b"], "tls: found 'a..b'; allowed is a host name"),
        (["tcp", "127.0.0.1:80", "-o", "family"], "found option 'family'; allowed is KEY=VALUE"),
        (
            ["tcp", "127.0.0.1:80", "-o", "colour=red"],
            "tcp: found option 'colour'; the options of tcp are: family",
        ),
        (["tcp", "127.0.0.1:80", "-o", "family=4", "-o", "family=6"], "found option 'family' twice"),
        (["tcp", "127.0.0.1:80", "extra"], "unexpected extra argument"),
        (["tcp", "127.0.0.1:80", "--timeout", "0"], "--timeout"),
    ],
)
def test_bad_input(measure: Command, words: list[str], told: str) -> None:
    status, out, err = measure(*words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
