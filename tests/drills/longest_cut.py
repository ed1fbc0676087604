"""The longest cut on record: 87 days, an 8 GB card, 30 power cuts, in virtual time on the real device and outbox.

    python -m tests.drills longest-cut [--days 87] [--cuts 30] [--cap-mb N] [--made-days N] [--drain-s N] [--seed N]

The real `Device` measures Iran's plan at its own cadence on a line that `longest_cut_line` draws, in virtual time, and stores
on a card of 8 GB (`longest_cut_card`). The power is cut at random moments, and again a few rounds later; each time it starts again,
up to hours later, from what the cut left. The drill's own log of digests, outside of card and product, says at the end whether every record
that was durable waits, unchanged, or is under a tombstone. Then: the start with all of it from a cold card, and a real
drain to the real broker and collector on loopback. With `--made-days` the days after those repeat their records (see
`longest_cut_device`): to make 87 days takes an hour, and to store them a fifth of that.
"""

import argparse
import multiprocessing
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.events import Event, OutboxChanged
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from appliance.transports import Ports
from tests.drills.longest_cut_audit import audit, device_of, show
from tests.drills.longest_cut_card import Card, Tracer, card
from tests.drills.place import Place

DEVICE: Final = "longestcutlonges"
DAYS: Final = 87.0
CUTS: Final = 30
DRAIN_S: Final = 120.0
LINE_BIT_S: Final = 64_000
WIRE_BYTES: Final = 105.0
"""A record up the wire in a drain over a thin line: `python -m tests.drills drain`, docs/explanation/sync.md."""
_TOLD_LENGTH: Final = 4000
_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _NS
_T = TypeVar("_T")


def options(words: list[str]) -> dict[str, float]:
    """Return what the command's own options ask for, as `drill` takes it."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills longest-cut")
    parser.add_argument("--days", type=float, help=f"how long the cut is ({DAYS:g})")
    parser.add_argument("--cuts", type=int, help=f"how often the power is cut ({CUTS})")
    parser.add_argument("--cap-mb", type=int, help="the outbox's cap; 0 for the product's own")
    parser.add_argument(
        "--made-days", type=float, help="how many days are measured; the others repeat them (all)"
    )
    parser.add_argument(
        "--drain-s", type=float, help=f"how long it is drained at most; 0 for not ({DRAIN_S:g})"
    )
    return {key: value for key, value in vars(parser.parse_args(words)).items() if value is not None}


@dataclass(slots=True)
class Device:
    """The process that measures and stores, and what it said last."""

    process: "subprocess.Popen[str]"
    errors: Path
    made: int = 0
    opened_s: float = 0.0

    def paused(self) -> int:
        """Wait until it has done what it was told; return its time since the beginning."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.partition(" ")
            if word == "paused":
                return int(rest)
            if word == "made":
                self.made = int(rest)
            elif word == "opened":
                self.opened_s = float(rest)
        told = self.errors.read_text(errors="replace")[-_TOLD_LENGTH:]
        raise RuntimeError(
            f"the device ended by itself, status {self.process.wait()}, and said last:\n{told}"
        )

    def end(self) -> None:
        """Let go of it: it was killed."""
        with self.process:
            self.process.wait()

    def order(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()


def drill(
    *,
    times: int,
    seed: int,
    days: float = DAYS,
    cuts: int = CUTS,
    cap_mb: int = 0,
    made_days: float = 0.0,
    drain_s: float = DRAIN_S,
) -> bool:
    """Play it `times` times and print what was found."""
    ok = True
    for number in range(times):
        with tempfile.TemporaryDirectory() as name, card(Path(name)) as lent:
            ok &= _play(
                Path(name), lent, seed=seed + number, days=days, cuts=cuts, cap_mb=cap_mb,
                made_days=made_days or days, drain_s=drain_s,
            )  # fmt: skip
    return ok


def _play(
    where: Path,
    card: Card,
    *,
    seed: int,
    days: float,
    cuts: int,
    cap_mb: int,
    made_days: float,
    drain_s: float,
) -> bool:
    rng = random.Random(seed)
    place = Place(where / "place") if drain_s and shutil.which("mosquitto") else None
    data = card.folder / "data"
    if place is not None:
        shutil.copytree(place.device(DEVICE), data)
    else:
        data.mkdir()
    log = where / "log"
    free = card.free_bytes()
    end_ns = round(days * _DAY_NS)
    # What is told again must have been made first: an outage could last longer than the days that are.
    first_ns = max(end_ns // 20, round(made_days * _DAY_NS) if made_days < days else 0)
    at_ns = sorted(rng.randrange(first_ns, end_ns) for _ in range(cuts))
    # As of mains that flicker: every second one comes a few rounds after the start that the one before it made necessary.
    at_ns[1::2] = at_ns[: cuts - 1 : 2]
    since_ns, written, torn, began = 0, 0, 0, time.monotonic()
    for number, until_ns in enumerate([*at_ns, end_ns]):
        before = card.written_bytes()
        device = _start(data, log, seed, days, since_ns, cap_mb, made_days, errors=log.with_suffix(".stderr"))
        since_ns = max(since_ns, device.paused())
        device.order(f"UNTIL {max(since_ns, until_ns)}")
        since_ns = device.paused()
        written += card.written_bytes() - before
        if number < cuts:
            tracer = Tracer(data, where / "base", device.process.pid, device.made or _lines(log))
            device.order(f"ROUNDS {rng.randint(1, 4)}")
            since_ns = device.paused()
            cut = tracer.cut(rng)
            torn += cut.lost
            _forget_after(log, cut.told)
            since_ns += round(rng.uniform(0.01, 2.0) * 3600) * _NS
        else:
            device.process.kill()
        device.end()
        size = (data / "outbox.sqlite3").stat().st_size
        print(
            f"  day {since_ns / _DAY_NS:5.1f}: {_lines(log):,} durable, {size / 2**20:,.0f} MiB,"
            f" {time.monotonic() - began:,.0f} s so far",
            flush=True,
        )
    print(f"  {cuts} power cuts; {torn} writes were lost or torn by them", flush=True)
    wrong, tally = _apart(audit, data, log)
    show(tally)
    rest = f"{free / 1e9:.1f} GB were free before, {card.free_bytes() / 1e9:.1f} GB are after"
    print(
        f"  {written / days / 1e6:,.1f} MB written to the card a day (its own count, with ext4's); {rest}",
        flush=True,
    )
    if card.device == "":
        print("  (the card is a folder: what was written to it was not counted)")
    card.cool()
    _apart(_start_cold, data)
    if place is not None:
        try:
            wrong += _drain(place, data, drain_s)
        finally:
            place.close()
    for line in wrong:
        print(f"  WRONG: {line}", flush=True)
    return not wrong


def _start(*words: object, errors: Path) -> Device:
    """Start it with `words`, as `longest_cut_device` takes them."""
    command = [sys.executable, "-m", "tests.drills.longest_cut_device", *map(str, words)]
    with errors.open("a") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        return Device(process=process, errors=errors)


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _forget_after(log: Path, told: int) -> None:
    """Keep the first `told` lines: what comes after them may be durable or not. They go to a file beside it."""
    with log.open("r+b") as file:
        for _ in range(told):
            file.readline()
        at = file.tell()
        with log.with_suffix(".maybe").open("ab") as maybe:
            maybe.write(file.read())
        file.truncate(at)


def _apart(do: Callable[..., _T], *arguments: object) -> _T:
    """Do it in a process of its own: what it has opened on the card is closed then, and the card can be taken out."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(do, *arguments).result()


def _start_cold(data: Path) -> None:
    """Print how long a start takes from a card of which memory holds nothing."""
    device = device_of(data)
    size = (data / "outbox.sqlite3").stat().st_size
    begun = time.monotonic()
    with Outbox.open(data / "outbox.sqlite3", device=device, patient=True) as outbox:
        returned_s = time.monotonic() - begun
        outbox.wait_until_ready(3600)
        if not outbox.is_open:
            outbox.retry_open()
        ready_s = time.monotonic() - begun
        hello = outbox.hello(software="drill", country="ir")
        hello_s = time.monotonic() - begun
    print(
        f"  start from a cold card: measuring after {returned_s:.3f} s, checked after {ready_s:.2f} s"
        f" ({1000 * ready_s / (size / 2**20):.2f} ms a MiB of {size / 2**20:,.0f}), first hello after {hello_s:.2f} s;"
        f" a card that reads 40 MB/s: {size / 40e6:.0f} s; {hello.waiting:,} wait",
        flush=True,
    )


def _drain(place: Place, data: Path, limit_s: float) -> list[str]:
    """Drain to the real collector on loopback, for so long at most; print how quick it is."""
    place.world.write_broker()
    place.start_broker()
    place.start_collector()
    empty = threading.Event()

    def notify(event: Event) -> None:
        if isinstance(event, OutboxChanged) and event.waiting == 0:
            empty.set()

    with DataDir.open(data) as lent, Outbox.open(lent.outbox, device=lent.device) as outbox:
        waiting = outbox.counts().waiting
        files = IdentityFiles(data=data)
        sync = Sync(
            SyncSettings(
                host="localhost", ports=Ports(wss=0, mqtts=place.broker.port, https=0), retry_max_s=1.0
            ),
            outbox,
            software="drill",
            country="ir",
            notify=notify,
            identity=lambda: DeviceIdentity.load(files, device=lent.device),
        )
        begun = time.monotonic()
        sync.start()
        all_gone = empty.wait(limit_s)
        took_s = time.monotonic() - begun
        sync.stop()
        left = outbox.counts().waiting
    sent = waiting - left
    rate = sent / took_s
    print(
        f"  drain on loopback: {sent:,} of {waiting:,} in {took_s:.0f} s ({rate:,.0f} records/s"
        + ("" if all_gone else f"; all of it: {waiting / max(rate, 1e-9) / 60:.0f} min")
        + f"); over {LINE_BIT_S // 1000} kbit/s, at {WIRE_BYTES:.0f} bytes a record: {waiting * WIRE_BYTES * 8 / LINE_BIT_S / 3600:.1f} h",
        flush=True,
    )
    code, said = place.audit()
    if sent and (not code or (not all_gone and _only_missing(said) in range(1, left + 1))):
        return []
    return [f"{left:,} wait on the card, and the collector's audit ended with {code}: {said[-300:]}"]


def _only_missing(said: str) -> int:
    """Return how many records an audit misses that finds nothing else wrong; 0 where it says another thing.

    What the end of a drain left on the card is not at the collector. An ack that came too late leaves less than that.
    """
    found = re.search(r"NOT all accounted for: ([\d,]+) not here, 0 faults", said)
    return 0 if found is None else int(found[1].replace(",", ""))
