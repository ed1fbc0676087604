"""An hour's siege of real devices, broker and collector: everything the outbox may meet, and an account outside the product.

Several `tidegauge device` run, with the short cadence of `CALM_S`, mosquitto with TLS, `tidegauge collector`, in namespaces of
their own. One fault after the other is drawn from the seed, done to one device (`tests.drills.siege_faults`, and those
below), most of them with a backlog behind a line that is cut. After each the device must measure again, and every record
that it ever called durable must be at the collector with the content it had, once, or be named by a tombstone or reject there. Every
ten minutes and at the end all is drained and `tidegauge collector audit` must agree. `--product` besieges another checkout.

A stolen key is a theft (`tests.drills.siege_theft`): devices believe the thief, and what it acknowledged must come in all the same.

What no account can survive is left out: database or log destroyed and every sidecar too before the device has started again.
The device's keys and its lock are not touched; certificates are checked by the true time, whatever the clock jumps to.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests import needs
from tests.drills import siege_faults, siege_theft
from tests.drills.disk_full import Filler
from tests.drills.siege_account import Identity, Standing
from tests.drills.siege_faults import Done
from tests.drills.siege_scene import Device, Scene, SceneError
from tests.drills.siege_threads import ThreadFaults
from tests.servers.http import http, page
from tests.servers.tcp import TcpServer

CALM_S: Final = 2
"""From round to round; users' devices take minutes."""
MINUTES: Final = 60.0
LEG_S: Final = 600.0
"""So often all comes to rest and is audited."""
START_S: Final = 60.0
"""Within this a device must call a new record durable, whatever was done to it."""
RESOLVE_S: Final = 90.0
"""Within this, with broker and collector there, every record must be stored or accounted for."""
LINE_LOSS: Final = 60
"""Records that one flipped bit may cost at the most, with account."""
PAUSE_S: Final = 0.2
SINGLE_BITS: Final = ("flip-log", "flip-database", "round-text")
PROCESSES: Final = ("kill-device", "kill-worker", "kill-broker", "kill-collector")
DISKS: Final = ("full-disk", "full-disk-start", "read-only", "read-only-start")
OTHERS: Final = ("clock-jump", "stolen-key")
KINDS: Final = (*siege_faults.STOPPED, *siege_faults.RUNNING, *PROCESSES, *DISKS, *OTHERS)
REFUSED_CALLS: Final = "pwrite64,fdatasync,ftruncate,fallocate"
NAMES: Final = ("a1b2c3d4e5f6g7h8", "b1b2c3d4e5f6g7h8", "c1b2c3d4e5f6g7h8", "d1b2c3d4e5f6g7h8")
INSIDE: Final = "TIDEGAUGE_SIEGE_INSIDE"


def options(more: list[str]) -> dict[str, Any]:
    """Read the options of this drill."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills siege")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--only", default="", help=f"kinds of fault, with commas: {', '.join(KINDS)}")
    parser.add_argument("--product", type=Path, help="another checkout of the product to besiege")
    parser.add_argument("--devices", type=int, default=3, choices=range(1, len(NAMES) + 1))
    parser.add_argument("--keep", type=Path, help="where all files are kept, in any case")
    parser.add_argument("--first", action="store_true", help="end at the first failure")
    found = vars(parser.parse_args(more))
    found["only"] = tuple(one for one in found["only"].split(",") if one)
    if unknown := set(found["only"]) - set(KINDS):
        parser.error(f"--only: found {', '.join(sorted(unknown))}; allowed is {', '.join(KINDS)}")
    return found


def drill(
    *,
    times: int,
    seed: int,
    minutes: float = MINUTES,
    only: tuple[str, ...] = (),
    product: Path | None = None,
    devices: int = 3,
    keep: Path | None = None,
    first: bool = False,
) -> bool:
    """Besiege for `minutes`, or until `times` faults were done; print what was found, and keep the files if anything was."""
    folder = Path(tempfile.mkdtemp(prefix="siege-")) if keep is None else keep
    folder.mkdir(parents=True, exist_ok=True)
    orders = {
        "times": times,
        "seed": seed,
        "minutes": minutes,
        "only": only,
        "product": str((product or needs.ROOT).absolute()),
        "devices": devices,
        "folder": str(folder.absolute()),
        "first": first,
    }
    # A network without a way out, mounts and processes of its own: with the last of them all others end.
    words = [*needs.namespace_command(), "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*words, sys.executable, "-m", "tests.drills.siege", json.dumps(orders)]
    ok = subprocess.run(command, cwd=needs.ROOT, env={**os.environ, INSIDE: "1"}, check=False).returncode == 0
    if ok and keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"files kept in {folder}", flush=True)
    return ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that must not be: at which fault, and where what it was found on is kept."""

    number: int
    kind: str
    device: str
    what: str


class FailedError(Exception):
    """A fault ended otherwise than it must; the message says how."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """One kind of fault: how often, and what it cost with account."""

    drawn: int = 0
    put_in: int = 0
    """How often it was really done: there may have been nothing to do it to."""
    failed: int = 0
    gone: int = 0
    most: int = 0
    slowest_s: float = 0.0


class Gate:
    """Faults of one device go on side by side; what touches all of them waits until those are over."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._alone = False

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Be inside."""
        with self._condition:
            self._condition.wait_for(lambda: not self._alone)
            self._alone = alone
            if alone:
                self._condition.wait_for(lambda: self._inside == 0)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._alone = self._alone and not alone
                self._condition.notify_all()


@dataclass(slots=True, kw_only=True)
class Orders:
    """What is to be done; as it came from outside the namespaces."""

    times: int
    seed: int
    minutes: float
    only: tuple[str, ...]
    product: str
    devices: int
    folder: str
    first: bool


class Siege:
    """One siege, from its first leg to its table."""

    def __init__(self, scene: Scene, orders: Orders, threads: ThreadFaults) -> None:
        self._scene = scene
        self._orders = orders
        self._threads = threads
        self._is_broken = False
        self._began_s = time.monotonic()
        self._deck = _deck(orders)
        self._number = 0
        self._lock = threading.Lock()
        self._gate = Gate()
        self.failures: list[Failure] = []
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._last_harm: dict[str, str] = {}
        self._thefts: list[siege_theft.Outcome] = []
        self._believed: siege_theft.Believed | None = None
        """What the theft that goes on came to; no other fault goes on beside it."""
        self._notes: Counter[str] = Counter()
        self._ended_by_themselves = 0
        self._did_not_start = 0

    def run(self) -> bool:
        """Run it; return whether nothing failed."""
        end_s = self._began_s + self._orders.minutes * 60
        while not self._is_over(end_s):
            for device in self._scene.devices:
                device.start()
            leg_end_s = min(end_s, time.monotonic() + LEG_S)
            with ThreadPoolExecutor(len(self._scene.devices), thread_name_prefix="besieged") as pool:
                besieged = [pool.submit(self._besiege, device, leg_end_s) for device in self._scene.devices]
            for one in besieged:
                one.result()  # what nobody foresaw ends the siege, and never one device's part of it alone
            self._rest_and_audit()
        self._show()
        return not self.failures and not self._threads.found

    def _is_over(self, end_s: float) -> bool:
        if self._is_broken or self._threads.found:
            return True
        spent = self._number >= self._orders.times or (self._orders.first and bool(self.failures))
        return spent or time.monotonic() >= end_s

    def _next(self) -> tuple[int, str]:
        with self._lock:
            self._number += 1
            return self._number, next(self._deck)

    # One fault after the other.

    def _besiege(self, device: Device, end_s: float) -> None:
        try:
            self._put_in_faults(device, end_s)
        except BaseException:
            self._is_broken = True  # the other devices' threads end as well
            raise

    def _put_in_faults(self, device: Device, end_s: float) -> None:
        try:
            self._await_start(device)
        except FailedError as error:
            self._fail(0, "start", device, str(error), [])
            self._rescue(device)
        while not self._is_over(end_s):
            number, kind = self._next()
            with self._gate.entered(alone=kind == "stolen-key"):
                self._one(device, number, kind)

    def _one(self, device: Device, number: int, kind: str) -> None:
        rng = random.Random(f"{self._orders.seed}/{number}")
        account = device.account
        account.read()
        gone_before = len(account.gone)
        began_s = time.monotonic()
        words: list[str] = []
        failed, put_in = "", False
        try:
            self._be_behind(rng, device, kind, words)
            put_in = True  # a device that fails meanwhile fails under it
            put_in = self._do(rng, device, kind, words)
            words.append(f"measures again after {self._await_start(device):.1f} s")
            self._await_account(device if kind != "stolen-key" else None, words)
        except (FailedError, SceneError) as error:
            put_in = put_in and not isinstance(error, SceneError)
            failed = str(error)
            self._rescue(device)
        if self._believed is not None:
            put_in = True
            if failed:
                # What is lost is seen only once the next collector has had its time.
                with suppress(FailedError):
                    self._await_account(None, words)
            theft = self._note_theft(self._believed)
            words.append(str(theft))
            self._believed = None
            if not failed and theft.tombstoned:
                # Nothing else was done to the devices meanwhile: each copy must have been there.
                failed = f"{theft.tombstoned} records that a stolen key acknowledged have only a tombstone"
        wrong = [*([failed] if failed else []), *account.faults()]
        gone = len(account.gone) - gone_before
        harmed = kind in siege_faults.STOPPED or kind in siege_faults.RUNNING
        if kind.removesuffix("-running") in SINGLE_BITS and gone > LINE_LOSS:
            wrong.append(f"one bit cost {gone} records with account; allowed are {LINE_LOSS}")
        if gone and not harmed and kind not in DISKS:
            words.append(
                f"{gone} records of earlier damage ({self._last_harm.get(device.name, 'none')}) gone"
            )
        if harmed:
            self._last_harm[device.name] = f"#{number} {kind}"
        with self._lock:
            tally = self._tallies[kind]
            tally.drawn += 1
            tally.put_in += put_in
            tally.failed += bool(wrong)
            tally.gone += gone
            tally.most = max(tally.most, gone)
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - began_s)
            at_s = time.monotonic() - self._began_s
            print(
                f"  {at_s // 60:02.0f}:{at_s % 60:02.0f} #{number} {device.name[0]} {kind}: {'; '.join(words)}"
                + (f"; {gone} gone with account" if gone else ""),
                flush=True,
            )
        for what in wrong:
            self._fail(number, kind, device, what, words)

    def _be_behind(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> None:
        """Mostly cut the device off and let a backlog gather; else let it be wherever it is."""
        if kind in PROCESSES or kind == "stolen-key" or rng.random() < 0.3:
            time.sleep(rng.random() * 2 * CALM_S)
            words.append("on line")
            return
        device.relay.cut()
        behind = rng.randint(10, 90)
        self._await_told(device, behind, 10 * START_S)
        words.append(f"{behind} behind")

    def _do(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> bool:
        """Do it; return whether there was something to do it to."""
        if kind in siege_faults.STOPPED:
            device.kill()
            device.snapshot(self._scene.folder / f"before-{device.name}")
            done = siege_faults.STOPPED[kind](rng, device.data)
            if rng.random() < 0.3:
                (device.data / siege_faults.INDEX).unlink(missing_ok=True)
            words.append(done.words)
            device.snapshot(self._scene.folder / f"damaged-{device.name}")
            device.start()
            return done.put_in
        if kind in siege_faults.RUNNING:
            device.snapshot(self._scene.folder / f"before-{device.name}")
            done = siege_faults.RUNNING[kind](rng, device.data)
            words.append(done.words)
            device.snapshot(self._scene.folder / f"damaged-{device.name}")
            if rng.random() < 0.7:
                self._await_told(device, rng.randint(1, 30), START_S)
            if rng.random() < 0.6:
                device.kill()
                device.start()
                words.append("then killed")
            return done.put_in
        done = _OTHER[kind](self, rng, device)
        words.append(done.words)
        return done.put_in

    def _kill_device(self, rng: random.Random, device: Device) -> Done:
        device.kill()
        device.start()
        return Done(words="killed")

    def _kill_worker(self, rng: random.Random, device: Device) -> Done:
        found = device.kill_worker()
        return Done(words="worker killed" if found else "there was no worker", put_in=found)

    def _kill_broker(self, rng: random.Random, device: Device) -> Done:
        return self._kill_shared(rng, self._scene.kill_broker, self._scene.start_broker)

    def _kill_collector(self, rng: random.Random, device: Device) -> Done:
        return self._kill_shared(rng, self._scene.kill_collector, self._scene.start_collector)

    def _kill_shared(self, rng: random.Random, kill: Callable[[], None], start: Callable[[], None]) -> Done:
        away_s = rng.choice([0.0, rng.random() * 8])
        with self._scene_lock:
            self._scene.whole = False
            kill()
            time.sleep(away_s)
            start()
            self._scene.whole = True
        return Done(words=f"away for {away_s:.1f} s")

    _scene_lock = threading.Lock()

    def _fill_disk(self, rng: random.Random, device: Device) -> Done:
        filler = Filler(device.disk / "filler")
        full_s = 3 + rng.random() * 12
        filler.fill()
        try:
            killed = rng.random() < 0.4
            time.sleep(full_s / 2)
            filler.fill()  # what was freed meanwhile, the reserve too, is taken as well
            if killed:
                device.kill()
                device.start()
            time.sleep(full_s / 2)
            self._must_run(device)
        finally:
            filler.empty()
        return Done(words=f"full for {full_s:.0f} s{', killed meanwhile' if killed else ''}")

    def _start_on_full_disk(self, rng: random.Random, device: Device) -> Done:
        device.kill()
        filler = Filler(device.disk / "filler")
        filler.fill()
        try:
            device.start()
            full_s = 4 + rng.random() * 8
            time.sleep(full_s)
            self._must_run(device)
        finally:
            filler.empty()
        return Done(words=f"killed, started on a full disk, {full_s:.0f} s later emptied")

    def _refuse_writes(self, rng: random.Random, device: Device) -> Done:
        if shutil.which("strace") is None:
            return Done(words="left out: there is no strace", put_in=False)
        inject = ["-e", f"trace={REFUSED_CALLS}", "-e", f"inject={REFUSED_CALLS}:error=EROFS"]
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", *inject, "-o", "/dev/null", "-p", str(device.pid)],
            stderr=subprocess.DEVNULL,
        )
        refused_s = 3 + rng.random() * 10
        time.sleep(refused_s)
        killed = rng.random() < 0.3
        if killed:
            device.kill()
        else:
            self._must_run(device)
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
        if killed:
            device.start()
        return Done(words=f"every write refused for {refused_s:.0f} s{', then killed' if killed else ''}")

    def _start_read_only(self, rng: random.Random, device: Device) -> Done:
        device.kill()
        device.mount("ro")
        try:
            device.start()
            held_s = 4 + rng.random() * 8
            time.sleep(held_s)
            self._must_run(device)
        finally:
            device.mount("rw")
        return Done(words=f"killed, started on a read-only disk, {held_s:.0f} s later writable")

    def _jump(self, rng: random.Random, device: Device) -> Done:
        offset_s = rng.choice([-1, 1]) * rng.choice([7, 3_600, 86_400 * 30, 86_400 * 3650, 0]) * rng.random()
        device.set_clock(int(offset_s * 1e9))
        killed = rng.random() < 0.5
        if killed:
            device.kill()
            device.start()
        return Done(words=f"clock off by {offset_s:,.0f} s{', and killed' if killed else ''}")

    def _steal(self, rng: random.Random, device: Device) -> Done:
        """Let a thief with the collector's key be believed; then do what the operator does."""
        number = self._orders.seed + len(self._thefts)
        plan = siege_theft.Plan.of(number, rng, has_lists=self._scene.has_lists)
        self._scene.whole = False
        try:
            self._believed = siege_theft.be_believed(self._scene, rng, plan)
        finally:
            siege_theft.act(self._scene, rng, self._believed)
            self._scene.whole = True
        return Done(words=f"stolen {plan}")

    def _note_theft(self, believed: siege_theft.Believed) -> siege_theft.Outcome:
        for device in self._scene.devices:
            device.account.read()
        found = siege_theft.outcome(self._scene, believed)
        self._thefts.append(found)
        return found

    # What must hold.

    def _must_run(self, device: Device) -> None:
        if words := device.has_ended():
            raise FailedError(words)

    def _await_told(self, device: Device, more: int, limit_s: float) -> float:
        before, began_s = device.account.told_count(), time.monotonic()
        while device.account.told_count() < before + more:
            self._must_run(device)
            if time.monotonic() - began_s > limit_s:
                raise FailedError(f"the device called nothing durable for {limit_s:.0f} s")
            time.sleep(PAUSE_S)
        return time.monotonic() - began_s

    def _await_start(self, device: Device) -> float:
        return self._await_told(device, 1, START_S)

    def _await_account(self, device: Device | None, words: list[str]) -> None:
        """Join the line; wait until all that was called durable until now is accounted for, of one device or of all."""
        devices = self._scene.devices if device is None else [device]
        due = {one.name: one.account.durable() for one in devices}
        for one in devices:
            one.relay.join()
        waited_s = 0.0
        began_s = time.monotonic()
        lost: list[str] = []
        for one in devices:
            while True:
                one.account.read()
                left = one.account.waiting(due[one.name])
                if not left:
                    break
                self._must_run(one)
                if waited_s > RESOLVE_S:
                    one.account.forgive(left)
                    lost.append(
                        f"{len(left)} durable records of {one.name[0]} without account: {_ranges(left)}"
                    )
                    break
                time.sleep(PAUSE_S)
                waited_s += PAUSE_S if self._scene.whole else 0
        if lost:
            raise FailedError(f"LOST: {'; '.join(lost)}")
        words.append(f"accounted for after {time.monotonic() - began_s:.1f} s")

    def _rescue(self, device: Device) -> None:
        """Bring a device that failed back: start it again as it is; where it does not, with a new card."""
        with suppress(subprocess.CalledProcessError):
            device.mount("rw")
        if device.process is not None and not device.has_ended():
            device.relay.join()
            return
        self._ended_by_themselves += 1
        device.process = None
        device.start()
        try:
            self._await_start(device)
        except FailedError:
            self._did_not_start += 1
            self._notes["devices that did not start, given a new card"] += 1
            device.snapshot(self._scene.folder / f"did-not-start-{device.name}-{self._did_not_start}")
            _kill_what_runs(device)
            device.account.read()
            device.account.forgive(device.account.waiting(device.account.durable()))
            device.begin_anew()
            device.start()
        device.relay.join()

    def _fail(self, number: int, kind: str, device: Device, what: str, words: list[str]) -> None:
        with self._lock:
            failure = Failure(number=number, kind=kind, device=device.name, what=what)
            self.failures.append(failure)
            print(f"  FAILED #{number} {kind}: {what}", flush=True)
        out = self._scene.folder / f"failure-{number}"
        for part in ("before", "damaged"):
            held = self._scene.folder / f"{part}-{device.name}"
            if held.exists() and not (out / part).exists():
                shutil.copytree(held, out / part)
        device.snapshot(out / "after")
        (out / "report.txt").write_text(
            f"seed {self._orders.seed}, fault {number} ({kind}) on {device.name}\n{'; '.join(words)}\n{what}\n\n"
            f"{device.errors.read_text(errors='replace')[-6000:]}"
        )

    # At rest.

    def _rest_and_audit(self) -> None:
        """Have each device deliver what it has and rest; then compare all of it, and ask for the audit."""
        for device in self._scene.devices:
            device.relay.join()
            device.stop()
        for device in self._scene.devices:
            self._deliver_all(device)
        code, found, errors = self._scene.audit()
        wrong: list[str] = []
        if code:
            sums = found[-1] if found else {}
            wrong.append(f"the audit ends with {code}: {sums} {errors}")
        wrong += self._compare(found)
        at_s = time.monotonic() - self._began_s
        standing = [one.account.standing() for one in self._scene.devices]
        print(
            f"  {at_s // 60:02.0f}:{at_s % 60:02.0f} at rest: {_in_words(standing)}; audit: "
            + ("all accounted for" if code == 0 else f"status {code}"),
            flush=True,
        )
        for what in wrong:
            self._fail(self._number, "audit", self._scene.devices[0], what, [])
        if wrong:
            (self._scene.folder / "audit.json").write_text("\n".join(json.dumps(one) for one in found))

    def _deliver_all(self, device: Device) -> None:
        """Have it deliver all that it has. A run of one round ends at once where no session stands yet: so by time."""
        account = device.account
        ends: list[int | None] = []
        end_s = time.monotonic() + RESOLVE_S
        while True:
            device.start("--rounds", "1")
            process = device.process
            assert process is not None
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                device.stop()
            ends.append(process.returncode)
            device.process = None
            account.read()
            if not account.waiting(account.durable()):
                return
            if time.monotonic() > end_s:
                break
        left = account.waiting(account.durable())
        account.forgive(left)
        what = f"LOST: {len(left)} durable records without account at rest: {_ranges(left)}; its runs ended with {ends}"
        self._fail(self._number, "rest", device, what, [])

    def _compare(self, found: list[dict[str, Any]]) -> list[str]:
        """Return in what the audit's account and ours differ."""
        wrong = []
        said = {(one["device"], one["epoch"]): one for one in found if "epoch" in one}
        for device in self._scene.devices:
            account = device.account
            stored = Counter(epoch for epoch, _ in account.shelf.stored)
            for epoch in {epoch for epoch, _ in account.told.durable} | set(stored):
                one = said.get((device.name, epoch))
                given = [seq for name, seq in account.told.durable if name == epoch]
                if one is None:
                    wrong.append(
                        f"{device.name[0]}: epoch {epoch} ({len(given)} durable) is not in the audit"
                    )
                    continue
                if one["stored"] != stored[epoch]:
                    wrong.append(f"{epoch}: the audit has {one['stored']} stored, we {stored[epoch]}")
                if given and one["produced"] < max(given):
                    wrong.append(
                        f"{epoch}: the audit has {one['produced']} produced, {max(given)} was durable"
                    )
        return wrong

    def _show(self) -> None:
        """Print the table: each kind that could be drawn, also where it never was."""
        print(
            f"\n  {'fault':<28} {'drawn':>5} {'put in':>6} {'failed':>6} {'gone with account':>18} {'most':>5} {'slowest':>8}"
        )
        kinds = [one for one in KINDS if one in (self._orders.only or KINDS)]
        for kind in kinds:
            one = self._tallies[kind]
            print(
                f"  {kind:<28} {one.drawn:>5} {one.put_in:>6} {one.failed:>6} {one.gone:>18} {one.most:>5}"
                f" {one.slowest_s:>6.0f} s"
            )
        if never := [kind for kind in kinds if not self._tallies[kind].put_in]:
            print(f"  NEVER PUT IN: {', '.join(never)}")
        standing = [one.account.standing() for one in self._scene.devices]
        print(f"\n  {self._number} faults, {_in_words(standing)}")
        print(
            f"  devices that ended by themselves {self._ended_by_themselves}, did not start {self._did_not_start}"
        )
        if self._thefts:
            print(f"  {siege_theft.in_words(self._thefts)}")
        for what in self._threads.found:
            print(f"  FAILED: a thread ended by an exception: {what}")
        for failure in self.failures:
            print(f"  FAILED #{failure.number} {failure.kind} on {failure.device[0]}: {failure.what[:300]}")
        if self.failures:
            print(f"  seed {self._orders.seed}")
        sys.stdout.flush()


_OTHER: Final[dict[str, Callable[[Siege, random.Random, Device], Done]]] = {
    "kill-device": Siege._kill_device,
    "kill-worker": Siege._kill_worker,
    "kill-broker": Siege._kill_broker,
    "kill-collector": Siege._kill_collector,
    "full-disk": Siege._fill_disk,
    "full-disk-start": Siege._start_on_full_disk,
    "read-only": Siege._refuse_writes,
    "read-only-start": Siege._start_read_only,
    "clock-jump": Siege._jump,
    "stolen-key": Siege._steal,
}


def _kill_what_runs(device: Device) -> None:
    if device.process is not None and not device.has_ended():
        device.kill()
    device.process = None


def _deck(orders: Orders) -> Iterator[str]:
    """Yield kinds for ever: each once before any comes again."""
    rng = random.Random(orders.seed)
    while True:
        kinds = list(orders.only or KINDS)
        rng.shuffle(kinds)
        yield from kinds


def _in_words(standing: list[Standing]) -> str:
    durable, stored, gone = (
        sum(getattr(one, name) for one in standing) for name in ("durable", "stored", "tombstoned")
    )
    lost, twice, changed, copied = (
        sum(len(getattr(one, name)) for one in standing) for name in ("lost", "twice", "changed", "copied")
    )
    moved = sum(one.moved for one in standing)
    return (
        f"{durable:,} durable = {stored:,} stored + {gone:,} tombstoned + {lost:,} LOST; given twice {twice},"
        f" changed {changed}, stored twice {copied}, under another number {moved}"
    )


def _ranges(identities: list[Identity]) -> str:
    found: list[tuple[str, int, int]] = []
    for epoch, seq in sorted(identities):
        if found and found[-1][0] == epoch and found[-1][2] == seq - 1:
            found[-1] = (epoch, found[-1][1], seq)
        else:
            found.append((epoch, seq, seq))
    shown = ", ".join(f"{epoch[:6]}… {low}–{high}" for epoch, low, high in found[:6])
    return shown + (f" and {len(found) - 6} more ranges" if len(found) > 6 else "")


def main() -> None:
    """Run one in the namespaces made for it."""
    assert INSIDE in os.environ, "python -m tests.drills siege"
    read = json.loads(sys.argv[1])
    orders = Orders(**{**read, "only": tuple(read["only"])})
    for words in (
        "ip link set lo up",
        "ip link add up0 type veth peer name up1",
        "ip addr add 192.0.2.2/24 dev up0",
        "ip link set up0 up",
        "ip link set up1 up",
        "ip route add default via 192.0.2.1",
    ):
        subprocess.run(words.split(), check=True)
    target = TcpServer(http(lambda _: page(status=204, content_type="")))
    with ThreadFaults() as threads, target:
        scene = Scene(Path(orders.folder), Path(orders.product), target_port=target.port, calm_s=CALM_S)
        try:
            scene.set_up(list(NAMES[: orders.devices]))
            ok = Siege(scene, orders, threads).run()
        finally:
            scene.close()
    sys.exit(0 if ok and not threads.found else 1)


if __name__ == "__main__":
    main()
