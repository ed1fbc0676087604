"""The device as a process, measuring real servers in namespaces of its own: what users, hosts and systemd see of it.

The functions before each test run in fresh namespaces (tests/namespaces.py), most of them side by side (tests/at_once.py),
and return what it then looks at.
"""

import contextlib
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
from sqlite_utils import Database

from appliance.outbox.box import Outbox
from firmware.commands.main import main
from firmware.judgement import ladder
from firmware.judgement.fingerprints.load import COLUMNS
from firmware.model.record import Rung, to_json
from firmware.model.statement_forms import EVIDENCE
from tests import namespaces
from tests.appliance.world import ROUND_TASKS, TIDEGAUGE, Device, records, run, status, world
from tests.at_once import plays
from tests.collector.process import CollectorProcess, wait_until_gone
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.namespace


# A first try: three rounds, without a broker.


def three_rounds(folder: str) -> Any:
    with world(Path(folder)) as settings, Device(settings, "--rounds", "3") as device:
        code = device.wait()
        kept = _kept(device.data)
        after = status(device.data)
        words = run("status", "--data", str(device.data)).stdout
        return {
            "code": code,
            "lines": device.lines,
            "errors": device.errors,
            "records": kept,
            "after": after,
            "words": words,
        }


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return namespaces.call(three_rounds, str(tmp_path_factory.mktemp("tried")))


def with_lists(folder: str) -> Any:
    """Measure a round by a list of fingerprints of which a row cannot be used, beside a file that is no list."""
    lists = Path(folder) / "lists"
    lists.mkdir()
    (lists / "mine-2026-11-20.csv").write_text(
        ",".join(COLUMNS)
        + "\nmine.1,nat,,dns,full,192.0.2.77,5,XX,me,,\nmine.2,br,,dns,full,0.0.0.0,5,,me,,\n"
    )
    (lists / "other.csv").write_bytes(b"\xff\xfe")
    with world(Path(folder)) as settings:
        settings.write_text(f'fingerprints = "{lists}"\n' + settings.read_text())
        with Device(settings, "--rounds", "1") as device:
            code = device.wait()
            return {
                "code": code,
                "errors": device.errors,
                "records": _kept(device.data),
                "words": run("status", "--data", str(device.data)).stdout,
            }


@plays(with_lists)
def test_it_goes_by_an_operator_s_lists_and_says_which(seen: Any) -> None:
    assert seen["code"] == 0
    (concluded,) = _of(seen["records"], "ladder")
    (label,) = concluded["detail"]["fingerprints"]
    assert label.startswith("mine-2026-11-20.csv 2026-11-20 ")
    assert f"lists      {label}; 2 rows or files left out" in seen["words"]
    assert "mine-2026-11-20.csv: line 3: scope: found 'br'" in seen["errors"]
    assert "other.csv is not UTF-8 text" in seen["errors"]


def _kept(data: Path) -> list[dict[str, Any]]:
    return [to_json(record) for record in records(data)]


def _unlooked_for(errors: str) -> list[str]:
    """Return what it said on its error output, but for slots a second apart that a busy machine misses."""
    return [line for line in errors.splitlines() if "slots missed (running)" not in line]


def _of(kept: list[dict[str, Any]], test: str) -> list[dict[str, Any]]:
    return [record for record in kept if record["test"] == test]


def test_it_measures_as_many_rounds_as_asked_and_ends_well(tried: Any) -> None:
    assert tried["code"] == 0
    assert _unlooked_for(tried["errors"]) == []
    assert [record["round_id"] for record in _of(tried["records"], "ladder")] == [1, 2, 3]


def test_every_try_to_reach_the_collector_is_a_record(tried: Any) -> None:
    tries = _of(tried["records"], "transport")
    assert tries
    for one in tries:
        assert (one["target"], one["failure"]) == ("mqtt://127.0.0.1:1883", "connection_refused")
        assert one["failed_operation"] == "connect"


def test_every_task_of_every_round_is_a_record(tried: Any) -> None:
    measured = Counter(
        (record["round_id"], record["target_name"])
        for record in tried["records"]
        if record["test"] not in {"ladder", "gap", "transport"}
    )
    assert len(measured) == 3 * ROUND_TASKS
    assert set(measured.values()) == {1}
    beside = {"gap", "transport"}
    assert {record["failure"] for record in tried["records"] if record["test"] not in beside} == {None}


def test_a_rounds_conclusion_holds_ladder_verdict_and_health(tried: Any) -> None:
    for record in _of(tried["records"], "ladder"):
        assert record["verdict"]["verdict"] == "ok"
        codes = [code for code, _ in record["verdict"]["evidence"]]
        assert codes
        assert set(codes) <= set(EVIDENCE)
        states = {state.rung: state.state for state in ladder.from_json(record["detail"]["ladder"]).rungs}
        assert states[Rung.INTERNATIONAL] == "reached"
        assert states[Rung.GATEWAY] == "reached"
        health = record["context"]
        assert 0 <= health["cpu_percent"] <= 100
        assert health["disk_free_bytes"] > 0
        assert health["uptime_s"] > 0
        assert health["wifi_signal_dbm"] is None
        assert record["bytes_up"] > 0
        assert record["uplink"]


def test_every_record_says_its_boot_its_clock_and_its_plan(tried: Any) -> None:
    for record in tried["records"]:
        assert len(record["boot_id"]) == 36
        assert record["clock_quality"] in {"synchronised", "holdover", "unsynchronised"}
        assert record["context"]["plan"] == "zz 2026-11-21"
        assert record["software"].startswith("tidegauge ")
        assert record["start_boottime_ns"] >= record["slot_boottime_ns"] > 0


def test_what_it_says_in_plain_lines(tried: Any) -> None:
    said = "\n".join(tried["lines"])
    assert f"round 1: {ROUND_TASKS} measurements" in said
    assert "verdict ok" in said
    assert "broker 127.0.0.1:1883 refused the connection" in said
    assert "measuring goes on" in said
    assert "\x1b" not in said


def test_nothing_of_the_host_is_in_what_it_keeps(tried: Any) -> None:
    everything = json.dumps(tried["records"])
    assert "10.0.0.2" not in everything
    assert socket.gethostname() not in everything


def test_its_status_after_its_end(tried: Any) -> None:
    after = tried["after"]
    assert after["running"] is None
    assert after["produced"] == after["waiting"] == len(tried["records"])
    assert after["acknowledged"] == after["quarantined"] == after["unstored"] == 0
    assert after["last_round"]["round_id"] == 3
    assert "running    no" in tried["words"]
    assert "ok (rule controls-reached)" in tried["words"]


# What goes wrong while it runs.


def worker_killed(folder: str) -> Any:
    with world(Path(folder), silent=True) as settings, Device(settings) as device:
        device.await_line("  gateway")
        device.await_line("  resolver")
        first = device.worker()
        os.kill(first, signal.SIGKILL)
        device.await_line("round 2:")
        device.await_line("  gateway", times=2)
        seen = status(device.data)
        code = device.end()
        return {"code": code, "status": seen, "records": _kept(device.data), "lines": device.lines}


@plays(worker_killed)
def test_a_worker_killed_in_mid_round_costs_only_what_it_was_measuring(seen: Any) -> None:
    assert seen["code"] == 0
    lost = [record for record in seen["records"] if record["failure"] == "worker_died"]
    tasks = [record for record in lost if record["test"] != "gap"]
    (gap,) = _of(lost, "gap")
    assert [record["target_name"] for record in tasks] == ["site-5"]
    assert gap["target"] == "worker"
    reason = ["worker-ended", {"how": "killed by SIGKILL"}]
    assert gap["detail"] == {"count": 1, "reason": reason, "tasks": ["r1/site-5"]}
    first = next(record for record in seen["records"] if record["test"] == "ladder")
    assert first["verdict"]["verdict"] == "ok"
    assert "worker restarted, the gap is recorded: killed by SIGKILL" in seen["lines"]
    assert seen["status"]["daemon"]["worker_restarts"] == 1
    assert seen["status"]["running"]


def told_to_stop(folder: str, number: int) -> Any:
    with world(Path(folder), silent=True) as settings, Device(settings) as device:
        device.await_line("  gateway")
        device.await_line("  resolver")
        worker = device.worker()
        code = device.end(number)
        return {
            "code": code,
            "errors": device.errors,
            "worker is gone": not psutil.pid_exists(worker),
            "records": _kept(device.data),
            "last line": device.lines[-1],
            "status": status(device.data),
        }


@plays((told_to_stop, int(signal.SIGTERM)), (told_to_stop, int(signal.SIGINT)))
def test_a_stop_in_mid_round_keeps_what_was_measured_and_says_what_was_not(seen: Any) -> None:
    assert seen["code"] == 0
    assert _unlooked_for(seen["errors"]) == []
    assert seen["worker is gone"]
    measured = {record["target_name"] for record in seen["records"] if record["round_id"] == 1}
    assert len(measured) == ROUND_TASKS
    (gap,) = (gap for gap in _of(seen["records"], "gap") if gap["target"] == "device")
    assert (gap["failure"], gap["detail"]["tasks"]) == ("interrupted", ["r1/site-5"])
    assert gap["detail"]["reason"] == ["told-to-stop", {}]
    assert seen["status"]["running"] is None


def _most_waiting(lines: list[str]) -> int:
    counts = [int(found[1]) for line in lines if (found := re.search(r"results (\d+) waiting", line))]
    return max(counts, default=0)


def killed_and_started_again(folder: str) -> Any:
    with world(Path(folder), silent=True) as settings:
        with Device(settings) as device:
            device.await_line("  gateway")
            # The first commit, five seconds in; with it are the tries to reach the collector.
            device.await_(lambda: _most_waiting(device.lines) >= ROUND_TASKS, "a first commit")
            worker = device.worker()
            device.end(signal.SIGKILL)
            after = status(device.data)
            wait_until_gone(worker)
        with Device(settings) as device:
            device.await_line("round 2:")
            device.await_line("  gateway", times=2)
            device.end()
            return {"after": after, "records": _kept(device.data), "final": status(device.data)}


@plays(killed_and_started_again)
def test_a_daemon_killed_in_mid_round_goes_on_where_it_left_off(seen: Any) -> None:
    assert seen["after"]["running"] is None
    assert seen["after"]["device"] == seen["final"]["device"]
    assert seen["after"]["epoch"] == seen["final"]["epoch"]
    # The number of the round that was cut short is not used again.
    assert {record["round_id"] for record in seen["records"]} == {1, 2, None}
    stopped = [gap for gap in _of(seen["records"], "gap") if gap["detail"]["reason"] == ["stopped", {}]]
    assert [gap["target"] for gap in stopped] == ["round"]
    assert stopped[0]["failure"] == "missed_slot"
    assert stopped[0]["detail"]["count"] >= 1


def disk_full(folder: str) -> Any:
    root = Path(folder)
    with world(root) as settings:
        (root / "data").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(root / "data")], check=True)
        with Device(settings) as device:
            device.await_line("verdict ok", times=2)
            reserve = root / "data" / "reserve"
            with reserve.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
            device.await_(lambda: "results cannot be stored" in device.errors, "said that it cannot store")
            device.await_line("verdict ok", times=5)
            # The state file cannot be written either: what is asked is only whether asking works.
            asked = run("status", "--data", str(device.data)).returncode
            stored = status(device.data)["produced"]
            reserve.unlink()
            device.await_(lambda: status(device.data)["produced"] > stored + 30, "stored again")
            device.await_(lambda: not status(device.data)["daemon"]["storage_fault"], "the fault is over")
            code = device.end()
            kept = _kept(device.data)
            return {"code": code, "asked": asked, "errors": device.errors, "records": kept}


@plays(disk_full)
def test_a_full_disk_does_not_stop_the_measuring_and_nothing_is_lost_by_it(seen: Any) -> None:
    assert seen["code"] == 0
    assert seen["asked"] == 0
    assert "results are stored again" in seen["errors"]
    ids = [record["round_id"] for record in _of(seen["records"], "ladder")]
    assert ids == list(range(1, len(ids) + 1))
    per_round = Counter(record["round_id"] for record in seen["records"] if record["round_id"])
    assert all(per_round[round_id] == ROUND_TASKS + 1 for round_id in ids)


def started_where_nothing_can_be_stored(folder: str, how: str) -> Any:
    root = Path(folder)
    data = root / "data"
    with world(root) as settings:
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(data)], check=True)
        with Device(settings, "--rounds", "1") as device:
            device.wait()
        before = status(data)
        filler = data / "filler"
        (data / "outbox.sqlite3.reserve").unlink(missing_ok=True)
        if how == "full":
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(data)], check=True)
        with Device(settings) as device:
            known = len(device.lines)
            device.await_(lambda: "results cannot be stored" in device.errors, "said that it cannot store")
            device.await_(lambda: "\n".join(device.lines[known:]).count("verdict ok") >= 3, "it measures")
            second = run("device", "--config", str(settings), "--rounds", "1")
            asked = run("status", "--data", str(data)).returncode
            if how == "full":
                filler.unlink()
            else:
                subprocess.run(["mount", "-o", "remount,rw", str(data)], check=True)
            device.await_(lambda: "results are stored again" in device.errors, "stored")
            code = device.end()
            return {
                "how": how,
                "code": code,
                "asked": asked,
                "second": [second.returncode, second.stderr],
                "lines": device.lines,
                "errors": device.errors,
                "before": before,
                "after": status(data),
                "records": _kept(data),
            }


@plays((started_where_nothing_can_be_stored, "full"), (started_where_nothing_can_be_stored, "read-only"))
def test_it_measures_on_a_disk_that_takes_nothing_at_its_start_and_stores_it_later(seen: Any) -> None:
    assert seen["code"] == seen["asked"] == 0
    assert seen["second"][0] == 1
    assert "in use by process" in seen["second"][1]
    assert seen["after"]["epoch"] == seen["before"]["epoch"]
    assert seen["after"]["unstored"] == 0
    ids = [record["round_id"] for record in _of(seen["records"], "ladder")]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= 4
    assert {record["boot_id"] for record in seen["records"]} == {seen["records"][0]["boot_id"]}
    held = [line for line in seen["lines"] if line.startswith("storage: ")]
    assert held[0].startswith("storage: held in memory: ")
    assert held[-1] == "storage: stored again"
    if seen["how"] == "read-only":
        assert any("not open yet" in line for line in seen["lines"]), "the sender says why it waits"


def two_on_one_directory(folder: str) -> Any:
    with world(Path(folder)) as settings, Device(settings) as device:
        device.await_line("verdict ok")
        second = run("device", "--config", str(settings), "--rounds", "1")
        running = status(device.data)["running"]
        device.await_line("verdict ok", times=2)
        return [second.returncode, second.stderr, running == device.process.pid, device.process.pid]


@plays(two_on_one_directory)
def test_two_devices_on_one_directory(seen: Any) -> None:
    code, said, first_still_runs, pid = seen
    assert code == 1
    assert f"in use by process {pid}" in said
    assert "--data" in said
    assert first_still_runs


# What the service manager hears.


def notified(folder: str) -> Any:
    manager = Path(folder) / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(manager))
        listener.settimeout(LIMIT_S)
        environment = {"NOTIFY_SOCKET": str(manager), "WATCHDOG_USEC": "1000000"}
        with world(Path(folder)) as settings, Device(settings, environment=environment) as device:
            heard = [listener.recv(4096).decode()]
            while "STATUS=round 2: ok" not in heard:
                heard.append(listener.recv(4096).decode())
            device.process.terminate()
            while not heard[-1].startswith("STOPPING=1"):
                heard.append(listener.recv(4096).decode())
            code = device.wait()
    return [code, heard]


@plays(notified)
def test_the_service_manager_is_told(seen: Any) -> None:
    code, heard = seen
    assert code == 0
    assert heard[0] == "READY=1\nSTATUS=the first round is being measured"
    assert "WATCHDOG=1" in heard
    assert "STATUS=round 1: ok" in heard
    assert heard[-1].startswith("STOPPING=1\n")


# What it is asked while it runs, and by whom.


def asked_by_one_who_may_only_read(folder: str) -> Any:
    root = Path(folder)
    with world(root) as settings:
        (root / "view").mkdir()
        with Device(settings) as device:
            device.await_line("verdict ok", times=2)
            mount = ["mount", "--bind", "-o", "ro", str(device.data), str(root / "view")]
            subprocess.run(mount, check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(root / "view")], check=True)
            running = run("status", "--data", str(root / "view"), "--json")
            pid = device.process.pid
            device.end()
        ended = run("status", "--data", str(root / "view"), "--json")
        words = run("status", "--data", str(root / "view"))
        return {
            "pid": pid,
            "running": json.loads(running.stdout or "null"),
            "ended": json.loads(ended.stdout or "null"),
            "words": words.stdout,
            "errors": running.stderr + ended.stderr + words.stderr,
        }


@plays(asked_by_one_who_may_only_read)
def test_status_needs_no_right_to_write(seen: Any) -> None:
    assert _unlooked_for(seen["errors"]) == []
    assert seen["running"]["running"] == seen["pid"]
    assert seen["running"]["daemon"]["sync_state"] in {"connecting", "waiting"}
    assert seen["ended"]["running"] is None
    assert seen["ended"]["produced"] >= seen["running"]["produced"] > 0
    assert "running    no" in seen["words"]


# What a person at a terminal sees.


def watched(folder: str) -> Any:
    with world(Path(folder)) as settings:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(ours, (50, 120))
        device = subprocess.Popen(
            [
                *TIDEGAUGE,
                "device",
                "--config",
                str(settings),
                "--rounds",
                "2",
                "--page",
                "http://127.0.0.1:1/",
            ],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the last one to hold the terminal's other end has gone
            while data := os.read(ours, 65536):
                seen += data
        os.close(ours)
        return [device.wait(LIMIT_S), seen.decode("utf-8", "replace")]


@plays(watched)
def test_in_a_terminal_it_draws_the_ladder_and_the_lights(seen: Any) -> None:
    code, shown = seen
    assert code == 0
    for words in ("Tidegauge", "http://127.0.0.1:1/", "international", "4 of 4", "Lights", "simulated", "ok"):
        assert words in shown
    assert "Traceback" not in shown


# What it refuses to start with.


def refusals(folder: str) -> Any:
    root = Path(folder)
    (root / "broken.toml").write_text("schema = 1\ncountry = 'zzz'\n")
    (root / "settings.toml").write_text('[schedule]\ncalm_s = "often"\n[brokr]\nhost = "x"\n')
    (root / "both.toml").write_text(f'country = "ir"\nplan = "{root}/broken.toml"\n')
    (root / "file").write_text("")
    Outbox.open(_made(root / "newer") / "outbox.sqlite3", device="a" * 16).close()
    (root / "newer" / "device.json").write_text(json.dumps({"v": 1, "device": "a" * 16}))
    newer = Database(root / "newer" / "outbox.sqlite3")
    newer.table("_sqlite_migrations").insert(
        {"migration_set": "outbox", "name": "m999", "applied_at": "2030-01-01"}
    )
    newer.close()
    _made(root / "readonly")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(root / "readonly")], check=True)
    _made(root / "damaged")
    (root / "damaged" / "device.json").write_text("{")
    data = ("--data", str(root / "data"))
    asked = {
        "country": (*data, "--country", "qq"),
        "plan": (*data, "--plan", str(root / "broken.toml")),
        "no plan": (*data, "--plan", str(root / "nowhere.toml")),
        "settings": (*data, "--config", str(root / "settings.toml")),
        "both": (*data, "--config", str(root / "both.toml")),
        "broker": (*data, "--broker", "not a place"),
        "no port": (*data, "--broker", "localhost:0"),
        "file": ("--data", str(root / "file")),
        "newer": ("--data", str(root / "newer")),
        "readonly": ("--data", str(root / "readonly" / "data")),
        "damaged": ("--data", str(root / "damaged")),
    }
    said = {name: _called("device", *options, "--rounds", "1") for name, options in asked.items()}
    said["status"] = _called("status", "--data", str(root / "nobody"))
    alone = run("device", *asked["settings"], "--rounds", "1")
    assert [alone.returncode, alone.stderr, alone.stdout] == said["settings"], "a process ends otherwise"
    return said


def _called(*arguments: str) -> list[Any]:
    """Call `tidegauge` in this process, which must end by itself; return its status, its errors and its output."""
    errors, output = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["tidegauge", *arguments]),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(output),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return [ended.value.code, errors.getvalue(), output.getvalue()]


def _made(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return namespaces.call(refusals, str(tmp_path_factory.mktemp("refused")))


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("country", 2, ["'qq'", "allowed is", "ir"]),
        ("plan", 2, ["broken.toml", "country", '"zzz"', "allowed is"]),
        ("no plan", 2, ["nowhere.toml", "does not exist"]),
        ("settings", 2, ["settings.toml:2: [schedule].calm_s", "settings.toml:3:", "did you mean broker?"]),
        ("both", 2, ["both.toml", "set one of them"]),
        ("broker", 2, ["--broker", "not a place"]),
        ("no port", 2, ["port", "from 1 to 65535"]),
        ("file", 1, ["file", "cannot be used as a data directory", "--data"]),
        ("newer", 1, ["outbox.sqlite3", "newer version", "Upgrade tidegauge"]),
        ("readonly", 1, ["Read-only file system", "--data"]),
        ("damaged", 1, ["device.json", "identity"]),
        ("status", 1, ["nobody", "no device has run here yet", "--data"]),
    ],
)
def test_what_it_cannot_start_with_it_says_in_words(
    refused: Any, what: str, code: int, words: list[str]
) -> None:
    returned, errors, output = refused[what]
    assert returned == code, errors
    assert "Traceback" not in errors
    assert output == ""
    for word in words:
        assert word in errors


# Delivered.


def delivered(folder: str) -> Any:
    root = Path(folder)
    with world(root) as settings, CollectorProcess(root / "collector") as collector:
        broker = f"{collector.host}:{collector.port}"
        with Device(settings, "--rounds", "2", "--broker", broker) as device:
            code = device.wait()
            final = status(device.data)
            page = json.loads(collector.get(f"api/v1/devices/{final['device']}/completeness"))
            return {"code": code, "status": final, "completeness": page, "lines": device.lines}


@plays(delivered)
def test_what_is_measured_is_delivered(seen: Any) -> None:
    assert seen["code"] == 0
    assert seen["status"]["waiting"] == 0
    # Two rounds with their conclusions, and at least the one try that let it in.
    assert seen["status"]["acknowledged"] == seen["status"]["produced"] > 2 * (ROUND_TASKS + 1)
    assert any("collector connected" in line for line in seen["lines"])
    assert str(seen["status"]["produced"]) in json.dumps(seen["completeness"])


# What is measured beside the rounds.

BESIDE = """
[[task]]
name = "beside"
zone = "international"
test = "tcp"
target = "10.0.1.1:80"
every_s = 1
source = "made"
why = "made"
"""


def measures_beside_the_rounds(folder: str) -> Any:
    with world(Path(folder), silent=True, extra=BESIDE) as settings, Device(settings) as device:
        device.await_line("  gateway")
        # A round with a silent target lasts half a minute: meanwhile its slots are missed, the task's are not.
        device.await_(lambda: len(_beside(device.data)) >= 6, "measured beside the round")
        code = device.end()
        return {"code": code, "records": _kept(device.data)}


def _beside(data: Path) -> list[dict[str, Any]]:
    return [one for one in _kept(data) if one["target_name"] == "beside"]


# Played alone, after the others: a slot that a busy machine misses would be told here.
def test_tasks_beside_the_rounds_have_slots_of_their_own(tmp_path: Path) -> None:
    seen = namespaces.call(measures_beside_the_rounds, str(tmp_path))
    assert seen["code"] == 0
    slots = [one["slot_boottime_ns"] for one in seen["records"] if one["target_name"] == "beside"]
    assert len(set(slots)) == len(slots) >= 6
    assert len({slot % 10**9 for slot in slots}) == 1
    assert {one["round_id"] for one in seen["records"] if one["target_name"] == "beside"} == {None}
    missed = [gap for gap in _of(seen["records"], "gap") if gap["failure"] == "missed_slot"]
    assert {(gap["target"], *gap["detail"]["reason"][:1]) for gap in missed} == {("round", "running")}
    assert sum(gap["detail"]["count"] for gap in missed) >= 3
