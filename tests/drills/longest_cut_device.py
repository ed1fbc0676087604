"""The device of the longest cut: the real `Device`, its journal, schedule, rounds, store and outbox, in virtual time.

    python -m tests.drills.longest_cut_device FOLDER LOG SEED DAYS SINCE_NS CAP_MB MADE_DAYS

Only the edges are not real: its clocks (time passes when the loop waits), the worker (a `Line` says what a measurement
brings), the sender (nobody answers; it tells of its tries where abroad seems to be back) and the USB drives. It goes on from what lies in FOLDER, as
a device does that is switched on, `SINCE_NS` after the beginning. On its input, a line `ROUNDS N` (or `UNTIL NS`) at a time lets it go
on; it answers `paused NS` on its output. After MADE_DAYS nothing is measured any more: what was committed from the second of them on
is told again and again, each record with times, a boot and a round of its own, by the real store. For every record that is durable a line goes to LOG, outside of the card and
of the product: `SEQ DAY VALUE KIND DIGEST`, and then `made N` to its output, N being the log's lines.
"""

import contextlib
import ctypes
import gc
import hashlib
import itertools
import pickle
import random
import selectors
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final
from unittest import mock

from appliance import device as device_module
from appliance.device import Device
from appliance.measuring import journal as journal_module
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.settings import DeviceSettings
from appliance.storage.datadir import DataDir
from appliance.storage.quota import Quota
from appliance.storage.tables import rows
from appliance.storage.tables.priority import LastSeen, facts_of
from firmware.clock import clocks
from firmware.clock.clocks import SyncPoint
from firmware.model.record import Record, RecordIdentity
from firmware.plans.load import load
from tests.drills.longest_cut_edges import NS, NoSticks, SilentSync, Time, VirtualSelector, VirtualWorker
from tests.drills.longest_cut_line import Line, Sky

_SET_PTRACER: Final = 0x59616D61
DAY_NS: Final = 86_400 * NS


class Log:
    """The drill's own account of what was durable, outside of the card and of the product."""

    def __init__(self, path: Path, passed: Time) -> None:
        self.count = sum(1 for _ in path.open("rb")) if path.exists() else 0
        self._file = path.open("a", encoding="ascii")
        self._time = passed
        self._memory = LastSeen()

    def durable(self, records: Sequence[Record], identities: Sequence[RecordIdentity]) -> None:
        day = self._time.since_ns // DAY_NS
        for record, identity in zip(records, identities, strict=True):
            value = self._memory.add(identity.seq, facts_of(record)).value
            digest = hashlib.blake2b(rows.body_of(record).encode(), digest_size=12).hexdigest()
            kind = {"ladder": "c", "gap": "g"}.get(record.test, "f" if record.outcome.failure else "s")
            self._file.write(f"{identity.seq} {day} {int(value)} {kind} {digest}\n")
        self._file.flush()
        self.count += len(records)
        print(f"made {self.count}", flush=True)


class Watched(Outbox):
    """The outbox, with what it says is durable noted in `log`, and on `tape` to be told again."""

    log: Log
    tape: "Tape"

    def append(self, records: Sequence[Record], *, given_up: int = 0) -> list[RecordIdentity]:
        identities = super().append(records, given_up=given_up)
        self.log.durable(records, identities)
        self.tape.note(records)
        return identities


class Tape:
    """What was committed and when, from the second day to the last that is made, kept in a file over our restarts."""

    def __init__(self, path: Path, passed: Time, until_ns: int) -> None:
        self._path, self._time, self._until_ns = path, passed, until_ns
        self._from_ns = min(DAY_NS, until_ns // 2)
        self._commits: list[tuple[int, tuple[Record, ...]]] = []
        if path.exists():
            # Written by ourselves, into the drill's own folder.
            self._commits = pickle.loads(path.read_bytes())

    def note(self, records: Sequence[Record]) -> None:
        if self._from_ns <= self._time.since_ns < self._until_ns:
            self._commits.append((self._time.since_ns, tuple(records)))

    def keep(self) -> None:
        """Write it down."""
        self._path.write_bytes(pickle.dumps(self._commits, protocol=5))

    def again(self) -> Iterator[tuple[int, int, tuple[Record, ...]]]:
        """Yield (when, by how much later than the first time, records) from now on, without end."""
        if not self._commits:
            raise RuntimeError("nothing was made that could be told again")
        span_ns = self._until_ns - self._from_ns
        for lap in itertools.count(1):
            for when_ns, records in self._commits:
                if when_ns + lap * span_ns >= self._time.since_ns:
                    yield when_ns + lap * span_ns, lap * span_ns, records


class Orders:
    """What the drill says on our input: until when to go on."""

    def __init__(self, passed: Time, rounds: Callable[[], int], tape: Tape) -> None:
        self._time, self._round, self._tape = passed, rounds, tape
        self._until_ns = 0
        self._until_round = 0

    def __call__(self) -> None:
        """Wait for the next order, when the last one has been carried out."""
        while self._time.since_ns >= self._until_ns and self._round() >= self._until_round:
            self._tape.keep()
            print(f"paused {self._time.since_ns}", flush=True)
            words = sys.stdin.readline().split()
            if not words:
                sys.exit(0)
            self._until_ns, self._until_round = 0, 0
            if words[0] == "UNTIL":
                self._until_ns = int(words[1])
            else:
                self._until_round = self._round() + int(words[1])


def tell_again(outbox: Outbox, tape: Tape, passed: Time, boot_id: str, paused: Callable[[], None]) -> None:
    """Store what is on `tape` again and again, as the device's loop does: added, then committed."""

    def account(count: int, reason: str) -> Record:
        raise RuntimeError(f"{count} records were given up from memory: {reason}")

    store = GroupCommit(outbox, account=account)
    for when_ns, later_ns, records in tape.again():
        paused()
        passed.since_ns = max(passed.since_ns, when_ns)
        for record in records:
            store.add(_later(record, later_ns, boot_id), passed.boottime_ns())
        while not store.commit(passed.boottime_ns()):
            if store.fault:
                raise RuntimeError(store.fault)
            outbox.wait_until_ready(3600)
        TOLD[0] += 1


TOLD: Final = [0]
"""Commits told again by this process."""


def _later(record: Record, later_ns: int, boot_id: str) -> Record:
    start = record.start
    return replace(
        record,
        boot_id=boot_id,
        round_id=None if record.round_id is None else record.round_id + later_ns // (30 * NS),
        slot_boottime_ns=record.slot_boottime_ns + later_ns,
        start=replace(start, boottime_ns=start.boottime_ns + later_ns, utc_ns=start.utc_ns + later_ns),
    )


def main() -> None:
    """Run until the input ends, or we are killed."""
    folder, log_path = Path(sys.argv[1]), Path(sys.argv[2])
    seed, days, since_ns, cap_mb = int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
    until_ns = round(float(sys.argv[7]) * DAY_NS)
    passed = Time(since_ns)
    plan = load("ir")
    rng = random.Random(f"{seed} {since_ns}")
    line = Line(plan=plan, days=days, seed=seed)
    boot_id = str(rng.randbytes(16).hex())
    boot_id = "-".join((boot_id[:8], boot_id[8:12], boot_id[12:16], boot_id[16:20], boot_id[20:]))

    def timesync() -> SyncPoint | None:
        """Return what timesyncd knows: it is right while the line is well, and has nobody to ask afterwards."""
        if line.sky(passed.since_ns) is not Sky.WELL:
            return None
        boottime_ns, utc_ns = passed.now()
        point_ns = boottime_ns - boottime_ns % (2048 * NS)
        return SyncPoint(boottime_ns=point_ns, utc_ns=utc_ns - (boottime_ns - point_ns), error_ns=20_000_000)

    made: list[Device] = []
    tape = Tape(log_path.with_suffix(".tape"), passed, until_ns)
    paused = Orders(passed, lambda: made[0]._journal.state.round_id if made else TOLD[0], tape)

    def look() -> None:
        """Wait for orders, and end the device where nothing is to be made any more."""
        paused()
        if passed.since_ns >= until_ns:
            made[0].stop()

    VirtualSelector.passed = passed
    VirtualSelector.paused = staticmethod(look)
    patches: list[AbstractContextManager[object]] = [
        mock.patch.object(clocks, "now", passed.now),
        mock.patch.object(clocks, "read_boot_id", return_value=boot_id),
        mock.patch.object(clocks, "read_timesync", timesync),
        mock.patch.object(device_module, "boottime_ns", passed.boottime_ns),
        mock.patch.object(journal_module, "boottime_ns", passed.boottime_ns),
        mock.patch.object(selectors, "DefaultSelector", VirtualSelector),
        mock.patch.object(device_module, "Worker", return_value=VirtualWorker(line, passed, rng)),
        mock.patch.object(device_module, "Sync", lambda *_, notify, **__: SilentSync(passed, notify, rng)),
        mock.patch.object(device_module, "UsbDriveWatch", NoSticks),
    ]
    # Whoever started us may have strace look, also where the system lets nobody but a parent.
    ctypes.CDLL(None).prctl(_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    gc.disable()  # nothing here is in circles that matter, and looking for them takes a tenth of the time
    with contextlib.ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        data = stack.enter_context(DataDir.open(folder))
        begun = time.monotonic()
        quota = Quota(path=data.outbox, cap_bytes=cap_mb << 20) if cap_mb else None
        outbox = Watched.open(
            data.outbox, device=data.device, utc_ns=passed.utc_ns, quota=quota, patient=True
        )
        outbox.log, outbox.tape = Log(log_path, passed), tape
        outbox.wait_until_ready(3600)
        print(f"opened {time.monotonic() - begun:.3f}", flush=True)
        if since_ns < until_ns:
            made.append(Device(DeviceSettings(country="ir"), plan, data, outbox, listeners=()))
            made[0].run()
            made.clear()
            tape.keep()
        tell_again(outbox, tape, passed, boot_id, paused)


if __name__ == "__main__":
    main()
