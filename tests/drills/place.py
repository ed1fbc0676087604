"""One authority, one broker over mutual TLS, one collector that believes only what is signed: what drills are held in."""

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from click.testing import CliRunner

from appliance.identity.command import identity
from collector.command import collector as collector_command
from tests import ports
from tests.provisioning.identities import Provisioned, RunningBroker

LIMIT_S = 60.0


class Place:
    """Made in `folder`; `close` ends what runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = Provisioned(folder)
        self.data = folder / "collector"
        self.settings = folder / "collector.toml"
        self.intake_port = ports.take_one()
        self._broker: AbstractContextManager[RunningBroker] | None = None
        self.broker: RunningBroker
        self.collector: subprocess.Popen[bytes] | None = None

    def device(self, name: str) -> Path:
        """Give a device its identity and its data directory."""
        given = self.world.device(name)
        data = self.folder / f"device-{name}"
        done = CliRunner().invoke(identity, ["install", str(given), "--data", str(data)])
        assert done.exit_code == 0, done.output
        return data

    def start_broker(self) -> None:
        """Start it, or start it again on the same port; what it knew it has forgotten."""
        self.stop_broker()
        self._broker = self.world.broker()
        self.broker = self._broker.__enter__()
        if not self.settings.exists():
            self.settings.write_text(
                f'[broker]\nuse = "localhost:{self.broker.port}"\n'
                f'[trust]\ndevices = "{self.world.authority}"\nidentity = "{self.world.collector}"\n'
                f'[intake]\nport = {self.intake_port}\nidentity = "{self.folder / "broker"}"\n'
            )

    def stop_broker(self) -> None:
        held, self._broker = self._broker, None
        if held is not None:
            held.__exit__(None, None, None)

    def start_collector(self, *program: str, wait: bool = True) -> None:
        """Start it by `program`, else as users do; `wait` until it is ready."""
        command = program or (sys.executable, "-c", "from collector.command import collector; collector()")
        with (self.folder / "collector.stderr").open("ab") as errors:
            self.collector = subprocess.Popen(
                [*command, "--config", str(self.settings), "--data", str(self.data), "--port", "0"],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        end_s = time.monotonic() + LIMIT_S
        while wait and "listening" not in self.collector_says():
            assert self.collector.poll() is None, self.collector_says()
            assert time.monotonic() < end_s, self.collector_says()
            time.sleep(0.02)

    def collector_says(self) -> str:
        with suppress(FileNotFoundError):
            return (self.folder / "collector.stderr").read_text(errors="replace")
        return ""

    def kill_collector(self) -> None:
        if self.collector is not None:
            with suppress(ProcessLookupError):
                self.collector.send_signal(signal.SIGKILL)
            self.collector.wait(LIMIT_S)

    def audit(self, *words: str) -> tuple[int, str]:
        """Run `tidegauge collector audit` beside whatever runs; return its exit status and what it printed."""
        done = CliRunner().invoke(
            collector_command, ["--config", str(self.settings), "audit", "--data", str(self.data), *words]
        )
        return done.exit_code, done.output

    def close(self) -> None:
        self.kill_collector()
        self.stop_broker()
