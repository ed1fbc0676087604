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
SPAN: Final = 2**44
"""How many numbers of rows each epoch has in an outbox."""
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
        self._authority = folder / "authority"
        self._generation = 1
        """Which collector it is: one more than keys were stolen."""
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
        """Make the authority and all identities, each device's with a list in which the collector counts; start everything."""
        self.tidegauge("provision", "ca", str(self._authority))
        self._make_collector()
        for name in names:
            self.tidegauge(
                "provision", "device", *self._ca, "--device", name, "--out", str(self._given(name))
            )
        self._write_broker("--host", "localhost", "--host", "127.0.0.1")
        self.start_broker()
        self.start_collector()
        for index, name in enumerate(names):
            self.devices.append(Device(self, name, index))
        self.whole = True

    @property
    def _ca(self) -> tuple[str, str]:
        return "--ca", str(self._authority)

    @property
    def collector_name(self) -> str:
        """Whose key the collector that runs has, or ran with."""
        return f"collector-{self._generation}"

    def _make_collector(self) -> None:
        name = self.collector_name
        out = self.folder / f"identity-{name}"
        self.tidegauge("provision", "collector", *self._ca, "--out", str(out), "--name", name)
        self._settings("collector.toml", self._authority, out, self.folder / "broker")

    def _write_broker(self, *hosts: str) -> None:
        self.tidegauge(
            *("provision", "broker", *self._ca, "--out", str(self.folder / "broker")),
            *("--address", "127.0.0.1", "--port", str(MQTT), "--websocket-port", str(WEBSOCKET)),
            *("--user", pwd.getpwuid(os.geteuid()).pw_name, *hosts),
        )

    # What the operator does about a stolen key.

    @property
    def has_lists(self) -> bool:
        """Return whether this product's authority says in a list which collectors count."""
        return (self._authority / "trust-list.json").exists()

    def list_text(self) -> bytes:
        """Return the newest list."""
        return (self._authority / "trust-list.json").read_bytes()

    def replace_identity(self) -> None:
        """Revoke the collector's key and make the next one; nothing that runs knows of it yet."""
        self.tidegauge(
            "provision", "revoke", *self._ca, self.collector_name, "--reason", "its machine was taken"
        )
        self._generation += 1
        self._make_collector()
        self._write_broker()

    def write_drive(self) -> Path:
        """Make a USB drive with the newest list on it, which is made for that."""
        drive = self.folder / f"drive-{self._generation}"
        drive.mkdir()
        self.tidegauge("provision", "trust", *self._ca, "--to", str(drive))
        return drive

    def _given(self, name: str) -> Path:
        return self.folder / f"identity-{name}"

    def install(self, name: str, data: Path) -> None:
        """Give a data directory a device's identity."""
        self.tidegauge("identity", "install", str(self._given(name)), "--data", str(data))

    def _settings(self, file: str, authority: Path, identity: Path, intake: Path) -> None:
        (self.folder / file).write_text(
            f'[broker]\nuse = "localhost:{MQTT}"\n'
            f'[trust]\ndevices = "{authority}"\nidentity = "{identity}"\n'
            f'[intake]\nport = {INTAKE}\nidentity = "{intake}"\n'
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
        """Start another with all that lies on the collector's machine, on an empty database."""
        taken = self.folder / "taken"
        for one in (self.thief_data, taken):
            shutil.rmtree(one, ignore_errors=True)
        # The issuing key is on another machine, as the how-to has it.
        shutil.copytree(self._authority, taken / "authority", ignore=shutil.ignore_patterns("*.key", ".lock"))
        shutil.copytree(self.folder / f"identity-{self.collector_name}", taken / "identity")
        shutil.copytree(self.folder / "broker", taken / "broker")
        self._settings("thief.toml", taken / "authority", taken / "identity", taken / "broker")
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

    def end_thief(self) -> None:
        """`kill -9` of the thief's, if it runs, or of the collector if the thief's never did."""
        if self._thief is not None:
            _kill(self._thief, "thief")
            self._thief = None
        elif self._collector is not None and self._collector.poll() is None:
            self.kill_collector()

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
        self._media = scene.folder / f"media-{name}"
        (self._media / "drive").mkdir(parents=True)
        self._settings = scene.folder / f"{name}.toml"
        self._settings.write_text(
            f'data = "{self.data}"\nplan = "{scene.plan}"\n'
            f"[schedule]\ncalm_s = {scene.calm_s}\ntransition_s = {scene.calm_s}\n"
            '[broker]\nhost = "localhost"\nretry_max_s = 1\n'
            f"websocket_port = {first}\ntls_port = {first + 1}\nhttps_port = {first + 2}\n"
            f'[usb_drive]\nwatch = "{self._media}"\n'
            '[lights]\nfactory = "mock"\ndark = true\n[log]\nlevel = "info"\n'
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

    def waits(self) -> set[tuple[str, int]]:
        """Return the identity of each record that waits in its outbox, as the tables say."""
        with closing(
            sqlite3.connect(f"file:{self.data / 'outbox.sqlite3'}?mode=ro", uri=True, timeout=20)
        ) as outbox:
            epochs = dict(outbox.execute("SELECT id, epoch FROM state"))
            keys = [key for (key,) in outbox.execute("SELECT seq FROM waiting")]
        return {(epochs.get(key // SPAN + 1, ""), key % SPAN) for key in keys}

    def plug(self, drive: Path) -> None:
        """Plug a USB drive in."""
        subprocess.run(["mount", "--bind", str(drive), str(self._media / "drive")], check=True)

    def unplug(self) -> None:
        """Pull it, once the device has closed it."""
        end_s = time.monotonic() + LIMIT_S
        while subprocess.run(
            ["umount", str(self._media / "drive")], stderr=subprocess.DEVNULL, check=False
        ).returncode:
            if time.monotonic() > end_s:
                raise SceneError(f"device {self.name[0]} does not let go of the drive")
            time.sleep(PAUSE_S)

    def begin_anew(self) -> None:
        """Throw its data away, as an operator does with a card that is lost."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._scene.install(self.name, self.data)

    def snapshot(self, out: Path) -> None:
        """Copy what lies in its data directory, without keys and reserve."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        for one in self.data.iterdir():
            if one.is_file() and not one.name.endswith(".reserve"):
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
            f'[[target]]\nname = "reference-{number}"\nrung = "international"\nzone = "international"\n'
            f'test = "{test}"\ntarget = "{target}"\n{more}'
            f'network = {{ asn = {64_500 + number}, name = "N" }}\nsource = "the drill"\nwhy = "it is there"\n'
        )
    return (
        'schema = 1\ncountry = "zz"\nname = "Siege"\nrevised = 2026-11-29\n'
        "[cadence]\ncalm_s = 60\ntransition_s = 30\nbudget_bytes_per_day = 100_000_000_000\n"
        "[round]\nstagger_ms = 20\n" + "".join(targets)
    )
