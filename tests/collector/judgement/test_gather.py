"""From stored rounds to a country's verdict, through a real store and the API."""

import json
import sqlite3
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.judgement import last_rounds
from collector.judgement.devices import ReceivedRound
from collector.judgement.gather import Scopes
from collector.judgement.last_rounds import rounds_of
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS, Key, Sample
from collector.vantage.log import UNREACHABLE
from firmware.model.record import Verdict
from tests.collector.judgement.filling import fill
from tests.collector.page import invented
from tests.collector.page.conftest import serving
from tests.collector.page.stories import BEGAN_S, NETWORKS, SEEN, devices, vantage


def said(path: Path, now_ns: int) -> tuple[str, str]:
    queries = Queries(path)
    try:
        (scope,) = Scopes(queries).now(now_ns, {})
        return scope.verdict.verdict, scope.verdict.rule_id
    finally:
        queries.close()


def test_devices_that_are_well(tmp_path: Path) -> None:
    with (
        serving(tmp_path, fill) as served,
        urllib.request.urlopen(f"http://{served.host}:{served.port}/api/v1/scopes", timeout=60) as answer,
    ):
        (scope,) = json.load(answer)["scopes"]
    assert (scope["verdict"], scope["rule_id"]) == ("ok", "devices-well")
    assert len(scope["devices"]) == 8
    assert {(one["network"], one["kind"]) for one in scope["devices"]} == set(NETWORKS.items())
    assert {one["state"] for one in scope["devices"]} == {"well"}


def test_mobile_networks_that_fall_silent_together(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    now_ns = fill(store, last_s=dict.fromkeys(("mci", "irancell"), BEGAN_S + 480))
    store.close()
    assert said(path, now_ns)[0] == "inconclusive"  # without a vantage of our own silence says nothing
    vantage(path, now_ns - 60 * NS, SEEN)
    assert said(path, now_ns) == ("mobile_shutdown", "mobile-lost-fixed-well")


@pytest.mark.parametrize(
    ("ahead_s", "word"), [([3_600], "collector_fault"), ([-60, 900, 1_800], "inconclusive")], ids=str
)
def test_what_a_clock_that_ran_ahead_dated_later_than_now_proves_no_silence(
    tmp_path: Path, ahead_s: list[int], word: str
) -> None:
    """Its own line dies when it has been set back: its devices are silent, and are well."""
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    set_back_ns = fill(store)
    store.close()
    for at_s in ahead_s:
        vantage(path, set_back_ns + at_s * NS, SEEN)
    for at_s in range(60, 600, 60):
        vantage(path, set_back_ns + at_s * NS, UNREACHABLE)
    assert said(path, set_back_ns + 570 * NS)[0] == word


def test_a_cut_that_devices_took_back_is_nobodys(tmp_path: Path) -> None:
    """Both come in one batch: what was said first, and what it was revised to."""
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    for device in devices():
        for at_s in range(BEGAN_S, BEGAN_S + 480, 120):
            device.measure_places(at_s, at_s + 1)
        cut = replace(device.records[-1], verdict=Verdict(verdict="international_cut", rule_id="r"))
        later = replace(
            cut, runtime_ns=cut.runtime_ns + NS, verdict=Verdict(verdict="inconclusive", rule_id="r")
        )
        device.records[-1:] = [cut, later]
        invented.deliver(store, device, (BEGAN_S + 490) * NS)
    store.close()
    queries = Queries(path)
    (scope,) = Scopes(queries).now((BEGAN_S + 500) * NS, {})
    queries.close()
    assert {str(one.state) for one in scope.devices} == {"unclear"}
    assert {one.word for one in scope.devices} == {"inconclusive"}


def test_all_silent_while_the_collector_is_cut_off_itself(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    now_ns = fill(store) + 1200 * NS
    store.close()
    vantage(path, now_ns - 60 * NS, UNREACHABLE)
    assert said(path, now_ns) == ("collector_fault", "own-uplink-failed")


def test_a_store_without_devices_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    Store.open(path).close()
    queries = Queries(path)
    assert Scopes(queries).now(BEGAN_S * NS, {}) == ()
    queries.close()


def test_a_look_from_before_they_fell_silent_says_nothing_of_their_silence(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    now_ns = fill(store) + 600 * NS
    store.close()
    vantage(path, now_ns - 660 * NS, SEEN)
    assert said(path, now_ns)[0] == "inconclusive"
    vantage(path, now_ns - 10 * NS, SEEN)
    assert said(path, now_ns) == ("total_shutdown", "networks-lost-together")


def test_the_last_look_counts_whatever_other_targets_brought_in_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    now_ns = fill(store) + 1200 * NS
    store.close()
    vantage(path, now_ns - 660 * NS, SEEN)
    log = VantageLog.open(path)
    beside = Key(test="tcp", target="192.0.2.2:443", target_name="beside")
    sample = Sample(key=beside, utc_ns=now_ns, failure=None, failed_operation=None, view=UNREACHABLE)
    log.add([sample], every_s=600)
    log.close()
    assert said(path, now_ns) == ("collector_fault", "own-uplink-failed")


def test_what_a_device_has_said_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(
        connection: sqlite3.Connection, device: str, rows: Sequence[Sequence[Any]]
    ) -> list[ReceivedRound]:
        read.append(device)
        return rounds_of(connection, device, rows)

    monkeypatch.setattr(last_rounds, "rounds_of", noted)
    path = tmp_path / "collector.sqlite3"
    store, placed = Store.open(path), devices()
    for device in placed:
        for at_s in range(BEGAN_S, BEGAN_S + 480, 120):
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 5) * NS)
    now_ns = (BEGAN_S + 490) * NS
    queries = Queries(path)
    scopes = Scopes(queries)
    (before,) = scopes.now(now_ns, {})
    assert len(read) == len(before.devices) == 8
    read.clear()
    (again,) = scopes.now(now_ns + NS, {})
    assert (again.verdict, again.devices) == (before.verdict, before.devices)
    assert read == []
    placed[3].measure_places(BEGAN_S + 492, BEGAN_S + 493)
    invented.deliver(store, placed[3], now_ns + 5 * NS)
    (last,) = scopes.now(now_ns + 6 * NS, {})
    assert read == [placed[3].id]
    assert {one.device: one.heard_utc_s for one in last.devices}[placed[3].id] == BEGAN_S + 495
    queries.close()
    store.close()
