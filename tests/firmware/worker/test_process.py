"""The worker as the daemon meets it: a process at the other end of a socket, on real probes."""

import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from firmware import __version__
from firmware.measurements import EVERY_MEASUREMENT
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Zone
from firmware.model.task import OptionValue, Result, Task, to_json
from firmware.net.loop import boottime_ns
from firmware.net.send_compensation import MAX_LEAD_NS
from firmware.worker import framing
from tests import namespaces
from tests.needs import ROOT, lacking
from tests.servers.tcp import Behaviour, TcpServer, say, stay_silent
from tests.waiting import LIMIT_S, until

MS = 1_000_000


class Daemon:
    """The other end of a worker."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(LIMIT_S)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firmware.worker.process", "--fd", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        theirs.close()
        self._decoder = framing.Decoder()
        self._messages: list[framing.Message] = []

    def receive(self) -> Any:
        while not self._messages:
            data = self.socket.recv(65536)
            assert data, "the worker hung up"
            self._messages.extend(self._decoder.feed(data))
        return self._messages.pop(0)

    def result(self) -> Any:
        message = self.receive()
        assert isinstance(message, Result)
        return message

    def send(self, message: JsonObject) -> None:
        self.socket.sendall(framing.encode(message))

    def ask(
        self,
        task_id: str,
        test: str,
        target: str,
        *,
        start_ms: int = 0,
        deadline_ms: int = 60_000,
        **options: OptionValue,
    ) -> Task:
        now_ns = boottime_ns()
        task = Task(
            task_id=task_id,
            test=test,
            target=target,
            options=options,
            zone=Zone.LOCAL,
            start_boottime_ns=now_ns + start_ms * MS,
            deadline_boottime_ns=now_ns + deadline_ms * MS,
        )
        self.send({"type": "task", "task": to_json(task)})
        return task

    def end(self) -> tuple[int, str]:
        """Wait for the worker's own end; return its status and what it said on stderr."""
        _, errors = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, errors

    def unread_bytes(self) -> int:
        raw = bytearray(4)
        fcntl.ioctl(self.socket.fileno(), termios.FIONREAD, raw)
        return int.from_bytes(raw, sys.byteorder)

    def memory_kb(self, key: str = "VmRSS") -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
        raise AssertionError(f"no {key}")


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    ready = daemon.receive()
    assert ready == {
        "type": "ready",
        "pid": daemon.process.pid,
        "version": __version__,
        "scheduling": "other",
    }
    yield daemon
    daemon.socket.close()
    if daemon.process.poll() is None:
        daemon.process.kill()
    daemon.process.communicate()


@pytest.fixture
def listener() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refused() -> Iterator[str]:
    """Yield a target that refuses, any number of times: bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_a_stop_ends_it_after_what_is_done_was_told(daemon: Daemon, listener: str) -> None:
    daemon.ask("one", "tcp", listener)
    daemon.ask("never", "tcp", listener, start_ms=3_600_000)
    assert daemon.result().task_id == "one"
    daemon.send({"type": "stop"})
    assert daemon.end() == (0, "")


def test_it_ends_when_the_daemon_is_gone(daemon: Daemon, listener: str) -> None:
    daemon.ask("never", "tcp", listener, start_ms=3_600_000)
    daemon.socket.close()
    assert daemon.end() == (0, "")


def test_tasks_start_at_their_slots_side_by_side(daemon: Daemon, listener: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        slow = daemon.ask("slow", "ntp", f"127.0.0.1:{silent.getsockname()[1]}", deadline_ms=400)
        later = daemon.ask("later", "tcp", listener, start_ms=200)
        sooner = daemon.ask("sooner", "tcp", listener, start_ms=100)
        results = [daemon.result() for _ in range(3)]
    assert [result.task_id for result in results] == ["sooner", "later", "slow"]
    for result, task in zip(results, (sooner, later, slow), strict=True):
        assert result.start_boottime_ns >= task.start_boottime_ns
    assert [result.outcome.failure for result in results] == [None, None, "generic_timeout_error"]


def test_what_is_no_task_is_answered_and_work_goes_on(daemon: Daemon, listener: str) -> None:
    daemon.send({"type": "task", "task": {"task_id": "half"}})
    daemon.send({"type": "task", "task": 5})
    daemon.send({"type": "task"})
    daemon.send({"type": "dance"})
    daemon.ask("unknown", "nosuch", "x")
    daemon.ask("wrong", "tcp", "no port")
    daemon.ask("right", "tcp", listener)
    results = {result.task_id: result.outcome.failure for result in (daemon.result() for _ in range(6))}
    assert results["half"] == "unknown_failure: RecordError: task: rung is missing"
    assert results[""].startswith("unknown_failure: RecordError: task: found")
    assert results["unknown"].startswith("unknown_failure: TargetError: found test 'nosuch'")
    assert results["wrong"].startswith("unknown_failure: TargetError: ")
    assert results["right"] is None
    daemon.send({"type": "stop"})
    assert daemon.end() == (0, "worker: a message of type 'dance' is not for me\n")


def test_a_stream_that_is_not_ours_ends_it_with_a_reason(daemon: Daemon) -> None:
    daemon.socket.sendall(b"GET / HTTP/1.1\r\n")
    status, errors = daemon.end()
    assert status == 2
    assert errors.startswith("worker: found a length of ")
    assert "Traceback" not in errors


def test_ctrl_c_is_the_daemons_to_deal_with(daemon: Daemon, listener: str) -> None:
    daemon.process.send_signal(signal.SIGINT)
    daemon.ask("after", "tcp", listener)
    assert daemon.result().task_id == "after"


def test_its_timers_have_no_slack(daemon: Daemon) -> None:
    try:
        slack_ns = Path(f"/proc/{daemon.process.pid}/timerslack_ns").read_text().strip()
    except PermissionError:
        lacking("another process's timer slack is shown to root alone: sudo ./test -k timers_have_no_slack")
    assert slack_ns == "1"


TAKE_PRIORITY = """
import os, resource
real = resource.getrlimit
resource.getrlimit = lambda which: ({granted}, {granted}) if which == resource.RLIMIT_RTPRIO else real(which)
from firmware.worker import process as worker
said = worker._take_priority()
policy = os.sched_getscheduler(0)
print(said, policy & ~os.SCHED_RESET_ON_FORK, bool(policy & os.SCHED_RESET_ON_FORK),
      os.sched_getparam(0).sched_priority, real(resource.RLIMIT_RTTIME)[0])
"""


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        (0, ["other", os.SCHED_OTHER, False, 0, resource.RLIM_INFINITY]),
        (3, ["fifo", os.SCHED_FIFO, True, 3, 3_000_000]),
        (99, ["fifo", os.SCHED_FIFO, True, 5, 3_000_000]),
        (resource.RLIM_INFINITY, ["fifo", os.SCHED_FIFO, True, 5, 3_000_000]),
    ],
)
def test_it_takes_a_low_real_time_priority_where_one_is_granted(granted: int, expected: list[Any]) -> None:
    code = TAKE_PRIORITY.format(granted=granted)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if granted and done.stdout.startswith("other"):
        lacking("no real-time priority here; it takes: sudo prlimit --pid $$ --rtprio=5")
    assert done.stdout.split() == [str(one) for one in expected]


def test_it_is_one_thread(daemon: Daemon, listener: str) -> None:
    daemon.ask("one", "tcp", listener)
    daemon.result()
    assert len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir())) == 1


def test_it_says_how_far_a_task_has_come_that_is_out_for_seconds_whatever_connects(daemon: Daemon) -> None:
    """Handshakes and pages over connections that are accepted, some of them with a first byte, and none with an end."""

    def begin(said: bytes) -> Behaviour:
        def behave(connection: socket.socket) -> None:
            connection.sendall(said)
            stay_silent(connection)

        return behave

    record, status = begin(b"\x16\x03\x03"), begin(b"HTTP/1.1 200 OK\r\n")
    with (
        TcpServer(stay_silent) as silent,
        TcpServer(record) as tls,
        TcpServer(status) as http,
        TcpServer(say(b"")) as quick,
    ):
        asked: dict[str, tuple[str, str, dict[str, OptionValue]]] = {}
        for test, begun in (("tls", tls), ("http", http), ("web_connectivity", http)):
            for name, server in (("silent", silent), ("begun", begun)):
                place = f"{server.address}:{server.port}"
                target = place if test == "tls" else f"http://{place}/"
                options: dict[str, OptionValue] = {"resolver": "none"} if test == "web_connectivity" else {}
                asked[f"{test} {name}"] = (test, target, options)
        for task_id, (test, target, options) in asked.items():
            daemon.ask(task_id, test, target, start_ms=0, deadline_ms=6_000, **options)
        daemon.ask("tcp", "tcp", f"{quick.address}:{quick.port}")
        told: list[tuple[str, str]] = []
        ended: set[str] = set()
        while len(ended) <= len(asked):
            message = daemon.receive()
            if isinstance(message, Result):
                ended.add(message.task_id)
                continue
            assert message["type"] == "progress"
            assert message["task_id"] not in ended
            told.append((message["task_id"], message["step"]))
    steps = {task_id: [step for name, step in told if name == task_id] for task_id in (*asked, "tcp")}
    assert steps.pop("tcp") == [], "what ends in time says all in its result"
    for task_id, said in steps.items():
        expected = ["connected"] if "silent" in task_id else ["receiving"]
        assert said[-1:] == expected, steps
        assert len(said) == len(set(said))


def test_a_daemon_that_does_not_read_loses_nothing_within_the_bound(daemon: Daemon, refused: str) -> None:
    tasks = [daemon.ask(f"{number}", "tcp", refused) for number in range(1000)]
    results = [daemon.result() for _ in tasks]
    assert {result.task_id for result in results} == {task.task_id for task in tasks}
    assert {result.outcome.failure for result in results} == {"connection_refused"}


def test_a_daemon_that_does_not_read_holds_up_no_send(daemon: Daemon, refused: str) -> None:
    """Every probe is sent, none long before its slot, while more waits for the daemon than the socket takes."""
    unread = [daemon.ask(f"unread {number}", "tcp", refused) for number in range(1000)]
    seen = [-1]

    def full() -> bool:
        seen.append(daemon.unread_bytes())
        return seen[-1] > 0 and seen[-1] == seen[-2]

    until(full, "a socket that takes no more", pause_s=0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(LIMIT_S)
        target = f"127.0.0.1:{sink.getsockname()[1]}"
        tasks = [
            daemon.ask(
                f"{number}", "ntp", target, start_ms=50 + 3 * number, deadline_ms=5000, timeout_ms=20_000
            )
            for number in range(200)
        ]
        for _ in tasks:
            assert sink.recv(99)
    results = {result.task_id: result for result in (daemon.result() for _ in (*unread, *tasks))}
    sent_ns = [task.start_boottime_ns + results[task.task_id].outcome.detail["late_ns"] for task in tasks]
    earliest_ns = min(at_ns - task.start_boottime_ns for task, at_ns in zip(tasks, sent_ns, strict=True))
    assert earliest_ns >= -MAX_LEAD_NS


def test_descriptors_and_memory_do_not_grow_with_work(daemon: Daemon, refused: str) -> None:
    def work(count: int) -> tuple[int, int]:
        for number in range(count):
            daemon.ask(str(number), "tcp", refused)
            daemon.result()
        return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir())), daemon.memory_kb("RssAnon")

    first_descriptors, first_kb = work(200)
    descriptors, memory_kb = work(1000)
    assert descriptors == first_descriptors
    assert memory_kb < first_kb + 1024


@pytest.mark.parametrize("words", [[], ["--fd"], ["--fd", "x"], ["--fd", "9999"], ["--help"]])
def test_without_a_socket_it_says_what_belongs_there(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firmware.worker.process", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--fd" in done.stderr
    assert "Traceback" not in done.stderr


def works_with_everything(folder: str) -> dict[str, Any]:
    """Run every test once to its end, in a namespace where only loopback answers; the second worker's memory counts.

    The first leaves compiled modules behind, as an installation does: compiling takes memory.
    """
    far_end = [sys.executable, "-m", "tests.bench.timing.responder", folder, "127.0.0.1"]
    with subprocess.Popen(
        far_end, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        environment = os.environ | {
            "PYTHONPYCACHEPREFIX": f"{folder}/compiled",
            "SSL_CERT_FILE": server.stdout.readline().strip(),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        token = Path(folder, "token")
        token.write_text("device.token")
        files = (environment["SSL_CERT_FILE"], str(token))
        _work(Daemon(environment), *files)
        found = _work(Daemon(environment), *files)
        server.stdin.close()
    return found


def _work(daemon: Daemon, trust: str, token: str) -> dict[str, Any]:
    daemon.receive()
    before_kb = daemon.memory_kb()
    resolver = "127.0.0.1:53"
    tests: dict[str, tuple[str, dict[str, str]]] = {
        "link": ("@uplink", {}),
        "address": ("@host", {}),
        "ping": ("127.0.0.1", {}),
        "tcp": ("127.0.0.1:443", {}),
        "ntp": ("127.0.0.1", {}),
        "traceroute": ("127.0.0.1", {}),
        "pmtu": ("127.0.0.1", {}),
        "dns": ("example.org", {"resolver": resolver}),
        "tls": ("127.0.0.1:443", {"sni": "server.test"}),
        "http": ("https://server.test/", {"address": "127.0.0.1"}),
        "transfer": ("127.0.0.1:443", {"trust_file": trust, "token_file": token}),
        "web_connectivity": ("https://127.0.0.1/", {"resolver": resolver}),
    }
    assert set(tests) == set(EVERY_MEASUREMENT), "every test belongs here"
    failures, plain_kb = {}, 0
    for test, (target, options) in tests.items():
        if test == "tls":
            plain_kb = daemon.memory_kb()
        daemon.ask(test, test, target, **cast("dict[str, Any]", options))
        failures[test] = daemon.result().outcome.failure
    after_kb = daemon.memory_kb()
    daemon.send({"type": "stop"})
    assert daemon.end() == (0, "")
    daemon.socket.close()
    return {"failures": failures, "start_kb": before_kb, "plain_kb": plain_kb, "every_kb": after_kb}


@pytest.mark.namespace
def test_every_test_runs_in_it_within_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As its unit starts it: a locale's own tables are another half a megabyte.
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    found = namespaces.call(works_with_everything, str(tmp_path))
    assert found["failures"] == {
        **dict.fromkeys(EVERY_MEASUREMENT),
        "link": "link_down",
        "address": "no_address",
        "transfer": "ssl_invalid_certificate",  # the far end is no measurement server
    }
    start, plain, every = (found[f"{when}_kb"] * 1024 / 1e6 for when in ("start", "plain", "every"))
    print(
        f"worker resident: {start:.1f} MB at the start, {plain:.1f} without libraries, {every:.1f} with all"
    )
    assert start <= 15, "MB, of 10⁶ bytes"
    # What the same modules take of Python 3.13 is one more; a bare interpreter with one TLS context takes 2.1 more of Debian 13
    # (19.0 for 16.9: Python 3.13, OpenSSL 3.5).
    most, most_of_all = (15.5, 25) if sys.version_info < (3, 13) else (16.5, 28)
    assert plain <= most, "15 by the timing bench; half of one more, for what a busy machine maps ahead"
    assert every <= most_of_all, "MB, of 10⁶ bytes"
