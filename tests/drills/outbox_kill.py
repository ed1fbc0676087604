"""`kill -9` of the outbox's writer at random moments and at every named step, again and again on the same files.

After each kill the next one goes on with what it finds; every so often all is delivered and the account must be
exact: what was told to be durable is stored or under a tombstone, once, and both sides' figures add up.
"""

import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.drills.audit import audit
from tests.drills.outbox_writer import DEVICE, STEPS

AUDIT_EVERY = 5
MOST = 60
"""Kills on the same files; then a fresh pair, so that the audits stay quick."""


def drill(*, times: int, seed: int) -> bool:
    """Kill `times` times; print what was found."""
    rng = random.Random(seed)
    kills: dict[str, int] = {}
    durable_ever, audits, ok = 0, 0, True
    done = 0
    while done < times and ok:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            durable = 0
            for number in range(min(MOST, times - done)):
                step = "any" if (done + number) % 2 else STEPS[(done + number) // 2 % len(STEPS)]
                durable, killed = one(folder, rng, step, durable)
                kills[step if killed else f"{step} (not reached)"] = (
                    kills.get(step if killed else f"{step} (not reached)", 0) + 1
                )
                if number % AUDIT_EVERY == AUDIT_EVERY - 1 or number == min(MOST, times - done) - 1:
                    wrong = audit(folder, device=DEVICE, durable=durable)
                    audits += 1
                    durable = recount(folder)
                    for line in wrong:
                        print(f"  kill {done + number + 1}, {step}: {line}")
                    ok = ok and not wrong
            done += min(MOST, times - done)
            durable_ever += durable
    for step, count in sorted(kills.items()):
        print(f"  {count:>5} × {step}")
    print(f"{done:,} kills, {durable_ever:,} records, {audits:,} audits: {'exact' if ok else 'NOT exact'}")
    return ok


def one(folder: Path, rng: random.Random, step: str, durable: int) -> tuple[int, bool]:
    """Run the writer until it is killed; return how many records were told durable, and whether it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.drills.outbox_writer", str(folder), str(rng.randrange(2**32)), step],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if step == "any":
        first = process.stdout.readline()
        time.sleep(rng.random() * 0.25)
        process.send_signal(signal.SIGKILL)
    else:
        first = ""
    out, err = process.communicate(timeout=120)
    for line in (first + out).splitlines():
        with contextlib.suppress(ValueError):
            durable = max(durable, int(line.removeprefix("made ")))
    if process.returncode not in {0, -signal.SIGKILL}:
        raise AssertionError(err)
    return durable, process.returncode == -signal.SIGKILL


def recount(folder: Path) -> int:
    """Return how many records there are: what was committed but not told before the kill counts too."""
    from appliance.outbox.box import Outbox

    with Outbox.open_read_only(folder / "outbox.sqlite3") as outbox:
        return outbox.counts().produced
