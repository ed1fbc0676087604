"""Runs a test's function in network namespaces of its own: no packet leaves them, no other test is in them.

    def pings_the_server() -> list[str]:                    # a plain function of the test's module
        server = namespaces.node("server")                  # another host, with its own namespace
        namespaces.wire("eth0", server, near="10.0.0.2/24", far="10.0.0.1/24")
        namespaces.ip("route add default via 10.0.0.1")
        with namespaces.inside(server):                     # sockets opened here live on the server
            listener = socket.create_server(("10.0.0.1", 80))
        ...                                                 # outside of it again: this is the device
        return ["anything JSON can hold"]

    def test_ping() -> None:
        assert namespaces.call(pings_the_server) == [...]

`call` starts a child in fresh network and mount namespaces (root, or a user namespace where the kernel allows
one), with loopback up, an own /sys and an empty /run, calls the function there and returns what it returns.
An exception in the child, an assertion too, fails the test with the child's traceback. Arguments and result
travel as JSON. In the child: `ip`, `node`, `wire`, `inside`, `sysctl`, `open_ping`, `write_file`. Mark such tests
with `@pytest.mark.namespace`. It must never touch the namespace it was called from.
"""

import contextlib
import ctypes
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.needs import ROOT, namespace_command, program
from tests.waiting import until

_CLONE_NEWNET: Final = 0x40000000
_RESULT: Final = "namespaces-result: "
_LIMIT_S: Final = 600
"""More than several waits of `tests.waiting.LIMIT_S` take that end well."""
_THIS: Final = Path("/proc/thread-self/ns/net")


def call(function: Callable[..., Any], *args: Any, limit_s: float = _LIMIT_S) -> Any:
    """Call `function(*args)` in fresh namespaces and return its result. Fails the test if it raises."""
    program("ip")
    words = [
        *namespace_command(),
        sys.executable,
        *(f"-W{rule}" for rule in ("error", "ignore::ImportWarning")),
        "-m",
        "tests.namespaces",
        str(Path(function.__code__.co_filename)),
        function.__qualname__,
        json.dumps(args),
        present(),
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=limit_s, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.returncode != 0 or not last.startswith(_RESULT):
        raise AssertionError(
            f"{function.__qualname__} in a namespace: status {done.returncode}\n{done.stderr}"
        )
    return json.loads(last.removeprefix(_RESULT))


def ip(arguments: str, *, node: str = "") -> str:
    """Run iproute2's `ip` with `arguments`, in `node` if given; return what it prints."""
    words = [program("ip"), *(["-netns", node] if node else []), *arguments.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"ip {arguments}: {done.stderr.strip()}")
    return done.stdout


def node(name: str) -> str:
    """Make another host with a namespace of its own, loopback up; return its name."""
    ip(f"netns add {name}")
    with inside(name):
        _begin()
    return name


def wire(
    near_interface: str,
    far_node: str,
    *,
    near: str,
    far: str,
    near_node: str = "",
    far_interface: str = "eth0",
) -> None:
    """Join this host (or `near_node`) and `far_node` with a veth pair.

    `near` and `far` are the addresses of the two ends with prefix lengths, several separated by spaces, both
    families; IPv6 ones are usable at once.
    """
    ip(f"link add {near_interface} type veth peer name {far_interface} netns {far_node}", node=near_node)
    ends = ((near_node, near_interface, near), (far_node, far_interface, far))
    for where, interface, addresses in ends:
        for address in addresses.split():
            ip(f"addr add {address} dev {interface}{' nodad' if ':' in address else ''}", node=where)
        ip(f"link set {interface} up", node=where)
    for where, interface, _ in ends:  # until then the kernel drops what is sent
        until(lambda: "state UP" in ip(f"-o link show dev {interface}", node=where), f"{interface} up")  # noqa: B023


def await_link_local(interface: str) -> None:
    """Wait until the kernel has given this host's `interface` its IPv6 link-local address, some time after it is up."""
    until(lambda: "fe80:" in ip(f"-o -6 addr show dev {interface} scope link"), f"{interface}'s fe80::")


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Be on host `name`: sockets opened and programs started meanwhile are its own, and stay so."""
    with _THIS.open() as home, Path("/run/netns", name).open() as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def sysctl(key: str, value: object) -> None:
    """Set a kernel variable of the present host: `net.ipv4.ip_forward`."""
    Path("/proc/sys", *key.split(".")).write_text(str(value))


def open_ping() -> None:
    """Let datagram ICMP sockets be opened, which a fresh namespace (and bookworm) forbids."""
    sysctl("net.ipv4.ping_group_range", "0 0")


def write_file(path: str, text: str) -> None:
    """Lay a file with `text` over the existing file `path`, in this child's sight only."""
    cover = Path("/run", path.strip("/").replace("/", "-"))
    cover.write_text(text)
    subprocess.run(["mount", "--bind", str(cover), path], check=True)


def _begin() -> None:
    """Make a fresh namespace usable: loopback up, IPv6 addresses without a second's wait for duplicates."""
    ip("link set lo up")
    for scope in ("all", "default"):
        sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def settle_in(outside: str) -> None:
    """Make the fresh namespaces that this process was started in usable; `outside` is where it came from."""
    assert present() != outside, "not in a namespace of its own"
    for words in (["-t", "tmpfs", "tmpfs", "/run"], ["-t", "sysfs", "sysfs", "/sys"]):
        subprocess.run(["mount", *words], check=True)
    _begin()


def present() -> str:
    """Return what names the present network namespace."""
    return str(_THIS.readlink())


def _child(file: str, qualname: str, arguments: str) -> None:
    spec = importlib.util.spec_from_file_location("in_namespace", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["in_namespace"] = module
    spec.loader.exec_module(module)
    result = getattr(module, qualname)(*json.loads(arguments))
    sys.stdout.write(f"{_RESULT}{json.dumps(result)}\n")


if __name__ == "__main__":
    settle_in(sys.argv[4])
    _child(*sys.argv[1:4])
