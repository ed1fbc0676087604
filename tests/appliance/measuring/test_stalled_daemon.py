"""A daemon that the kernel has stopped, and a real worker that goes on measuring: every send leaves, nothing is silently lost."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from firmware.model.jsontypes import JsonObject
from firmware.model.record import Zone
from firmware.model.task import Task, to_json
from firmware.net.loop import boottime_ns
from firmware.worker.outlet import MAX_UNSENT_BYTES
from tests.appliance.measuring.stalled_daemon import STUCK_S
from tests.needs import ROOT
from tests.waiting import LIMIT_S

MS = 1_000_000
NS = 1_000_000_000
PROBES = 50
EARLY = 10
"""So many of those that nobody reads are over before what is kept is full: how late they were sent is told in any case."""
TEXTS = 40
BIG = MAX_UNSENT_BYTES // 9000 + 150
"""So many results of 9 kB and more are more than a worker keeps for a daemon that does not read."""


class Sink:
    """Counts the NTP questions that reach it, and answers none."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(LIMIT_S)
        self.place = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.socket.recv(99)


@contextmanager
def talkative_resolver() -> "Iterator[str]":
    """Give a resolver whose every answer is 40 texts of 250 characters."""
    record = struct.pack("!HHHIHB", 0xC00C, 16, 1, 60, 251, 250)
    texts = b"".join(record + (b"%03d" % number) * 83 + b"x" for number in range(TEXTS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def answer() -> None:
            while len(query := sock.recvfrom(999)) and (asked := query[0]):
                sock.sendto(
                    asked[:2] + struct.pack("!5H", 0x8180, 1, TEXTS, 0, 0) + asked[12:] + texts, query[1]
                )

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{sock.getsockname()[1]}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", sock.getsockname())
        thread.join(LIMIT_S)


def task(name: str, test: str, target: str, *, at_ns: int, limit_ms: int, **options: Any) -> JsonObject:
    return to_json(
        Task(
            task_id=name,
            test=test,
            target=target,
            options=options,
            zone=Zone.LOCAL,
            start_boottime_ns=at_ns,
            deadline_boottime_ns=at_ns + limit_ms * MS,
        )
    )


def state(pid: int) -> str:
    """Return a process's state as the kernel tells it: `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def daemon() -> "Iterator[subprocess.Popen[str]]":
    words = [sys.executable, "-m", "tests.appliance.measuring.stalled_daemon"]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)  # nothing, once it has ended
            process.kill()


def probes(
    sink: Sink, name: str, first_ns: int, numbers: range = range(PROBES), *, limit_ms: int = 2_000
) -> list[JsonObject]:
    return [
        task(
            f"{name} {number}",
            "ntp",
            sink.place,
            at_ns=first_ns + 5 * MS * number,
            limit_ms=limit_ms,
            timeout_ms=20_000,
        )
        for number in numbers
    ]


def test_a_stopped_daemon_delays_no_send_and_learns_afterwards_of_every_loss() -> None:
    """Read: probes are read at once. Stopped: more than is kept waits unread, and the same probes are sent.

    The daemon sleeps for longer than it takes to hold a worker for stuck, and must not kill it for that.
    """
    sink = Sink()
    with sink.socket, talkative_resolver() as resolver, daemon() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        worker_pid = int(process.stdout.readline().split()[1])
        start_ns = boottime_ns() + 1_000 * MS
        read = probes(sink, "read", start_ns)
        stopped_ns = start_ns + 4_000 * MS
        big = [
            task(
                f"big {number}",
                "dns",
                "example.org",
                at_ns=stopped_ns + 6 * MS * number,
                limit_ms=5_000,  # a resolver that came too late would make small results
                type="TXT",
                resolver=resolver,
                window_ms=0,
            )
            for number in range(BIG)
        ]
        unread = [
            *probes(sink, "unread", stopped_ns, range(EARLY), limit_ms=500),
            *probes(sink, "unread", stopped_ns + 6 * MS * BIG + 2_500 * MS, range(EARLY, PROBES)),
        ]
        process.stdin.write(json.dumps([*read, *big, *unread]) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "handed over\n"
        told = [json.loads(process.stdout.readline()) for _ in read]  # every one of the first is read
        os.kill(process.pid, signal.SIGSTOP)
        sink.wait_for(2 * PROBES)  # those that were read, and those that nobody reads
        assert state(process.pid) == "T", "every probe was sent while the daemon was stopped"
        overdue_ns = max(int(str(one["deadline_boottime_ns"])) for one in big + unread) + STUCK_S * NS
        time.sleep((overdue_ns - boottime_ns()) / NS + 1.5)  # by when a worker counts as stuck, and more
        os.kill(process.pid, signal.SIGCONT)
        rest = process.stdout.read().splitlines()
        assert process.wait(LIMIT_S) == 0
    assert rest[-1] == f"done {worker_pid}", "the worker was replaced, and it was not at fault"
    told += [json.loads(line) for line in rest[:-1]]
    measured = {one["measured"]: one for one in told if "measured" in one}
    lost = [name for one in told if one.get("news") == "Unanswered" for name in one["tasks"]]
    assert {one["reason"] for one in told if "news" in one} == {"read-too-slowly"}
    assert 0 < len(lost) <= BIG
    assert sorted([*measured, *lost]) == sorted(str(one["task_id"]) for one in (*read, *big, *unread))
    late_us = {
        name: [one["detail"]["late_ns"] / 1000 for key, one in measured.items() if key.startswith(name + " ")]
        for name in ("read", "unread")
    }
    for name, found in late_us.items():
        assert found, f"no probe of those {name} has told its lateness"
        print(
            f"{name}: {len(found)} of {PROBES} told, late by {median(found):.0f} µs at the median, {max(found):.0f} at most"
        )
    print(f"{len(measured)} results, {len(lost)} lost and told")
