"""A censor for a test or a scenario: the process, started where the caller is, changed, read and ended.

It must never outlive its `with` block.
"""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Self, TextIO

from firmware.model.jsontypes import JsonObject
from tests.nation.censor import control

_ROOT: Final = Path(__file__).parents[3]
_START_S: Final = 30
_STOP_S: Final = 10


class CensorError(RuntimeError):
    """The censor did not start, or refused its rules. The message is what it said."""


class Censor:
    """A censor between two interfaces of the caller's network namespace: `between` is (inside, outside).

    `rules` is the text of a rules file; `log` is where its events are appended. Raises `CensorError` on entry
    where it does not come up, and on exit where it has ended by itself.
    """

    def __init__(self, between: tuple[str, str], rules: str, log: Path) -> None:
        self._between = between
        self._rules = rules
        self._log = log
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._errors: TextIO | None = None
        self._control = Path()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="censor-")))
        path, self._control = folder / "rules.toml", folder / "control"
        path.write_text(self._rules, encoding="utf-8")
        words = [sys.executable, "-m", "tests.nation.censor", "--between", *self._between]
        words += ["--rules", str(path), "--log", str(self._log.absolute()), "--control", str(self._control)]
        errors = self._stack.enter_context((folder / "errors").open("w+", encoding="utf-8"))
        self._log.touch()
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=_ROOT, stdin=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._errors = errors
        ready, _, _ = select.select([self._process.stdout], [], [], _START_S)
        if not ready or self._process.stdout.readline() != "READY\n":
            said = self._end() or f"not ready after {_START_S} s"
            self._stack.close()
            raise CensorError(said)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        died = self._process.poll() is not None
        said = self._end()
        self._stack.close()
        if died:
            raise CensorError(f"the censor ended by itself, status {self._process.returncode}: {said}")

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself: then nothing passes any more."""
        assert self._process is not None
        return self._process.poll() is not None

    def change(self, rules: str) -> None:
        """Use other rules from now on. Raises `CensorError` with every fault; the old ones stay then."""
        answer = control.change(self._control, rules.encode())
        faults = answer.get("faults")
        if isinstance(faults, list):
            raise CensorError("\n".join(str(fault) for fault in faults))

    def events(self) -> list[JsonObject]:
        """Return everything logged so far, in order."""
        lines = self._log.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def _end(self) -> str:
        """End the process; return what it said to its standard error."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read().strip()
