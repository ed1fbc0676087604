"""A sender, a road with a throttle on it and a receiver in network namespaces, and one transfer of real TCP over it.

    here (receiver) ══ bump: delay, loss, a policer ══ line: tbf ══ router: tbf ══ server (sender, with its capture)

To be called in `tests.namespaces.call`. It must never be called elsewhere: it makes interfaces where it is.
"""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from collector.measurement import tcp_info
from collector.measurement.capture import FlowCapture
from collector.measurement.timeline import TimeLine
from firmware.judgement.throttling.sent_packets import HeaderSeen
from tests import namespaces
from tests.nation.censor import wire
from tests.needs import ROOT, program
from tests.policing.lines import PolicingLine

SERVER: Final = "server"
ROUTER: Final = "router"
LINE: Final = "line"
BUMP: Final = "bump"
_ADDRESS: Final = "10.0.2.2"
_BOTH: Final = ("near", "far")
_ONE_PACKET: Final = 1_600
"""A token bucket with a queue of this size polices: there is room for the packet that waits, and for no other."""
_MOST_S: Final = 40.0
_CHUNK: Final = bytes(1 << 14)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What was seen of a transfer: by its packets, and by the kernel's counts."""

    seen: list[HeaderSeen]
    segment_bytes: int
    line: TimeLine


def road(line: PolicingLine) -> None:
    """Make the hosts and what they are joined by."""
    for name in (BUMP, LINE, ROUTER, SERVER):
        namespaces.node(name)
    namespaces.ip(f"link add eth0 type veth peer name inside netns {BUMP}")
    namespaces.ip(f"link add outside type veth peer name near netns {LINE}", node=BUMP)
    namespaces.wire(
        "near", LINE, near="10.0.1.1/24", far="10.0.1.2/24", near_node=ROUTER, far_interface="far"
    )
    namespaces.wire("far", SERVER, near="10.0.2.1/24", far=f"{_ADDRESS}/24", near_node=ROUTER)
    namespaces.ip("addr add 10.0.0.2/24 dev eth0")
    namespaces.ip("addr add 10.0.0.1/24 dev near", node=LINE)
    for where, interface in (("", "eth0"), (LINE, "near"), (BUMP, "inside"), (BUMP, "outside")):
        namespaces.ip(f"link set {interface} up", node=where)
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.ip("route add default via 10.0.1.1", node=LINE)
    namespaces.ip("route add default via 10.0.1.2", node=ROUTER)
    namespaces.ip("route add default via 10.0.2.1", node=SERVER)
    for where, interfaces in (("", ("eth0",)), (LINE, _BOTH), (ROUTER, _BOTH), (BUMP, ("inside", "outside"))):
        with namespaces.inside(where) if where else contextlib.nullcontext():
            _wire_sized(interfaces)
    with namespaces.inside(SERVER):
        _wire_sized(("eth0",))
    for where in (LINE, ROUTER):
        with namespaces.inside(where):
            namespaces.sysctl("net.ipv4.ip_forward", 1)
    with namespaces.inside(LINE):
        _bucket(line.line_bit_s, 3_200, line.line_queue_bytes)
    if line.by == "tbf":
        with namespaces.inside(ROUTER):
            _bucket(line.rate_bit_s, line.burst_bytes, line.queue_bytes or _ONE_PACKET)


def _wire_sized(interfaces: tuple[str, ...]) -> None:
    """Have packets as they are on a wire: a policer meets no larger ones."""
    for interface in interfaces:
        wire.offloads_off(interface)


def _bucket(rate_bit_s: int, burst_bytes: int, queue_bytes: int) -> None:
    """Put the kernel's token bucket on this host's way to the receiver."""
    words = f"qdisc add dev near root tbf rate {rate_bit_s} burst {burst_bytes} limit {queue_bytes}"
    subprocess.run([program("tc"), *words.split()], check=True, capture_output=True)


@contextlib.contextmanager
def _bump(line: PolicingLine) -> Iterator[None]:
    """Run the bump meanwhile."""
    rate = line.rate_bit_s if line.by == "bump" else 0
    asked = {"delay_us": round(line.rtt_ms * 500), "loss": line.loss, "seed": line.seed}
    asked |= {"rate_bit_s": rate, "burst_bytes": line.burst_bytes}
    words = [sys.executable, "-m", "tests.policing.bump", "inside", "outside", json.dumps(asked)]
    with namespaces.inside(BUMP):
        started = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with started as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.stdin.close()
            process.wait()


def transfer(line: PolicingLine) -> Transfer:
    """Return what the sender's packets and its kernel say of one transfer over the line."""
    road(line)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_bump(line))
        with namespaces.inside(SERVER):
            listener = stack.enter_context(socket.create_server((_ADDRESS, 0)))
        thread = threading.Thread(target=_receive, args=(listener.getsockname(),))
        thread.start()
        sender, _ = listener.accept()
        with sender:
            found = _send(sender, line.payload_bytes)
        thread.join()
    return found


def _send(sender: socket.socket, amount: int) -> Transfer:
    with namespaces.inside(SERVER):
        capture = FlowCapture.of(sender)
    sender.setblocking(False)
    line, began_s, left = TimeLine(), time.monotonic(), amount
    try:
        while time.monotonic() < began_s + _MOST_S:
            kernel = tcp_info.of(sender)
            elapsed_us = round((time.monotonic() - began_s) * 1e6)
            is_over = not left and not kernel["Unacked"] and not kernel["NotsentBytes"]
            if is_over or elapsed_us >= line.due_us:
                line.add(elapsed_us, kernel)
            if is_over:
                break
            with contextlib.suppress(BlockingIOError):
                while left:
                    left -= sender.send(_CHUNK[:left])
            time.sleep(0.01)
        return Transfer(seen=capture.seen(), segment_bytes=tcp_info.of(sender)["SndMSS"], line=line)
    finally:
        capture.close()


def _receive(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=_MOST_S) as sock, contextlib.suppress(OSError):
        while sock.recv(1 << 16):
            pass


def told(line: dict[str, Any]) -> dict[str, Any]:
    """Return what is seen on a line as JSON, as `tests.namespaces.call` calls functions."""
    found = transfer(PolicingLine(**line))
    return {
        "line": line,
        "segment_bytes": found.segment_bytes,
        "seen": [
            [one.at_ns, one.is_sent, one.sequence, one.acknowledged, one.payload_bytes, one.sacks]
            for one in found.seen
        ],
        "tcp": found.line.to_json(),
    }
