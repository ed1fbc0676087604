"""The daemon's end of the measuring process, on the real process: killed, stopped, silent, babbling, it is replaced."""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from appliance.measuring.worker import (
    NS,
    RESTART_WAITS_S,
    Died,
    News,
    TaskConnected,
    TaskMeasured,
    Unanswered,
    Worker,
)
from firmware.model.record import Zone
from firmware.model.statement import stated
from firmware.model.task import Task
from firmware.net.loop import boottime_ns
from tests.servers.tcp import TcpServer, say, stay_silent
from tests.waiting import LIMIT_S, until


@contextmanager
def working(*, stuck_ns: int = 30 * NS, script: Path | None = None) -> "Iterator[tuple[Worker, Bench]]":
    """Give a started worker, and what a daemon's loop would do for it."""
    with selectors.DefaultSelector() as selector:
        if script is None:
            worker = Worker(selector, clock_ns=boottime_ns, stuck_ns=stuck_ns)
        else:
            command = (sys.executable, str(script))
            worker = Worker(selector, clock_ns=boottime_ns, stuck_ns=stuck_ns, command=command)
        worker.start()
        try:
            yield worker, Bench(worker, selector)
        finally:
            worker.stop()


class Bench:
    """A daemon's loop around one worker, which keeps the news."""

    def __init__(self, worker: Worker, selector: selectors.BaseSelector) -> None:
        self.news: list[News] = []
        self._worker = worker
        self._selector = selector

    def until(self, what: Callable[[], bool]) -> None:
        """Turn the loop until `what` holds."""

        def holds() -> bool:
            if what():
                return True
            due_ns = self._worker.next_due_ns()
            wait_s = 1.0 if due_ns is None else max(0.0, (due_ns - boottime_ns()) / NS)
            self._selector.select(min(wait_s, 1.0))
            self.news += self._worker.tend()
            return False

        until(holds, lambda: f"so far: {self.news}", pause_s=0)

    def of(self, kind: type[News]) -> list[News]:
        return [one for one in self.news if isinstance(one, kind)]


def task(name: str, server: TcpServer, *, deadline_s: float = 30, test: str = "tcp") -> Task:
    now_ns = boottime_ns()
    scheme = "http://" if test == "http" else ""
    return Task(
        task_id=name,
        test=test,
        target=f"{scheme}{server.address}:{server.port}",
        target_name=name,
        zone=Zone.LOCAL,
        start_boottime_ns=now_ns,
        deadline_boottime_ns=now_ns + int(deadline_s * NS),
    )


@pytest.fixture
def server() -> Iterator[TcpServer]:
    with TcpServer(say(b"")) as listening:
        yield listening


@pytest.fixture
def silent() -> Iterator[TcpServer]:
    with TcpServer(stay_silent) as listening:
        yield listening


def test_every_task_is_answered(server: TcpServer) -> None:
    with working() as (worker, bench):
        worker.submit([task(f"t{number}", server) for number in range(20)])
        bench.until(lambda: len(bench.of(TaskMeasured)) == 20)
        assert worker.is_ready
        assert worker.open_tasks == ()
        assert {one.result.outcome.failure for one in bench.news if isinstance(one, TaskMeasured)} == {None}


def test_a_task_that_has_connected_and_is_still_out_is_news(silent: TcpServer) -> None:
    with working() as (worker, bench):
        asked = task("slow", silent, test="http", deadline_s=20)
        worker.submit([asked])
        bench.until(lambda: bool(bench.of(TaskConnected)))
        assert bench.news == [TaskConnected(task=asked)]
        assert worker.open_tasks == (asked,)


def test_a_killed_worker_is_replaced_and_its_tasks_are_handed_back(
    server: TcpServer, silent: TcpServer
) -> None:
    with working() as (worker, bench):
        first = worker.pid
        assert first is not None
        worker.submit([task("a", server), task("b", silent, test="http")])
        bench.until(lambda: len(bench.of(TaskMeasured)) == 1)
        os.kill(first, signal.SIGKILL)
        bench.until(lambda: bool(bench.of(Died)))
        worker.submit([task("c", server)])  # while there is none: the next one gets it
        assert [one.task_id for one in worker.open_tasks] == ["c"]
        bench.until(lambda: len(bench.of(TaskMeasured)) == 2)
        (died,) = bench.of(Died)
        assert isinstance(died, Died)
        assert died.reason == "killed by SIGKILL"
        assert [one.task_id for one in died.tasks] == ["b"]
        assert worker.pid not in {None, first}


def test_a_worker_killed_before_it_read_its_tasks_is_said_to_be_killed(server: TcpServer) -> None:
    with working() as (worker, bench):
        bench.until(lambda: worker.is_ready)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        worker.submit([task("a", server)])
        os.kill(worker.pid, signal.SIGKILL)
        bench.until(lambda: bool(bench.of(Died)))
        (died,) = bench.of(Died)
        assert isinstance(died, Died)
        assert died.reason == "killed by SIGKILL"
        assert [one.task_id for one in died.tasks] == ["a"]


def test_a_worker_that_hangs_is_killed_and_replaced(server: TcpServer) -> None:
    with working(stuck_ns=NS) as (worker, bench):
        bench.until(lambda: worker.is_ready)
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        worker.submit([task("a", server, deadline_s=0.5)])
        bench.until(lambda: bool(bench.of(Died)))
        worker.submit([task("b", server)])
        bench.until(lambda: bool(bench.of(TaskMeasured)))
        (died,) = bench.of(Died)
        assert isinstance(died, Died)
        assert died.reason == "no answer 1 s after a deadline"
        assert [one.task_id for one in died.tasks] == ["a"]
        assert not psutil.pid_exists(first)


def test_a_worker_that_does_not_read_does_not_hold_the_daemon_up(server: TcpServer) -> None:
    with working() as (worker, bench):
        bench.until(lambda: worker.is_ready)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        tasks = [task(f"t{number}", server, deadline_s=60) for number in range(5_000)]
        worker.submit(tasks)  # over a megabyte, far beyond what a socket holds
        assert len(worker.open_tasks) == 5_000
        os.kill(worker.pid, signal.SIGCONT)
        bench.until(lambda: len(bench.of(TaskMeasured)) > 1_000)


def test_a_stop_ends_the_process_and_what_it_was_doing(silent: TcpServer) -> None:
    with working() as (worker, bench):
        worker.submit([task("a", silent, test="http")])
        bench.until(lambda: silent.connections == 1)
        pid = worker.pid
        worker.stop()
        assert [one.task_id for one in worker.open_tasks] == ["a"]
        assert pid is not None
        assert not psutil.pid_exists(pid)
        worker.stop()


def test_a_worker_ends_with_its_daemon_however_that_ends() -> None:
    with working() as (worker, bench):
        bench.until(lambda: worker.is_ready)
        process = psutil.Process(worker.pid)
        assert worker._socket is not None
        worker._socket.shutdown(socket.SHUT_WR)  # what the kernel does for a daemon that was killed
        process.wait(LIMIT_S)


def test_a_program_that_fails_at_once_is_tried_again_more_and_more_rarely(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('no such thing as a network')")
    with working(script=script) as (worker, bench):
        bench.until(lambda: bool(bench.of(Died)))
        first_ns = boottime_ns()
        bench.until(lambda: len(bench.of(Died)) == 3)
        assert boottime_ns() - first_ns >= (RESTART_WAITS_S[0] + RESTART_WAITS_S[1]) * NS
        assert {one.reason for one in bench.news if isinstance(one, Died)} == {
            "exit status 1: no such thing as a network"
        }
        due_ns = worker.next_due_ns()
        assert due_ns is not None
        assert due_ns - boottime_ns() > RESTART_WAITS_S[1] * NS


def test_tasks_for_which_no_worker_came_are_handed_back_at_last(tmp_path: Path, server: TcpServer) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit(1)")
    with working(script=script, stuck_ns=0) as (worker, bench):
        bench.until(lambda: len(bench.of(Died)) == 3)
        worker.submit([task("a", server, deadline_s=0)])
        bench.until(lambda: bool(bench.of(Unanswered)))
        (given_up,) = bench.of(Unanswered)
        assert isinstance(given_up, Unanswered)
        assert given_up.reason == stated("no-worker")
        assert worker.open_tasks == ()


@pytest.mark.parametrize(
    "says",
    [
        "b'\\xff\\xff\\xff\\xff'",
        "b'HTTP/1.1 200 OK\\r\\n'",
        "b'\\0\\0\\0\\3\\1ab'",
        "encode({'type': 'dropped', 'count': 'many'})",
    ],
)
def test_a_worker_that_babbles_is_replaced(says: str, tmp_path: Path) -> None:
    script = tmp_path / "babbles.py"
    script.write_text(_SPEAKS.format(says=says))
    with working(script=script) as (_, bench):
        bench.until(lambda: bool(bench.of(Died)))
        died = bench.of(Died)[0]
        assert isinstance(died, Died)
        assert died.reason.startswith("its answers could not be read: ")


def test_what_the_worker_says_it_dropped_does_not_cost_it_its_life(tmp_path: Path, server: TcpServer) -> None:
    script = tmp_path / "drops.py"
    script.write_text(_SPEAKS.format(says="encode({'type': 'dropped', 'count': 1})"))
    with working(script=script, stuck_ns=0) as (worker, bench):
        pid = worker.pid
        worker.submit([task("a", server, deadline_s=3)])
        bench.until(lambda: bool(bench.news))
        (given_up,) = bench.of(Unanswered)
        assert isinstance(given_up, Unanswered)
        assert given_up.reason == stated("read-too-slowly")
        assert [one.task_id for one in given_up.tasks] == ["a"]
        assert worker.pid == pid


def test_the_measuring_process_gets_no_more_of_the_environment_than_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIDEGAUGE_SECRET", "hush")
    monkeypatch.setenv("SSL_CERT_FILE", "/some/bundle.pem")
    with working() as (worker, bench):
        bench.until(lambda: worker.is_ready)
        environment = psutil.Process(worker.pid).environ()
        assert "TIDEGAUGE_SECRET" not in environment
        assert environment["SSL_CERT_FILE"] == "/some/bundle.pem"
        assert os.getpgid(worker.pid or 0) == worker.pid


_SPEAKS = """
import socket, sys
from firmware.worker.framing import encode
sock = socket.socket(fileno=int(sys.argv[-1]))
sock.sendall({says})
while sock.recv(65536):
    pass
"""
