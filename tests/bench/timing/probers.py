"""The probers: ours and four others, each made to probe a few times and say what it measured. One class each.

This file must never look at the capture.
"""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from firmware.model.task import OptionValue, Result
from firmware.worker.single import measure_once
from tests.bench.timing.lab import ADDRESS_OF, Lab, program
from tests.bench.timing.readings import Reading, read_fping, read_irtt, read_metrics, read_ping, readings_of
from tests.bench.timing.responder import LONG_TLS_PORT, SERVER_NAME, TCP_PORT, TLS_PORT
from tests.bench.timing.worker_client import WorkerClient

PROBES: Final = 4
"""Probes a turn."""
_SPACING_MS: Final = 15
_LIMIT_S: Final = 60

EXPORTER_PORT: Final = 9115


class Prober(Protocol):
    """Probes one way at a time."""

    @property
    def name(self) -> str:
        """What it is called in the figures."""
        ...

    @property
    def turns(self) -> tuple[str, ...]:
        """The ways it can probe."""
        ...

    def probe(self, turn: str) -> list[Reading]:
        """Probe a few times; return the readings, of each kind in the order sent."""
        ...


OUR_TURNS: Final[Mapping[str, tuple[str, str, Mapping[str, OptionValue]]]] = {
    "icmp": ("ping", "{}", {"method": "icmp", "count": PROBES, "interval_ms": _SPACING_MS}),
    "ntp": ("ntp", "{}", {}),
    "dns": ("dns", "example.org", {"resolver": "{}", "window_ms": 0}),
    "tcp": ("tcp", f"{{}}:{TCP_PORT}", {}),
    "tls": ("tls", f"{{}}:{TLS_PORT}", {"sni": SERVER_NAME, "alpn": "http/1.1"}),
    "tls_long": ("tls", f"{{}}:{LONG_TLS_PORT}", {"sni": SERVER_NAME, "alpn": "http/1.1"}),
}
"""Turn → test, target and options, with {} for the address."""


def our_turn(turn: str, address: str) -> tuple[str, str, dict[str, OptionValue]]:
    """Return the test, target and options of one of our turns."""
    test, target, options = OUR_TURNS[turn]
    given = {
        key: value.format(address) if isinstance(value, str) else value for key, value in options.items()
    }
    return test, target.format(address), given


class OurWorker:
    """Our measuring process, given tasks as the daemon gives them."""

    name = "worker"
    turns = tuple(OUR_TURNS)

    def __init__(self, client: WorkerClient) -> None:
        self._client = client

    def probe(self, turn: str) -> list[Reading]:
        """Probe through the worker."""
        test, target, options = our_turn(turn, ADDRESS_OF[self.name])
        results: list[Result] = []
        for _ in range(1 if turn == "icmp" else PROBES):
            results += self._client.run([self._client.task(test, target, options)])
        return [reading for result in results for reading in readings_of(turn, result.outcome)]


class OurCall:
    """Our measurements called in this process, as `tidegauge measure` does."""

    name = "once"
    turns = ("icmp", "ntp", "tcp")

    def probe(self, turn: str) -> list[Reading]:
        """Probe in this process."""
        test, target, options = our_turn(turn, ADDRESS_OF[self.name])
        return [
            reading
            for _ in range(1 if turn == "icmp" else PROBES)
            for reading in readings_of(turn, measure_once(test, target, options).outcome)
        ]


class Fping:
    """Debian's fping. It prints three digits: 10 µs below 10 ms, 100 µs from there."""

    name = "fping"
    turns = ("icmp",)

    def __init__(self, path: str) -> None:
        self._path = path

    def probe(self, turn: str) -> list[Reading]:
        """Run it once."""
        # Its default time-out is the spacing, which would hide its late answers.
        words = [self._path, "-C", str(PROBES), "-p", str(_SPACING_MS), "-t", "2000", "-q"]
        words.append(ADDRESS_OF[self.name])
        done = subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        return read_fping(done.stderr)


class Ping:
    """Debian's iputils ping, one probe a run: its summary has three decimals where its lines have one."""

    name = "ping"
    turns = ("icmp",)

    def __init__(self, path: str) -> None:
        self._path = path

    def probe(self, turn: str) -> list[Reading]:
        """Run it several times."""
        words = [self._path, "-n", "-q", "-c", "1", "-W", "5", ADDRESS_OF[self.name]]
        found = []
        for _ in range(PROBES):
            done = subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
            found.append(read_ping(done.stdout))
        return found


class Irtt:
    """Debian's irtt, with its own server at the far end."""

    name = "irtt"
    turns = ("udp",)

    def __init__(self, path: str) -> None:
        self._path = path

    def probe(self, turn: str) -> list[Reading]:
        """Run it once."""
        duration = f"{PROBES * _SPACING_MS}ms"
        words = [self._path, "client", "-i", f"{_SPACING_MS}ms", "-d", duration, "-Q", "-o", "-"]
        done = subprocess.run(
            [*words, ADDRESS_OF[self.name]], capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
        if done.returncode != 0 or not done.stdout:  # it could not open its session
            said = (done.stderr or done.stdout).strip()
            print(f"irtt: status {done.returncode}: {said}", file=sys.stderr)
            return [Reading(kind="udp", ns=None)] * PROBES
        return read_irtt(done.stdout)


class Blackbox:
    """Debian's prometheus-blackbox-exporter, asked over HTTP on loopback, as Prometheus does."""

    name = "blackbox"
    turns = ("icmp", "https", "tcp")

    def probe(self, turn: str) -> list[Reading]:
        """Ask it several times."""
        address = ADDRESS_OF[self.name]
        target = {"icmp": address, "https": f"https://{address}/", "tcp": f"{address}:{TCP_PORT}"}[turn]
        found = []
        for _ in range(PROBES):
            try:
                told = scrape(turn, target)
            except OSError:  # under load it may not answer in a minute
                told = ""
            found += read_metrics(turn, told)
        return found


def scrape(module: str, target: str) -> str:
    """Return the metrics of one probe."""
    connection = http.client.HTTPConnection("127.0.0.1", EXPORTER_PORT, timeout=_LIMIT_S)
    try:
        connection.request("GET", f"/probe?module={module}&target={target}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def exporter_settings(lab: Lab) -> Path:
    """Write the exporter's settings; return the file."""
    path = lab.folder / "blackbox.yml"
    tls = f'{{ca_file: "{lab.authority}"}}'
    path.write_text(
        "modules:\n"
        "  icmp: {prober: icmp, timeout: 10s, icmp: {preferred_ip_protocol: ip4}}\n"
        "  tcp: {prober: tcp, timeout: 10s, tcp: {preferred_ip_protocol: ip4}}\n"
        f"  https: {{prober: http, timeout: 10s, http: {{preferred_ip_protocol: ip4, tls_config: {tls}}}}}\n"
    )
    return path


PEERS: Final = {
    "fping": "fping",
    "ping": "iputils-ping",
    "irtt": "irtt",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
}
"""Program → Debian package."""


def peers() -> tuple[list[Prober], list[str]]:
    """Return the other probers that are installed, and the packages of those that are not."""
    paths = {name: program(name) for name in PEERS}
    makers: dict[str, Callable[[str], Prober]] = {
        "fping": Fping,
        "ping": Ping,
        "irtt": Irtt,
        "prometheus-blackbox-exporter": lambda _: Blackbox(),
    }
    found = [makers[name](path) for name, path in paths.items() if path is not None]
    return found, [PEERS[name] for name, path in paths.items() if path is None]


def await_exporter() -> None:
    """Wait until the exporter listens. Raises `OSError` when it does not within a minute."""
    end_s = time.monotonic() + _LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", EXPORTER_PORT)).close()
        except OSError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
        else:
            return
