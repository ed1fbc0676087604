"""Load on the machine while probes are timed: stress-ng (Debian), one kind at a time and all together."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.timing.lab import program, stopping

IDLE: Final = "idle"
LOADS: Final = {
    "cpu": ["--cpu", "{n}"],
    "fork": ["--fork", "{n}"],
    "switch": ["--switch", "{n}"],
    "hdd": ["--hdd", "1", "--hdd-bytes", "64m"],
}
ALL: Final = "all"
_SETTLE_S: Final = 1.0


def conditions() -> list[str]:
    """Return the conditions there can be here: idle alone without stress-ng."""
    return [IDLE, *LOADS, ALL] if program("stress-ng") else [IDLE]


@contextlib.contextmanager
def load(condition: str, folder: Path) -> Iterator[None]:
    """Keep the machine busy in the way named."""
    if condition == IDLE:
        yield
        return
    chosen = LOADS if condition == ALL else {condition: LOADS[condition]}
    words = [program("stress-ng") or "stress-ng", "--quiet", "--temp-path", str(folder)]
    for options in chosen.values():
        words += [option.format(n=os.cpu_count() or 1) for option in options]
    with (
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        stopping(process),
    ):
        time.sleep(_SETTLE_S)
        yield
