"""What a test needs of the machine: a program, a namespace. Lacking, it fails in CI and is skipped elsewhere.

The message always has the one command that mends it. This file must never pretend: no fake stands in.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[1]
_PACKAGES = ROOT / ".ci" / "debian-packages"
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def program(name: str) -> str:
    """Return the path of a program that `.ci/debian-packages` lists."""
    package = _packages()[name]
    return shutil.which(name, path=_PATH) or lacking(
        f"needs {name}: sudo apt-get install --no-install-recommends {package}"
    )


def namespace_command() -> list[str]:
    """Return the words before a command that run it in empty network and mount namespaces of its own.

    As root that is `unshare -nm`; as a user, a user namespace comes first, where the kernel allows one.
    """
    words = [program("unshare"), "--net", "--mount"]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    refused = _refusal(tuple(words))
    if refused:
        lacking(f"needs network namespaces ({refused}): run ./test as root, outside a container or chroot")
    return words


def npm_packages() -> Path:
    """Return the folder of the clients that `npm` fetched, with the programs that run them by `node`."""
    program("node")
    folder = ROOT / "tests" / "npm"
    if not (folder / "node_modules").is_dir():
        lacking("needs packages of npm: npm ci --prefix tests/npm")
    return folder


def lacking(what: str) -> NoReturn:
    """End the test: failed in CI, skipped elsewhere. `what` says the command that mends it."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@functools.cache
def _packages() -> dict[str, str]:
    lines = (line.split() for line in _PACKAGES.read_text().splitlines() if line and not line.startswith("#"))
    return {shown_by: package for package, shown_by in lines}


@functools.cache
def _refusal(words: tuple[str, ...]) -> str:
    """Return what the kernel says against `words`; nothing when it lets them."""
    done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip()
