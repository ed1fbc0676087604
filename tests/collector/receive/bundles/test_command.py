"""What `tidegauge collector import` says of a stick that cannot be read."""

from pathlib import Path

from click.testing import CliRunner

from collector.receive.bundles.command import import_


def test_a_stick_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    # Looking at it ends with an error of the system, as at a torn FAT (`python -m tests.drills stick`), for root as well.
    stick = tmp_path / ("x" * 300)
    done = CliRunner().invoke(import_, ["--data", str(tmp_path / "data"), str(stick)])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert f"{stick}: cannot be read (File name too long)" in done.output
