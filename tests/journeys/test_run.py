"""`tidegauge run` as a newcomer types it: a broker, a collector, a page and a device, in namespaces of its own."""

import json
import signal
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import ports
from tests.appliance.world import TIDEGAUGE, status, world
from tests.at_once import plays
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.namespace


def command(root: Path, port: int, *options: str) -> list[str]:
    return [
        *TIDEGAUGE,
        "run",
        *("--plan", str(root / "plan.toml"), "--data", str(root / "all"), "--port", str(port)),
        *options,
    ]


def finish(words: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def children() -> list[str]:
    """Return the names of the programs that run beside this one in this namespace's session."""
    return [child.name() for child in psutil.Process().children(recursive=True)]


def two_runs(folder: str, broker: str) -> Any:
    root, port = Path(folder), ports.take_one()
    with world(root):
        first = finish(command(root, port, "--broker", broker, "--rounds", "1"))
        after_first = status(root / "all" / "device")
        second = subprocess.Popen(
            command(root, port, "--broker", broker),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert second.stdout is not None
        said = []
        for line in second.stdout:
            said.append(line)
            if line.startswith("results 0 waiting") and any(text.startswith("verdict") for text in said):
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/devices", timeout=LIMIT_S) as answer:
            devices = json.load(answer)["devices"]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            beside = [
                command(root, port, "--broker", broker, "--data", str(root / "other")),
                command(root, ports.take_one(), "--broker", broker),
            ]
            with ThreadPoolExecutor() as pool:
                taken, in_use = pool.map(finish, beside)
        second.send_signal(signal.SIGINT)
        said += list(second.stdout)
        second.stdout.close()
        return {
            "first": [first.returncode, first.stdout, first.stderr],
            "second": [second.wait(LIMIT_S), "".join(said)],
            "taken": [taken.returncode, taken.stderr],
            "in_use": [in_use.returncode, in_use.stderr],
            "after": [after_first, status(root / "all" / "device")],
            "devices": devices,
            "left": children(),
        }


with_either_broker = plays((two_runs, "mosquitto"), (two_runs, "amqtt"))


@with_either_broker
def test_one_round_ends_with_a_verdict_and_everything_delivered(seen: Any) -> None:
    code, out, err = seen["first"]
    assert code == 0, err
    assert "verdict ok" in out
    after = seen["after"][0]
    assert after["produced"] == after["acknowledged"] > 0


@with_either_broker
def test_the_next_run_carries_on_with_the_same_data(seen: Any) -> None:
    before, after = seen["after"]
    assert after["device"] == before["device"]
    assert after["epoch"] == before["epoch"]
    assert after["produced"] > before["produced"]
    assert "round 2:" in seen["second"][1]
    (device,) = seen["devices"]
    assert device["device"] == before["device"]


@with_either_broker
def test_ctrl_c_ends_everything(seen: Any) -> None:
    code, said = seen["second"]
    assert code == 0, said
    assert "Traceback" not in said
    assert seen["left"] == []


@with_either_broker
def test_a_taken_port_and_a_directory_in_use_are_told(seen: Any) -> None:
    code, said = seen["taken"]
    assert code != 0
    assert "--port" in said
    code, said = seen["in_use"]
    assert code != 0
    assert "in use" in said or "another" in said, said
    assert "Traceback" not in said
