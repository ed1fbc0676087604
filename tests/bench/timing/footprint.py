"""What probing costs: processor time a probe, for each prober; the worker's memory before and after every test."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.measurements import MEASUREMENTS, link
from firmware.measurements import address as address_test
from firmware.model.failures import Failure
from firmware.model.task import OptionValue, Result, Task
from tests.bench.timing.lab import ADDRESS_OF, Lab, program
from tests.bench.timing.probers import scrape
from tests.bench.timing.responder import DNS_PORT, NTP_PORT, SERVER_NAME, TCP_PORT, TLS_PORT
from tests.bench.timing.worker_client import WorkerClient, resident

_INTERVAL_MS: Final = 10
_SYSTEM_FOLDER: Final = Path("/etc/ssl/certs")
_SYSTEM: Final = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory in bytes, MB being 10⁶ of them.

    `bare` is an interpreter that imports nothing; the rest is the worker: ready and idle; after the tests that need
    no library; after every test. Each as `WorkerClient.memory_bytes`.
    """

    bare: dict[str, int]
    ready: dict[str, int]
    without_libraries: dict[str, int]
    every_test: dict[str, int]
    tests: tuple[str, ...]


def memory(lab: Lab) -> Memory:
    """Start a worker and let it run every test there is to its end, the ones that need OpenSSL last.

    Raises `RuntimeError` where a test was left out or failed: its figure would not be what it says.
    """
    trusted, compiled = _with_the_systems(lab), lab.folder / "compiled"
    _every_test(trusted, compiled)
    return _every_test(trusted, compiled)


def _every_test(trusted: Path, compiled: Path) -> Memory:
    bare = _bare()
    address = ADDRESS_OF["worker"]
    resolver = f"{address}:{DNS_PORT}"
    with WorkerClient(trusted, compiled=compiled) as client:
        time.sleep(0.2)  # what it does after it said that it is ready
        ready = client.memory_bytes()
        plain = [
            client.task("link", link.TARGET, {}),
            client.task("address", address_test.TARGET, {}),
            client.task("ping", address, {"method": "icmp"}),
            client.task("tcp", f"{address}:{TCP_PORT}", {}),
            client.task("ntp", f"{address}:{NTP_PORT}", {}),
            client.task("traceroute", address, {}),
            client.task("pmtu", address, {}, timeout_s=30),
            client.task("dns", "example.org", {"resolver": resolver, "window_ms": 0}),
        ]
        _must_work(plain, client.run(plain))
        before = client.memory_bytes()
        page = f"https://{SERVER_NAME}/"
        full = [
            client.task("tls", f"{address}:{TLS_PORT}", {"sni": SERVER_NAME}),
            client.task("http", f"http://{address}:{TCP_PORT}/", {}),
            client.task("http", page, {"address": address}),
        ]
        _must_work(full, client.run(full))
        if "web_connectivity" in MEASUREMENTS:  # its own address: names have no resolver in the lab
            whole = [client.task("web_connectivity", f"https://{address}/", {"resolver": resolver})]
            client.run(whole)
            full += whole
        tests = {task.test for task in (*plain, *full)}
        if tests != set(MEASUREMENTS):
            raise RuntimeError(f"tests that were not run: {', '.join(set(MEASUREMENTS) - tests)}")
        return Memory(
            bare=bare,
            ready=ready,
            without_libraries=before,
            every_test=client.memory_bytes(),
            tests=tuple(sorted(tests)),
        )


def _with_the_systems(lab: Lab) -> Path:
    """Return where the system's authorities stand with the lab's among them, as the system has them.

    That is a directory of hashed names, of which OpenSSL reads what it needs; without one, or without `openssl` to
    name ours, one file, all of which it reads.
    """
    openssl = program("openssl")
    if not _SYSTEM_FOLDER.exists() or openssl is None:
        every = lab.folder / "authorities.pem"
        every.write_text(lab.authority.read_text() + (_SYSTEM.read_text() if _SYSTEM.exists() else ""))
        return every
    folder = lab.folder / "authorities"
    folder.mkdir()
    for found in _SYSTEM_FOLDER.glob("*.[0-9]"):
        (folder / found.name).symlink_to(found.resolve())
    words = [openssl, "x509", "-noout", "-subject_hash", "-in", str(lab.authority)]
    ours = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    (folder / f"{ours}.0").symlink_to(lab.authority)
    return folder


def _must_work(tasks: Sequence[Task], results: Sequence[Result]) -> None:
    failed = [
        f"{task.test}: {one.outcome.failure}"
        for task, one in zip(tasks, results, strict=True)
        if one.outcome.failure not in (None, Failure.NO_GATEWAY)  # the lab has none, which `address` finds
    ]
    if failed:
        raise RuntimeError(f"tests that should work did not: {failed}")


def _bare() -> dict[str, int]:
    """Return what the same interpreter has resident when it does nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as idle:
        if idle.stdin is None or idle.stdout is None:
            raise AssertionError("both were asked for")
        idle.stdout.readline()
        found = resident(idle.pid)
        idle.stdin.close()
    return found


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
