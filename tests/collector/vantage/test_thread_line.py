"""The vantage as it runs while its own line fails and comes back, and while its sweeps follow at once."""

import socket
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest

from collector.judgement.services import vantage_lost
from collector.settings import VantageSettings
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS
from collector.vantage import asking
from collector.vantage.thread import VantageThread
from tests.collector.vantage.reported import batch
from tests.collector.vantage.running import PLATFORM, Running, plan_of
from tests.servers.http import Request, http, page
from tests.servers.tcp import TcpServer, reset
from tests.waiting import until


def test_what_fails_when_its_own_line_has_died_in_the_midst_of_a_sweep_is_nobodys_failure(
    tmp_path: Path, plans: Path
) -> None:
    well = http(lambda _request: page(status=204, content_type=""))
    with ExitStack() as stack:
        references = [TcpServer(well) for _ in range(3)]
        for one in references:
            one.__enter__()
        dead: list[TcpServer] = []

        def die(connection: socket.socket) -> None:
            """Be reset by a line that goes with all that is on it."""
            if not dead:
                dead.extend(references)
                for one in references:
                    one.__exit__()
            reset(connection)

        platforms = [stack.enter_context(TcpServer(one)) for one in (well, die)]
        reached, lost = (PLATFORM.format(port=one.port) for one in platforms)
        (plans / "here.toml").write_text(
            plan_of([one.port for one in references]) + reached.replace('"x"', '"y"') + lost
        )
        running = Running(tmp_path, every_s=3600)
        running.thread.start()
        try:
            until(running.vantage.last, "samples")
        finally:
            running.thread.stop()
    streaks = running.vantage.last()
    assert {one.key.target_name: one.view.reachable for one in streaks} == dict.fromkeys(
        ("n0", "n1", "n2", "x"), False
    ) | {"y": True}
    assert "x" not in vantage_lost(streaks)
    reached_ns, missed_ns = running.vantage.own_line(since_utc_ns=0)
    assert reached_ns is not None
    assert missed_ns is not None
    assert missed_ns > reached_ns
    assert running.sent == []
    running.queries.close()


def test_samples_of_sweeps_that_follow_at_once_go_on_however_long_a_sweep_takes(
    tmp_path: Path, plans: Path
) -> None:
    well = http(lambda _request: page(status=204, content_type=""))
    took_ns = 100 * NS
    with TcpServer(well) as server:
        (plans / "here.toml").write_text(plan_of([server.port] * 3))
        first = Running(tmp_path, every_s=10)
        first.thread.start()
        until(first.vantage.last, "samples")
        first.thread.stop()
        log = VantageLog.open(first.database)
        log._connection.execute(
            "UPDATE control_run SET first_utc_ns = first_utc_ns - ?1, last_utc_ns = last_utc_ns - ?1",
            (took_ns,),
        )
        log._connection.commit()
        log.close()
        before = {one.key.target_name: one.samples for one in first.vantage.last()}
        settings = VantageSettings(enabled=True, every_s=10, plans=plans)
        again = VantageThread(
            first.database, first.queries, settings, send=first.sent.append, say=first.said.append
        )
        again.start()
        try:
            until(lambda: max(one.samples for one in first.vantage.last()) > max(before.values()), "a sweep")
        finally:
            again.stop()
    assert all(one.last_utc_ns - one.first_utc_ns >= took_ns for one in first.vantage.last())
    assert first.vantage.gaps() == ()
    first.queries.close()


def test_when_its_line_is_back_it_sweeps_at_once_and_while_it_is_gone_it_does_not(
    tmp_path: Path, plans: Path
) -> None:
    is_gone = True

    def answer(_request: Request) -> tuple[bytes, ...]:
        return page() if is_gone else page(status=204, content_type="")

    with TcpServer(http(answer)) as one, TcpServer(http(answer)) as platform:
        (plans / "here.toml").write_text(plan_of([one.port] * 3) + PLATFORM.format(port=platform.port))
        running = Running(tmp_path, every_s=3600)

        def samples() -> dict[str, int]:
            with running.queries.reading() as connection:
                return dict(
                    connection.execute(
                        "SELECT target_name, sum(samples) FROM control_run GROUP BY 1"
                    ).fetchall()
                )

        running.thread.start()
        try:
            until(lambda: samples().get("x") == 1, "the first sweep")
            with mock.patch.multiple(asking, APART_S=0.0, REFERENCES_APART_S=0.0):
                running.thread.look()
                until(lambda: samples()["n0"] == 2, "a look")
                assert (samples()["x"], running.sent) == (1, [])
                is_gone = False
                running.thread.look()
                until(lambda: running.sent, "news")
        finally:
            running.thread.stop()
    assert samples() == {"n0": 4, "n1": 4, "n2": 4, "x": 2}
    running.queries.close()


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_look_that_its_device_is_told_of_counts_as_one_and_one_that_it_is_not_told_of_does_not(
    tmp_path: Path, plans: Path, *, is_gone: bool
) -> None:
    """A device wants one look and loses x, then x and y; whatever is asked for then, y is looked at."""
    gone: list[bool] = []
    requests: list[Request] = []

    def reference(_request: Request) -> tuple[bytes, ...]:
        return page() if gone else page(status=204, content_type="")

    def counting(request: Request) -> tuple[bytes, ...]:
        requests.append(request)
        return page(status=204, content_type="")

    with (
        TcpServer(http(reference)) as one,
        TcpServer(http(counting)) as x,
        TcpServer(http(lambda _request: page(status=204, content_type=""))) as other,
        mock.patch.multiple(asking, APART_S=0.0, AGAIN_S=0.0, WANTED_LOOKS=1),
    ):
        beside, y = (PLATFORM.format(port=other.port).replace('"x"', f'"{name}"') for name in "ay")
        (plans / "here.toml").write_text(plan_of([one.port] * 3) + beside + PLATFORM.format(port=x.port) + y)
        running = Running(tmp_path, every_s=3600)
        running.thread.start()
        try:
            until(lambda: len(running.looks) == 1, "the first sweep")
            gone += [True] * is_gone
            running.thread.note(batch(("x", "tls")))
            until(lambda: len(running.looks) == 2, "a look at x")
            gone.clear()
            running.thread.note(batch(("x", "tls"), ("y", "tls")))
            until(lambda: len(running.looks) == 3, "a look at y")
        finally:
            running.thread.stop()
    assert len(requests) == 2 + is_gone
    running.queries.close()
