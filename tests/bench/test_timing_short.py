"""The timing bench in its short form: it runs, it compares, it stamps, and it leaves nothing behind. Never times."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.bench.timing.lateness import read_histogram
from tests.bench.timing.probers import read_fping, read_irtt, read_metrics, read_ping
from tests.needs import ROOT, namespace_command

_LIMIT_S = 240


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a short run found."""
    namespace_command()  # skips, or fails in CI, where there can be no namespaces
    path = tmp_path_factory.mktemp("timing") / "found.json"
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
    read: dict[str, Any] = json.loads(path.read_text())
    return read


@pytest.mark.namespace
def test_every_kind_is_compared_with_the_capture(found: dict[str, Any]) -> None:
    ours = {row["kind"]: row["count"] for row in found["errors"] if row["prober"] == "worker"}
    assert set(ours) == {"icmp", "udp", "tcp", "tls", "tls_long", "tls_handshake"}
    assert all(count >= 4 for count in ours.values())
    assert not [name for name in found["unmatched"] if "worker" in name]


@pytest.mark.namespace
def test_another_prober_is_in_the_same_run(found: dict[str, Any]) -> None:
    assert "ping" in {row["prober"] for row in found["errors"]}


@pytest.mark.namespace
def test_every_time_says_who_took_it(found: dict[str, Any]) -> None:
    goals = {goal["text"]: goal for goal in found["goals"]}
    assert goals["times without a stamp class"]["found"] == 0


@pytest.mark.namespace
@pytest.mark.parametrize("kind", ["icmp", "udp", "tcp"])
def test_the_kernel_took_the_times(found: dict[str, Any], kind: str) -> None:
    assert found["coverage"][kind] > 90


@pytest.mark.namespace
def test_no_stamp_is_false_with_the_capture_off(found: dict[str, Any]) -> None:
    held = found["stamps"]["worker, idle"]
    assert held.get("false", 0) == 0
    assert held["true"] > 0


@pytest.mark.namespace
def test_every_goal_is_judged_or_said_to_be_not_measured(found: dict[str, Any]) -> None:
    assert len(found["goals"]) > 20
    assert all(goal["met"] is None or isinstance(goal["met"], bool) for goal in found["goals"])


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
