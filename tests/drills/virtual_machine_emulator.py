"""The emulator with one virtual machine in it: booted once, begun again and again from that state, talked to, and killed.

The machine is booted as far as the guest's first word, `up`, and that state is saved; each later start goes on from there,
for booting under emulation takes ten times as long as what is tried. In that state no driver of a disk is loaded and no
byte of one was read. Its random numbers are seeded anew by the order it gets, and its clock begins at the same moment
again, as on a Pi without a battery. It must never outlive this process.
"""

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

BOOT_LIMIT_S: Final = 400.0


class Running:
    """One start of the machine: its lines, what is said to it, and its controls."""

    def __init__(self, process: subprocess.Popen[str], control: Path, order: str) -> None:
        self._process = process
        self._order = order
        self._is_up = False
        self._control_path = control
        self._control: Any = None
        self.events: list[str] = []
        """What the emulator told by itself while it was asked something."""
        self._asking = threading.RLock()

    def lines(self) -> Iterator[str]:
        """Yield the guest's lines as they come, to the end; at its first `up` it is given its order.

        What was told before the cut counts, also when it is read after it; a line that the cut broke off is none.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                continue
            if line.strip() != "up":
                yield line.strip()
            elif not self._is_up:
                self._is_up = True
                if self._order:
                    self.say(self._order)
                yield "up"

    def say(self, line: str) -> None:
        """Say a line to the guest; one that was killed does not hear it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def ask(self, command: str, **arguments: object) -> Any:
        """Ask the emulator something (QMP); return its answer. Raises `RuntimeError` where it refuses. From any thread."""
        with self._asking:
            return self._ask(command, arguments)

    def await_event(self, name: str) -> None:
        """Wait until the emulator tells `name`, and forget it."""
        with self._asking:
            while name not in self.events:
                self.events.append(json.loads(self._control.readline()).get("event", ""))
            self.events.remove(name)

    def _ask(self, command: str, arguments: dict[str, object]) -> Any:
        if self._control is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self._control_path))
            self._control = connection.makefile("rw")
            connection.close()  # the file keeps it open
            self._control.readline()  # its greeting
            self._ask("qmp_capabilities", {})
        self._control.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._control.flush()
        while True:
            answer = json.loads(self._control.readline())
            if "error" in answer:
                raise RuntimeError(f"the emulator refused {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]
            self.events.append(answer.get("event", ""))

    def cut(self) -> None:
        """Take the power."""
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        self.cut()
        if self._control is not None:
            self._control.close()


class Emulator:
    """Starts the machine; `folder` is its own. `devices` are the emulator's words for what the machine has in it."""

    def __init__(
        self, folder: Path, *, kernel: Path, image: bytes, words: str, devices: Sequence[str]
    ) -> None:
        self._folder = folder
        (self._kernel,) = kernel.glob("boot/vmlinuz-*")
        self._words = words
        self._devices = devices
        (folder / "image").write_bytes(image)

    def save(self) -> None:
        """Boot as far as the guest's first word, and save that state. Raises `RuntimeError`."""
        with self._started("") as running:
            if "up" not in running.lines():
                raise RuntimeError("the virtual machine did not boot")
            running.ask("migrate", uri=f"exec:cat > {self._folder}/state")
            end = time.monotonic() + BOOT_LIMIT_S
            while (status := running.ask("query-migrate").get("status")) != "completed":
                if status == "failed" or time.monotonic() > end:
                    raise RuntimeError(f"the emulator did not save its state ({status})")
                time.sleep(0.1)

    def go_on(
        self, order: str, *, limit_s: float = BOOT_LIMIT_S
    ) -> contextlib.AbstractContextManager[Running]:
        """Begin again where it was saved, and give the guest its order; at the end of the block the power goes."""
        return self._started(order, "-incoming", f"exec:cat {self._folder}/state", limit_s=limit_s)

    @contextlib.contextmanager
    def _started(self, order: str, *more: str, limit_s: float = BOOT_LIMIT_S) -> Iterator[Running]:
        control = self._folder / "control"
        control.unlink(missing_ok=True)
        # Emulation, not KVM: stock kernels do not boot under every KVM inside a virtual machine.
        # It dies with this process, however that ends.
        words = ["setpriv", "--pdeathsig", "KILL"]
        words += ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "320"]
        words += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        words += ["-kernel", str(self._kernel), "-initrd", str(self._folder / "image")]
        words += ["-append", f"console=ttyS0 quiet loglevel=2 panic=-1 mitigations=off {self._words}"]
        words += ["-qmp", f"unix:{control},server=on,wait=off", *self._devices, *more]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with process:
            running = Running(process, control, order)
            limit = threading.Timer(limit_s, running.cut)
            limit.start()
            try:
                yield running
            finally:
                limit.cancel()
                running.close()
