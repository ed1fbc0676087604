"""One command a drill. Each prints its seed first; the same seed does the same again.

    python -m tests.drills NAME [--times N] [--seed N] [options of NAME]

It ends with 1 when what must hold did not hold. A short form of each runs in `./test`.
"""

import argparse
import importlib
import secrets
import sys
from typing import Final

DRILLS: Final = {
    "clock": ("tests.drills.clock", 1000, "random histories of boots, drifts and sync points, re-timed"),
    "outbox-kill": (
        "tests.drills.outbox_kill",
        1000,
        "kill -9 of the outbox's writer, anywhere and at each step",
    ),
    "kill": (
        "tests.drills.kill",
        1000,
        "kill -9 of device, worker, broker and collector, at random and at each step",
    ),
    "hostile": (
        "tests.drills.hostile",
        3,
        "one device floods, forges, replays, inflates, sends 100 MB; another delivers",
    ),
    "one-judgement": (
        "tests.drills.one_judgement",
        10_000,
        "drawn rounds judged by the device and, from its records, by the collector: the same words for the same reasons",
    ),
    "fleet": (
        "tests.drills.fleet",
        1,
        "5,000 simulated devices come back at once, to a collector and to one 10 times slower",
    ),
    "protocol": (
        "tests.drills.protocol",
        30,
        "acks lost, doubled, reordered, negative; a broker that forgets; poison",
    ),
    "power-cut": (
        "tests.drills.power_cut",
        100,
        "unsynced writes lost, torn and reordered, on both databases",
    ),
    "virtual-machine": (
        "tests.drills.virtual_machine",
        100,
        "a virtual machine killed in mid-write, again and again, on both databases",
    ),
    "read-only": (
        "tests.drills.read_only",
        30,
        "a virtual machine's disk goes read-only under the device, and comes back",
    ),
    "usb-drive": (
        "tests.drills.usb_drive",
        30,
        "a USB drive with FAT or exFAT, pulled from device and collector in mid-write",
    ),
    "longest-cut": (
        "tests.drills.longest_cut",
        1,
        "87 days of a cut on an 8 GB card with 30 power cuts, in virtual time; start, drain, wear",
    ),
    "disk-full": ("tests.drills.disk_full", 20, "the disk fills, is mounted read-only, and comes back"),
    "damage": ("tests.drills.damage", 200, "bytes of the outbox overwritten, and what is salvaged of it"),
    "flip-bits": (
        "tests.drills.flip_bits",
        2000,
        "every bit of a whole row of each table, and drawn ones: start, export, send, append",
    ),
    "backlog": (
        "tests.drills.backlog",
        1,
        "an insert and a batch read at 10 thousand, 1 and 10 million rows",
    ),
    "siege": (
        "tests.drills.siege",
        1_000_000,
        "an hour of everything at real device, broker and collector: kills, bits, full disks, clocks, a stolen key",
    ),
    "drain": (
        "tests.drills.drain",
        1,
        "a backlog over a thin line that is back, steady or cut: minutes, bytes, headline",
    ),
    "wear": ("tests.drills.wear", 1, "bytes written to the card a day at the default cadence"),
}


def main() -> int:
    """Run the drill that was named."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<12} {words}" for name, (_, _, words) in DRILLS.items()),
    )
    parser.add_argument("name", choices=DRILLS)
    parser.add_argument("--times", type=int, help="how often (each drill has its own default)")
    parser.add_argument("--seed", type=int, help="repeat the trial that had this seed")
    chosen, more = parser.parse_known_args()
    module, times, words = DRILLS[chosen.name]
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    print(f"{chosen.name}: {words}; seed {seed}", flush=True)
    named = importlib.import_module(module)
    if more and not hasattr(named, "options"):
        parser.error(f"{chosen.name} has no options of its own; found {' '.join(more)}")
    options = named.options(more) if more else {}
    ok = named.drill(times=chosen.times or times, seed=seed, **options)
    print("all held" if ok else "NOT ALL HELD", flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
