"""Starts a broker as a child of the collector and keeps it alive: mosquitto where it is installed, else amqtt.

The broker listens on the loopback only, which is why it lets anybody in; certificates and one branch a device
come with the listener that faces the network. It keeps nothing on disk: a record leaves a device only on the
collector's own ack, so a broker that forgets costs a re-send, and a broker's disk would only be a second queue
to lose. It must never outlive the collector (`collector.guard`).
"""

import importlib.util
import os
import random
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Final

from collector.child import SupervisedChild
from collector.errors import BrokerError, PortTakenError

LOOPBACK: Final = "127.0.0.1"
LISTENING_PORTS: Final = range(20_000, 32_000)
"""Below Linux's range for outgoing connections (net.ipv4.ip_local_port_range, from 32768)."""
MAX_PACKET_BYTES: Final = 64 * 1024
"""A sender of more is cut off: a batch is 16 KiB at most."""
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


class Broker(SupervisedChild):
    """A broker child: `start` it, know it by `host`, `port` and `pid`, `stop` it. Restarted when it dies.

    `on_restart` is told so, from a thread of this class.
    """

    fault = BrokerError

    def __init__(
        self,
        kind: BrokerKind,
        directory: Path,
        *,
        port: int = 0,
        on_restart: Callable[[str], None] = lambda _message: None,
    ) -> None:
        super().__init__(str(kind), directory / "broker.log", on_restart=on_restart)
        self.kind = kind
        self.host = LOOPBACK
        self.port = port
        self._directory = directory

    def start(self) -> None:
        """Start it and wait until it answers. Raises `PortTakenError` or `BrokerError`, with its last words."""
        if self.port:
            _check_free(self.port)
        else:
            self.port = _free_port()
        super().start()

    def command(self) -> list[str]:
        """Return the broker's command line, with its configuration written. Raises `BrokerError`."""
        if self.kind is BrokerKind.AMQTT:
            return [sys.executable, "-m", "collector.broker.amqtt", self.host, str(self.port)]
        program = find_mosquitto()
        if program is None:
            raise BrokerError("mosquitto is not installed any more")
        configuration = self._directory / "mosquitto.conf"
        configuration.write_text(mosquitto_configuration(self.port, as_root=os.geteuid() == 0))
        return [program, "-c", str(configuration)]

    def answers(self) -> bool:
        """Return whether it accepts connections."""
        return answers(self.host, self.port)

    @property
    def where(self) -> str:
        """Where it is reached."""
        return f"{self.host}:{self.port}"


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
