"""`tidegauge device` in one of the made country's homes, as the process its users start, with a resolv.conf of its own.

Started where the caller is, so inside the home's namespace; killed with its caller.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

_COMMAND: Final = (sys.executable, "-m", "firmware.commands.main", "device", "--config")
_END_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
_STOP_S: Final = 20


class Device:
    """A running device. Use it as a context manager: it is asked to end, and killed if it does not.

    `folder` takes what it says; `resolv_conf` lies over /etc/resolv.conf in its sight alone.
    """

    def __init__(
        self, folder: Path, settings: Path, *, environment: dict[str, str], resolv_conf: str
    ) -> None:
        self.data = folder / "data"
        self._out, self._err = folder / "device.out", folder / "device.err"
        cover = folder / "resolv.conf"
        cover.write_text(resolv_conf, encoding="utf-8")
        laid = f'mount --bind "{cover}" /etc/resolv.conf && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", laid, "sh", *_COMMAND, str(settings)]
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                [*_END_WITH_PARENT, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **environment},
            )

    @property
    def lines(self) -> list[str]:
        """What it has said so far."""
        return self._out.read_text(encoding="utf-8").splitlines()

    @property
    def errors(self) -> str:
        """What it has said on its error output so far."""
        return self._err.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
