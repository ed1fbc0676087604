"""`kill -9` of device, worker, broker and collector, at random moments and at every named step of the ack protocol.

All of them are real processes, over TLS, with every message signed (`tests.drills.orders` has the steps). A kill takes the
one that is to die at a step of its own or of another's: the broker when the device has just sent, the collector when it
has committed and not yet answered. The one that died is started again and the next is chosen. Every so often all must
come to rest, and the account must be exact: `tidegauge collector audit` finds nothing missing and every record proved, and
each number that the device was told was durable is stored once.
"""

import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from tests.drills.orders import STEPS, VICTIMS, read_pid, write_order, write_pid
from tests.drills.place import Place

DEVICE = "k1l2m3n4o5p6q7r8"
AUDIT_EVERY = 50
REACH_S = 4.0
"""How long a step may take to be reached; then the victim is killed wherever it is."""
REST_S = 120.0


def drill(*, times: int, seed: int, audit_every: int = AUDIT_EVERY) -> bool:
    """Kill `times` times; print what was found."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, _target() as port:
        scene = _Scene(Path(name), port)
        try:
            return _run(scene, rng, times, audit_every)
        finally:
            scene.close()


def _run(scene: "_Scene", rng: random.Random, times: int, audit_every: int) -> bool:
    kills: Counter[str] = Counter()
    ordered = list(product(STEPS, VICTIMS))
    rng.shuffle(ordered)
    began_s = time.monotonic()
    for number in range(1, times + 1):
        if number % 2:
            kills[scene.kill_any(rng, VICTIMS[number // 2 % len(VICTIMS)])] += 1
        else:
            kills[scene.kill_at(number, *ordered[number // 2 % len(ordered)], rng.randint(1, 3))] += 1
        if number % audit_every == 0 or number == times:
            wrong = scene.rest_and_audit()
            if wrong:
                print(f"  after kill {number}: {wrong}")
                return False
            if number % (5 * audit_every) == 0 or number == times:
                print(
                    f"  {number:,} kills in {time.monotonic() - began_s:.0f} s: {scene.summary}", flush=True
                )
    for what, count in sorted(kills.items()):
        print(f"  {count:>5} × {what}")
    return True


class _Scene:
    """The processes, and what is done to them."""

    def __init__(self, folder: Path, target_port: int) -> None:
        self._folder = folder
        self._orders = folder / "orders"
        self._orders.mkdir()
        self._place = Place(folder)
        self._data = self._place.device(DEVICE)
        self._place.world.write_broker()
        self._target_port = target_port
        self._device: subprocess.Popen[bytes] | None = None
        self._log = (folder / "device.stderr").open("ab")
        self.summary = ""
        self._start("broker")
        self._start("collector")
        self._start("device")

    def _start(self, who: str) -> None:
        if who == "broker":
            self._place.start_broker()
            write_pid(self._orders, who, self._place.broker.process.pid)
        elif who == "collector":
            if self._place.collector is not None:
                self._place.collector.wait(30)
            program = (sys.executable, "-m", "tests.drills.kill_collector", str(self._orders))
            self._place.start_collector(*program, wait=self._place.collector is None)
            assert self._place.collector is not None
            write_pid(self._orders, who, self._place.collector.pid)
        elif who == "device":
            if self._device is not None:
                self._device.wait(30)
            arguments = (self._data, self._orders, self._place.broker.port, self._target_port)
            self._device = subprocess.Popen(
                [sys.executable, "-m", "tests.drills.kill_device", *map(str, arguments)], stderr=self._log
            )
            write_pid(self._orders, who, self._device.pid)

    def kill_any(self, rng: random.Random, victim: str) -> str:
        """Kill at a random moment."""
        time.sleep(rng.random() * 0.2)
        self._kill(victim)
        return f"{victim} at a random moment"

    def kill_at(self, number: int, step: str, victim: str, nth: int) -> str:
        """Kill the victim when somebody comes to `step` the n-th time."""
        done = self._orders / "carried-out"
        done.unlink(missing_ok=True)
        write_order(self._orders, number, step, nth, victim)
        end_s = time.monotonic() + REACH_S
        while not done.exists() and time.monotonic() < end_s:
            time.sleep(0.005)
        reached = done.exists()
        (self._orders / "order").unlink(missing_ok=True)
        self._kill(victim)
        return (
            f"{victim} at: {step}" if reached else f"{victim} at a random moment (its step was not reached)"
        )

    def _kill(self, victim: str) -> None:
        """Make sure that it is dead, and start it again; the worker is the device's to start."""
        pid = read_pid(self._orders, victim)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim == "worker":
            (self._orders / "worker.pid").unlink(missing_ok=True)
        else:
            self._start(victim)

    def rest_and_audit(self) -> str:
        """Wait until all that was measured has arrived; return what is wrong, "" if nothing is."""
        quiet, state, told = (self._orders / name for name in ("quiet", "state", "told"))
        end_s = time.monotonic() + REST_S
        # The first kills may come before there is anything to lose.
        while not (told.exists() and told.stat().st_size) and time.monotonic() < end_s:
            time.sleep(0.02)
        state.unlink(missing_ok=True)
        quiet.touch()
        while not state.exists() or not state.read_text().startswith("0 "):
            for process, what in (
                (self._device, "device"),
                (self._place.collector, "collector"),
                (self._place.broker.process, "broker"),
            ):
                if process is not None and process.poll() is not None:
                    log = self._folder / ("mosquitto.log" if what == "broker" else f"{what}.stderr")
                    words = log.read_text(errors="replace")[-2000:]
                    return f"the {what} ended by itself ({process.returncode}): {words}"
            if time.monotonic() > end_s:
                return (
                    f"it did not come to rest: {state.read_text() if state.exists() else 'no word'} waiting"
                )
            time.sleep(0.02)
        produced = int(state.read_text().split()[1])
        code, said = self._place.audit()
        self.summary = said.splitlines()[-3] if code == 0 else said
        if code:
            return said
        wrong = self._compare(produced, said)
        quiet.unlink()
        return wrong

    def _compare(self, produced: int, said: str) -> str:
        connection = sqlite3.connect(f"file:{self._place.data / 'collector.sqlite3'}?mode=ro", uri=True)
        stored = Counter(
            number for (number,) in connection.execute("SELECT round_id FROM record WHERE test = 'tcp'")
        )
        (epochs,) = connection.execute("SELECT count(DISTINCT epoch) FROM epoch").fetchone()
        connection.close()
        told = {int(line) for line in (self._orders / "told").read_text().splitlines()}
        lost, twice = told - set(stored), [number for number, count in stored.items() if count > 1]
        if lost or twice:
            return f"{len(lost)} lost {list(lost)[:3]}, {len(twice)} stored twice {twice[:3]}"
        if (
            epochs != 1
            or sum(stored.values()) != produced
            or f" {produced:,} produced = {produced:,} stored" not in said
        ):
            return (
                f"{produced} produced at the device, {sum(stored.values())} stored in {epochs} epochs: {said}"
            )
        return ""

    def close(self) -> None:
        if self._device is not None:
            self._device.kill()
            self._device.wait(30)
        self._log.close()
        self._place.close()


@contextmanager
def _target() -> Iterator[int]:
    """Have something to connect to."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
