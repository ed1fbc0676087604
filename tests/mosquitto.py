"""A real mosquitto for tests: on a free loopback port, with a directory and configuration of its own.

For every test that needs a broker:

    from tests.mosquitto import Mosquitto, broker   # `broker` is a fixture: a running Mosquitto

    def test_something(broker: Mosquitto) -> None:
        connect("127.0.0.1", broker.port)
        broker.stop(); broker.start()               # the same port; without persistence it has forgotten all

`start` returns when it listens. `extra` lines go into its configuration (`acl_file …`, `allow_anonymous false`).
Where mosquitto is missing the test is skipped, or fails when CI is set.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import ports

_STARTED = "running"
_TAKEN = "Address already in use"
# Not a preexec_fn: the tests that restart a broker have threads.
_END_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()


class Mosquitto:
    """One broker process. `port` is fixed by the first `start` and kept by later ones."""

    def __init__(self, directory: Path, *, extra: Sequence[str] = ()) -> None:
        self.port = 0
        self._directory = directory
        self._extra = tuple(extra)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and return when it listens."""
        assert self._process is None, "it is running"
        if self.port:
            heard = self._try(self.port)
        else:
            for _ in range(20):
                heard = self._try(port := ports.take_one())
                if _TAKEN not in heard:
                    self.port = port
                    break
        assert _STARTED in heard, f"mosquitto did not start:\n{heard}"

    def stop(self) -> None:
        """Ask it to end and wait for that; stopping twice is harmless."""
        self._end("terminate")

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end("kill")

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is not None:
            getattr(process, how)()
            process.wait(30)
            assert process.stderr is not None
            process.stderr.close()

    def _try(self, port: int) -> str:
        config = self._directory / "mosquitto.conf"
        lines = (
            f"listener {port} 127.0.0.1",
            *(
                ()
                if any(line.startswith("allow_anonymous") for line in self._extra)
                else ("allow_anonymous true",)
            ),
            "persistence false",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
            "connection_messages false",
            # Started as root it would drop to a user that cannot read a test's directory.
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
            *self._extra,
        )
        config.write_text("\n".join(lines) + "\n")
        self._process = process = subprocess.Popen(
            [*_END_WITH_PARENT, _program(), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        heard = ""
        for line in process.stderr:
            heard += line
            if _STARTED in line:
                return heard
        self.stop()
        return heard


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Give a running broker that takes anyone on loopback."""
    directory = tmp_path / "mosquitto"
    directory.mkdir()
    mosquitto = Mosquitto(directory)
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


def _program() -> str:
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        message = "mosquitto is missing: apt-get install mosquitto"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found
