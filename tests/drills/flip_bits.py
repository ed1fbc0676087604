"""One bit of one row flipped, in any table: a start, an export, a send and an append all go on, and only that row may be lost.

    python -m tests.drills flip-bits [--times N] [--seed N]

Every bit of every byte of one whole row of each table (the pointer to its cell, its header, its values), of the pointer to every row
that waits, and bytes drawn from 60 rows; each flipped while the device is off, the pointers' while it runs, and half of the drawn ones. Where a row stands is found by
`tests.drills.cells`, what has to arrive is known from `tests.drills.flip_scene`: neither asks the code on trial.
"""

import contextlib
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from appliance.delivery.messages.batches import TooLarge, pack, pack_tombstones
from appliance.delivery.messages.headline import with_headline
from appliance.delivery.removable.command import to_directory
from appliance.device import Device
from appliance.errors import ApplianceError
from appliance.export import waiting as to_export
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import RETRY_NS
from appliance.settings import DeviceSettings
from appliance.storage.datadir import DataDir
from appliance.storage.recovery import salvage
from appliance.views import status
from firmware.model.jsontypes import JsonObject
from firmware.model.plan import Plan
from firmware.model.record import Record, RecordIdentity, to_json
from firmware.model.seqs import SeqRanges
from firmware.net.loop import boottime_ns
from firmware.plans import load as plans
from firmware.wire.bundle_file import BundleFile
from firmware.wire.messages import (
    Ack,
    Tombstone,
    decode_ack,
    decode_batch,
    decode_hello,
    encode_ack,
    encode_hello,
)
from tests.drills.cells import Cell, cells
from tests.drills.flip_scene import Name, build, made
from tests.english import ENGLISH

OUTBOX: Final = "outbox.sqlite3"
DRAWN_ROWS: Final = 60
_STEPS: Final = 8
SHOWN: Final = 5
"""Faults printed of each table."""
_TELL_EVERY: Final = 1000
WHOLE_FROM: Final = 2000
"""From so many drawn bits on every bit of the whole rows is flipped; below, as many of them are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One bit: of which row, where in the file, and whether the device runs meanwhile."""

    cell: Cell
    at: int
    bit: int
    running: bool = False

    def __str__(self) -> str:
        where = f"byte {self.at - self.cell.start} of row {self.cell.rowid} of {self.cell.table}"
        return f"{where}, bit {self.bit}{', while it runs' if self.running else ''} (file offset {self.at})"

    def where_it_is_now(self, found: Mapping[str, Sequence[Cell]]) -> "Flip":
        """Return the same bit of the same row, wherever it has moved; of the first that is left, where it has gone."""
        rows = found.get(self.cell.table) or found["state"]
        cell = next((one for one in rows if one.rowid == self.cell.rowid), rows[0])
        return replace(self, cell=cell, at=cell.places[self.cell.places.index(self.at) % len(cell.places)])

    def do(self, path: Path) -> None:
        """Flip it on the disk."""
        with path.open("r+b") as file:
            file.seek(self.at)
            (byte,) = file.read(1)
            file.seek(self.at)
            file.write(bytes([byte ^ (1 << self.bit)]))


@dataclass(slots=True)
class Heard:
    """What a collector has: each record as it came first, and what it was told is gone."""

    stored: dict[Name, JsonObject] = field(default_factory=dict)
    gone: dict[Name, str] = field(default_factory=dict)
    beyond: list[str] = field(default_factory=list)

    def take(self, payload: bytes) -> str:
        """Take one batch; return its epoch."""
        batch = decode_batch(payload)
        for seq, record in zip(batch.seqs, batch.records, strict=True):
            before = self.stored.setdefault((batch.epoch, seq), dict(record))
            if before != dict(record):
                self.beyond.append(f"{batch.epoch} {seq} arrived twice, with two contents")
        self._take_tombstones(batch.epoch, batch.tombstones)
        return batch.epoch

    def _take_tombstones(self, epoch: str, tombstones: Iterable[Tombstone]) -> None:
        for one in tombstones:
            if not 0 < one.low <= one.high < 10_000 or one.count != one.high - one.low + 1:
                self.beyond.append(f"an impossible tombstone: {one}")
                continue
            self.gone |= {(epoch, seq): one.reason for seq in range(one.low, one.high + 1)}

    def ack(self, epoch: str, incarnation: str) -> Ack:
        """Return what is answered: all that is here of the epoch."""
        held = SeqRanges.of(seq for name, seq in (*self.stored, *self.gone) if name == epoch)
        return decode_ack(encode_ack(Ack(epoch=epoch, upto=0, ranges=held, incarnation=incarnation)))


class Bench:
    """The scene, built once, copied for each trial; `folder` is for its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.truth = build(folder / "scene")
        self.cells = cells(folder / "scene" / OUTBOX)
        self.plan: Plan = plans.load()
        reserve = folder / "scene" / f"{OUTBOX}.reserve"
        reserve.unlink(missing_ok=True)

    def whole_rows(self) -> Iterator[Flip]:
        """Give every bit of one row of each table: of the schema every row."""
        for table, rows in self.cells.items():
            for cell in rows if table == "sqlite_master" else [rows[len(rows) // 2]]:
                for at in cell.places:
                    for bit in range(8):
                        yield Flip(cell=cell, at=at, bit=bit)

    def pointers(self) -> Iterator[Flip]:
        """Give every bit of every pointer to a row that waits, while the device runs: it hides the row and shows another."""
        for cell in self.cells["waiting"]:
            for at in cell.places[:2]:
                for bit in range(8):
                    yield Flip(cell=cell, at=at, bit=bit, running=True)

    def drawn(self, rng: random.Random, count: int) -> Iterator[Flip]:
        """Give `count` bits of drawn bytes of 60 rows, half of them while the device runs."""
        rows = [cell for table in self.cells.values() for cell in table]
        first = [rng.choice(table) for table in self.cells.values()]
        chosen = [*first, *rng.sample(rows, DRAWN_ROWS - len(first))]
        for number in range(count):
            cell = chosen[number % DRAWN_ROWS]
            yield Flip(
                cell=cell, at=rng.choice(cell.places), bit=rng.randrange(8), running=rng.random() < 0.5
            )

    def trial(self, flip: Flip) -> list[str]:
        """Return what was wrong."""
        self._number += 1
        folder = self._folder / f"trial-{self._number}"
        shutil.copytree(self._folder / "scene", folder)
        try:
            return _Trial(self, folder, flip).run()
        finally:
            shutil.rmtree(folder)


class _Trial:
    def __init__(self, bench: Bench, folder: Path, flip: Flip) -> None:
        self._bench = bench
        self._truth = bench.truth
        self._folder = folder
        self._flip = flip
        self._made = dict(bench.truth.every)
        self._number = 1000
        self._heard = Heard()
        self._heads: dict[str, int] = {}
        self.wrong: list[str] = []

    def run(self) -> list[str]:
        """Go through it all."""
        steps = ("running",) if self._flip.running else ("export", "lines", "status", "off")
        if not self._flip.running:
            self._flip.do(self._folder / OUTBOX)
        for step in (*steps, "again"):
            try:
                getattr(self, f"_{step}")()
            except Exception as error:  # noqa: BLE001 - whatever it is, it stops a device
                self.wrong.append(f"{step}: {type(error).__name__}: {str(error)[:200]}")
        self._judge()
        return self.wrong

    # What is done.

    def _export(self) -> None:
        """Write a bundle as `tidegauge export --to` does."""
        out = self._folder / "drive"
        out.mkdir()
        to_directory(self._folder, out, country="xx")
        heard = Heard()
        for bundle in out.rglob("*.bundle"):
            with bundle.open("rb") as file:
                for message in BundleFile(file):
                    if message.leaf == "hello":
                        decode_hello(message.payload)
                    else:
                        heard.take(message.payload)
        self._compare("export", heard)

    def _lines(self) -> None:
        """Write lines as `tidegauge export` does."""
        heard = Heard()
        with Outbox.open_for_export(self._folder / OUTBOX) as outbox:
            for stored in to_export((*outbox.past(), outbox)):
                heard.stored[stored.epoch, stored.seq] = _object(stored.body)
        self._compare("lines", heard)

    def _status(self) -> None:
        status.in_words(status.look(self._folder), ENGLISH)

    def _off(self) -> None:
        with self._started() as (device, outbox):
            self._go_on(device, outbox)

    def _running(self) -> None:
        with self._started() as (device, outbox):
            with outbox.clone() as sender:
                self._send(sender, batches=1, newest=True)
            outbox._handle.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._flip = self._flip.where_it_is_now(cells(self._folder / OUTBOX))
            self._flip.do(self._folder / OUTBOX)
            self._go_on(device, outbox)

    def _again(self) -> None:
        """Start a second time: there is nothing more to find, or what nobody had read."""
        with self._started() as (device, outbox):
            self._go_on(device, outbox)
            if outbox.counts().waiting:
                self.wrong.append(f"{outbox.counts()} at the end")

    @contextlib.contextmanager
    def _started(self) -> Iterator[tuple[Device, Outbox]]:
        """Start a device as `tidegauge device` does, up to its loop."""
        with (
            DataDir.open(self._folder, patient=True) as data,
            Outbox.open(data.outbox, device=data.device, patient=True) as outbox,
        ):
            self._watch(outbox)
            settings = DeviceSettings(data=self._folder)
            device = Device(settings, self._bench.plan, data, outbox, listeners=[])
            try:
                yield device, outbox
            finally:
                device._sync.stop()
                device._usb_drives.stop()
                device._notifier.close()
                device._selector.close()
                device._wake.close()
                device._waker.close()

    def _go_on(self, device: Device, outbox: Outbox) -> None:
        """Measure and send in turns, the sender on a connection of its own, as the threads do."""
        store = device._journal._store
        now_ns = boottime_ns()
        for step in range(_STEPS):
            if step == 0 or outbox.is_damaged or store.held:
                # Damage is found by whoever reads it; it is recovered by the next commit.
                self._number += 1
                store.add(made(self._number), now_ns)
            now_ns += 2 * RETRY_NS
            store.commit(now_ns)
            with contextlib.suppress(ApplianceError), outbox.clone() as sender:
                self._send(sender)
                if not sender.counts().waiting and not sender.past() and not sender.tombstones(1):
                    break
        if store.fault or store.held:
            self.wrong.append(f"{store.held} results are not stored: {store.fault}")

    def _send(self, outbox: Outbox, *, batches: int = 10, newest: bool = False) -> None:
        """Send as `appliance.delivery.network.session` and `appliance.delivery.network.ended_epochs` do."""
        for _ in range(batches):
            busy = False
            rounds = outbox.recent_rounds(60)
            for box in (outbox, *outbox.past()):
                if box.incarnation:
                    box.note_incarnation()
                hello = box.hello(software="drill", country="xx")
                told = decode_hello(encode_hello(with_headline(hello, rounds)))
                self._heads[told.epoch] = max(told.high, self._heads.get(told.epoch, 0))
                tombstones = box.tombstones(50)
                rows = box.newest(60) if newest else box.oldest(400)
                if not rows and not tombstones:
                    continue
                busy = True
                if rows:
                    packed = pack(
                        [(row.seq, row.body) for row in rows],
                        device=box.device,
                        epoch=box.epoch,
                        max_bytes=16_000,
                        bytes_a_record=20,
                        tombstones=tombstones,
                        incarnation=box.incarnation,
                    )
                    assert not isinstance(packed, TooLarge)
                    payload = packed.payload
                else:
                    payload = pack_tombstones(
                        tombstones, device=box.device, epoch=box.epoch, incarnation=box.incarnation
                    )
                incarnation = told.incarnations[0][0] if told.incarnations else ""
                box.acknowledge(self._heard.ack(self._heard.take(payload), incarnation))
            if not busy:
                return

    def _watch(self, outbox: Outbox) -> None:
        """Note which name each record is given from here on."""
        append = outbox.append

        def noted(records: Sequence[Record], *, given_up: int = 0) -> list[RecordIdentity]:
            names = append(records, given_up=given_up)
            for name, record in zip(names, records, strict=True):
                if (name.epoch, name.seq) in self._made:
                    self.wrong.append(f"{name} was given twice")
                self._made[name.epoch, name.seq] = to_json(record)
            return names

        outbox.append = noted  # type: ignore[method-assign]

    # What is found.

    @property
    def _damaged(self) -> set[Name]:
        """The record that may be lost, if there is one."""
        cell = self._flip.cell
        return {self._truth.name(cell.rowid)} if cell.table == "waiting" else set()

    def _compare(self, what: str, heard: Heard) -> None:
        """Find what is wrong with an export."""
        truth = self._truth
        self.wrong += [f"{what}: {one}" for one in heard.beyond]
        self.wrong += [f"{what}: {name} is changed" for name in heard.stored if self._is_changed(heard, name)]
        self._tell(f"{what}: not exported", truth.waiting - self._damaged - heard.stored.keys())
        known = truth.given_up | truth.quarantined | self._damaged
        self._tell(f"{what}: tombstones of what is not given up", heard.gone.keys() - known)

    def _judge(self) -> None:
        """Find what is wrong with what came by the network."""
        heard, truth = self._heard, self._truth
        new = self._made.keys() - truth.every.keys()
        self.wrong += heard.beyond
        self.wrong += [f"{name} is changed" for name in heard.stored if self._is_changed(heard, name)]
        self._tell("never arrived", (truth.waiting | new) - self._damaged - heard.stored.keys())
        self._tell("neither here nor told", self._damaged - heard.stored.keys() - heard.gone.keys())
        self._tell("given up, and not told", (truth.given_up | truth.quarantined) - heard.gone.keys())
        delivered = truth.every.keys() - truth.waiting - truth.given_up - truth.quarantined
        # What had been delivered when the damage was found may be told of as damaged "unless it was delivered before".
        doubtful = {
            name for name in delivered | heard.stored.keys() if heard.gone.get(name) == salvage.DAMAGED
        }
        known = truth.given_up | truth.quarantined | self._damaged | doubtful
        self._tell("tombstones of what is not given up", heard.gone.keys() - known)
        for epoch in truth.epochs:
            high = max(seq for name, seq in self._made if name == epoch)
            if self._heads.get(epoch, high) > high or (
                self._heads and self._heads.get(epoch, high) < truth.high(epoch)
            ):
                self.wrong.append(
                    f"{epoch} has given {high}, and was told to have given {self._heads.get(epoch)}"
                )

    def _is_changed(self, heard: Heard, name: Name) -> bool:
        return self._made.get(name) != heard.stored[name]

    def _tell(self, what: str, names: Collection[Name]) -> None:
        if names:
            self.wrong.append(f"{what}: {len(names)}, as {min(names)}")


def _object(body: str) -> JsonObject:
    found: JsonObject = json.loads(body)
    return found


def folder_in_memory() -> Path | None:
    """Return where files are in memory, None where nowhere: that they are durable is not on trial here."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


def flips(bench: Bench, *, times: int, rng: random.Random, whole: bool) -> list[Flip]:
    """Return what is flipped: `times` drawn bits, and every bit of the whole rows and of the pointers, or so many of each."""
    every, pointers = list(bench.whole_rows()), list(bench.pointers())
    if not whole:
        every, pointers = (
            rng.sample(every, min(times, len(every))),
            rng.sample(pointers, min(times // 2, len(pointers))),
        )
    return [*every, *pointers, *bench.drawn(rng, times)]


def run(bench: Bench, chosen: Sequence[Flip]) -> Counter[str]:
    """Try each; print what was wrong, and return how often in which table ("" counts the trials)."""
    found: Counter[str] = Counter()
    began = time.monotonic()
    for number, flip in enumerate(chosen, start=1):
        found[""] += 1
        if number % _TELL_EVERY == 0:
            print(
                f"  {number:,} of {len(chosen):,} bits, {sum(found.values()) - number} cost more than their row,"
                f" {time.monotonic() - began:,.0f} s so far",
                flush=True,
            )
        wrong = bench.trial(flip)
        if wrong:
            found[flip.cell.table] += 1
            if found[flip.cell.table] <= SHOWN:
                print(f"  {flip}: {'; '.join(wrong)[:400]}", flush=True)
    return found


def drill(*, times: int, seed: int) -> bool:
    """Flip every bit of a whole row of each table, and `times` drawn ones; print how many of them cost more than a row."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=folder_in_memory()) as name:
        bench = Bench(Path(name))
        chosen = flips(bench, times=times, rng=rng, whole=times >= WHOLE_FROM)
        tables = Counter(flip.cell.table for flip in chosen)
        found = run(bench, chosen)
    for table, count in sorted(tables.items()):
        print(f"  {count:>6} bits of {table}: {found[table]} cost more than their row")
    return not any(count for table, count in found.items() if table)
