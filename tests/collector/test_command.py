"""Everything a user can get wrong with `tidegauge collector` ends it with a message that says what to do."""

import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils.db import Database

from collector.command import collector
from collector.store.database import Store
from tests.collector.process import COMMAND, CollectorProcess
from tests.needs import namespace_command


def fails(*options: str) -> str:
    """Call the command in this process, which must fail by itself and without a traceback; return what it said."""
    done = CliRunner().invoke(collector, options)
    if not isinstance(done.exception, SystemExit):
        raise done.exception or AssertionError(f"it ended well: {done.output}")
    assert done.exit_code != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = fails("--data", str(tmp_path), "--port", str(port))
    assert f"port {port}" in said
    assert "--port" in said


def test_the_brokers_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = tmp_path / "collector.toml"
        settings.write_text(f"[broker]\nport = {port}\n")
        said = fails("--config", str(settings), "--data", str(tmp_path / "data"), "--port", "0")
    assert f"port {port} for the broker" in said
    assert "[broker]" in said


def test_the_directory_is_in_use(tmp_path: Path) -> None:
    with CollectorProcess(tmp_path / "data", "--broker", "none") as running:
        said = fails("--data", str(tmp_path / "data"), "--port", "0")
        assert f"in use by another collector, process {running.process.pid}" in said
        assert running.get("")
        assert (tmp_path / "data" / "collector.json").exists()


def test_the_directory_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    said = fails("--data", str(tmp_path / "data"), "--port", "0")
    assert f"{tmp_path / 'data'}: cannot be used as a data directory" in said


@pytest.mark.namespace
def test_the_directory_is_read_only(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o ro none {tmp_path} && exec "$@"'
    done = subprocess.run(
        [*namespace_command(), "sh", "-c", script, "sh", *COMMAND, "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert "--data" in done.stderr


def test_the_database_is_of_a_newer_version(tmp_path: Path) -> None:
    Store.open(tmp_path / "collector.sqlite3").close()
    database = Database(str(tmp_path / "collector.sqlite3"))
    database.table("_sqlite_migrations").insert(
        {"migration_set": "collector", "name": "m999", "applied_at": "2030-01-01"}
    )
    database.close()
    assert "upgrade the collector" in fails("--data", str(tmp_path), "--port", "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--broker", "rabbit"), "allowed is auto, mosquitto, amqtt, none or HOST:PORT"),
        (("--broker", "localhost:70000"), "from 1 to 65535"),
        (("--port", "70000"), "from 0 to 65535"),
        (("--host", "192.0.2.256", "--port", "0"), "the page cannot be served on 192.0.2.256"),
        (("--config", "/nowhere.toml"), "/nowhere.toml"),
    ],
)
def test_an_option_says_what_is_allowed(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in fails("--data", str(tmp_path / "data"), *options)


def test_a_settings_file_is_named_with_its_line(tmp_path: Path) -> None:
    settings = tmp_path / "collector.toml"
    settings.write_text('[page]\nport = "high"\n[brokr]\nuse = "auto"\n')
    said = fails("--config", str(settings))
    assert f"{settings}:2: [page].port: found" in said
    assert "did you mean broker" in said
    alone = subprocess.run(
        [*COMMAND, "--config", str(settings)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (alone.returncode, alone.stderr) == (1, said), "a process ends otherwise"
