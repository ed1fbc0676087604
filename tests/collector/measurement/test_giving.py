"""Who is given a server's halves, by what the authority's directory says: a collector in force, listed where there is a list."""

import shutil
import time
from pathlib import Path

import pytest

from collector.measurement.giving import HalfGiving
from collector.measurement.http1 import RequestHead
from collector.measurement.refusals import RefusedError
from collector.trust.registry import Registry
from collector.trust.signing import Signer
from tests.collector.measurement.halves import SERVER, AskingCollector
from tests.collector.measurement.world import MeasurementWorld


def given_to(world: MeasurementWorld, authority: Path, token: str) -> str:
    """Return who asks, by the name that it is let in under, or the status of the refusal."""
    registry = Registry(authority)
    giving = HalfGiving(
        writer=None,  # type: ignore[arg-type]  # who asks is settled before anything is read
        server=SERVER,
        signer=Signer.load(world.identity),
        registry=registry,
    )
    head = RequestHead(method="POST", path="/v1/halves", headers={"authorization": f"Bearer {token}"})
    try:
        return giving.collector(head, utc_s=time.time())
    except RefusedError as error:
        return str(error.refusal.status)


@pytest.mark.parametrize("with_list", [True, False])
def test_only_a_collector_in_force_is_let_in(tmp_path: Path, with_list: bool) -> None:
    world = MeasurementWorld(tmp_path)
    collector, server = AskingCollector(world), AskingCollector(world, world.identity)
    copy = tmp_path / "copy"
    shutil.copytree(world.authority, copy)
    if not with_list:
        (copy / "trust-list.json").unlink()
    assert given_to(world, copy, collector.token()) == "collector"
    assert given_to(world, copy, server.token()) == "401"
    world.provision("revoke", "--ca", str(world.authority), "collector", "--reason", "taken")
    shutil.copy(world.authority / "revoked.json", copy)
    if with_list:
        assert given_to(world, world.authority, collector.token()) == "401"
    assert given_to(world, copy, collector.token()) == "401"
