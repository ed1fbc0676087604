"""The processes of the siege, all of one checkout of the product: authority, mosquitto, collector, the thief's collector, devices.

Everything is started as users start it, in namespaces of the siege's own (`tests.drills.siege`): the ports are its own, each
device's data lies on a small disk of its own. Nothing of the product is imported here.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from tests.drills import siege_device
from tests.drills.siege_account import Account
from tests.drills.siege_relay import Relay
from tests.needs import program

LIMIT_S: Final = 60.0
PAUSE_S: Final = 0.05
DISK: Final = "32m"
MQTT, WEBSOCKET, INTAKE, RELAYS = 21_001, 21_002, 21_003, 21_010
STOLEN: Final = "collector"
"""The collector whose key was stolen, and was revoked since; the one that runs has another."""
TARGETS: Final = 8


class SceneError(Exception):
    """A part of the scene does not do what it must; the message says which."""


class Scene:
    """All that runs. `whole` says whether broker and collector do, as far as the siege knows."""

    def __init__(self, folder: Path, product: Path, *, target_port: int, calm_s: int) -> None:
        self.folder = folder
        self.product = product
        self.calm_s = calm_s
        self.whole = False
        self.collector_data = folder / "collector"
        self.thief_data = folder / "thief"
        self.devices: list[Device] = []
        self._broker: subprocess.Popen[bytes] | None = None
        self._collector: subprocess.Popen[bytes] | None = None
        self._thief: subprocess.Popen[bytes] | None = None
        self.plan = folder / "plan.toml"
        self.plan.write_text(_plan(target_port))

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which the product is this one."""
        return {**os.environ, "PYTHONPATH": str(self.product), "PYTHONUNBUFFERED": "1"}

    def tidegauge(self, *words: str, limit_s: float = LIMIT_S, check: bool = True) -> tuple[int, str, str]:
        """Run a command of the product; return its exit status and what it wrote."""
        done = subprocess.run(
            [sys.executable, "-m", "firmware.commands.main", *words],
            cwd=self.product,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        if check and done.returncode:
            raise SceneError(f"tidegauge {' '.join(words)}: status {done.returncode}: {done.stderr[-1000:]}")
        return done.returncode, done.stdout, done.stderr

    def set_up(self, names: list[str]) -> None:
        """Make the authority and all identities, have one collector's key stolen and revoked, start everything."""
        authority = self.folder / "authority"
        ca = ("--ca", str(authority))
        self.tidegauge("provision", "ca", str(authority))
        for name, out in ((STOLEN, "stolen-identity"), ("collector-2", "collector-identity")):
            self.tidegauge("provision", "collector", *ca, "--out", str(self.folder / out), "--name", name)
        for name in names:
            self.tidegauge("provision", "device", *ca, "--device", name, "--out", str(self._given(name)))
        self.tidegauge(
            *("provision", "broker", *ca, "--out", str(self.folder / "broker"), "--address", "127.0.0.1"),
            *("--port", str(MQTT), "--websocket-port", str(WEBSOCKET), "--host", "localhost"),
            *("--host", "127.0.0.1", "--user", pwd.getpwuid(os.geteuid()).pw_name),
        )
        # The thief's view of the world is from before, and nobody tells the broker: the worst case that is real.
        shutil.copytree(authority, self.folder / "stolen-authority")
        self.tidegauge("provision", "revoke", *ca, STOLEN, "--reason", "stolen")
        self._settings("collector.toml", "authority", "collector-identity", INTAKE)
        self._settings("thief.toml", "stolen-authority", "stolen-identity", 0)
        self.start_broker()
        self.start_collector()
        for index, name in enumerate(names):
            self.devices.append(Device(self, name, index))
        self.whole = True

    def _given(self, name: str) -> Path:
        return self.folder / f"identity-{name}"

    def install(self, name: str, data: Path) -> None:
        """Give a data directory a device's identity."""
        self.tidegauge("identity", "install", str(self._given(name)), "--data", str(data))

    def _settings(self, file: str, authority: str, identity: str, intake: int) -> None:
        (self.folder / file).write_text(
            f'[broker]\nuse = "localhost:{MQTT}"\n'
            f'[trust]\ndevices = "{self.folder / authority}"\nidentity = "{self.folder / identity}"\n'
            + (f'[intake]\nport = {intake}\nidentity = "{self.folder / "broker"}"\n' if intake else "")
        )

    # Broker and collectors.

    def start_broker(self) -> None:
        """Start it; what it knew before it has forgotten."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._broker = subprocess.Popen(
                [program("mosquitto"), "-c", str(self.folder / "broker" / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end_s = time.monotonic() + LIMIT_S
        for port in (MQTT, WEBSOCKET):
            while not _listens(port):
                if self._broker.poll() is not None or time.monotonic() > end_s:
                    raise SceneError("the broker does not start: see mosquitto.log")
                time.sleep(PAUSE_S)

    def start_collector(self) -> None:
        """Start the one that runs."""
        self._collector = self._start_collector("collector.toml", self.collector_data)

    def start_thief(self) -> None:
        """Start another with the stolen key, on an empty database."""
        shutil.rmtree(self.thief_data, ignore_errors=True)
        self._thief = self._start_collector("thief.toml", self.thief_data)

    def _start_collector(self, settings: str, data: Path) -> "subprocess.Popen[bytes]":
        ready = data / "collector.json"
        ready.unlink(missing_ok=True)
        log = self.folder / f"{data.name}.stderr"
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "firmware.commands.main", "collector"),
                    *("--config", str(self.folder / settings), "--data", str(data), "--port", "0"),
                ],
                cwd=self.product,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        end_s = time.monotonic() + LIMIT_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > end_s:
                raise SceneError(f"the {data.name} does not start: {log.read_text()[-1500:]}")
            time.sleep(PAUSE_S)
        return process

    def kill_broker(self) -> None:
        """`kill -9`."""
        _kill(self._broker, "broker")

    def kill_collector(self) -> None:
        """`kill -9`."""
        _kill(self._collector, "collector")

    def kill_thief(self) -> int:
        """`kill -9`; return how many records it had taken."""
        _kill(self._thief, "thief")
        self._thief = None
        with closing(
            sqlite3.connect(f"file:{self.thief_data / 'collector.sqlite3'}?mode=ro", uri=True)
        ) as found:
            return int(found.execute("SELECT count(*) FROM record").fetchone()[0])

    def audit(self) -> tuple[int, list[dict[str, Any]], str]:
        """Run `tidegauge collector audit`; return its status, its objects (the sums last) and its complaints."""
        code, out, errors = self.tidegauge(
            *("collector", "--config", str(self.folder / "collector.toml"), "audit"),
            *("--data", str(self.collector_data), "--json"),
            limit_s=1800,
            check=False,
        )
        return code, [json.loads(line) for line in out.splitlines() if line.startswith("{")], errors[-2000:]

    def close(self) -> None:
        """End them all."""
        for device in self.devices:
            device.close()
        for process in (self._thief, self._collector, self._broker):
            if process is not None:
                process.kill()
                process.wait(LIMIT_S)


class Device:
    """One device: its disk, its line, its account, and its process, which may be dead."""

    def __init__(self, scene: Scene, name: str, index: int) -> None:
        self._scene = scene
        self.name = name
        self.disk = scene.folder / f"disk-{name}"
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.disk)], check=True)
        self.data = self.disk / "data"
        scene.install(name, self.data)
        self._log = scene.folder / f"told-{name}"
        self.errors = scene.folder / f"{name}.stderr"
        self._clock = scene.folder / f"clock-{name}"
        self._clock.write_text("0")
        first = RELAYS + 3 * index
        self.relay = Relay(((first, WEBSOCKET), (first + 1, MQTT), (first + 2, INTAKE)))
        self.relay.join()
        self._settings = scene.folder / f"{name}.toml"
        self._settings.write_text(
            f'data = "{self.data}"\nplan = "{scene.plan}"\n'
            f"[schedule]\ncalm_s = {scene.calm_s}\ntransition_s = {scene.calm_s}\n"
            '[broker]\nhost = "localhost"\nretry_max_s = 1\n'
            f"websocket_port = {first}\ntls_port = {first + 1}\nhttps_port = {first + 2}\n"
            '[stick]\nwatch = ""\n[lights]\nfactory = "mock"\ndark = true\n[log]\nlevel = "info"\n'
        )
        self.account = Account(
            log=self._log, database=scene.collector_data / "collector.sqlite3", device=name
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start `tidegauge device`."""
        with self.errors.open("ab") as errors:
            errors.write(f"-- start {time.strftime('%H:%M:%S')} {' '.join(options)}\n".encode())
            errors.flush()
            self.process = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-P",
                        str(Path(siege_device.__file__)),
                        str(self._log),
                        str(self._clock),
                    ),
                    *(str(self._scene.product), "--config", str(self._settings), *options),
                ],
                cwd=self._scene.product,
                env=self._scene.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    @property
    def pid(self) -> int:
        """The daemon's."""
        assert self.process is not None
        return self.process.pid

    def has_ended(self) -> str:
        """Return its last words if it ended by itself, else ""."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return ""
        words = self.errors.read_text(errors="replace").rpartition("-- start")[2][-700:]
        return f"the device ended by itself, status {code}: {words.strip()}"

    def kill(self) -> None:
        """`kill -9` of the daemon; its worker ends with it."""
        _kill(self.process, f"device {self.name}")
        self.process = None

    def kill_worker(self) -> bool:
        """`kill -9` of the measuring process; return whether there was one."""
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return bool(found)

    def stop(self) -> None:
        """Ask it to end, as an operator does."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(LIMIT_S)
            self.process = None

    def set_clock(self, offset_ns: int) -> None:
        """Let its wall clock be off by so much from now on."""
        draft = self._clock.with_suffix(".new")
        draft.write_text(str(offset_ns))
        draft.replace(self._clock)

    def mount(self, how: str) -> None:
        """Mount its disk anew, `ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.disk)], check=True)

    def begin_anew(self) -> None:
        """Throw its data away, as an operator does with a card that is lost."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._scene.install(self.name, self.data)

    def snapshot(self, out: Path) -> None:
        """Copy what lies in its data directory, without keys and ballast."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        for one in self.data.iterdir():
            if one.is_file() and not one.name.endswith(".ballast"):
                with suppress(OSError):
                    shutil.copy(one, out / one.name)

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT_S)
            self.process = None
        self.relay.close()


def _kill(process: "subprocess.Popen[bytes] | None", who: str) -> None:
    assert process is not None, f"no {who} runs"
    if process.poll() is not None:
        raise SceneError(f"the {who} had ended by itself, status {process.returncode}")
    process.kill()
    process.wait(LIMIT_S)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _plan(port: int) -> str:
    """Return a plan all of whose targets are on the loopback."""
    local = (
        ("link", "link", "@uplink", ""),
        ("address", "address", "@host", ""),
        ("gateway", "tcp", f"127.0.0.1:{port}", ""),
        # Nobody answers there: the refusal is a record like any other.
        (
            *("resolver", "dns", "example.org"),
            'options = { resolver = "127.0.0.1:1", attempts = 1, timeout_ms = 500 }\n',
        ),
    )
    targets = [
        f'[[target]]\nname = "{rung}"\nrung = "{rung}"\nzone = "local"\ntest = "{test}"\ntarget = "{target}"\n'
        f'{more}source = "the drill"\nwhy = "it is there"\n'
        for rung, test, target, more in local
    ]
    for number in range(TARGETS):
        test, target = (
            ("http", f"http://127.0.0.1:{port}/") if number % 2 == 0 else ("tcp", f"127.0.0.1:{port}")
        )
        more = "options = { expect_status = 204, body_cap = 64 }\n" if number % 2 == 0 else ""
        targets.append(
            f'[[target]]\nname = "control-{number}"\nrung = "international"\nzone = "international"\n'
            f'test = "{test}"\ntarget = "{target}"\n{more}'
            f'network = {{ asn = {64_500 + number}, name = "N" }}\nsource = "the drill"\nwhy = "it is there"\n'
        )
    return (
        'schema = 1\ncountry = "zz"\nname = "Siege"\nrevised = 2026-11-29\n'
        "[cadence]\ncalm_s = 60\ntransition_s = 30\nbudget_bytes_per_day = 100_000_000_000\n"
        "[round]\nstagger_ms = 20\n" + "".join(targets)
    )
