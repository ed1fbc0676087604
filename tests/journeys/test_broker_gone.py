"""The main promise, end to end on real parts: the way to the collector is gone for thirty rounds, nothing is.

A device measures real servers in namespaces of its own and delivers through a real mosquitto to a real collector.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import namespaces
from tests.appliance.world import Device, status, world
from tests.collector.process import CollectorProcess
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.namespace

ROUNDS_WITHOUT_BROKER = 30


def thirty_rounds_without_a_broker(folder: str) -> Any:
    root = Path(folder)
    (root / "broker").mkdir()
    broker = Mosquitto(root / "broker")
    broker.start()
    with world(root) as settings:
        settings.write_text(
            settings.read_text().replace("port = 1883", f"port = {broker.port}\nretry_max_s = 2")
        )
        with (
            CollectorProcess(root / "collector", "--broker", f"127.0.0.1:{broker.port}") as collector,
            Device(settings) as device,
        ):
            device.await_line("verdict ok", times=2)
            device.await_(lambda: status(device.data)["acknowledged"] > 0, "something delivered")
            broker.stop()
            before = status(device.data)
            device.await_line("verdict ok", times=2 + ROUNDS_WITHOUT_BROKER)
            gone = status(device.data)
            broker.start()
            device.await_(lambda: status(device.data)["waiting"] < 20, "the backlog delivered")
            assert device.end() == 0
            after = status(device.data)
            device_id = after["device"]
            # What was measured last may still wait: it is delivered by the next start, like after any stop.
            with Device(settings, "--rounds", "1") as again:
                assert again.wait() == 0
            final = status(again.data)
            lines = collector.get(f"api/v1/records?device={device_id}&format=ndjson").splitlines()
            return {
                "before": before,
                "gone": gone,
                "final": final,
                "seqs": [json.loads(line)["seq"] for line in lines],
                "completeness": json.loads(collector.get(f"api/v1/devices/{device_id}/completeness")),
                "page": collector.get("").decode(),
            }


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return namespaces.call(
        thirty_rounds_without_a_broker, str(tmp_path_factory.mktemp("journey")), limit_s=600
    )


def test_what_could_not_be_delivered_was_kept(journey: Any) -> None:
    kept = journey["gone"]["waiting"] - journey["before"]["waiting"]
    # Each round is its measurements and its conclusion.
    assert kept >= ROUNDS_WITHOUT_BROKER * 9
    assert journey["gone"]["daemon"]["sync_state"] != "connected"


def test_everything_arrives_once(journey: Any) -> None:
    produced = journey["final"]["produced"]
    assert journey["final"]["waiting"] == 0
    assert journey["final"]["acknowledged"] == produced
    times = Counter(journey["seqs"])
    assert set(times) == set(range(1, produced + 1))
    assert set(times.values()) == {1}


def test_the_collector_can_say_that_nothing_is_missing(journey: Any) -> None:
    completeness = journey["completeness"]
    assert completeness["missing"] == 0
    assert f"seq 1–{journey['final']['produced']:,}: all here" in journey["page"]
