"""The collector as users run it: a process of its own, known by its ready file."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.collector.scripted_device import WAIT_S
from tests.waiting import until

COMMAND = (sys.executable, "-c", "from collector.command import collector; collector()")


class CollectorProcess:
    """Starts `tidegauge collector` and waits until it is ready. Use it as a context manager: it is killed at the end."""

    def __init__(
        self,
        data: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        program: tuple[str, ...] = COMMAND,
    ) -> None:
        self._errors = data.with_name(data.name + ".stderr")
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*program, "--data", str(data), "--port", "0", *options],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **(environment or {})},
            )
        ready = data / "collector.json"

        def is_ready() -> bool:
            assert self.process.poll() is None, self.errors
            # The pid tells this one's file from one that a killed collector left.
            return ready.exists() and json.loads(ready.read_text())["pid"] == self.process.pid

        try:
            until(is_ready, lambda: f"ready: {self.errors}")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.facts: dict[str, Any] = json.loads(ready.read_text())
        self.host: str = self.facts["broker_host"]
        self.port: int = self.facts["broker_port"]

    @property
    def errors(self) -> str:
        """What it has said to its operator so far."""
        return self._errors.read_text()

    def get(self, path: str) -> bytes:
        """Return what the page serves at `path`."""
        with urllib.request.urlopen(self.facts["page_url"] + path, timeout=WAIT_S) as response:
            body: bytes = response.read()
            return body

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def wait_until_gone(pid: int) -> None:
    """Wait until no process `pid` runs (a zombie does not)."""

    def gone() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z"

    until(gone, f"the end of process {pid}")
