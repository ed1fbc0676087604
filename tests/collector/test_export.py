"""`tidegauge collector export`: what was stored, in order of arrival, as it is or as OONI measurements."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from collector.command import collector
from collector.store.database import Store
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import DEVICE, EPOCH


def export(data: Path, *words: str) -> Result:
    return CliRunner().invoke(collector, ["export", "--data", str(data), *words])


def stored(data: Path, **changes: Any) -> None:
    store = Store.open(data / "collector.sqlite3")
    try:
        store.commit([arrived([1, 2, 3], **changes)])
    finally:
        store.close()


def test_records_as_they_are(tmp_path: Path) -> None:
    stored(tmp_path)
    done = export(tmp_path)
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["device"], one["epoch"], one["seq"]) for one in told] == [
        (DEVICE, EPOCH, seq) for seq in (1, 2, 3)
    ]
    assert told[0]["record"]["schema"] == 1
    assert done.stderr == "3 records written\n"


def test_ooni_measurements_without_the_device(tmp_path: Path) -> None:
    stored(tmp_path, test="http", target="https://www.example.org/")
    done = export(tmp_path, "--format", "ooni")
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["test_name"] for one in told] == ["web_connectivity"] * 3
    assert DEVICE not in done.stdout


def test_what_ooni_has_no_like_of_is_counted(tmp_path: Path) -> None:
    stored(tmp_path, test="ping")
    done = export(tmp_path, "--format", "ooni")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == ("0 records written; left out, since OONI's format has no like of them: 3 ping\n")


def test_another_device_s_records_are_not_written(tmp_path: Path) -> None:
    stored(tmp_path)
    assert export(tmp_path, "--device", "somebodyelse0000").stdout == ""


def test_a_directory_without_a_store_is_named(tmp_path: Path) -> None:
    done = export(tmp_path / "nothing")
    assert done.exit_code == 2
    assert "no collector has run here yet" in done.stderr
