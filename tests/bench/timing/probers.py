"""The probers: ours and four others, each made to probe a few times and say what it measured. One class each.

What a program prints is read as it is, with how coarse it is: nothing is corrected in anyone's favour. This file
must never look at the capture.
"""

import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from firmware.record import Outcome
from firmware.single import measure_once
from firmware.task import OptionValue, Result
from tests.bench.timing.lab import ADDRESS_OF, Lab, program
from tests.bench.timing.responder import LONG_TLS_PORT, SERVER_NAME, TCP_PORT, TLS_PORT
from tests.bench.timing.worker_client import WorkerClient

PROBES: Final = 4
"""Probes a turn."""
_SPACING_MS: Final = 15
_LIMIT_S: Final = 60

EXPORTER_PORT: Final = 9115


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a prober said of one probe. `ns` None: it got no answer.

    `seen_as` is what it claims to have timed, as the capture names it, where that is not its `kind`. `joined`: it
    said itself that the first segment's time may be a later one's.
    """

    kind: str
    ns: int | None
    stamp: str = ""
    half_step_ns: int = 0
    seen_as: str = ""
    joined: bool = False


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


_SEEN_AS: Final = {"tls_long": "tls", "tls_handshake": "tls_answer"}
"""Our `tls_handshake` ends with the last bytes we waited for: what we do with them then is no part of it."""


def our_turn(turn: str, address: str) -> tuple[str, str, dict[str, OptionValue]]:
    """Return the test, target and options of one of our turns."""
    test, target, options = OUR_TURNS[turn]
    given = {
        key: value.format(address) if isinstance(value, str) else value for key, value in options.items()
    }
    return test, target.format(address), given


def readings_of(turn: str, outcome: Outcome) -> list[Reading]:
    """Read what one of our measurements says of its probes."""
    if turn == "icmp":
        samples = outcome.detail.get("samples")
        assert isinstance(samples, list)
        found = []
        for sample in samples:
            assert isinstance(sample, dict)
            rtt_ns = sample.get("rtt_ns")
            assert rtt_ns is None or isinstance(rtt_ns, int)
            found.append(Reading(kind="icmp", ns=rtt_ns, stamp=str(sample.get("stamp", ""))))
        return found
    phases = {
        "ntp": {"rtt": "udp"},
        "dns": {"resolve": "udp"},
        "tcp": {"connect": "tcp"},
        "tls": {"connect": "tcp", "tls_first_flight": "tls", "tls_handshake": "tls_handshake"},
        "tls_long": {"tls_first_flight": "tls_long"},
    }[turn]
    segments = outcome.detail.get("first_segments")
    return [
        Reading(
            kind=kind,
            ns=outcome.phases[name].ns,
            stamp=str(outcome.phases[name].stamp),
            seen_as=_SEEN_AS.get(kind, ""),
            joined=name == "tls_first_flight" and isinstance(segments, int) and segments > 1,
        )
        if name in outcome.phases
        else Reading(kind=kind, ns=None, seen_as=_SEEN_AS.get(kind, ""))
        for name, kind in phases.items()
    ]


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
        words = [self._path, "-C", str(PROBES), "-p", str(_SPACING_MS), "-q", ADDRESS_OF[self.name]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        return read_fping(done.stderr)


def read_fping(text: str) -> list[Reading]:
    """Read `ADDRESS : 9.12 - 10.3`, in ms."""
    return [
        Reading(kind="icmp", ns=None)
        if word == "-"
        else Reading(kind="icmp", ns=round(float(word) * 1e6), half_step_ns=_half_step_ns(word))
        for word in text.partition(" : ")[2].split()
    ]


def _half_step_ns(milliseconds: str) -> int:
    decimals = len(milliseconds.partition(".")[2])
    return int(1e6 / 10**decimals / 2)


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


def read_ping(text: str) -> Reading:
    """Read the summary of a ping of one probe."""
    found = re.search(r"= ([\d.]+)/", text)
    if found is None:
        return Reading(kind="icmp", ns=None)
    return Reading(kind="icmp", ns=round(float(found[1]) * 1e6), half_step_ns=_half_step_ns(found[1]))


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
            return [Reading(kind="udp", ns=None)] * PROBES
        return read_irtt(done.stdout)


def read_irtt(text: str) -> list[Reading]:
    """Read its JSON."""
    trips = json.loads(text)["round_trips"]
    return [
        Reading(kind="udp", ns=trip["delay"]["rtt"] if trip["lost"] == "false" else None) for trip in trips
    ]


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


_METRICS: Final = {
    "icmp": {'probe_icmp_duration_seconds{phase="rtt"}': "icmp"},
    "https": {
        'probe_http_duration_seconds{phase="connect"}': "tcp",
        'probe_http_duration_seconds{phase="tls"}': "tls_handshake",
    },
    "tcp": {"probe_duration_seconds": "tcp_whole"},
}


def read_metrics(turn: str, text: str) -> list[Reading]:
    """Read the exporter's metrics. Its `tcp` probe has no phases: `tcp_whole` is all of it."""
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    succeeded = values.get("probe_success") == "1"
    return [
        Reading(
            kind=kind,
            ns=round(float(values[name]) * 1e9) if succeeded and name in values else None,
            seen_as="tcp" if kind == "tcp_whole" else "",
        )
        for name, kind in _METRICS[turn].items()
    ]


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
