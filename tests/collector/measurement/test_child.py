"""The measurement server as the collector's child: there with it, back when killed, gone with it however it ends."""

import os
import signal
from pathlib import Path

import pytest

from collector.errors import MeasurementServerError
from collector.measurement.child import MeasurementChild, settings_file
from collector.measurement_settings import MeasurementServerSettings, MeasurementSettings
from firmware.settings.load import SettingsError, load
from tests import ports
from tests.collector.measurement.world import MeasurementWorld, RunningServer, nonce
from tests.collector.process import CollectorProcess, wait_until_gone
from tests.waiting import until


def collector_settings(world: MeasurementWorld, port: int) -> str:
    world.provision(
        "collector", "--ca", str(world.authority), "--out", str(world.directory / "collector-identity")
    )
    path = world.directory / "collector.toml"
    path.write_text(
        '[broker]\nuse = "none"\n[trust]\ndevices = "authority"\nidentity = "collector-identity"\n'
        f'[measurement]\nport = {port}\nidentity = "measurement-identity"\n'
    )
    return str(path)


def served(world: MeasurementWorld, port: int) -> int:
    """Return the status of a small download, 0 where nobody answers."""
    server = RunningServer(process=None, port=port, data=Path(), output=Path())  # type: ignore[arg-type]
    try:
        return world.ask(server, "GET", f"/v1/download?bytes=10&nonce={nonce()}").status
    except OSError:
        return 0


def test_a_collector_starts_it_keeps_it_alive_and_ends_it(tmp_path: Path) -> None:
    world, port = MeasurementWorld(tmp_path), ports.take_one()
    with CollectorProcess(tmp_path / "data", "--config", collector_settings(world, port)) as collector:
        pid = collector.facts["measurement_pid"]
        assert pid != collector.process.pid
        assert served(world, port) == 200
        os.kill(pid, signal.SIGKILL)
        until(
            lambda: (
                f"the measurement server ended (signal 9); starting it again on 127.0.0.1 port {port}"
                in collector.errors
            ),
            "it is said",
        )
        until(lambda: served(world, port) == 200, "it serves again")
        assert collector.end() == 0
    assert served(world, port) == 0


def test_it_does_not_outlive_a_collector_that_is_killed(tmp_path: Path) -> None:
    world, port = MeasurementWorld(tmp_path), ports.take_one()
    with CollectorProcess(tmp_path / "data", "--config", collector_settings(world, port)) as collector:
        assert served(world, port) == 200
        collector.process.kill()
        wait_until_gone(collector.facts["measurement_pid"])
    assert served(world, port) == 0


def test_a_collector_without_a_port_for_it_has_none(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path / "data", "--broker", "none") as collector:
        assert collector.facts["measurement_pid"] is None


def test_one_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    settings = MeasurementSettings(port=ports.take_one(), identity=tmp_path / "nothing")
    child = MeasurementChild(settings, tmp_path / "measurement", devices=tmp_path / "nobody")
    with pytest.raises(MeasurementServerError, match=r"did not start .*not an authority's directory"):
        child.start()
    child.stop()


def test_what_the_child_reads_is_what_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = MeasurementSettings(port=4443, host="::1", identity=Path('a "quoted" name'), transfers=7)
    path = tmp_path / "elsewhere" / "settings.toml"
    path.parent.mkdir()
    path.write_text(settings_file(settings, data=Path("data"), devices=Path("authority")))
    read = load(MeasurementServerSettings, path)
    assert (read.data, read.devices) == (tmp_path / "data", tmp_path / "authority")
    assert read.measurement.identity == tmp_path / 'a "quoted" name'
    assert (read.measurement.host, read.measurement.port, read.measurement.transfers) == ("::1", 4443, 7)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[measurement]\nport = 443", "needs `identity`"),
        ('[measurement]\nport = 443\nidentity = "x"', "needs \\[trust\\]"),
        ("[measurement]\nport = -1", "port"),
        ("[measurement]\ntransfer_s = 0", "transfer_s"),
    ],
)
def test_a_collector_refuses_what_would_serve_nobody(tmp_path: Path, text: str, fault: str) -> None:
    from collector.settings import CollectorSettings

    path = tmp_path / "collector.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=fault):
        load(CollectorSettings, path)
