"""A program that the collector starts, keeps alive and ends: started again when it dies, never left behind.

What program it is and how one knows that it answers, its subclass says. It must never outlive the collector
(`collector.guard`), and its own words go to a file of its own.
"""

import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO, Final

from collector.errors import CollectorError

READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 5.0
RESTART_WAITS_S: Final = (0.1, 0.5, 2.0, 5.0)
"""The wait before the first, second, … restart in a row; the last for all after."""


class SupervisedChild(ABC):
    """A child called `name`: `start` it, know it by `pid`, `stop` it. Restarted when it dies.

    `on_restart` is told so, from a thread of this class. `fault` is what is raised where it cannot be started.
    """

    fault: type[CollectorError] = CollectorError

    def __init__(self, name: str, log_path: Path, *, on_restart: Callable[[str], None]) -> None:
        self.name = name
        self.log_path = log_path
        """Where the child's own words go."""
        self._on_restart = on_restart
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._raised: CollectorError | None = None
        # The kernel takes the thread that started the child for its parent: this one lives as long as it.
        self._thread = threading.Thread(target=self._supervise, name=name)

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its arguments, with what it reads written. Raises `fault`."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it does what it is there for."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it is reached, in words for an operator."""

    @property
    def pid(self) -> int | None:
        """The process id of the child, None when it is not running."""
        with self._lock:
            return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers. Raises `fault`, with its last words."""
        try:
            self.log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log_path.write_bytes(b"")
        except OSError as error:
            raise self.fault(f"{self.log_path.parent}: cannot be written ({error.strerror})") from error
        self._thread.start()
        self._settled.wait()
        if self._raised is not None:
            self._thread.join()
            raise self._raised

    def stop(self) -> None:
        """End it and wait until it has ended."""
        self._stopping.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()
        if self._thread.ident is not None:
            self._thread.join()

    def _supervise(self) -> None:
        try:
            self._launch()
        except self.fault as error:
            self._raised = error
            return
        finally:
            self._settled.set()
        while not self._stopping.is_set():
            how = _how(self._wait())
            if not self._stopping.is_set():
                self._on_restart(f"{self.name} ended ({how}); starting it again on {self.where}")
                self._restart()
        if self._process is not None:
            self._wait()

    def _restart(self) -> None:
        for failures in count():
            if self._stopping.wait(RESTART_WAITS_S[min(failures, len(RESTART_WAITS_S) - 1)]):
                return
            try:
                self._launch()
            except self.fault as error:
                if not self._stopping.is_set():
                    self._on_restart(str(error))
            else:
                return

    def _launch(self) -> None:
        """Start the program and wait until it answers. Raises `fault`, and then it is not running."""
        with self.log_path.open("ab") as output:
            process = self._spawn(output)
        pause = threading.Event()
        for _ in range(int(READY_TIMEOUT_S / 0.02)):
            if self._stopping.is_set() or self.answers():
                return
            if process.poll() is not None:
                self._wait()
                raise self.fault(
                    f"{self.name} did not start on {self.where} ({_how(process.returncode)}): {self._last_words()}"
                )
            pause.wait(0.02)
        process.kill()
        self._wait()
        raise self.fault(f"{self.name} did not answer within {READY_TIMEOUT_S:.0f} s: {self._last_words()}")

    def _spawn(self, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        guard = [sys.executable, "-m", "collector.guard", str(os.getpid())]
        with self._lock:
            if self._stopping.is_set():
                raise self.fault(f"{self.name} was not started: the collector is ending")
            try:
                self._process = subprocess.Popen(
                    guard + self.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C in the terminal is for the collector, which ends us in order.
                )
            except OSError as error:
                raise self.fault(f"{self.name} cannot be started ({error.strerror})") from error
            return self._process

    def _wait(self) -> int:
        """Wait until the child has ended, with force once it was asked to and does not; return its code."""
        process = self._process
        assert process is not None
        while True:
            try:
                code = process.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                if self._stopping.is_set():
                    process.kill()
        with self._lock:
            self._process = None
        return code

    def _last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").split("\n")
        return " / ".join(line for line in lines if line.strip())[-500:] or "it said nothing"


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
