"""`tidegauge export`: the records that wait on a device, which stay where they are."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.export import export
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from firmware.commands.explain import explain
from firmware.model.failures import Failure
from firmware.model.plan import PlannedTarget
from firmware.model.record import Rung
from tests.collector.page import invented
from tests.firmware.records import tcp_record

BEGAN_NS = 1_795_000_000_000_000_000


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


def dark_from(target: PlannedTarget, at_ns: int) -> str | None:
    """Return the weather in which all that is far falls silent after the first round."""
    far = (Rung.RESOLVER, Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)
    return Failure.TIMEOUT if at_ns > BEGAN_NS and target.rung in far else None


def test_a_dark_round_that_waits_accuses_nobody_and_each_line_says_its_round(tmp_path: Path) -> None:
    """Nothing is blocked here: a line falls silent, and what it measured goes out by hand, in both forms."""
    device = invented.Device(
        id="k3v9q2m7x1c8n5p4",
        epoch="9f1c04d27ab35e68",
        weather=dark_from,
        booted_utc_ns=BEGAN_NS - 9_000_000_000_000,
    )
    for number in range(3):
        device.one_round(BEGAN_NS + number * 180_000_000_000)
    with (
        DataDir.open(tmp_path / "device") as directory,
        Outbox.open(directory.outbox, device=directory.device) as outbox,
    ):
        outbox.append(device.records)
    for form in ("jsonl", "ooni"):
        file = tmp_path / form
        file.write_text(exported(tmp_path / "device", "--format", form).stdout)
        told = [
            json.loads(line)
            for line in CliRunner().invoke(explain, ["--json", str(file)]).stdout.splitlines()
        ]
        assert len(told) >= 36
        assert not [one for one in told if one["verdict"].startswith("blocked") or one["blocking"]]
        rounds = Counter(one["round"]["verdict"] for one in told)
        assert rounds.keys() == {"ok", "isp_or_wider_outage"}
        assert rounds["isp_or_wider_outage"] == 2 * rounds["ok"]
        dark = [
            one for one in told if one["test"] in ("tls", "urlgetter") and one["round"]["verdict"] != "ok"
        ]
        assert {one["verdict"] for one in dark} == {"inconclusive"}
