"""From stored rounds to a country's verdict, through a real store and the API."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collector.control.log import NS, UNREACHABLE, Sample
from collector.control.targets import Key
from collector.ingest.arrivals import Arrival
from collector.judgement.gather import Scopes
from collector.store.controls import ControlLog
from collector.store.database import Store
from collector.store.queries import Queries
from firmware.failures import Failure
from firmware.judgement.web.evidence import ControlSource, WebControl
from firmware.plan import PlannedTarget
from firmware.record import Zone
from tests.collector.page import invented
from tests.collector.page.conftest import serving

BEGAN_S = 1_795_000_000
NETWORKS = {"tci": "fixed", "shatel": "fixed", "mci": "mobile", "irancell": "mobile"}
KEY = Key(test="tls", target="192.0.2.1:443", target_name="control")
SEEN = WebControl(source=ControlSource.COLLECTOR, status=200)


@dataclass(slots=True, kw_only=True)
class Placed(invented.Device):
    """An invented device whose rounds say where it stands."""

    network: str
    region: str = ""
    delivered: int = 0

    def measure_places(self, from_s: int, to_s: int) -> None:
        """Measure a round every 120 s."""
        for at_s in range(from_s, to_s, 120):
            self.one_round(at_s * NS)
        places = {"provider": self.network, "network_kind": NETWORKS[self.network], "province": self.region}
        self.records = [
            replace(one, context={**one.context, **places}) if one.test == "ladder" else one
            for one in self.records
        ]

    def arrivals(self, now_ns: int, *, lost: Sequence[int] = ()) -> Iterator[Arrival]:
        """Yield what was not yet delivered."""
        before, self.delivered = self.delivered, len(self.records)
        yield from invented.Device.arrivals(self, now_ns, lost=(*lost, *range(1, before + 1)))


def abroad_cut_from(when_ns: int, until_ns: int = 2**63) -> invented.Weather:
    """Let nothing abroad answer from a moment on, all at once."""

    def weather(target: PlannedTarget, at_ns: int) -> str | None:
        cut = target.zone is Zone.INTERNATIONAL and when_ns <= at_ns < until_ns
        return Failure.TIMEOUT if cut else None

    return weather


def devices(*, weather: invented.Weather = invented.clear) -> list[Placed]:
    """Return two devices a network, one in each of two regions."""
    return [
        Placed(
            id=f"k3v9q2m7x1c8n5p{number}",
            epoch=f"9f1c04d27ab35e6{number}",
            weather=weather,
            booted_utc_ns=(BEGAN_S - 9000) * NS,
            network=[*NETWORKS][number // 2],
            region=("tehran", "fars")[number % 2],
        )
        for number in range(2 * len(NETWORKS))
    ]


def fill(store: Store, *, last_s: dict[str, int] | None = None) -> int:
    """Store ten rounds of two devices a network, a round every 120 s; `last_s` cuts a network's short. Return the end."""
    end_s = BEGAN_S + 1200
    for device in devices():
        for at_s in range(BEGAN_S, min(end_s, (last_s or {}).get(device.network, end_s)), 120):
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 5) * NS)
    return end_s * NS


def control(path: Path, at_ns: int, view: WebControl) -> None:
    log = ControlLog.open(path)
    log.add([Sample(key=KEY, utc_ns=at_ns, failure=None, failed_operation=None, view=view)], every_s=600)
    log.close()


def said(path: Path, now_ns: int) -> tuple[str, str]:
    queries = Queries(path)
    try:
        (scope,) = Scopes(queries).now(now_ns)
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
    assert said(path, now_ns)[0] == "inconclusive"  # without a control of our own silence says nothing
    control(path, now_ns - 60 * NS, SEEN)
    assert said(path, now_ns) == ("mobile_shutdown", "mobile-lost-fixed-well")


def test_all_silent_while_the_collector_is_cut_off_itself(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    now_ns = fill(store) + 1200 * NS
    store.close()
    control(path, now_ns - 60 * NS, UNREACHABLE)
    assert said(path, now_ns) == ("collector_fault", "own-uplink-failed")


def test_a_store_without_devices_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "collector.sqlite3"
    Store.open(path).close()
    queries = Queries(path)
    assert Scopes(queries).now(BEGAN_S * NS) == ()
    queries.close()
