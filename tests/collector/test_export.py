"""`tidegauge collector export`: what was stored, in order of arrival, as it is or as OONI measurements."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from collector.command import collector
from collector.store.database import Store
from collector.store.server_halves import HalfStore
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS, Key, Sample
from firmware.judgement.site.evidence import SiteView, VantageSource
from firmware.model import server_half
from firmware.model.record import SCHEMA
from firmware.model.statement import stated
from firmware.ooni.explain import explain
from firmware.ooni.read import Document
from tests.collector.halves_of import SERVER, account_of, nonce_of, signed_half
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import DEVICE, EPOCH
from tests.english import ENGLISH


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
    assert told[0]["record"]["schema"] == SCHEMA
    assert not [one for one in told if "verdict" in one]
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


def placed(data: Path) -> None:
    """Store a record of a device that thinks it is 1970, and later a round of the same boot with a sync point."""
    unknown: dict[str, Any] = {
        "start_boottime_ns": 100 * NS,
        "start_utc_ns": 100 * NS,
        "clock_quality": "unsynchronised",
        "clock_error_ns": None,
    }
    stored(data, test="http", target="https://www.example.org/", **unknown)
    detail = {"sync_points": [[160 * NS, 1_794_000_060 * NS, NS // 100]]}
    store = Store.open(data / "collector.sqlite3")
    store.commit([arrived([4], test="ladder", detail=detail, **unknown)])
    store.close()


def test_a_line_has_when_it_was_by_all_that_is_known_now_beside_the_device_s_word(tmp_path: Path) -> None:
    placed(tmp_path)
    first = json.loads(export(tmp_path).stdout.splitlines()[0])
    assert first["start"]["utc"].startswith("2026-11-06T21:2")
    assert first["start"]["clock"] == "synchronised"
    assert 0.01 <= first["start"]["error_s"] < 0.02
    assert first["record"]["start_utc_ns"] == 100 * NS


def test_an_ooni_measurement_begins_when_it_was_by_all_that_is_known_now(tmp_path: Path) -> None:
    placed(tmp_path)
    one = json.loads(export(tmp_path, "--format", "ooni").stdout.splitlines()[0])
    assert one["measurement_start_time"].startswith("2026-11-06 21:2")
    assert one["test_start_time"] == one["measurement_start_time"]
    notes = one["annotations"]
    assert (notes["x_clock_quality"], notes["x_device_start_time"]) == ("synchronised", "1970-01-01 00:01:40")
    assert NS // 100 <= int(notes["x_clock_error_ns"]) < NS // 50


def test_the_directory_may_stand_before_the_subcommand_or_in_the_settings(tmp_path: Path) -> None:
    stored(tmp_path)
    settings = tmp_path / "collector.toml"
    settings.write_text(f'data = "{tmp_path}"\n')
    for words in (["--data", str(tmp_path)], ["--config", str(settings)]):
        done = CliRunner().invoke(collector, [*words, "export"])
        assert (done.exit_code, done.stderr) == (0, "3 records written\n")


def test_a_verdict_is_said_beside_its_record(tmp_path: Path) -> None:
    evidence = [["rung", {"rung": "domestic", "reached": 1, "tried": 2}], "as older software said it"]
    verdict = {"verdict": "ok", "rule_id": "controls-reached", "evidence": evidence, "overturned_by": ""}
    stored(tmp_path, test="ladder", verdict=verdict)
    (told, *_) = [json.loads(line) for line in export(tmp_path).stdout.splitlines()]
    assert told["record"]["verdict"] == verdict
    assert [one["sentence"] for one in told["verdict"]["evidence"]] == [
        "domestic: 1 of 2 reached",
        "as older software said it",
    ]
    assert told["verdict"]["evidence"][1]["code"] == "prose"
    assert told["verdict"]["overturned_by"] == ENGLISH.overturned_by("controls-reached")


def test_another_device_s_records_are_not_written(tmp_path: Path) -> None:
    stored(tmp_path)
    assert export(tmp_path, "--device", "somebodyelse0000").stdout == ""


def test_a_directory_without_a_store_is_named(tmp_path: Path) -> None:
    done = export(tmp_path / "nothing")
    assert done.exit_code == 2
    assert "no collector has run here yet" in done.stderr


def test_what_the_vantage_saw_at_that_time_goes_along_in_both_forms(tmp_path: Path) -> None:
    target = "https://www.example.org/"
    stored(tmp_path, test="http", target=target, failure="connection_refused")
    first = json.loads(export(tmp_path).stdout.splitlines()[0])
    assert "control" not in first
    view = SiteView(source=VantageSource.COLLECTOR, addresses=("93.184.216.34",), status=200)
    key = Key(test="http", target=target, target_name=first["record"]["target_name"])
    moment_ns = first["record"]["start_utc_ns"]
    samples = [
        Sample(key=key, utc_ns=moment_ns + offset_s * NS, failure=None, failed_operation=None, view=view)
        for offset_s in (-300, 300)
    ]
    log = VantageLog.open(tmp_path / "collector.sqlite3")
    for sample in samples:
        log.add([sample], every_s=600)
    log.close()
    ours = [json.loads(line) for line in export(tmp_path).stdout.splitlines()]
    ooni = [json.loads(line) for line in export(tmp_path, "--format", "ooni").stdout.splitlines()]
    assert ours[0]["control"]["status"] == 200
    assert ooni[0]["test_keys"]["control"]["dns"]["addrs"] == ["93.184.216.34"]
    for one, other in zip(ours, ooni, strict=True):
        judged = [explain(Document(line=1, value=value)) for value in (one, other)]
        assert judged[0].verdict == judged[1].verdict
        assert stated("vantage", source="collector") in judged[0].verdict.evidence
        assert stated("vantage-page-answered", status=200) in judged[0].verdict.evidence


def test_a_record_of_a_test_has_what_servers_said_of_it_and_none_where_none_did(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "collector.sqlite3")
    store.commit([arrived([n], detail={"nonce": nonce_of(n)}) for n in (1, 2)])
    store.commit([arrived([3])])
    store.close()
    halves = HalfStore.open(tmp_path / "collector.sqlite3")
    given = [signed_half(1), signed_half(5, nonce=nonce_of(1)), signed_half(7)]
    halves.add(SERVER, account_of(7), given, received_ns=9)
    halves.close()
    told = [json.loads(line) for line in export(tmp_path).stdout.splitlines()]
    joined = {one["seq"]: one.get("server_halves") for one in told}
    assert [one["number"] for one in joined[1]] == [1, 5]
    assert server_half.from_json(joined[1][0]["half"]) == given[0].half
    assert (joined[2], joined[3]) == ([], None)

    done = export(tmp_path, "--server-halves")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    record = {"device": DEVICE, "epoch": EPOCH, "seq": 1}
    assert [(one["number"], one["record"]) for one in lines] == [(1, record), (5, record), (7, None)]
    assert "servers' halves written: 3" in done.stderr
    assert export(tmp_path, "--server-halves", "--device", "wxyz0123efgh4567").stdout == ""
