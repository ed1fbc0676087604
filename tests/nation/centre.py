"""Our collector outside the made country: a real mosquitto and a real `tidegauge collector` with its vantage.

Started in the network `centre`, where devices reach the broker at `atlas.COLLECTOR`; what it says is asked of its API,
as its users ask. It must never look into the collector's database.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests import namespaces
from tests.mosquitto import Mosquitto
from tests.nation import second_way
from tests.nation.atlas import COLLECTOR, COUNTRY, PUBLIC_RESOLVER

BROKER_PORT: Final = 1883
SWEEP_S: Final = 10
_NODE: Final = "centre"
_READY_S: Final = 60
_ANSWER_S: Final = 20
_END_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSaid:
    """The collector's verdict on one target of a device's last round; `round` names the round."""

    device: str
    round: str
    target_name: str
    verdict: str
    rule_id: str
    evidence: tuple[str, ...]


class Centre:
    """The collector. Enter it in the country's own process; it ends with the `with` block.

    `sweep_s` is from sweep to sweep of its vantage; None is as it ships. `second` is the network that its second vantage
    leaves by, "" where it has none.
    """

    def __init__(
        self,
        folder: Path,
        plans: Path,
        *,
        environment: dict[str, str],
        sweep_s: int | None = SWEEP_S,
        second: str = "",
    ) -> None:
        self._sweep_s = sweep_s
        self._second = second
        self._folder = folder
        self._plans = plans
        self._environment = environment
        self._stack = ExitStack()
        self._page_url = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            namespaces.ip(f"addr add {COLLECTOR}/32 dev lo", node=_NODE)
            source = second_way.lay(self._second) if self._second else ""
            self._folder.mkdir()
            (self._folder / "broker").mkdir()
            broker = Mosquitto(self._folder / "broker", extra=(f"listener {BROKER_PORT} {COLLECTOR}",))
            with namespaces.inside(_NODE):
                broker.start()
            stack.callback(broker.stop)
            process = self._start(broker.port, source)
            stack.callback(_stop, process)
            self._await_ready(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def targets(self) -> list[TargetSaid]:
        """Return what it says of the targets of every device's last round."""
        devices = self._get("api/v1/devices")
        found: list[TargetSaid] = []
        for device in devices.get("devices", ()):
            said = self._get(f"api/v1/devices/{device['device']}/targets")
            found += [
                TargetSaid(
                    device=device["device"],
                    round=said["round"],
                    target_name=one["target_name"],
                    verdict=one["verdict"],
                    rule_id=one["rule_id"],
                    evidence=_sentences(one["evidence"]),
                )
                for one in said["targets"]
            ]
        return found

    def scope(self, country: str) -> tuple[str, str, tuple[str, ...]]:
        """Return its verdict on a country with rule and evidence; empty texts before it has one."""
        for one in self._get("api/v1/scopes")["scopes"]:
            if one["country"] == country:
                return one["verdict"], one["rule_id"], _sentences(one["evidence"])
        return "", "", ()

    def devices(self) -> int:
        """Return how many devices it knows."""
        return len(self._get("api/v1/devices")["devices"])

    def vantage_looks(self, target_name: str) -> int:
        """Return how many samples its vantage has of one target."""
        targets = self._get("api/v1/vantage")["targets"]
        return sum(int(one["samples"]) for one in targets if one["target_name"] == target_name)

    def _get(self, path: str) -> dict[str, Any]:
        with namespaces.inside(_NODE):
            try:
                with urllib.request.urlopen(self._page_url + path, timeout=_ANSWER_S) as response:
                    found: dict[str, Any] = json.load(response)
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{path}: {error.read().decode()}") from error
        return found

    def _start(self, broker_port: int, source: str) -> "subprocess.Popen[bytes]":
        settings = self._folder / "collector.toml"
        beside = f'[second_vantage]\nsource_address = "{source}"\ncountry = "{COUNTRY}"\n' if source else ""
        settings.write_text(
            f'data = "{self._folder / "data"}"\n'
            f'[page]\nport = 0\n[broker]\nuse = "127.0.0.1:{broker_port}"\n'
            f"[vantage]\nenabled = true\n{'' if self._sweep_s is None else f'every_s = {self._sweep_s}'}\n"
            f'plans = "{self._plans}"\n{beside}',
            encoding="utf-8",
        )
        cover = self._folder / "resolv.conf"
        cover.write_text(f"nameserver {PUBLIC_RESOLVER}\n", encoding="utf-8")
        laid = f'mount --bind "{cover}" /etc/resolv.conf && exec "$@"'
        command = (sys.executable, "-m", "firmware.commands.main", "collector", "--config", str(settings))
        with (self._folder / "errors").open("ab") as errors, namespaces.inside(_NODE):
            return subprocess.Popen(
                [*_END_WITH_PARENT, "unshare", "--mount", "sh", "-c", laid, "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **self._environment},
            )

    def _await_ready(self, process: "subprocess.Popen[bytes]") -> None:
        ready = self._folder / "data" / "collector.json"
        until_s = time.monotonic() + _READY_S
        while not ready.exists():
            errors = (self._folder / "errors").read_text(encoding="utf-8")
            assert process.poll() is None, errors
            assert time.monotonic() < until_s, f"the collector is not ready: {errors}"
            time.sleep(0.05)
        self._page_url = json.loads(ready.read_text(encoding="utf-8"))["page_url"]


def _sentences(evidence: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(one["sentence"] for one in evidence)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
