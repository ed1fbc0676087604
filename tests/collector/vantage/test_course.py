"""The course of a look: what is asked when, so that the own line is seen; in made looks, and with real processes."""

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event

import pytest

from collector.store.vantage_streaks import Key
from collector.vantage import sweep
from collector.vantage.course import WITNESSES, Course
from collector.vantage.log import UNREACHABLE, sample_of
from collector.vantage.own_line import UNSEEN_MOST_NS
from collector.vantage.targets import VantageTarget
from firmware.model.failures import Failure
from firmware.model.record import Record
from tests.collector.vantage.made_looks import NS, PAGE, record, reference

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27


class Played:
    """A look whose targets answer as told: each task ends after so long, or fails after so long."""

    def __init__(
        self, targets: Sequence[VantageTarget], answer: Callable[[str, float], tuple[float, bool]]
    ) -> None:
        self.course = Course(targets)
        self.begun: list[tuple[float, str]] = []
        self._by_key = {one.key: one for one in targets}
        out: list[tuple[float, str, Record]] = []
        now_s = 0.0
        while not self.course.is_over and now_s < 300:
            for task in self.course.begin(round(now_s * NS)):
                began_s = task.start_boottime_ns / NS
                self.begun.append((began_s, task.target_name))
                takes_s, is_well = answer(task.target_name, began_s)
                target = self._by_key[Key(test=task.test, target=task.target, target_name=task.target_name)]
                failure = None if is_well else Failure.TIMEOUT
                out.append(
                    (began_s + takes_s, task.task_id, record(target, began_s, began_s + takes_s, failure))
                )
            now_s += 0.05
            for one in [one for one in out if one[0] <= now_s]:
                out.remove(one)
                self.course.end(one[1], one[2])
        assert self.course.is_over

    def times(self, name: str) -> list[float]:
        return [at for at, of in self.begun if of == name]


REFERENCES = [reference(number) for number in range(4)]


def test_a_look_at_what_is_well_asks_everything_once_and_the_references_first() -> None:
    played = Played([PAGE, *REFERENCES], lambda _name, _at: (0.2, True))
    assert sorted(name for _, name in played.begun) == ["n0", "n1", "n2", "n3", "page"]
    assert played.begun[-1][1] == "page"
    assert played.course.line().is_well


def test_while_anything_is_out_two_references_are_asked_again_and_all_when_it_failed() -> None:
    played = Played([PAGE, *REFERENCES], lambda name, _at: (20.0, False) if name == "page" else (0.2, True))
    (page_s,) = played.times("page")
    again = sorted(at for at, name in played.begun if at > page_s)
    assert all(b - a <= UNSEEN_MOST_NS / NS / 2 for a, b in zip(again, again[WITNESSES:], strict=False))
    closing = {name for at, name in played.begun if at >= page_s + 20.0}
    assert closing == {"n0", "n1", "n2", "n3"}
    (lost,) = [one for one in played.course.records if one.target_name == "page"]
    assert played.course.line().believes(lost)


def test_references_that_do_not_answer_show_nothing_of_the_line_and_are_not_asked_for_it() -> None:
    def answer(name: str, _at: float) -> tuple[float, bool]:
        return (20.0, False) if name == "page" else (0.2, name in ("n0", "n1"))

    played = Played([PAGE, *REFERENCES, reference(4), reference(5)], answer)
    (page_s,) = played.times("page")
    assert {name for at, name in played.begun if page_s + 1 < at < page_s + 19} == {"n0", "n1"}
    (lost,) = [one for one in played.course.records if one.target_name == "page"]
    assert played.course.line().believes(lost)


@pytest.mark.parametrize("dies", [False, True])
def test_a_result_that_never_comes_keeps_no_look_and_the_line_is_seen_at_its_end(*, dies: bool) -> None:
    course, now_s, out = Course([PAGE, *REFERENCES]), 0.0, list[tuple[float, str, Record]]()
    while not course.is_over and round(now_s * NS) <= course.until_ns + NS:
        for task in course.begin(round(now_s * NS)):
            began_s = task.start_boottime_ns / NS
            if task.target_name != "page":
                failure = Failure.TIMEOUT if dies and began_s > 10 else None
                ended_s = began_s + (10.0 if failure else 0.2)
                target = next(one for one in REFERENCES if one.key.target_name == task.target_name)
                out.append((ended_s, task.task_id, record(target, began_s, ended_s, failure)))
        now_s += 0.05
        for one in [one for one in out if one[0] <= now_s]:
            out.remove(one)
            course.end(one[1], one[2])
    assert now_s < 60
    assert course.unanswered == 1
    assert course.line().is_dead is dies


@pytest.mark.parametrize("dies_s", [1.5, 5.0, 12.0, 20.0])
def test_a_line_that_dies_in_the_midst_is_known_to_be_dead_and_nothing_that_failed_is_believed(
    dies_s: float,
) -> None:
    def answer(name: str, at_s: float) -> tuple[float, bool]:
        return (20.0, False) if at_s >= dies_s or name == "page" else (0.2, True)

    played = Played([PAGE, *REFERENCES], answer)
    told = played.course.line()
    assert (told.is_connected, told.is_dead) == (True, True)
    assert not any(map(told.believes, (one for one in played.course.records if one.outcome.failure)))


@pytest.mark.parametrize("dies_s", [1.5, 5.0, 12.0])
def test_a_line_that_is_gone_for_seconds_and_back_is_not_dead_and_nothing_that_failed_meanwhile_is_believed(
    dies_s: float,
) -> None:
    def answer(name: str, at_s: float) -> tuple[float, bool]:
        is_gone = dies_s <= at_s < dies_s + 6.0
        return (20.0, False) if is_gone or name == "page" else (0.2, True)

    played = Played([PAGE, *REFERENCES], answer)
    told = played.course.line()
    assert (told.is_connected, told.is_dead) == (True, False)
    assert not any(map(told.believes, (one for one in played.course.records if one.outcome.failure)))


def test_a_reference_that_is_down_alone_is_believed_to_be_and_nothing_else_is_doubted() -> None:
    played = Played([PAGE, *REFERENCES], lambda name, _at: (20.0, False) if name == "n0" else (0.2, True))
    told = played.course.line()
    assert told.is_well
    assert all(map(told.believes, played.course.records))


# With real processes.


class Servers:
    """Servers of one machine, which can be made to drop what comes, as where a line is gone; the kernel accepts for them."""

    def __init__(self, stack: ExitStack, *names: str) -> None:
        self._sockets = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}

    def target(self, name: str, network: str = "", *, timeout_ms: int = 2000) -> VantageTarget:
        port = self._sockets[name].getsockname()[1]
        key = Key(test="tcp", target=f"127.0.0.1:{port}", target_name=name)
        return VantageTarget(key=key, options={"timeout_ms": timeout_ms}, neutral_network=network)

    def drop(self, *names: str) -> None:
        program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        for name in names:
            self._sockets[name].setsockopt(
                socket.SOL_SOCKET,
                _SO_ATTACH_FILTER,
                struct.pack("HxxxxxxP", 1, ctypes.addressof(program)),
            )

    def take(self, *names: str) -> None:
        for name in names:
            self._sockets[name].setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def await_(self, name: str) -> None:
        self._sockets[name].accept()[0].close()


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def swept_beside(servers: Servers, act: Callable[[], None], *, timeout_ms: int) -> tuple[sweep.Sweep, Record]:
    """Sweep two references, `first` and `x`, which drops all, while something happens; return what came, and of `x`."""
    servers.drop("x")
    targets = [
        servers.target("a", "A"),
        servers.target("b", "B"),
        servers.target("first"),
        servers.target("x", timeout_ms=timeout_ms),
    ]
    with meanwhile(act):
        found = sweep.measure(targets, Event())
    (lost,) = [one for one in found.records if one.target_name == "x"]
    assert lost.outcome.failure == Failure.TIMEOUT
    return found, lost


def test_a_real_line_that_dies_in_the_midst_of_a_look_is_what_is_kept() -> None:
    with ExitStack() as stack:
        servers = Servers(stack, "a", "b", "first", "x")

        def die() -> None:
            servers.await_("first")
            servers.drop("a", "b", "first")

        found, lost = swept_beside(servers, die, timeout_ms=6000)
    assert found.fault is None
    assert (found.line.is_connected, found.line.is_dead) == (True, True)
    kept = sample_of(lost, found.line)
    assert kept is not None
    assert kept.view == UNREACHABLE


def test_a_real_line_that_is_gone_and_back_leaves_no_word_of_what_failed_meanwhile() -> None:
    with ExitStack() as stack:
        servers = Servers(stack, "a", "b", "first", "x")

        def blink() -> None:
            servers.await_("first")
            servers.drop("a", "b")
            time.sleep(6.5)  # longer than a line may be out of sight
            servers.take("a", "b")

        found, lost = swept_beside(servers, blink, timeout_ms=9000)
    assert (found.line.is_connected, found.line.is_dead) == (True, False)
    assert sample_of(lost, found.line) is None


def test_a_real_failure_beside_a_line_that_is_well_is_its_targets() -> None:
    with ExitStack() as stack:
        servers = Servers(stack, "a", "b", "first", "x")
        found, lost = swept_beside(servers, lambda: None, timeout_ms=2000)
    assert found.line.is_well
    kept = sample_of(lost, found.line)
    assert kept is not None
    assert (kept.failure, kept.view.reachable) == (Failure.TIMEOUT, True)
