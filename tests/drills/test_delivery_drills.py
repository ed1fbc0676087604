"""The drills of the way from device to collector in their short form, another seed each time."""

import secrets

import pytest

from tests import needs
from tests.drills import fleet, hostile, kill, protocol


@pytest.fixture
def seed() -> int:
    needs.program("mosquitto")
    drawn = secrets.randbits(32)
    print(f"seed {drawn}")
    return drawn


def test_kill(seed: int) -> None:
    assert kill.drill(times=6, seed=seed, audit_every=6)


def test_protocol(seed: int) -> None:
    assert protocol.drill(times=1, seed=seed, records=300)


def test_hostile(seed: int) -> None:
    assert hostile.drill(times=1, seed=seed, flood_s=0.3, records=40)


def test_fleet(seed: int) -> None:
    assert fleet.drill(times=1, seed=seed, devices=60, slow=4)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_long_forms(seed: int) -> None:
    assert protocol.drill(times=30, seed=seed)
    assert hostile.drill(times=3, seed=seed)
    assert fleet.drill(times=1, seed=seed)
    assert kill.drill(times=1000, seed=seed)
