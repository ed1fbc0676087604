"""What probing costs: processor time a probe, for each prober; the worker's memory before and after libraries."""

import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.measurements import address as address_test
from firmware.measurements import link
from firmware.task import OptionValue
from tests.bench.timing.lab import ADDRESS_OF, Lab, program
from tests.bench.timing.probers import scrape
from tests.bench.timing.responder import DNS_PORT, NTP_PORT, SERVER_NAME, TCP_PORT, TLS_PORT
from tests.bench.timing.worker_client import WorkerClient

_INTERVAL_MS: Final = 10
_SYSTEM: Final = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The worker's resident memory in bytes: ready and idle; after tests that need no library; after every test."""

    ready: dict[str, int]
    without_libraries: dict[str, int]
    every_test: dict[str, int]
    tests: tuple[str, ...]


def memory(lab: Lab) -> Memory:
    """Start a worker and let it run every test there is, the ones that need OpenSSL or dnspython last."""
    address = ADDRESS_OF["worker"]
    # With the system's authorities too: reading them is part of what TLS costs.
    authorities = lab.folder / "authorities.pem"
    authorities.write_text(lab.authority.read_text() + (_SYSTEM.read_text() if _SYSTEM.exists() else ""))
    with WorkerClient(authorities) as client:
        time.sleep(0.2)  # what it does after it said that it is ready
        ready = client.memory_bytes()
        plain = [
            client.task("link", link.TARGET, {}),
            client.task("address", address_test.TARGET, {}),
            client.task("ping", address, {"method": "icmp"}),
            client.task("tcp", f"{address}:{TCP_PORT}", {}),
            client.task("ntp", f"{address}:{NTP_PORT}", {}),
        ]
        client.run(plain)
        before = client.memory_bytes()
        full = [
            client.task("dns", "example.org", {"resolver": f"{address}:{DNS_PORT}", "window_ms": 0}),
            client.task("tls", f"{address}:{TLS_PORT}", {"sni": SERVER_NAME}),
            client.task("http", f"http://{address}:{TCP_PORT}/", {}),
            client.task("http", f"https://{SERVER_NAME}/", {"address": address}),
        ]
        results = client.run(full)
        failed = [
            f"{task.test}: {one.outcome.failure}"
            for task, one in zip(full, results, strict=True)
            if one.outcome.failure
        ]
        if failed:
            raise RuntimeError(f"tests that should work did not: {failed}")
        tests = tuple(sorted({task.test for task in (*plain, *full)}))
        return Memory(ready=ready, without_libraries=before, every_test=client.memory_bytes(), tests=tests)


def cpu_us(client: WorkerClient, exporter_pid: int | None, probes: int) -> dict[str, float]:
    """Return processor time a probe in µs, each prober run the way it is meant for many probes; start-up included."""
    found: dict[str, float] = {}
    address = ADDRESS_OF["worker"]
    before = client.cpu_ns()
    train = min(100, probes)
    options: dict[str, OptionValue] = {"method": "icmp", "count": train, "interval_ms": _INTERVAL_MS}
    client.run([client.task("ping", address, options, timeout_s=60)])
    found["worker, a train of pings"] = (client.cpu_ns() - before) / train / 1000
    singles: dict[str, tuple[str, str, dict[str, OptionValue]]] = {
        "worker, ping tasks": ("ping", address, {"method": "icmp", "count": 1}),
        "worker, ntp tasks": ("ntp", address, {}),
        "worker, tcp tasks": ("tcp", f"{address}:{TCP_PORT}", {}),
        "worker, tls tasks": ("tls", f"{address}:{TLS_PORT}", {"sni": SERVER_NAME}),
    }
    for name, (test, target, given) in singles.items():
        before = client.cpu_ns()
        for _ in range(probes):
            client.run([client.task(test, target, given)])
        found[name] = (client.cpu_ns() - before) / probes / 1000
    interval = str(_INTERVAL_MS)
    commands = {
        "fping": ["-q", "-C", str(probes), "-p", interval, ADDRESS_OF["fping"]],
        "ping": ["-n", "-q", "-c", str(probes), "-i", str(_INTERVAL_MS / 1000), ADDRESS_OF["ping"]],
        "irtt": [
            "client",
            "-i",
            f"{interval}ms",
            "-d",
            f"{probes * _INTERVAL_MS}ms",
            "-Q",
            ADDRESS_OF["irtt"],
        ],
    }
    for name, arguments in commands.items():
        path = program(name)
        if path is not None:
            found[name] = _child_us([path, *arguments]) / probes
    if exporter_pid is not None:
        for module in ("icmp", "tcp"):
            target = ADDRESS_OF["blackbox"] + (f":{TCP_PORT}" if module == "tcp" else "")
            before = _cpu_ns(exporter_pid)
            for _ in range(probes):
                scrape(module, target)
            found[f"blackbox, {module}"] = (_cpu_ns(exporter_pid) - before) / probes / 1000
    return found


def _child_us(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, capture_output=True, check=False, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e6


def _cpu_ns(pid: int) -> int:
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
