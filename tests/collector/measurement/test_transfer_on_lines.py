"""A device's transfer over lines that are policed, shaped and frozen, with real packets: what its record tells of them."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from firmware.judgement.throttling.pace_of_run import RunPace
from tests import namespaces
from tests.collector.measurement.halves import AskingCollector
from tests.collector.measurement.transfers_of import run_of, transfer
from tests.collector.measurement.world import MeasurementWorld
from tests.nation.censor_tests import lab

pytestmark = pytest.mark.namespace

KIB = 1024
BYTES = 176 * KIB
POLICED_BIT_S = 800_000
FROZEN_AFTER = 60_000
# A token for another packet of this size comes after 11 s only.
FREEZE = (
    f'[[rule]]\ndo = "throttle"\nrate_bit_s = 1000\nburst_bytes = {FROZEN_AFTER}\n'
    'match = {{ direction = "{way}", larger_than = 1000 }}'
)
SLOW = (
    f'[[rule]]\ndo = "throttle"\nhow = "{{how}}"\nrate_bit_s = {POLICED_BIT_S}\nburst_bytes = 15000\n'
    'match = {{ direction = "{way}" }}'
)


def transferred(rules: str, direction: str, seconds: int) -> dict[str, Any]:
    """Return the record of one transfer through a censor with these rules, and how the server's half ended."""
    lab.street()
    with tempfile.TemporaryDirectory() as folder:
        world = MeasurementWorld(Path(folder))
        asking = AskingCollector(world)
        with namespaces.inside(lab.SERVER):
            running = world.server(host="0.0.0.0")
            server = running.__enter__()
        try:
            with lab.censored(rules):
                place = f"{lab.SERVER4}:{server.port}"
                found = transfer(world, place, direction=direction, bytes=BYTES, seconds=seconds)
                with namespaces.inside(lab.SERVER):  # past the censor, which the reset still has to pass
                    half = asking.half(server, found["detail"]["nonce"])
        finally:
            running.__exit__(None, None, None)
    return {**found, "half": [str(half.end), half.bytes_received, half.bytes_sent]}


@pytest.mark.parametrize(("direction", "way"), [("download", "down"), ("upload", "up")])
def test_a_freeze_after_so_many_bytes(direction: str, way: str) -> None:
    found = namespaces.call(transferred, FREEZE.format(way=way), direction, 10)
    detail = found["detail"]
    print(direction, detail["points"], detail["tcp"], found["half"])
    assert (found["failure"], detail["ending"]) == (None, "time")
    pace = run_of(detail, BYTES).pace
    assert isinstance(pace, RunPace)
    got = detail["points"][-1][1]
    assert pace.frozen_after_bytes == got
    assert FROZEN_AFTER // 2 < got < FROZEN_AFTER  # of packets with their headers so many passed
    if direction == "upload":
        assert found["half"][0] == "reset_received"
        assert found["half"][1] <= got
        assert detail["tcp"]["retransmissions"] > 0
    else:
        assert found["half"][2] > got


@pytest.mark.parametrize("how", ["police", "shape"])
@pytest.mark.parametrize(("direction", "way"), [("download", "down"), ("upload", "up")])
def test_a_rate_that_is_held_is_the_runs(direction: str, way: str, how: str) -> None:
    found = namespaces.call(transferred, SLOW.format(how=how, way=way), direction, 20)
    detail = found["detail"]
    assert (found["failure"], detail["ending"], detail["points"][-1][1]) == (None, "complete", BYTES)
    assert found["half"][0] == "done"
    pace = run_of(detail, BYTES).pace
    assert isinstance(pace, RunPace), pace
    print(direction, how, round(pace.bytes_per_s), detail["tcp"])
    # Whatever passes through the bucket within the window, and no more: its second half begins with at most a bucket that is full.
    window_s = BYTES / 2 / pace.bytes_per_s
    assert POLICED_BIT_S / 8 * window_s + 15_000 + 2 * 8192 >= BYTES / 2
    assert pace.bytes_per_s < 200_000  # not the line's, which carries hundreds of Mbit/s
