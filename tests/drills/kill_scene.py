"""The processes of the kill drill: device, worker, broker and collector as users run them, and what is done to them.

The device measures a plan of its own, every target of which is a server on the loopback; all of it is over TLS and signed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from tests.drills.kill_told import compare
from tests.drills.orders import carried_out, living, withdraw, write_order, write_pid
from tests.drills.place import Place

DEVICE: Final = "k1l2m3n4o5p6q7r8"
REACH_S: Final = 60.0
"""How long a step may take to be reached; then the victim is killed wherever it is."""
REST_S: Final = 120.0
PAUSE_S: Final = 0.01
TARGETS: Final = 42


class DrillError(Exception):
    """What must not happen did."""


class Scene:
    """What runs, from `start` to `close`. A `DrillError` says what went wrong."""

    def __init__(self, folder: Path, target_port: int) -> None:
        self._folder = folder
        self._orders = folder / "orders"
        self._orders.mkdir()
        self._place = Place(folder)
        self._data = self._place.device(DEVICE)
        self._place.world.write_broker()
        self._device: subprocess.Popen[bytes] | None = None
        self._worker_deaths = 0
        self._log = (folder / "device.stderr").open("ab")
        self._settings = folder / "device.toml"
        (folder / "plan.toml").write_text(_plan(target_port))
        self.summary = ""

    def start(self) -> None:
        """Start them all."""
        self._start("broker")
        self._settings.write_text(_settings(self._folder, self._data, self._place))
        self._start("collector")
        self._start("device")

    def _start(self, who: str) -> None:
        if who == "broker":
            self._place.start_broker()
            write_pid(self._orders, who, self._place.broker.process.pid)
        elif who == "collector":
            program = (sys.executable, "-m", "tests.drills.kill_collector", str(self._orders))
            self._place.start_collector(*program, wait=self._place.collector is None)
            assert self._place.collector is not None
            write_pid(self._orders, who, self._place.collector.pid)
        elif who == "device":
            (self._orders / "worker.pid").unlink(missing_ok=True)
            program = (sys.executable, "-m", "tests.drills.kill_device", str(self._orders))
            self._device = subprocess.Popen(
                [*program, "--config", str(self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
            )
            write_pid(self._orders, who, self._device.pid)

    def kill(self, victim: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Kill it now, do `meanwhile`, and start it again."""
        pid = self._await(lambda: living(self._orders, victim), REST_S, f"{victim} does not run")
        os.kill(pid, signal.SIGKILL)
        self._bury(victim, meanwhile)

    def order(self, number: int, step: str, victim: str, nth: int) -> None:
        """Have the victim killed when somebody comes to `step` the n-th time from now."""
        write_order(self._orders, number, step, nth, victim)

    def await_order(self, victim: str) -> bool:
        """Wait until it is carried out; return whether it was. The victim is dead and started again in any case."""
        try:
            self._await(lambda: carried_out(self._orders), REACH_S, "")
        except TimeoutError:
            withdraw(self._orders)
            self.kill(victim)
            return False
        withdraw(self._orders)
        self._bury(victim, lambda: None)
        return True

    def _bury(self, victim: str, meanwhile: Callable[[], None]) -> None:
        """See that it died of the kill, and have it started again; the worker is the device's to start."""
        if victim == "worker":
            self._worker_deaths += 1
            told = self._orders / "told"
            self._await(
                lambda: (told.exists() and told.read_text().count(" w\n") >= self._worker_deaths) or None,
                REST_S,
                "a worker was killed, and the device recorded no gap",
            )
            meanwhile()
            return
        process = self._processes()[victim]
        if process.wait(REST_S) != -signal.SIGKILL:
            raise DrillError(self._last_words(victim))
        (self._orders / f"{victim}.pid").unlink(missing_ok=True)
        meanwhile()
        self._start(victim)

    def rest_and_audit(self) -> str:
        """Wait until all that was measured has arrived; return what is wrong, "" if nothing is."""
        quiet, rests = self._orders / "quiet", self._orders / "rests"
        outbox = self._data / "outbox.sqlite3"
        # The first kills may come before there is anything to lose.
        self._await(lambda: (self._orders / "told").exists() or None, REST_S, "nothing was measured")
        quiet.touch()
        before = -1
        while True:
            rests.unlink(missing_ok=True)
            self._await(lambda: rests.exists() or None, REST_S, "the device does not rest")
            self._await(lambda: _waiting(outbox) == 0 or None, REST_S, "not all of it arrived")
            produced = _produced(outbox)
            if produced == before:
                break
            before = produced
        code, said = self._place.audit()
        if code:
            return said
        found = compare(
            self._orders,
            outbox=outbox,
            collector=self._place.data / "collector.sqlite3",
            said=said,
            worker_deaths=self._worker_deaths,
        )
        self.summary = f"{said.splitlines()[-3]}; {found.told:,} told; {self._worker_deaths:,} workers' gaps"
        quiet.unlink()
        return found.faults or self._traceback()

    def _traceback(self) -> str:
        """Return the first fault of the program that a log tells of, "" if none does."""
        for log in ("device.stderr", "collector.stderr"):
            text = (self._folder / log).read_text(errors="replace")
            if "Traceback" in text:
                return f"{log}: {text[max(0, text.index('Traceback') - 300) :][:3000]}"
        return ""

    def _processes(self) -> dict[str, subprocess.Popen[bytes]]:
        assert self._device is not None
        assert self._place.collector is not None
        return {
            "device": self._device,
            "collector": self._place.collector,
            "broker": self._place.broker.process,
        }

    def _await(self, what: Callable[[], int | None], limit_s: float, otherwise: str) -> int:
        """Wait until `what` is not None, and see that nothing ends by itself meanwhile."""
        end_s = time.monotonic() + limit_s
        while (found := what()) is None:
            for name, process in self._processes().items():
                if process.poll() is not None and process.returncode != -signal.SIGKILL:
                    raise DrillError(self._last_words(name))
            if time.monotonic() > end_s:
                if otherwise:
                    raise DrillError(f"{otherwise}\n{self._traceback()}")
                raise TimeoutError
            time.sleep(PAUSE_S)
        return found

    def _last_words(self, who: str) -> str:
        log = self._folder / ("mosquitto.log" if who == "broker" else f"{who}.stderr")
        code = self._processes()[who].returncode
        return f"the {who} ended by itself ({code}): {log.read_text(errors='replace')[-2000:]}"

    def close(self) -> None:
        """End them all."""
        if self._device is not None:
            self._device.kill()
            self._device.wait(30)
            end_s = time.monotonic() + REST_S
            while living(self._orders, "worker") is not None and time.monotonic() < end_s:
                time.sleep(PAUSE_S)  # it ends when it notices that its device is gone
        self._log.close()
        self._place.close()


def _waiting(outbox: Path) -> int:
    with Outbox.open_read_only(outbox) as looked:
        return looked.counts().waiting


def _produced(outbox: Path) -> int:
    with Outbox.open_read_only(outbox) as looked:
        return looked.counts().produced


def _settings(folder: Path, data: Path, place: Place) -> str:
    """Return the settings file: rounds every second, the ways through the broker, no USB drive and no lights."""
    return (
        f'data = "{data}"\nplan = "{folder / "plan.toml"}"\n'
        "[schedule]\ncalm_s = 1\ntransition_s = 1\n"
        f'[broker]\nhost = "localhost"\nretry_max_s = 1\n'
        f"websocket_port = {place.broker.websocket_port}\ntls_port = {place.broker.port}\n"
        # A connection over HTTPS would stand until the collector dies, and no step would be the broker's any more.
        "https_port = 0\n"
        '[usb_drive]\nwatch = ""\n[lights]\nfactory = "mock"\ndark = true\n[log]\nlevel = "info"\n'
    )


def _plan(port: int) -> str:
    """Return a plan that keeps the device measuring for most of each second, on the loopback alone."""
    local = (
        ("link", "link", "@uplink", ""),
        ("address", "address", "@host", ""),
        ("gateway", "tcp", f"127.0.0.1:{port}", ""),
        # Nobody answers there: the refusal is a record like any other.
        (
            "resolver",
            "dns",
            "example.org",
            'options = { resolver = "127.0.0.1:1", attempts = 1, timeout_ms = 500 }\n',
        ),
    )
    targets = [
        f'[[target]]\nname = "{rung}"\nrung = "{rung}"\nzone = "local"\ntest = "{test}"\ntarget = "{target}"\n'
        f'{more}source = "the drill"\nwhy = "it is there"\n'
        for rung, test, target, more in local
    ]
    for number in range(TARGETS):
        proving = number % 3 == 0
        test, target = ("http", f"http://127.0.0.1:{port}/") if proving else ("tcp", f"127.0.0.1:{port}")
        more = "options = { expect_status = 204, body_cap = 64 }\n" if proving else ""
        targets.append(
            f'[[target]]\nname = "reference-{number}"\nrung = "international"\nzone = "international"\n'
            f'test = "{test}"\ntarget = "{target}"\n{more}'
            f'network = {{ asn = {64_500 + number}, name = "N" }}\nsource = "the drill"\nwhy = "it is there"\n'
        )
    return (
        'schema = 1\ncountry = "zz"\nname = "Kill drill"\nrevised = 2026-11-21\n'
        "[cadence]\ncalm_s = 60\ntransition_s = 30\nbudget_bytes_per_day = 100_000_000_000\n"
        "[round]\nstagger_ms = 20\n" + "".join(targets)
    )
