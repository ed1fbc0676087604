"""Every drill in its short form: seconds each, another seed each time, printed when something did not hold."""

import secrets

import pytest

from tests import needs
from tests.drills import (
    backlog,
    clock,
    damage,
    disk_full,
    drain,
    flip_bits,
    longest_cut,
    outbox_kill,
    power_cut,
    siege,
    wear,
)

SHORT_SIEGE = (
    "flip-log",
    "flip-database",
    "round-text",
    "delete-database",
    "zero-log-part",
    "delete-sidecar",
    "kill-device",
    "stolen-key",
)


@pytest.fixture
def seed() -> int:
    drawn = secrets.randbits(32)
    print(f"seed {drawn}")
    return drawn


def test_clock(seed: int) -> None:
    assert clock.drill(times=60, seed=seed)


def test_outbox_kill(seed: int) -> None:
    assert outbox_kill.drill(times=10, seed=seed)


def test_power_cut(seed: int) -> None:
    needs.program("strace")
    assert power_cut.drill(times=8, seed=seed, ticks=25)


def test_longest_cut(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Some hours with a cap that they do not fit in: thinned, cut twice, drained."""
    needs.program("strace")
    assert longest_cut.drill(times=1, seed=seed, days=0.3, cuts=2, made_days=0.06, cap_mb=2, drain_s=20.0)
    assert " 0 under 0 tombstones" not in capsys.readouterr().out


@pytest.mark.namespace
def test_disk_full(seed: int) -> None:
    assert disk_full.drill(times=1, seed=seed)


@pytest.mark.namespace
def test_drain(seed: int) -> None:
    needs.program("mosquitto")
    assert drain.drill(
        times=1, seed=seed, rate_bit_s=256_000, records=700, cut_every_s=4.0, dark_s=1.0, sample=20
    )


@pytest.mark.namespace
def test_a_drain_whose_line_has_gone_stops_and_says_so(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    needs.program("mosquitto")
    assert not drain.drill(times=1, seed=seed, way="plain", records=900, dark_s=0.0, kill_censor_after_s=0.1)
    assert "the censor ended by itself, status -9" in capsys.readouterr().out


def test_damage(seed: int) -> None:
    assert damage.drill(times=12, seed=seed)


def test_flip_bits(seed: int) -> None:
    assert flip_bits.drill(times=24, seed=seed)


def test_backlog(seed: int) -> None:
    assert backlog.drill(times=1, seed=seed, sizes=(1000, 5000))


def test_wear(seed: int) -> None:
    assert wear.drill(times=1, seed=seed, rounds=10)


@pytest.mark.namespace
def test_siege(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    needs.program("mosquitto")
    assert siege.drill(times=len(SHORT_SIEGE), seed=seed, minutes=4, devices=2, only=SHORT_SIEGE)
    out = capfd.readouterr().out
    print(out)
    assert "1 thefts (" in out


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_long_forms(seed: int) -> None:
    assert clock.drill(times=1000, seed=seed)
    assert damage.drill(times=200, seed=seed)
    assert flip_bits.drill(times=2000, seed=seed)
    assert outbox_kill.drill(times=1000, seed=seed)
    assert power_cut.drill(times=100, seed=seed)
    assert disk_full.drill(times=20, seed=seed)
