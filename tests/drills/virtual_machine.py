"""Power cuts for real: a virtual machine that writes both databases is killed in mid-write, and audited at the next boot.

The machine has a disk for the device's outbox and one for the collector's store, ext4 as Debian mounts it. A cut is
SIGKILL to the emulator after a random number of writes to a disk, and takes three things: what the guest's kernel
had not written yet, what the emulator had not handed over, and what the disks held in their caches
(`virtual_machine_disk`). One cut in five falls into mounting, auditing and recovery after the one before. Then
it starts again on the same disks (`virtual_machine_boot`), and the guest (`virtual_machine_guest`) audits them through the product.

Two controls say that this loses what it should: a file beside the outbox, written as often and never synced; and disks
that lie about a flush, which the audit must notice. The seed gives the same writers and the same lengths, not
the same instants: the machine's own timing is not held.
"""

import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.drills.virtual_machine_boot import Machine

CUTS_A_SERIES: Final = 10
WRITES: Final = 400
"""A cut comes after at most so many writes since the first record that was told to be durable."""
WRITES_RECOVERING: Final = 40


@dataclass
class Found:
    """What a run of the drill has seen so far."""

    cuts: int = 0
    recovering: int = 0
    records: int = 0
    audits: int = 0
    held: int = 0
    dropped: int = 0
    control_looked_at: int = 0
    control_lost: int = 0
    wrong: int = 0


def series(machine: Machine, rng: random.Random, found: Found, *, cuts: int) -> list[str]:
    """Cut the power `cuts` times on the same disks, audit after each, and return what was wrong at the first fault."""
    told, expected = 0, None
    for number in range(cuts + 1):
        from_start = 0 < number < cuts and rng.random() < 0.2
        after = rng.randint(1, WRITES_RECOVERING if from_start else WRITES) if number < cuts else None
        boot = machine.run(
            told, seed=rng.randrange(2**32), entropy=rng.randbytes(32), after=after, from_start=from_start
        )
        if boot.control is not None and expected is not None:
            found.control_looked_at += 1
            found.control_lost += boot.control < expected
        found.audits += boot.audited and number > 0
        if boot.wrong:
            return boot.wrong
        if after is not None:
            for disk in machine.disks:
                held, dropped = disk.cut(rng)
                found.held += held
                found.dropped += dropped
            found.cuts += 1
            found.recovering += not boot.made
        if boot.made:
            expected = boot.told
        elif boot.control is not None:
            expected = None  # looked at once for each cut in mid-write
        found.records += boot.told - told
        told = boot.told
    return []


def drill(*, times: int, seed: int, lying: int = 3) -> bool:
    """Cut the power `times` times, then some more with disks that lie, and print what was found."""
    need()
    rng = random.Random(seed)
    found, false, noticed = Found(), Found(), 0
    with tempfile.TemporaryDirectory() as name:
        machine = Machine(Path(name))
        try:
            while found.cuts < times:
                machine.new_disks()
                before = found.cuts
                for line in series(machine, rng, found, cuts=min(CUTS_A_SERIES, times - found.cuts)):
                    print(f"  cut {found.cuts}: {line}", flush=True)
                    found.wrong += 1
                print(f"  {found.cuts} cuts, {found.records:,} records", flush=True)
                if found.cuts == before:
                    break
            for _ in range(lying):
                machine.new_disks(lie=True)
                noticed += bool(series(machine, rng, false, cuts=3))
        finally:
            machine.close()
    print(
        f"{found.cuts} cuts ({found.recovering} while recovery from the one before), {found.records:,} records durable "
        f"before them, {found.audits} audits: {'NOT exact' if found.wrong else 'exact'}"
    )
    print(f"  of {found.held:,} writes in the disks' caches {found.dropped:,} were lost or torn")
    print(
        f"  the control, never synced, had lost what it was told in {found.control_lost} of {found.control_looked_at}"
    )
    print(f"  disks that lie about a flush: noticed in {noticed} of {lying}")
    return not found.wrong and found.control_lost > 0 and (noticed > 0 or not lying)


def need(*more: tuple[str, str]) -> None:
    """End with the command that mends it where a program is not there; `more` are (program, package)."""
    for program, package in (
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("/sbin/mkfs.ext4", "e2fsprogs"),
        *more,
    ):
        if shutil.which(program) is None:
            raise SystemExit(f"needs {program}: sudo apt-get install --no-install-recommends {package}")
