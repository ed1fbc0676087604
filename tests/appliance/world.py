"""A home and the world behind its router, for tests that run the device as the process it is.

To be used inside `tests.namespaces.call`: `world(folder)` makes a router that answers, a resolver, four web servers
"abroad" and a plan that asks them; `Device` is `tidegauge device` as its users start it. Nothing leaves the
namespaces.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import psutil

from appliance.outbox.box import Outbox
from firmware.model.record import Record, from_json
from tests import namespaces
from tests.servers.dns import DnsServer, zone
from tests.servers.http import http, page
from tests.servers.tcp import TcpServer, stay_silent
from tests.waiting import LIMIT_S, until

TIDEGAUGE: Final = (sys.executable, "-m", "firmware.commands.main")
SERVERS: Final = 4
_LOCAL: Final = (
    ("link", "link", "@uplink"),
    ("address", "address", "@host"),
    ("gateway", "ping", "@gateway"),
    ("resolver", "dns", "www.example.org"),
)
ROUND_TASKS: Final = len(_LOCAL) + SERVERS


@contextmanager
def world(folder: Path, *, silent: bool = False, extra: str = "") -> Iterator[Path]:
    """Make the networks and servers, and yield the settings file of a device that measures them every second.

    With `silent` there is one more target, which takes connections and never answers: a round then lasts to
    its deadline of 5 s. `extra` is added to the plan.
    """
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="10.0.0.2/24", far="10.0.0.1/24")
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.open_ping()
    namespaces.write_file("/etc/resolv.conf", "nameserver 10.0.0.1\n")
    with ExitStack() as stack:
        for number in range(1, SERVERS + 2):
            namespaces.ip(f"addr add 10.0.{number}.1/32 dev lo", node=router)
        with namespaces.inside(router):
            answers = zone({"www.example.org": ("93.184.215.14",)})  # only named, never asked
            stack.enter_context(DnsServer(answers, address="10.0.0.1", port=53))
            for number in range(1, SERVERS + 1):
                behaviour = http(lambda _request: page(status=204, content_type=""))
                stack.enter_context(TcpServer(behaviour, address=f"10.0.{number}.1", port=80))
            stack.enter_context(TcpServer(stay_silent, address=f"10.0.{SERVERS + 1}.1", port=80))
        plan = folder / "plan.toml"
        plan.write_text(_plan(SERVERS + silent) + extra)
        settings = folder / "device.toml"
        settings.write_text(
            f'data = "{folder / "data"}"\nplan = "{plan}"\n'
            "[schedule]\ncalm_s = 1\ntransition_s = 1\n"
            # Nobody listens there unless a test sees to it.
            "[broker]\nport = 1883\n"
        )
        yield settings


class Device:
    """A running `tidegauge device`. Use it as a context manager: it is killed at the end if it still runs."""

    def __init__(self, settings: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.data = settings.parent / "data"
        self._out = settings.parent / "device.out"
        self._err = settings.parent / "device.err"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                [*TIDEGAUGE, "device", "--config", str(settings), *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )

    @property
    def lines(self) -> list[str]:
        """What it has said so far."""
        return self._out.read_text().splitlines()

    @property
    def errors(self) -> str:
        """What it has said on its error output so far."""
        return self._err.read_text()

    def await_(self, what: Callable[[], bool], said: str) -> None:
        """Wait until `what` holds, `said` in words."""

        def holds() -> bool:
            ended = (
                self.process.poll() is not None
            )  # asked first: what it said last may be what is waited for
            held = what()
            assert held or not ended, f"it ended: {self.errors}\n{self.lines[-20:]}"
            return held

        until(holds, lambda: f"{said}: {self.errors}\n{self.lines[-20:]}")

    def await_line(self, part: str, *, times: int = 1) -> None:
        """Wait until `times` lines held `part`."""
        self.await_(lambda: sum(part in line for line in self.lines) >= times, f"{times} × {part!r}")

    def await_more(self, part: str) -> None:
        """Wait for one more line that holds `part`."""
        self.await_line(part, times=1 + sum(part in line for line in self.lines))

    def worker(self) -> int:
        """Return the pid of its measuring process."""
        (pid,) = (
            child.pid
            for child in psutil.Process(self.process.pid).children()
            if "firmware.worker.process" in child.cmdline()
        )
        return pid

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def wait(self) -> int:
        """Wait for its own end; return the exit status."""
        return self.process.wait(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `tidegauge` to its end."""
    return subprocess.run(
        [*TIDEGAUGE, *arguments], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )


def status(data: Path) -> dict[str, Any]:
    """Return what `tidegauge status --json` says."""
    done = run("status", "--data", str(data), "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def records(data: Path) -> list[Record]:
    """Return every record that waits in the outbox, in order."""
    with Outbox.open_read_only(data / "outbox.sqlite3") as outbox:
        return [from_json(json.loads(row.body)) for row in outbox.oldest(100_000)]


def _plan(far: int) -> str:
    near = "".join(
        f'[[target]]\nname = "{rung}"\nrung = "{rung}"\nzone = "local"\ntest = "{test}"\ntarget = "{target}"\n'
        + ('options = { resolver = "@isp" }\n' if test == "dns" else "")
        + 'source = "made"\nwhy = "made"\n'
        for rung, test, target in _LOCAL
    )
    abroad = "".join(
        f'[[target]]\nname = "site-{number}"\nrung = "international"\nzone = "international"\ntest = "http"\n'
        f'target = "http://10.0.{number}.1/"\noptions = {{ expect_status = 204, body_cap = 1024 }}\n'
        f'network = {{ asn = {64500 + number}, name = "Site {number}" }}\nsource = "made"\nwhy = "made"\n'
        for number in range(1, far + 1)
    )
    return (
        'schema = 1\ncountry = "zz"\nname = "Small world"\nrevised = 2026-11-21\n'
        "[cadence]\ncalm_s = 120\ntransition_s = 30\nbudget_bytes_per_day = 100_000_000_000\n"
        f"[round]\nstagger_ms = 5\n{near}{abroad}"
    )
