"""The capture of a flow: its headers whole, nothing of its payload, nothing of others, within its room; and who may."""

import socket
import subprocess
import sys
import threading
from typing import Final

import pytest

from collector.measurement import capture
from collector.measurement.capture import FRAME_BYTES, FRAMES, RING_BYTES, FlowCapture
from collector.measurement.watching import SenderWatch
from firmware.judgement.throttling.sent_packets import trace_of
from tests import namespaces
from tests.needs import ROOT
from tests.waiting import until

SECRET = b"a word that nobody else may read"
HEADERS = 120


def pair(address: str) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection on this machine: the one that sends, and the other."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        far = socket.create_connection(listener.getsockname()[:2])
        near, _ = listener.accept()
    return near, far


def sends(near: socket.socket, far: socket.socket, data: bytes) -> None:
    """Send it all and wait until it was read."""
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(far.recv(1 << 16))

    thread = threading.Thread(target=read)
    thread.start()
    near.sendall(data)
    thread.join()


def captured(address: str) -> list[object]:
    near, far = pair(address)
    other_near, other_far = pair(address)
    with near, far, other_near, other_far:
        watched = FlowCapture.of(near)
        sends(near, far, SECRET * 5000)
        sends(other_near, other_far, SECRET * 5000)
        far.sendall(b"a request" * 100)
        size = len(SECRET) * 5000
        until(lambda: sum(one.payload_bytes for one in watched.seen() if one.is_sent) == size, "all of it")
        ring = watched._ring[:]
        seen = watched.seen()
        received = sum(one.payload_bytes for one in seen if not one.is_sent)
        watched.close()
    trace = trace_of(seen, 1448)
    longest = max(
        int.from_bytes(ring[at + 8 : at + 12], sys.byteorder) for at in range(0, RING_BYTES, FRAME_BYTES)
    )
    words = [word.decode() for word in (SECRET[:8], b"request") if word in ring]
    return [words, longest, sum(one.payload_bytes for one in trace.segments), size, received]


@pytest.mark.namespace
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_headers_of_this_flow_are_seen_and_no_byte_of_payload_is_kept(address: str) -> None:
    words, longest, segments, size, received = namespaces.call(captured, address)
    assert words == []
    assert longest <= HEADERS
    assert (segments, received) == (size, 900)


def overrun() -> list[int]:
    near, far = pair("127.0.0.1")
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with near, far:
        watched = FlowCapture.of(near)
        for _ in range(FRAMES):
            sends(near, far, b"x")
        seen = watched.seen()
        watched.close()
    return [len(seen), *(one.sequence for one in seen[:1])]


@pytest.mark.namespace
def test_what_has_no_room_is_not_kept() -> None:
    assert namespaces.call(overrun)[0] == FRAMES


def limited() -> list[bool]:
    watch = SenderWatch(most=1)
    near, far = pair("127.0.0.1")
    with near, far:
        first, second = watch.begin(near), watch.begin(near)
        assert first is not None
        watch.told(first, {}, 1448)
        third = watch.begin(near)
        off = SenderWatch(captures=False).begin(near)
        watch.told(third, {}, 1448)
    return [second is None, third is not None, off is None]


@pytest.mark.namespace
def test_no_more_flows_than_may_be_are_captured_at_once() -> None:
    assert namespaces.call(limited) == [True, True, True]


AS_A_USER: Final = """
import os, socket, struct, subprocess, sys
from collector.measurement.capability import _call, keep_net_raw_alone
from collector.measurement.watching import SenderWatch

given = int(sys.argv[1])
_call("prctl", 28, 0b11, 0, 0, 0)  # SECBIT_NOROOT: from here on root is a user like any other
_call("capset", struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", given, given, given, 0, 0, 0))
for one in range(32):
    if given >> one & 1:
        _call("prctl", 47, 2, one, 0, 0)  # PR_CAP_AMBIENT_RAISE, as systemd gives them
os.geteuid = lambda: 1000

def held(text):
    lines = dict(line.split(":\\t") for line in text.splitlines() if line.startswith("Cap"))
    return [lines[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")]

print(keep_net_raw_alone(), *held(open("/proc/self/status").read()))
print(*held(subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout))
with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
    watch = SenderWatch()
    capture = watch.begin(far)
    print(capture is not None, watch.captures, *held(open("/proc/self/status").read()))
"""
NET_RAW, NET_BIND_SERVICE = 1 << 13, 1 << 10


def as_a_user(given: int) -> list[list[str]]:
    words = [sys.executable, "-W", "ignore", "-c", AS_A_USER, str(given)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.namespace
def test_of_what_was_given_cap_net_raw_alone_is_kept_out_of_force_and_from_children() -> None:
    held, child, captures = namespaces.call(as_a_user, NET_RAW | NET_BIND_SERVICE)
    raw, none = f"{NET_RAW:016x}", f"{0:016x}"
    assert held == ["True", none, raw, none, none]
    assert child == [none, none, none, none]
    assert captures == ["True", "True", none, raw, none, none]


@pytest.mark.namespace
def test_without_it_nothing_is_captured_and_nothing_fails() -> None:
    held, _, captures = namespaces.call(as_a_user, NET_BIND_SERVICE)
    none = f"{0:016x}"
    assert held == ["False", none, none, none, none]
    assert captures[:2] == ["False", "False"]


def test_a_frame_has_room_for_the_longest_headers() -> None:
    assert capture.FRAME_BYTES >= 80 + HEADERS
