"""The lab: prober, delay line and responder, each in a network namespace, and the programs that run in them.

    here ── eth0 10.76.0.1 ══ near │ delay │ far ══ eth0 10.76.0.2 ── responder, which is all of 10.77.0.0/16

`enter` runs this program again as the first process of fresh namespaces (network, mounts, process ids): when it
ends, however it ends, the kernel ends every process in them and nothing is left. It must never touch the
namespace it was started from, nor send a packet outside of its own.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.child_processes import end_with_parent
from tests import namespaces
from tests.needs import ROOT

NEAR: Final = "eth0"
_SIOCETHTOOL: Final = 0x8946
# Transmit checksums, scatter-gather, TCP segmentation, generic segmentation, generic receive: linux/ethtool.h.
_OFFLOADS: Final = (0x17, 0x19, 0x1F, 0x24, 0x2C)
_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_INSIDE: Final = "TIDEGAUGE_TIMING_LAB"
_STOP_S: Final = 10

ADDRESS_OF: Final = {
    name: f"10.77.0.{number}"
    for number, name in enumerate(
        ("worker", "once", "fping", "ping", "irtt", "blackbox", "lateness"), start=11
    )
}
"""Each prober asks an address of its own, so that the capture says whose packets it saw."""


def program(name: str) -> str | None:
    """Return a program's path, None where it is not installed."""
    return shutil.which(name, path=_PATH)


def is_inside() -> bool:
    """Return whether this is the process that `enter` started."""
    return os.environ.get(_INSIDE) == "1" and os.getpid() == 1


def enter(arguments: Sequence[str], *, limit_s: float) -> int:
    """Run this program again in namespaces of its own; return its exit status. It is ended after `limit_s`."""
    words = [
        program("unshare") or "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    words += [sys.executable, "-m", "tests.bench.timing", *arguments]
    environment = {**os.environ, _INSIDE: "1"}
    ending = end_with_parent(signal.SIGKILL)  # unshare blocks milder signals
    with subprocess.Popen(words, cwd=ROOT, env=environment, preexec_fn=ending) as child:  # noqa: PLW1509  # one thread here
        try:
            return child.wait(limit_s)
        except subprocess.TimeoutExpired:
            print(
                f"timing: ended after {limit_s:.0f} s, which is more than this should take", file=sys.stderr
            )
            return 3
        except KeyboardInterrupt:
            return 130
        finally:
            child.kill()  # what unshare started, and all that started, goes with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The lab while it stands. `folder` holds its files and goes with it."""

    folder: Path
    authority: Path
    """The certificate that the responder's is signed by."""
    privileged: bool
    """Whether real-time priority and the clock can be set: root, not a user namespace."""


@contextlib.contextmanager
def build(delay_us: int) -> Iterator[Lab]:
    """Build the lab, and take it down."""
    for words in (["-t", "tmpfs", "tmpfs", "/run"], ["-t", "sysfs", "sysfs", "/sys"]):
        subprocess.run(["mount", *words], check=True)
    namespaces.ip("link set lo up")
    delay, responder = namespaces.node("delay"), namespaces.node("responder")
    namespaces.wire(NEAR, delay, near="10.76.0.1/24", far="", far_interface="near")
    namespaces.wire(NEAR, delay, near="10.76.0.2/24", far="", near_node=responder, far_interface="far")
    for name, interfaces in (("", [NEAR]), (delay, ["near", "far"]), (responder, [NEAR])):
        with namespaces.inside(name) if name else contextlib.nullcontext():
            for interface in interfaces:
                namespaces.sysctl(f"net.ipv6.conf.{interface}.disable_ipv6", 1)
                no_offloads(interface)
    namespaces.open_ping()
    namespaces.ip("route add local 10.77.0.0/16 dev lo", node=responder)
    namespaces.ip(f"route add 10.77.0.0/16 via 10.76.0.2 dev {NEAR}")
    _know_each_other(responder)
    with tempfile.TemporaryDirectory(prefix="timing-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        with namespaces.inside(delay):
            line = [sys.executable, "-m", "tests.bench.timing.delay_line", "near", "far", str(delay_us)]
            stack.enter_context(running(line))
        with namespaces.inside(responder):
            served = [ADDRESS_OF[who] for who in ("worker", "once", "lateness")]
            far_end = [
                sys.executable,
                "-m",
                "tests.bench.timing.responder",
                name,
                *served,
                ADDRESS_OF["blackbox"],
            ]
            _, said = stack.enter_context(running(far_end))
            irtt = program("irtt")
            if irtt is not None:
                server = [irtt, "server", "-b", f"{ADDRESS_OF['irtt']}:2112"]
                log = stack.enter_context((folder / "irtt.log").open("w"))
                stack.enter_context(stopping(subprocess.Popen(server, stdout=log, stderr=log, text=True)))
        yield Lab(folder=folder, authority=Path(said), privileged=_is_privileged())


@contextlib.contextmanager
def running(words: Sequence[str]) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run one of our programs that says a line when it is ready and ends with its standard input."""
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with stopping(process):
        said = process.stdout.readline().strip()
        if not said:
            raise RuntimeError(f"{' '.join(words)}: ended at once, status {process.wait()}")
        yield process, said


@contextlib.contextmanager
def stopping(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> Iterator[None]:
    """End a process at the end: kindly, then not."""
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def no_offloads(interface: str) -> None:
    """Let every frame be one packet as a wire carries it, with its checksum: what ethtool -K does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _OFFLOADS:
            value = array("I", [command, 0])
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, _SIOCETHTOOL, request + bytes(16))


def _know_each_other(responder: str) -> None:
    """Fix both ends' neighbours: an ARP question on the way would be measured."""
    here = Path(f"/sys/class/net/{NEAR}/address").read_text().strip()
    shown = subprocess.run(
        ["ip", "-netns", responder, "-o", "link", "show", NEAR], capture_output=True, text=True, check=True
    ).stdout.split()
    there = shown[shown.index("link/ether") + 1]
    namespaces.ip(f"neigh replace 10.76.0.2 lladdr {there} dev {NEAR} nud permanent")
    namespaces.ip(f"neigh replace 10.76.0.1 lladdr {here} dev {NEAR} nud permanent", node=responder)


def _is_privileged() -> bool:
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
