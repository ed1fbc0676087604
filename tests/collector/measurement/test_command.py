"""`tidegauge measurement-server` says what it lacks, and what to do about it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.measurement.command import measurement_server
from tests.collector.measurement.world import MeasurementWorld


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("devices", "`devices` is not set"),
        ("identity", "tidegauge provision measurement-server"),
        ("port", "[measurement] `port` is not set"),
    ],
)
def test_what_is_lacking_is_named(world: MeasurementWorld, tmp_path: Path, lacks: str, said: str) -> None:
    config = tmp_path / "settings.toml"
    lines = world.settings_text(4443, tmp_path / "data").splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(lacks)))
    done = CliRunner().invoke(measurement_server, ["--config", str(config)])
    assert done.exit_code == 1
    assert said in done.output


def test_an_identity_that_cannot_be_read_is_named(world: MeasurementWorld, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    text = world.settings_text(4443, tmp_path / "data")
    config.write_text(text.replace("measurement-identity", "nothing"))
    done = CliRunner().invoke(measurement_server, ["--config", str(config)])
    assert (done.exit_code, "TLS for the measurement server cannot be set up" in done.output) == (1, True)
