"""The measuring core runs wherever Python does: its own dependencies are enough, and none of them is compiled."""

import ast
import importlib.metadata
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.worker.framing import Decoder, encode
from tests.needs import ROOT, lacking

CONSTRAINTS = ROOT / "tests" / "constraints.txt"

# Runs in the bare environment. A third-party compiled module is one that a file outside the standard library holds.
IMPORT_ALL = """
import importlib, json, pkgutil, sys, sysconfig
import firmware
names = [m.name for m in pkgutil.walk_packages(firmware.__path__, "firmware.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
standard = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))
packages = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
files = {n: getattr(m, "__file__", None) or "" for n, m in sys.modules.items()}
compiled = {n: f for n, f in files.items() if f and not f.endswith((".py", ".pyc"))}
foreign = {n: f for n, f in compiled.items() if f.startswith(packages) or not f.startswith(standard)}
with open("/proc/self/maps") as maps:
    mapped = {line.split()[-1] for line in maps if line.rstrip().endswith(".so")}
foreign |= {f: f for f in mapped if f.startswith(packages)}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"modules": names, "foreign": foreign, "resident": status["VmRSS"].split()[0]}))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds the distribution without extras, and nothing else."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    # pip is lent by the tests' own environment, so that the bare one does not even hold that.
    install = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", ROOT, "-c", CONSTRAINTS],
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode != 0:
        lacking(
            f"needs packages from the index: connect this machine, then ./test -m packages\n{install.stderr}"
        )
    return python


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level names that a module imports, inside its functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def test_firmware_imports_only_what_it_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^A-Za-z0-9_.-]", one)[0].lower() for one in project["dependencies"]}
    holders = importlib.metadata.packages_distributions()
    allowed = {
        name for name, distributions in holders.items() if declared & {one.lower() for one in distributions}
    }
    allowed |= {"firmware", "_typeshed"} | sys.stdlib_module_names
    foreign = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "firmware").rglob("*.py")
        for name in imported(path)
        if name not in allowed
    }
    assert foreign == set(), "firmware may import the standard library and the dependencies in pyproject.toml"


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, check=False, cwd=python.parent, env=clean
    )


@pytest.mark.packages
@pytest.mark.timeout(900)  # may build and fetch
def test_all_of_firmware_in_a_bare_environment_loads_nothing_compiled(bare: Path) -> None:
    done = run(bare, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "firmware").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert expected <= set(told["modules"]), "a module of firmware is missing from the distribution"
    assert told["foreign"] == {}
    print(f"resident with every module of firmware loaded: {told['resident']} kB")


@pytest.mark.packages
@pytest.mark.timeout(900)
def test_the_worker_starts_in_a_bare_environment_and_says_what_it_costs(bare: Path) -> None:
    ours, its = socket.socketpair()
    with ours, its:
        words = [str(bare), "-m", "firmware.worker.process", "--fd", str(its.fileno())]
        # As its unit starts it: a locale's own tables are another half a megabyte.
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(words, pass_fds=[its.fileno()], cwd=bare.parent, env=env) as worker:
            its.close()
            ours.settimeout(60)
            (ready,) = Decoder().feed(ours.recv(65536))
            assert isinstance(ready, dict)
            assert ready["type"] == "ready"
            resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
            ours.sendall(encode({"type": "stop"}))
            assert worker.wait(60) == 0
    assert resident is not None
    resident_mb = int(resident[1]) * 1024 / 1e6
    print(f"resident memory of a worker that waits for its first task: {resident_mb:.1f} MB")
    assert resident_mb <= 15, "MB, of 10⁶ bytes"


@pytest.mark.packages
@pytest.mark.timeout(900)
def test_the_bare_environment_holds_only_pure_wheels(bare: Path) -> None:
    (site,) = bare.parents[1].glob("lib/python3*/site-packages")
    wheels = {path.parent.name: path.read_text() for path in site.glob("*.dist-info/WHEEL")}
    assert wheels
    assert {name for name, text in wheels.items() if "Root-Is-Purelib: true" not in text} == set()


@pytest.mark.packages
@pytest.mark.timeout(900)
def test_the_command_works_in_a_bare_environment(bare: Path) -> None:
    done = run(bare, str(bare.parent / "tidegauge"), "--help")
    assert done.returncode == 0, done.stderr
    assert "measure" in done.stdout


@pytest.mark.packages
@pytest.mark.timeout(900)
def test_the_distribution_brings_every_file_that_is_read_beside_the_code(bare: Path) -> None:
    (site,) = bare.parents[1].glob("lib/python3*/site-packages")
    packages = ("firmware", "appliance", "collector", "provisioning")
    wanted = {
        path.relative_to(ROOT)
        for package in packages
        for path in (ROOT / package).rglob("*.*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert Path("firmware/judgement/fingerprints/ir-2026-11-21.csv") in wanted
    assert {path for path in wanted if not (site / path).exists()} == set()
