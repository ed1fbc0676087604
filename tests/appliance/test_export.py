"""`tidegauge export`: the records that wait on a device, which stay where they are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.export import export
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from tests.firmware.records import tcp_record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a device's directory in which 600 records wait: a page, and the rest connects and pings."""
    records = [tcp_record(number, test="ping" if number % 2 else "tcp") for number in range(599)]
    page = replace(tcp_record(599, test="web_connectivity"), target="https://www.example.org/")
    with (
        DataDir.open(tmp_path / "device") as directory,
        Outbox.open(directory.outbox, device=directory.device) as outbox,
    ):
        outbox.append([*records, page])
    return tmp_path / "device"


def exported(data: Path, *words: str) -> Result:
    done = CliRunner().invoke(export, ["--data", str(data), *words])
    assert done.exit_code == 0, done.output
    return done


def test_records_as_they_are_and_they_stay(data: Path) -> None:
    done = exported(data)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["seq"] for one in told] == list(range(1, 601))
    assert told[-1]["record"]["test"] == "web_connectivity"
    assert done.stderr == "600 records written\n"
    with Outbox.open_read_only(data / "outbox.sqlite3") as outbox:
        assert outbox.counts().waiting == 600


def test_ooni_measurements_with_the_plan_s_country_and_nothing_of_the_device(data: Path) -> None:
    device = json.loads((data / "device.json").read_text())["device"]
    done = exported(data, "--format", "ooni", "--country", "IR")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["probe_cc"] for one in told} == {"IR"}
    assert told[-1]["test_name"] == "web_connectivity"
    assert device not in done.stdout
    assert "left out, since OONI's format has no like of them: 299 ping" in done.stderr
    assert {
        one["probe_cc"] for one in map(json.loads, exported(data, "--format", "ooni").stdout.splitlines())
    } == {"ZZ"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "csv"], "'jsonl', 'ooni'"),
        (["--country", "xx"], "xx"),
        (["--data", "/nowhere/at/all"], "no device has run here yet"),
    ],
)
def test_what_cannot_be_is_said(data: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(export, ["--data", str(data), *words])
    assert done.exit_code == 2
    assert said in done.stderr
