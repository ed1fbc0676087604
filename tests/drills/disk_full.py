"""The disk fills up in the middle of everything, refuses writes for a while, and comes back.

On a small tmpfs of its own (mount namespace): records are stored, acknowledged and given up while another file takes
the space away, to the last block, and gives it back. For the read-only part strace answers every write of this
process with EROFS for a while, as a card does that the kernel has remounted. Measuring must never stop, acknowledging
must work on the full disk, and at the end every record that got a number is stored or under a tombstone; those that
never got one are counted in a record that says so.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from appliance.outbox import group_commit
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage.quota import Quota
from firmware.model.record import Record
from tests.drills.audit import audit
from tests.drills.exchange import Collector, deliver
from tests.firmware.records import tcp_record

DEVICE: Final = "a1b2c3d4e5f6g7h8"
MOUNT: Final = 'mount -t tmpfs -o size=24m tmpfs "$1" && exec "$2" -m tests.drills.disk_full "$1" "$3" "$4"'


def drill(*, times: int, seed: int) -> bool:
    """Fill `times` disks."""
    rng = random.Random(seed)
    ok = True
    for _ in range(times):
        with tempfile.TemporaryDirectory() as disk, tempfile.TemporaryDirectory() as other:
            unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-rm"]
            command = [
                *unshare,
                "sh",
                "-c",
                MOUNT,
                "sh",
                disk,
                sys.executable,
                str(rng.randrange(2**32)),
                other,
            ]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            print(f"  {ended.stdout.strip()}")
            if ended.returncode:
                print(ended.stderr[-2000:])
            ok = ok and ended.returncode == 0
    return ok


class Filler:
    """Another user of the disk: takes space away, to the last block, and gives it back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        with contextlib.suppress(OSError), self._path.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        self._path.unlink(missing_ok=True)


def refuse_writes() -> subprocess.Popen[bytes]:
    """Let every write of this process to a file fail with EROFS until the returned process is ended."""
    calls = "pwrite64,fdatasync,ftruncate,fallocate"
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EROFS"]
    tracer = subprocess.Popen(["strace", "-f", "-qq", *inject, "-o", "/dev/null", "-p", str(os.getpid())])
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if "TracerPid:\t0" not in Path("/proc/self/status").read_text():
            return tracer
        time.sleep(0.01)
    raise AssertionError("strace did not attach")


def allow_writes(tracer: subprocess.Popen[bytes]) -> None:
    tracer.send_signal(signal.SIGINT)
    tracer.wait(20)


def main() -> None:
    """One disk, filled and emptied; ends with an audit."""
    disk, seed, other = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    rng = random.Random(seed)
    collector = Collector(other)
    lost_records = {"told": 0}

    def account(count: int, reason: str) -> Record:
        lost_records["told"] += count
        return tcp_record(0, test="gap", failure="result_lost")

    # Half of them as a device does, half as one whose disk has been full for long.
    group_commit.PATIENT_RECORDS = rng.choice([500, 50])  # type: ignore[misc]
    outbox = Outbox.open(disk / "outbox.sqlite3", device=DEVICE, quota=Quota(path=disk / "outbox.sqlite3"))
    store = GroupCommit(outbox, account=account)
    filler = Filler(disk / "filler")
    made = full = acked_full = refused = 0
    for tick in range(120):
        is_full = False
        if tick % 12 == 5:
            filler.fill()
            is_full = True
            full += 1
        for _ in range(rng.randint(10, 60)):
            made += 1
            store.add(tcp_record(made, failure=rng.choice([None, None, None, "connection_reset"])), 0)
        store.commit(0)
        if is_full and outbox.counts().waiting:
            before = outbox.counts()
            deliver(outbox, collector, rounds=3)
            after = outbox.counts()
            assert after.acknowledged > before.acknowledged, "nothing could be acknowledged on a full disk"
            acked_full += after.acknowledged - before.acknowledged
        if tick % 12 == 9:
            filler.empty()
        if tick == 60 and shutil.which("strace"):
            tracer = refuse_writes()
            for number in range(60):
                made += 1
                store.add(tcp_record(made), 0)
                refused += not store.commit(number)
            allow_writes(tracer)
            assert refused == 60, "the disk was not read-only"
            assert store.commit(0), store.fault
    filler.empty()
    assert store.commit(0) or not store.fault, store.fault
    counts = outbox.counts()
    outbox.close()
    collector.close()
    held = disk / "outbox.sqlite3"
    for path in (held, held.with_name(held.name + "-wal"), held.with_name(held.name + ".epoch")):
        if path.exists():
            shutil.copy(path, other / path.name)
    wrong = audit(other, device=DEVICE, durable=0)
    accounts = counts.produced - (made - store.given_up_ever)
    if accounts < 0:
        wrong.append(
            f"{made} made, {counts.produced} numbered, only {store.given_up_ever} given up in memory"
        )
    print(
        f"{made:,} measured, {full} times full, {acked_full:,} acknowledged on a full disk, {refused} commits refused"
        f" by a read-only one, {counts.given_up:,} given up and told, {store.given_up_ever} never stored and counted"
        f" by {lost_records['told']}: {'; '.join(wrong) or 'exact'}"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
