"""`python -m tests.nation.censor.bench`: what passes through the censor, beside a plain bridge in the same run.

Throughput is one TCP connection up for some seconds between two namespaces; the round-trip time is a datagram's.
Packets pass once as the kernel makes them (up to 64 KiB each, cut up later) and once in wire size, with the
offloads of both ends off. It must never run in the namespace it was started from: it makes its own.
"""

import argparse
import contextlib
import io
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests import namespaces
from tests.nation.censor import wire
from tests.nation.censor.process import Censor
from tests.nation.censor.street import SERVER, SERVER4, street
from tests.waiting import until

_CHUNK: Final = bytes(1 << 17)
_ELSEWHERE: Final = '[[rule]]\nname = "elsewhere"\nmatch = { to = "192.0.2.0/24" }\ndo = "drop"\n'
_NAME: Final = '[[rule]]\nname = "a name"\nmatch = { sni = "*.x.com" }\ndo = "reset"\n'
_EVERYONE: Final = '[[rule]]\nname = "everyone"\ndo = "impair"\nloss = 0.0\n'
WAYS: Final = {
    "a bridge, no censor": None,
    "no rule": "",
    "a rule for other addresses": _ELSEWHERE,
    "a rule that reads names": _NAME,
    "a rule for every packet": _EVERYONE,
}


def measure(seconds: float, *, wire_size: bool) -> list[dict[str, Any]]:
    """Return a row a way: its name, Gbit/s, and the median and 99th percentile of the round trip in µs."""
    street()
    if wire_size:
        wire.offloads_off("eth0")
        with namespaces.inside(SERVER):
            wire.offloads_off("eth0")
    rows = []
    for name, rules in WAYS.items():
        with _way(rules):
            times = _round_trips(min(2000, round(1000 * seconds)))
            rows.append(
                {
                    "way": name,
                    "gbit_s": round(_throughput(seconds) / 1e9, 2),
                    "rtt_us": round(statistics.median(times) * 1e6),
                    "rtt_99_us": round(statistics.quantiles(times, n=100)[98] * 1e6),
                }
            )
    return rows


@contextlib.contextmanager
def _way(rules: str | None) -> Iterator[None]:
    """Join the two interfaces: by a censor with `rules`, or by a bridge where there are none."""
    if rules is not None:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            with namespaces.inside("censor"):
                stack.enter_context(Censor(("inside", "outside"), rules, Path(folder) / "log"))
            yield
        return
    namespaces.ip("link add bridge type bridge", node="censor")
    for interface in ("inside", "outside"):
        namespaces.ip(f"link set {interface} master bridge", node="censor")
    namespaces.ip("link set bridge up", node="censor")
    until(lambda: "forwarding" in namespaces.ip("-d link show dev outside", node="censor"), "a bridge")
    yield
    namespaces.ip("link del bridge", node="censor")


def _throughput(seconds: float) -> float:
    """Return what one connection carried, in bit/s, as the receiver counted it."""
    with namespaces.inside(SERVER):
        listener = socket.create_server((SERVER4, 0))
    with listener:
        thread = threading.Thread(target=_send, args=(listener.getsockname(), seconds))
        thread.start()
        connection, _ = listener.accept()
        with connection:
            buffer, count = bytearray(1 << 20), 0
            begin = time.monotonic()
            while got := connection.recv_into(buffer):
                count += got
            took = time.monotonic() - begin
        thread.join()
    return count * 8 / took


def _send(address: tuple[str, int], seconds: float) -> None:
    with socket.create_connection(address, timeout=30) as sock:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sock.sendall(_CHUNK)


def _round_trips(count: int) -> list[float]:
    with namespaces.inside(SERVER):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((SERVER4, 0))
    thread = threading.Thread(target=_echo, args=(server,))
    thread.start()
    found = []
    with server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.connect(server.getsockname())
        for _ in range(count):
            begin = time.monotonic()
            client.send(b"?")
            client.recv(10)
            found.append(time.monotonic() - begin)
        client.send(b"end")
        thread.join()
    return found


def _echo(server: socket.socket) -> None:
    while True:
        data, address = server.recvfrom(100)
        if data == b"end":
            return
        server.sendto(data, address)


def measure_in_namespace(seconds: float, wire_size: bool) -> list[dict[str, Any]]:
    """`measure`, as `tests.namespaces.call` calls functions."""
    return measure(seconds, wire_size=wire_size)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.nation.censor.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each connection sends")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    options = parser.parse_args()
    found = {}
    for title, wire_size in (("packets as the kernel makes them", False), ("packets in wire size", True)):
        with contextlib.redirect_stdout(io.StringIO()):  # where the result comes by
            limit_s = 60 + 20 * options.seconds
            found[title] = namespaces.call(measure_in_namespace, options.seconds, wire_size, limit_s=limit_s)
    if options.json:
        print(json.dumps(found))
        return 0
    for title, rows in found.items():
        plain = rows[0]["rtt_us"]
        print(f"\n{title:34} {'Gbit/s':>8} {'RTT µs':>8} {'99 %':>8} {'added':>8}")
        for row in rows:
            added = row["rtt_us"] - plain
            print(f"{row['way']:34} {row['gbit_s']:8} {row['rtt_us']:8} {row['rtt_99_us']:8} {added:8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
