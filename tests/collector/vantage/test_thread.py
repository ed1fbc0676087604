"""The vantage as it runs, against loopback: sweeps into the log, news to devices, gaps, and what the operator is told."""

import time
from pathlib import Path
from unittest import mock

from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS
from collector.vantage import asking
from collector.vantage.news import news_of
from firmware.model.statement import stated
from firmware.wire.vantage_news import decode_news
from tests.collector.vantage.reported import batch
from tests.collector.vantage.running import DEVICE, PLATFORM, Running, hello, plan_of
from tests.servers.http import Request, http, page
from tests.servers.tcp import TcpServer
from tests.waiting import until


def test_a_sweep_goes_into_the_log_and_down_to_the_device(tmp_path: Path, plans: Path) -> None:
    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as one, TcpServer(well) as two, TcpServer(well) as three:
        (plans / "here.toml").write_text(plan_of([one.port, two.port, three.port]))
        running = Running(tmp_path)
        assert running.thread.answer_hello(hello("zz")) is None
        running.thread.start()
        try:
            until(lambda: running.sent, "news sent")
        finally:
            running.thread.stop()
    assert {(streak.key.target_name, streak.failure) for streak in running.vantage.last()} == {
        ("n0", None),
        ("n1", None),
        ("n2", None),
    }
    assert running.sent[0].topic == f"p1/dn/{DEVICE}/ctl"
    news = decode_news(running.sent[0].payload)
    assert {(one.target_name, one.failure) for one in news.seen} == {("n0", None), ("n1", None), ("n2", None)}
    answer = running.thread.answer_hello(hello("zz"))
    assert answer is not None
    assert decode_news(answer.payload).seen == news.seen
    assert running.thread.answer_hello(hello("ir")) is None
    assert running.said == []
    running.queries.close()


def test_news_from_before_the_vantage_was_cut_off_is_as_old_as_it_is_for_a_device_that_comes_back(
    tmp_path: Path, plans: Path
) -> None:
    """What is later than a connection may be, a device takes for its own clock's fault."""
    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as server:
        (plans / "here.toml").write_text(plan_of([server.port] * 3))
        running = Running(tmp_path, every_s=3600)
        running.thread.start()
        try:
            until(lambda: running.sent, "news sent")
        finally:
            running.thread.stop()
    taken_ns = {one.taken_utc_ns for one in decode_news(running.sent[0].payload).seen}
    with mock.patch.object(time, "time_ns", return_value=time.time_ns() + 7200 * NS):
        answer = running.thread.answer_hello(hello("zz"))
    assert answer is not None
    news = decode_news(answer.payload)
    assert {one.taken_utc_ns for one in news.seen} == taken_ns
    assert news.told_utc_ns - max(taken_ns) >= 7200 * NS
    running.queries.close()


def test_it_looks_at_once_at_a_platform_that_a_device_lost_and_tells_that_device(
    tmp_path: Path, plans: Path
) -> None:
    requests: list[Request] = []

    def counting(request: Request) -> tuple[bytes, ...]:
        requests.append(request)
        return page(status=204, content_type="")

    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as one, TcpServer(http(counting)) as platform:
        (plans / "here.toml").write_text(plan_of([one.port] * 3) + PLATFORM.format(port=platform.port))
        running = Running(tmp_path, every_s=3600)
        running.thread.start()
        try:
            until(lambda: running.sent, "news of the first sweep")
            assert len(requests) == 1
            (before,) = [one for one in decode_news(running.sent[0].payload).seen if one.target_name == "x"]
            with mock.patch.object(asking, "APART_S", 0.0):
                running.thread.note(batch(("x", "tls"), ("no-such", "tls")))
                until(lambda: len(running.sent) == 2, "news of the look")
        finally:
            running.thread.stop()
    assert len(requests) == 2
    news = decode_news(running.sent[1].payload)
    assert running.sent[1].topic == f"p1/dn/{DEVICE}/ctl"
    assert {one.target_name for one in news.seen} == {"n0", "n1", "n2", "x"}
    (after,) = [one for one in news.seen if one.target_name == "x"]
    assert after.taken_utc_ns > before.taken_utc_ns + NS
    running.queries.close()


def test_it_looks_at_its_reference_targets_alone_when_devices_fell_silent(
    tmp_path: Path, plans: Path
) -> None:
    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as one, TcpServer(well) as platform:
        (plans / "here.toml").write_text(plan_of([one.port] * 3) + PLATFORM.format(port=platform.port))
        running = Running(tmp_path, every_s=3600)
        running.thread.start()
        try:
            until(lambda: running.sent, "the first sweep")
            with mock.patch.multiple(asking, APART_S=0.0, REFERENCES_APART_S=0.0):
                running.thread.look()
                until(lambda: max(one.samples for one in running.vantage.last()) == 2, "a look")
        finally:
            running.thread.stop()
    assert {(one.key.target_name, one.samples) for one in running.vantage.last()} == {
        ("n0", 2),
        ("n1", 2),
        ("n2", 2),
        ("x", 1),
    }
    assert len(running.sent) == 1  # the device did not ask, and nothing is new
    running.queries.close()


def test_a_vantage_that_reaches_nothing_keeps_that_and_tells_its_devices_nothing(
    tmp_path: Path, plans: Path
) -> None:
    with TcpServer(http(lambda _request: page())) as server:
        port = server.port
    (plans / "here.toml").write_text(plan_of([port, port, port]))
    running = Running(tmp_path)
    running.thread.start()
    try:
        until(running.vantage.last, "samples")
    finally:
        running.thread.stop()
    assert {streak.view.reachable for streak in running.vantage.last()} == {False}
    assert running.sent == []
    running.queries.close()


def test_a_plan_that_is_not_known_is_said_once_and_nothing_is_measured(tmp_path: Path, plans: Path) -> None:
    (plans / "broken.toml").write_text("schema = 1\n")
    running = Running(tmp_path, country="qq")
    running.thread.start()
    try:
        until(lambda: len(running.said) == 2, "both told")
    finally:
        running.thread.stop()
    assert "no plan for 'qq'" in running.said[0]
    assert "broken.toml" in running.said[1]
    assert running.vantage.last() == ()
    running.queries.close()


def test_the_time_in_which_it_did_not_run_is_a_gap(tmp_path: Path, plans: Path) -> None:
    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as server:
        (plans / "here.toml").write_text(plan_of([server.port] * 3))
        running = Running(tmp_path)
        log = VantageLog.open(running.database)
        long_ago_ns = time.time_ns() - 3600 * NS
        log._connection.execute(
            "INSERT INTO control_run (test, target, target_name, first_utc_ns, last_utc_ns, samples, view)"
            " VALUES ('tcp', 'x', 'x', ?1, ?1, 1, '{}')",
            (long_ago_ns,),
        )
        log.close()
        running.thread.start()
        try:
            until(running.vantage.gaps, "a gap")
        finally:
            running.thread.stop()
    (gap,) = running.vantage.gaps()
    assert (gap.from_utc_ns, gap.reason) == (long_ago_ns, stated("vantage-not-running"))
    running.queries.close()


def test_news_has_pages_first_since_the_last_are_cut_first(tmp_path: Path, plans: Path) -> None:
    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as server:
        (plans / "here.toml").write_text(
            plan_of([server.port] * 3)
            + '[[target]]\nname = "site"\nrung = "platforms"\nzone = "international"\ntest = "web_connectivity"\n'
            f'target = "http://127.0.0.1:{server.port}/"\noptions = {{ resolver = "none", body_cap = 1024, '
            'addresses = 1 }\nnetwork = { asn = 64510, name = "S" }\nsource = "made"\nwhy = "made"\n'
        )
        running = Running(tmp_path)
        running.thread.start()
        try:
            until(lambda: running.sent, "news sent")
        finally:
            running.thread.stop()
    streaks = running.vantage.last()
    assert next(one.target_name for one in news_of(streaks, 1).seen) == "site"
    running.queries.close()


def test_names_that_no_plan_has_are_not_kept_of_a_device(tmp_path: Path, plans: Path) -> None:
    """A broken device, or an enemy's, may say new ones for ever."""
    well = http(lambda _request: page(status=204, content_type=""))
    with TcpServer(well) as server:
        (plans / "here.toml").write_text(plan_of([server.port] * 3) + PLATFORM.format(port=server.port))
        running = Running(tmp_path, every_s=3600)
        running.thread.start()
        try:
            until(lambda: running.looks, "the first sweep")
            running.thread.note(batch(("x", "page"), ("no-such", "page"), rule_id="page-proven"))
        finally:
            running.thread.stop()
    assert [set(of) for of in running.thread._reached._by_device.values()] == [{"x"}]
    running.queries.close()
