"""Starts a broker as a child of the collector and keeps it alive: mosquitto where it is installed, else amqtt.

The broker listens on the loopback only, which is why it lets anybody in; certificates and one branch a device
come with the listener that faces the network. It keeps nothing on disk: a record leaves a device only on the
collector's own ack, so a broker that forgets costs a re-send, and a broker's disk would only be a second queue
to lose. It must never outlive the collector (`collector.broker.guard`).
"""

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import IO, Final

from collector.errors import BrokerError, PortTakenError

LOOPBACK: Final = "127.0.0.1"
LISTENING_PORTS: Final = range(20_000, 32_000)
"""Below Linux's range for outgoing connections (net.ipv4.ip_local_port_range, from 32768)."""
MAX_PACKET_BYTES: Final = 64 * 1024
"""A sender of more is cut off: a batch is 16 KiB at most."""
READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 5.0
RESTART_WAITS_S: Final = (0.1, 0.5, 2.0, 5.0)
"""The wait before the first, second, … restart in a row; the last for all after."""
_SYSTEM_PATHS: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class BrokerKind(StrEnum):
    """Which program."""

    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, which distributions put where users' PATH does not look."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_PATHS))
    return shutil.which("mosquitto", path=path)


def choose_kind(wanted: str) -> BrokerKind:
    """Return the broker to start for `auto`, `mosquitto` or `amqtt`. Raises `BrokerError` if it is not there."""
    mosquitto = find_mosquitto() is not None
    amqtt = importlib.util.find_spec("amqtt") is not None
    match wanted:
        case "auto" if mosquitto:
            return BrokerKind.MOSQUITTO
        case "auto" if amqtt:
            return BrokerKind.AMQTT
        case "mosquitto" if mosquitto:
            return BrokerKind.MOSQUITTO
        case "amqtt" if amqtt:
            return BrokerKind.AMQTT
        case "mosquitto":
            raise BrokerError("mosquitto is not installed: install it, or choose --broker amqtt")
        case "amqtt":
            raise BrokerError("amqtt is not installed: pip install 'tidegauge[embedded]'")
        case _:
            raise BrokerError(
                "no broker is installed: install mosquitto, or pip install 'tidegauge[embedded]', "
                "or name a running one with --broker HOST:PORT"
            )


def mosquitto_configuration(port: int, *, as_root: bool) -> str:
    """Return mosquitto's configuration for a broker that serves this machine only and keeps nothing."""
    lines = [
        f"listener {port} {LOOPBACK}",
        "allow_anonymous true",
        "persistence false",
        f"max_packet_size {MAX_PACKET_BYTES}",
        # What is queued for a collector that is slow; past it the broker drops, and devices send again.
        "max_queued_messages 10000",
        f"max_queued_bytes {64 * 1024 * 1024}",
        "max_inflight_messages 100",
        "set_tcp_nodelay true",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
    ]
    if as_root:
        # Changing its user would undo the request to end with its parent.
        lines.append("user root")
    return "\n".join(lines) + "\n"


class Broker:
    """A broker child: `start` it, know it by `host`, `port` and `pid`, `stop` it. Restarted when it dies.

    `on_restart` is told so, from a thread of this class.
    """

    def __init__(
        self,
        kind: BrokerKind,
        directory: Path,
        *,
        port: int = 0,
        on_restart: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self.kind = kind
        self.host = LOOPBACK
        self.port = port
        self._directory = directory
        self._on_restart = on_restart
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._fault: BrokerError | None = None
        # The kernel takes the thread that started the child for its parent: this one lives as long as it.
        self._thread = threading.Thread(target=self._supervise, name="broker")

    @property
    def pid(self) -> int | None:
        """The process id of the broker, None when it is not running."""
        with self._lock:
            return None if self._process is None else self._process.pid

    @property
    def log_path(self) -> Path:
        """Where the broker's own words go."""
        return self._directory / "broker.log"

    def start(self) -> None:
        """Start it and wait until it answers. Raises `PortTakenError` or `BrokerError`, with its last words."""
        if self.port:
            _check_free(self.port)
        else:
            self.port = _free_port()
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log_path.write_bytes(b"")
        except OSError as error:
            raise BrokerError(f"{self._directory}: cannot be written ({error.strerror})") from error
        self._thread.start()
        self._settled.wait()
        if self._fault is not None:
            self._thread.join()
            raise self._fault

    def stop(self) -> None:
        """End it and wait until it has ended."""
        self._stopping.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()
        if self._thread.ident is not None:
            self._thread.join()

    def _supervise(self) -> None:
        try:
            self._launch()
        except BrokerError as error:
            self._fault = error
            return
        finally:
            self._settled.set()
        while not self._stopping.is_set():
            how = _how(self._wait())
            if not self._stopping.is_set():
                self._on_restart(f"{self.kind} ended ({how}); starting it again on port {self.port}")
                self._restart()
        if self._process is not None:
            self._wait()

    def _restart(self) -> None:
        for failures in count():
            if self._stopping.wait(RESTART_WAITS_S[min(failures, len(RESTART_WAITS_S) - 1)]):
                return
            try:
                self._launch()
            except BrokerError as error:
                if not self._stopping.is_set():
                    self._on_restart(str(error))
            else:
                return

    def _launch(self) -> None:
        """Start the program and wait until it answers. Raises `BrokerError`, and then it is not running."""
        with self.log_path.open("ab") as output:
            process = self._spawn(output)
        pause = threading.Event()
        for _ in range(int(READY_TIMEOUT_S / 0.02)):
            if self._stopping.is_set() or answers(self.host, self.port):
                return
            if process.poll() is not None:
                self._wait()
                raise BrokerError(
                    f"{self.kind} did not start on {self.host}:{self.port} ({_how(process.returncode)}): "
                    f"{self._last_words()}"
                )
            pause.wait(0.02)
        process.kill()
        self._wait()
        raise BrokerError(f"{self.kind} did not answer within {READY_TIMEOUT_S:.0f} s: {self._last_words()}")

    def _spawn(self, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        guard = [sys.executable, "-m", "collector.broker.guard", str(os.getpid())]
        with self._lock:
            if self._stopping.is_set():
                raise BrokerError(f"{self.kind} was not started: the collector is ending")
            try:
                self._process = subprocess.Popen(
                    guard + self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C in the terminal is for the collector, which ends us in order.
                )
            except OSError as error:
                raise BrokerError(f"{self.kind} cannot be started ({error.strerror})") from error
            return self._process

    def _command(self) -> list[str]:
        if self.kind is BrokerKind.AMQTT:
            return [sys.executable, "-m", "collector.broker.amqtt", self.host, str(self.port)]
        program = find_mosquitto()
        if program is None:
            raise BrokerError("mosquitto is not installed any more")
        configuration = self._directory / "mosquitto.conf"
        configuration.write_text(mosquitto_configuration(self.port, as_root=os.geteuid() == 0))
        return [program, "-c", str(configuration)]

    def _wait(self) -> int:
        """Wait until the child has ended, with force once it was asked to and does not; return its code."""
        process = self._process
        assert process is not None
        while True:
            try:
                code = process.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                if self._stopping.is_set():
                    process.kill()
        with self._lock:
            self._process = None
        return code

    def _last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").split("\n")
        return " / ".join(line for line in lines if line.strip())[-500:] or "it said nothing"


def answers(host: str, port: int) -> bool:
    """Return whether an MQTT broker accepts connections there."""
    connect = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05probe"
    try:
        with socket.create_connection((host, port), timeout=2.0) as connection:
            connection.sendall(connect)
            accepted = connection.recv(4) == b"\x20\x02\x00\x00"
            connection.sendall(b"\xe0\x00")
            return accepted
    except OSError:
        return False


def _free_port() -> int:
    """Return a free port that the kernel gives to no outgoing connection.

    A broker that restarts needs its port again; one that the kernel hands out could meanwhile be the source port
    of anything, even of the client that tries to reach the broker.
    """
    for port in random.sample(LISTENING_PORTS, k=100):
        with closing(socket.socket()) as sock:
            try:
                sock.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise PortTakenError("no port for the broker can be had: name a free one as [broker] port")


def _check_free(port: int) -> None:
    with closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTakenError(
                f"port {port} for the broker cannot be had ({error.strerror}): "
                "choose another as [broker] port, or 0 for any that is free"
            ) from error


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
