"""Run a piece of Python where the disk is full or read-only: in a mount namespace of its own.

`run(script, mounts)` first does `mounts` (shell lines: `mount -t tmpfs …`) and then runs `script`, both seen by
nobody else; needs root or an unprivileged user namespace. The script prints what the test then looks at.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *, mounts: str, directory: Path) -> str:
    """Return what `script` printed; `directory` is `$DIR` to `mounts` and `sys.argv[1]` to `script`."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode
    ):
        message = (
            "mount namespaces are closed here: sysctl -w kernel.unprivileged_userns_clone=1 (or run as root)"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    ended = subprocess.run(
        [*unshare, "sh", "-ec", f'{mounts}\nexec "$PYTHON" -W error -c "$SCRIPT" "$DIR"'],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHON": sys.executable,
            "SCRIPT": script,
            "DIR": str(directory),
        },
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
