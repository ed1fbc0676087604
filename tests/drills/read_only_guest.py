"""The first process of the virtual machine of the read-only drill: it stores records while its disk refuses them.

On the serial line, in: `go ENTROPY SEED BOUND TICK` (BOUND: records held in memory; TICK: after so many ticks it has the
kernel remount every disk read-only, 0 for never), later `writable`: try to mount the disk for writing again. Out: `up`;
`wrong …` for each fault of the audit; `has RANGES` (records at the collector), `gaps N` (how many the gap records there
count), `counts UNSTORED`, `audited`; then for each tick `added FIRST LAST`, and `stored RANGES GONE` (these are on the disk
by now, GONE were given up before them), or `held N GONE ERRNO FAULT` (they are in memory; ERRNO is the kernel's against
a new file, 0 where it takes one). `emergency` says that everything was remounted; the answer to `writable` is `rw` or
`stuck ERRNO`. It must never hide an exception.
"""

import contextlib
import json
import os
import random
import select
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance.outbox import group_commit
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage.errors import OutboxError
from firmware.model.record import Record
from tests.drills.audit import audit
from tests.drills.exchange import Collector, deliver
from tests.drills.outbox_writer import DEVICE
from tests.drills.virtual_machine_guest import (
    COLLECTOR_DISK,
    DEVICE_DISK,
    mount,
    mount_disk,
    ordered,
    print_files,
    told_on_failure,
)
from tests.firmware.records import tcp_record

_REMOUNT: Final = 32
_OPTIONS: Final = "errors=remount-ro"
"""As Debian's installer writes it for the disk of the system."""
_TICK_S: Final = 0.02


def main() -> None:
    """Mount, audit, and store until the power is cut."""
    with told_on_failure():
        seed, bound, tick = (int(word) for word in ordered())
        mount_disk("vda", DEVICE_DISK, _OPTIONS)
        mount_disk("vdb", COLLECTOR_DISK)
        account(DEVICE_DISK, COLLECTOR_DISK)
        group_commit.MAX_HELD = bound  # type: ignore[misc]
        work(DEVICE_DISK, COLLECTOR_DISK, seed=seed, tick=tick, ticks=10**9)


def account(device: Path, collector: Path) -> None:
    """Bring all to the collector, and print whether the account is exact, and what is there."""
    with contextlib.suppress(FileExistsError):
        (device / "collector.sqlite3").symlink_to(collector / "collector.sqlite3")
    for line in audit(device, device=DEVICE, durable=0):
        print(f"wrong {line}", flush=True)
    with Outbox.open(device / "outbox.sqlite3", device=DEVICE) as outbox:
        unstored = outbox.counts().unstored
    there = Collector(collector)
    records = [json.loads(body) for body in there.bodies()]
    there.close()
    numbers = sorted(record["round_id"] for record in records if record["test"] == "tcp")
    told = sum(record["detail"]["count"] for record in records if record["test"] == "gap")
    print(f"has {ranges(numbers)}", flush=True)
    print(f"gaps {told}\ncounts {unstored}\naudited", flush=True)


def gap(count: int, reason: str) -> Record:
    """Return the record of how many were given up."""
    assert reason, "records were given up and nobody said why"
    made = tcp_record(0, test="gap", failure="result_lost")
    return replace(made, outcome=replace(made.outcome, detail={"count": count}))


def work(device: Path, collector_folder: Path, *, seed: int, tick: int, ticks: int) -> None:
    """Add records and commit, tick by tick; now and then the collector takes some."""
    rng = random.Random(seed)
    collector = Collector(collector_folder)
    outbox = Outbox.open(device / "outbox.sqlite3", device=DEVICE)
    store = GroupCommit(outbox, account=gap)
    made = 1_000_000 * outbox.counts().produced
    """No number is used again, also not one that a cut took from the memory."""
    for number in range(1, ticks + 1):
        first, count = made + 1, rng.randint(1, 30)
        made += count
        for one in range(first, made + 1):
            store.add(tcp_record(one, failure=rng.choice([None, None, "connection_reset"])), number)
        print(f"added {first} {made}", flush=True)
        held = ranges(record.round_id or 0 for record, _ in store._held)
        gone = store.given_up
        if store.commit(number):
            print(f"stored {held} {gone}", flush=True)
        else:
            print(f"held {len(store._held)} {store.given_up} {refusal(device)} {store.fault}", flush=True)
            # What is on the disk can be read all the same.
            assert len(outbox.newest(5)) == min(5, outbox.counts().waiting)
        if rng.random() < 0.3:
            # As the sender has it: what cannot be acknowledged now is sent again.
            with contextlib.suppress(OutboxError):
                deliver(outbox, collector, rounds=1)
        if number == tick:
            remount_all_read_only(device, collector_folder)
        if ticks > 1000 and select.select([sys.stdin], [], [], _TICK_S)[0]:
            sys.stdin.readline()
            print(remounted(device), flush=True)
    outbox.close()
    collector.close()


def ranges(numbers: Iterable[int]) -> str:
    """Return `1-3,7-9` for 1, 2, 3, 7, 8, 9; "-" for none."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" for first, last in runs) or "-"


def refusal(where: Path) -> int:
    """Return the error that the kernel has against a new file there, 0 for none."""
    try:
        descriptor = os.open(where / "probe", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, b"x" * 512)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            (where / "probe").unlink()
    except OSError as error:
        return error.errno or -1
    return 0


def remount_all_read_only(device: Path, collector: Path) -> None:
    """Have the kernel remount every disk read-only (sysrq), then the collector's, another machine's in truth, back."""
    Path("/proc/sysrq-trigger").write_text("u")
    end = time.monotonic() + 20
    while not all(os.statvfs(disk).f_flag & os.ST_RDONLY for disk in (device, collector)):
        if time.monotonic() > end:
            raise OSError("the disks did not become read-only")
        time.sleep(0.01)
    mount("/dev/vdb", collector, "ext4", flags=_REMOUNT)
    print("emergency", flush=True)


def remounted(where: Path) -> str:
    """Mount it for writing again where the kernel lets it."""
    with contextlib.suppress(OSError):
        mount("/dev/vda", where, "ext4", flags=_REMOUNT)
    number = refusal(where)
    return f"stuck {number}" if number else "rw"


def rehearse() -> None:
    """Do all of it once in a folder, and print the files this process needed."""
    with tempfile.TemporaryDirectory() as name:
        device, collector = Path(name, "device"), Path(name, "collector")
        device.mkdir()
        collector.mkdir()
        account(device, collector)
        work(device, collector, seed=1, tick=0, ticks=10)
        account(device, collector)
    print_files()


if __name__ == "__main__":
    rehearse() if sys.argv[1:] == ["rehearse"] else main()
