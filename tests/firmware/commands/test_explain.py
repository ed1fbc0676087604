"""`tidegauge explain`: pages for people, lines for machines, and damage that is said while the rest is read."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.commands import main as command
from firmware.model.record import to_json
from tests.firmware.records import tcp_record
from tests.servers.tcp import TcpServer, reset

CONDITIONS = Path(__file__).parents[2] / "data" / "ooni"
WELL = (CONDITIONS / "success_http.json").read_bytes()
BLOCKED = (CONDITIONS / "tls_blocking_reset_consistent_dns.json").read_bytes()


class Command:
    """Runs `tidegauge …` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["tidegauge", *words])
        with pytest.raises(SystemExit) as exited:
            command.main()
        printed = self._capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return exited.value.code, printed.out, printed.err


@pytest.fixture
def tidegauge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


def test_lines_for_machines(tidegauge: Command, tmp_path: Path) -> None:
    file = tmp_path / "two.jsonl.gz"
    file.write_bytes(gzip.compress(WELL + BLOCKED))
    status, out, err = tidegauge("explain", "--json", str(file))
    assert (status, err) == (0, "")
    first, second = map(json.loads, out.splitlines())
    assert (first["verdict"], first["blocking"], first["accessible"]) == ("ok", False, True)
    assert set(second) == {
        "line",
        "test",
        "input",
        "verdict",
        "rule_id",
        "confidence",
        "probability",
        "blocking",
        "accessible",
        "evidence",
        "overturned_by",
        "ooni_said",
    }
    assert (second["line"], second["input"]) == (2, "https://www.example.com/")
    assert (second["verdict"], second["blocking"], second["accessible"]) == (
        "blocked_tls",
        "http-failure",
        False,
    )
    assert second["ooni_said"] == {"blocking": "http-failure", "accessible": False}
    assert {
        "code": "page-failed",
        "parameters": {"url": second["input"], "step": "tls", "failure": "connection_reset"},
        "sentence": "https://www.example.com/: tls: connection_reset",
    } in second["evidence"]
    assert second["overturned_by"].startswith("The same failure for a vantage outside")


def test_a_page_for_people(tidegauge: Command) -> None:
    status, out, err = tidegauge("explain", str(CONDITIONS / "tls_blocking_reset_consistent_dns.json"))
    assert (status, err) == (0, "")
    assert "verdict       blocked_tls (confidence " in out
    assert "\nrule          " in out
    assert "\nevidence      https://www.example.com/: tls: connection_reset\n" in out
    assert "\noverturned by The same failure for a vantage outside" in out
    assert '\nOONI\'s pair   blocking "http-failure", accessible false\n' in out
    assert '\nthe file says blocking "http-failure", accessible false, the same\n' in out


def test_damage_is_said_with_file_line_and_key_and_the_rest_is_read(
    tidegauge: Command, tmp_path: Path
) -> None:
    broken = json.loads(WELL)
    broken["test_keys"]["queries"][1]["failure"] = 12
    file = tmp_path / "some.jsonl"
    file.write_bytes(WELL + b"{ oh\n" + json.dumps(broken).encode() + b"\n" + BLOCKED)
    status, out, err = tidegauge("explain", "--json", str(file))
    assert status == 1
    assert [json.loads(line)["line"] for line in out.splitlines()] == [1, 4]
    first, second = err.splitlines()
    assert first.startswith(f"{file}: line 2: found no JSON at column 3")
    assert second == f"{file}: line 3: test_keys.queries[1].failure: found 12; allowed is text or null"


def test_a_file_that_is_not_there_and_none_at_all(tidegauge: Command, tmp_path: Path) -> None:
    status, _, err = tidegauge("explain", str(tmp_path / "nothing.json"))
    assert status == 2
    assert "cannot be read (No such file or directory)" in err
    assert tidegauge("explain", str(tmp_path))[0] == 2
    assert tidegauge("explain")[0] == 2


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (
            b"SQLite format 3\x00",
            "found a database: `tidegauge export` or `tidegauge collector export` writes",
        ),
        (b"\x04\x22\x4d\x18....", "found text packed by lz4: unpack it first"),
    ],
)
def test_a_file_of_another_form_is_named(tidegauge: Command, tmp_path: Path, head: bytes, says: str) -> None:
    (tmp_path / "other").write_bytes(head)
    status, out, err = tidegauge("explain", str(tmp_path / "other"))
    assert (status, out) == (2, "")
    assert says in err


def test_the_standard_input(tidegauge: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BLOCKED)))
    status, out, _ = tidegauge("explain", "-", "--json")
    assert (status, json.loads(out)["verdict"]) == (0, "blocked_tls")


def test_several_files_and_what_a_server_says_harms_no_terminal(tidegauge: Command, tmp_path: Path) -> None:
    evil = json.loads(WELL)
    evil["input"] = "http://www.example.com/\x1b[2J\ud800"
    (tmp_path / "evil.json").write_text(json.dumps(evil))
    status, out, _ = tidegauge("explain", str(tmp_path / "evil.json"), str(CONDITIONS / "success_http.json"))
    assert status == 0
    assert "\x1b" not in out
    assert out.count("measurement   line 1, web_connectivity") == 2
    assert "\n\nmeasurement" in out


def test_a_record_of_ours_and_a_single_result(tidegauge: Command, tmp_path: Path) -> None:
    record = to_json(tcp_record(1, failure="connection_refused"))
    with TcpServer(reset) as server:
        status, result, _ = tidegauge("measure", "tls", f"127.0.0.1:{server.port}", "--json")
    assert status == 0
    file = tmp_path / "ours.jsonl"
    ping = json.dumps({**record, "test": "ping"})
    file.write_text(json.dumps(record) + "\n" + result + ping + "\n")
    status, out, err = tidegauge("explain", "--json", str(file))
    assert (status, err) == (0, "")
    one, two, three = map(json.loads, out.splitlines())
    assert (one["test"], one["verdict"]) == ("tcp", "inconclusive")
    assert (two["test"], two["verdict"], two["blocking"]) == ("tls", "inconclusive", None)
    assert (three["test"], three["rule_id"]) == ("ping", "test-not-judged")


def test_a_record_that_is_none_is_damage(tidegauge: Command, tmp_path: Path) -> None:
    record = to_json(tcp_record(1))
    file = tmp_path / "ours.jsonl"
    file.write_text(json.dumps({**record, "start_utc_ns": "late"}) + '\n{"what": 1}\n')
    status, out, err = tidegauge("explain", str(file))
    assert (status, out) == (1, "")
    first, second = err.splitlines()
    assert "line 1: record: start_utc_ns: found 'late'" in first
    assert "line 2: measurement: found 'what'; allowed is an OONI measurement" in second


def test_a_reader_that_goes_away_is_no_fault_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_bytes(WELL * 2000)
    words = [sys.executable, "-m", "firmware.commands.main", "explain", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("measurement ")
        running.stdout.close()
        said = running.stderr.read()
        assert running.wait(60) == 1
    assert said == ""
