"""The timing bench in its short form: it runs, it compares, it stamps, and it leaves nothing behind. Never times."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.timing.lateness import read_histogram
from tests.bench.timing.readings import read_fping, read_irtt, read_metrics, read_ping
from tests.bench.timing.worker_client import WorkerClient
from tests.needs import ROOT, namespace_command, program
from tests.servers.tcp import TcpServer, stay_silent

_LIMIT_S = 240


@pytest.mark.namespace
def test_the_bench_in_its_short_form(tmp_path: Path) -> None:
    """One test, since one run feeds every check and runs must not be repeated by each of pytest's workers."""
    found = short_run(tmp_path / "found.json")
    ours = {row["kind"]: row["errors"]["count"] for row in found["errors"] if row["prober"] == "worker"}
    assert set(ours) == {"icmp", "udp", "tcp", "tls", "tls_long", "tls_handshake"}, "a kind was not compared"
    assert all(count >= 4 for count in ours.values()), ours
    assert not [name for name in found["unmatched"] if "worker" in name]
    assert "ping" in {row["prober"] for row in found["errors"]}, "no other prober was in the run"
    assert all(found["coverage"][kind] > 90 for kind in ("icmp", "udp", "tcp")), found["coverage"]
    assert found["connects"], "connects were not taken apart"
    held = found["stamps"]["worker, idle"]
    assert held.get("false", 0) == 0
    assert held["true"] > 0
    goals = {goal["text"]: goal for goal in found["goals"]}
    assert len(goals) > 20
    assert all(goal["met"] is None or isinstance(goal["met"], bool) for goal in goals.values())
    assert goals["times without a stamp class"]["found"] == 0


def short_run(path: Path) -> dict[str, Any]:
    """Run it, its figures to `path`; return them."""
    namespace_command()  # skips, or fails in CI, where there can be no namespaces
    program("ping")
    words = ["-m", "tests.bench.timing", "--quick", "--seconds", "1", "--loads", "idle", "--no-clock"]
    done = subprocess.run(
        [sys.executable, *words, "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goals" in done.stdout
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_what_a_worker_says_of_a_task_that_is_out_for_seconds_ends_no_run() -> None:
    with TcpServer(stay_silent) as silent, WorkerClient() as client:
        task = client.task("http", f"http://{silent.address}:{silent.port}/", {}, timeout_s=4.0)
        (result,) = client.run([task])
    assert result.outcome.failure is not None


def test_reading_fping() -> None:
    readings = read_fping("10.77.0.13 : 9.12 - 10.3\n")
    assert [(one.ns, one.half_step_ns) for one in readings] == [
        (9_120_000, 5_000),
        (None, 0),
        (10_300_000, 50_000),
    ]


def test_reading_ping() -> None:
    assert read_ping("rtt min/avg/max/mdev = 9.123/9.123/9.123/0.000 ms\n").ns == 9_123_000
    assert read_ping("1 packets transmitted, 0 received, 100% packet loss\n").ns is None


def test_reading_irtt() -> None:
    trips = [{"lost": "false", "delay": {"rtt": 9_123_456}}, {"lost": "true", "delay": {}}]
    assert [one.ns for one in read_irtt(json.dumps({"round_trips": trips}))] == [9_123_456, None]


def test_reading_the_exporter() -> None:
    text = 'probe_icmp_duration_seconds{phase="rtt"} 0.009123\nprobe_success 1\n'
    assert [one.ns for one in read_metrics("icmp", text)] == [9_123_000]
    assert [one.ns for one in read_metrics("icmp", text.replace("success 1", "success 0"))] == [None]


def test_reading_cyclictest() -> None:
    found = read_histogram("000010 000098\n000050 000001\n# Histogram Overflows: 00001\n")
    assert found is not None
    assert (found.count, found.p90, found.p99, found.max) == (100, 10_000, 50_000, 20_000_000)
