"""An authority with a broker that faces the network, for tests: mosquitto as `tidegauge provision broker` sets it up.

world = Provisioned(tmp_path)                   # makes the authority, and the broker's and a collector's identity
with world.broker() as broker:                  # mosquitto, on free loopback ports
    broker.port, broker.websocket_port
world.device("a" * 16)                          # a directory with key.pem, certificate.pem, trust.pem
world.provision("revoke", "a" * 16)             # any command; then world.write_broker(); broker.reload()
"""

import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from provisioning.command import provision
from tests import ports
from tests.needs import program
from tests.waiting import LIMIT_S, until


@dataclass(frozen=True)
class RunningBroker:
    """mosquitto with TLS. `port` speaks MQTT, `websocket_port` MQTT over WebSocket."""

    process: "subprocess.Popen[bytes]"
    port: int
    websocket_port: int

    def reload(self) -> None:
        """Have it read its lists anew (SIGHUP)."""
        self.process.send_signal(signal.SIGHUP)


class Provisioned:
    """An authority in `directory`/authority and what it gave out beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = directory / "authority"
        self._ports = ports.take(2)
        self.provision("ca", str(self.authority), ca=False)
        self.provision("collector", "--out", str(directory / "collector-identity"))
        self.collector = directory / "collector-identity"
        self.write_broker("--host", "localhost", "--host", "127.0.0.1")

    def provision(self, command: str, *arguments: str, ca: bool = True) -> str:
        """Run `tidegauge provision`; return what it printed."""
        where = ("--ca", str(self.authority)) if ca else ()
        done = CliRunner().invoke(provision, [command, *where, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def device(self, name: str) -> Path:
        """Give a device its identity, key made here; return the directory with it."""
        out = self.directory / f"identity-{name}"
        self.provision("device", "--device", name, "--out", str(out))
        return out

    def write_broker(self, *hosts: str) -> None:
        """Write the broker's files anew, as after each new or revoked device."""
        port, websocket_port = self._ports
        self.provision(
            "broker",
            *("--out", str(self.directory / "broker"), "--address", "127.0.0.1"),
            *("--port", str(port), "--websocket-port", str(websocket_port)),
            *("--user", pwd.getpwuid(os.geteuid()).pw_name, *hosts),
        )

    @contextmanager
    def broker(self) -> Iterator[RunningBroker]:
        """Run mosquitto by what `write_broker` wrote."""
        configuration = self.directory / "broker" / "mosquitto.conf"
        log = self.directory / "mosquitto.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program("mosquitto"), "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            for port in self._ports:
                _await_port(port, process, log)
            yield RunningBroker(process, *self._ports)
        finally:
            # Not asked to end: mosquitto 2.0 with a WebSocket listener spins for ever if it was reloaded before.
            process.kill()
            process.wait(LIMIT_S)


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:

    def open_() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    until(open_, log.read_text)
