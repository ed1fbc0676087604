"""What `tidegauge status` says of the trust list a device goes by."""

import time
from pathlib import Path

import pytest

from appliance.identity.command import identity
from appliance.outbox import boots
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from appliance.views.status import in_words, look, to_json
from firmware.clock import clocks
from firmware.clock.retiming import SyncPoint
from firmware.net.loop import boottime_ns
from firmware.wire.trust_list import FILE_NAME
from tests.english import ENGLISH
from tests.firmware.records import tcp_record
from tests.provisioning.identities import Provisioned

DEVICE = "abcd0123efgh4567"
YEAR_NS = 366 * 86_400 * 10**9


@pytest.fixture
def data(tmp_path: Path) -> Path:
    given = Provisioned(tmp_path).device(DEVICE)
    data = tmp_path / "device"
    identity.main(["install", str(given), "--data", str(data)], standalone_mode=False)
    fill(data)
    return data


def fill(data: Path, point: SyncPoint | None = None) -> None:
    with (
        DataDir.open(data) as directory,
        Outbox.open(directory.outbox, device=directory.device) as outbox,
    ):
        outbox.append([tcp_record(1)])
        boots.begin(outbox, clocks.read_boot_id())
        if point is not None:
            boots.add_point(outbox, clocks.read_boot_id(), point)


def row(data: Path) -> str:
    rows = [line for line in in_words(look(data), ENGLISH).splitlines() if line.startswith("trust list")]
    return rows[0] if rows else ""


def test_the_list_it_goes_by_is_named(data: Path) -> None:
    assert "number 1, 1 collector, until " in row(data)
    assert "nothing is let go of" not in row(data)
    told = to_json(look(data))["trust_list"]
    assert isinstance(told, dict)
    assert (told["number"], told["collectors"], told["fault"]) == (1, 1, "")


def test_one_that_has_run_out_by_a_sync_point_is_told(data: Path) -> None:
    fill(data, SyncPoint(boottime_ns(), time.time_ns() + 2 * YEAR_NS, 10**9))
    assert "it has run out: nothing is let go of" in row(data)


def test_one_that_cannot_be_read_is_told(data: Path) -> None:
    (data / "identity" / FILE_NAME).write_bytes(b"{")
    assert "cannot be read, so nothing is let go of" in row(data)


def test_before_the_first_one_that_is_said_and_without_an_identity_nothing(
    data: Path, tmp_path: Path
) -> None:
    (data / "identity" / FILE_NAME).unlink()
    assert "none yet" in row(data)
    fill(tmp_path / "other")
    assert row(tmp_path / "other") == ""
    assert to_json(look(tmp_path / "other"))["trust_list"] is None
