"""A collector as users run it says of a country what its devices say: broker, devices, store, page, all real.

The past of a country is put into its store before it starts, as the store keeps it; what devices say from then on
comes over the broker.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.store.database import Store
from collector.store.vantage_streaks import NS
from collector.vantage.log import UNREACHABLE
from firmware.judgement.site.evidence import SiteView
from firmware.model.failures import Failure
from firmware.model.plan import PlannedTarget
from firmware.model.record import Rung, to_json
from firmware.wire.messages import Batch, encode_batch, encode_hello
from tests.collector.page import invented
from tests.collector.page.stories import SEEN, Placed, devices, vantage
from tests.collector.process import CollectorProcess
from tests.collector.scripted_device import ScriptedDevice
from tests.needs import program
from tests.waiting import until

DATABASE = "collector.sqlite3"
ROUNDS = 12
PERIOD_S = 120


def past(data: Path, made: Sequence[Placed], view: SiteView, *, silent: Sequence[Placed] = ()) -> int:
    """Let all devices be well until now, those in `silent` until 14 min ago; return now (UTC, s)."""
    data.mkdir(parents=True, exist_ok=True)
    now_s = int(time.time())
    store = Store.open(data / DATABASE)
    for device in made:
        device.booted_utc_ns = (now_s - 90_000) * NS
        end_s = now_s - (840 if device in silent else 30)
        for number in range(ROUNDS):
            at_s = end_s - (ROUNDS - number) * PERIOD_S
            device.measure_places(at_s, at_s + 1)
            invented.deliver(store, device, (at_s + 26) * NS)
    store.close()
    vantage(data / DATABASE, (now_s - 20) * NS, view)
    return now_s


def cut(rung: Rung) -> invented.Weather:
    """Let nothing answer on a rung and above."""
    order = list(Rung)

    def weather(target: PlannedTarget, _at_ns: int) -> str | None:
        return Failure.TIMEOUT if order.index(target.rung) >= order.index(rung) else None

    return weather


@contextmanager
def connected(collector: CollectorProcess, made: Sequence[Placed]) -> Iterator[list[ScriptedDevice]]:
    with ExitStack() as open_ones:
        yield [
            open_ones.enter_context(
                ScriptedDevice(collector.host, collector.port, device=one.id, epoch=one.epoch)
            )
            for one in made
        ]


def tell(device: Placed, link: ScriptedDevice, weather: invented.Weather, *, ago_s: Sequence[int]) -> None:
    """Measure rounds so many seconds ago, and deliver them over the broker."""
    now_s = int(time.time())
    device.weather = weather
    for ago in ago_s:
        device.measure_places(now_s - ago, now_s - ago + 1)
    seqs = range(device.delivered + 1, len(device.records) + 1)
    for first in range(seqs.start, seqs.stop, 15):
        some = [seq for seq in seqs if first <= seq < first + 15]
        records = tuple(to_json(device.records[seq - 1]) for seq in some)
        link.publish(
            "live",
            encode_batch(Batch(device=device.id, epoch=device.epoch, seqs=tuple(some), records=records)),
        )
        link.ack()
    device.delivered = len(device.records)
    hello = device.hello(acknowledged=device.delivered)
    link.publish("hello", encode_hello(replace(hello, low=hello.high + 1)))
    link.ack()


def told(collector: CollectorProcess, verdict: str) -> dict[str, Any]:
    """Wait until the collector says `verdict` of the country; return its last change."""

    def last() -> dict[str, Any]:
        changes = json.loads(collector.get("api/v1/scopes/history?limit=1"))["changes"]
        return dict(changes[0]) if changes else {}

    def held() -> dict[str, Any]:
        found = last()
        return found if found and found["live"]["verdict"] == verdict else {}

    return until(held, lambda: f"{verdict} but {last()}", pause_s=0.2)


def ever(collector: CollectorProcess) -> set[str]:
    found = json.loads(collector.get("api/v1/scopes/history"))["changes"]
    return {one["live"]["verdict"] for one in found}


def page(collector: CollectorProcess) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", collector.get("").decode()))


def of_network(*names: str) -> Any:
    return lambda one: one.network in names


STORIES = {
    "international_cut": (lambda _one: True, Rung.INTERNATIONAL, "The international link is cut"),
    "total_shutdown": (lambda _one: True, Rung.RESOLVER, "Total shutdown"),
    "mobile_shutdown": (of_network("mci", "irancell"), Rung.RESOLVER, "Mobile networks are shut down"),
    "isp_outage": (of_network("tci"), Rung.RESOLVER, "The provider tci is out"),
    "regional_shutdown": (lambda one: one.region == "fars", Rung.RESOLVER, "The region fars is shut down"),
}


@pytest.mark.parametrize("verdict", STORIES)
def test_what_devices_say_together_stands_on_the_page(verdict: str, tmp_path: Path) -> None:
    program("mosquitto")
    is_hit, rung, sentence = STORIES[verdict]
    made = devices()
    past(tmp_path / "data", made, SEEN)
    with CollectorProcess(tmp_path / "data") as collector, connected(collector, made) as links:
        told(collector, "ok")
        for device, link in zip(made, links, strict=True):
            if is_hit(device):
                tell(device, link, cut(rung), ago_s=(28, 3))
        for device, link in zip(made, links, strict=True):
            if not is_hit(device):
                tell(device, link, invented.clear, ago_s=(1,))
        last = told(collector, verdict)
        assert last["live"]["since"] is not None
        assert last["live"]["since_error_s"] <= PERIOD_S
        assert sentence in page(collector)
        assert ever(collector) <= {"ok", "inconclusive", verdict}


@pytest.mark.parametrize(
    ("verdict", "is_hit", "view"),
    [
        ("total_shutdown", lambda _one: True, SEEN),
        ("mobile_shutdown", of_network("mci", "irancell"), SEEN),
        ("collector_fault", lambda _one: True, UNREACHABLE),
        ("ok", lambda one: one.id.endswith("5"), SEEN),
    ],
    ids=["all", "mobile", "own-line", "one-device"],
)
def test_what_fell_silent_together(verdict: str, is_hit: Any, view: SiteView, tmp_path: Path) -> None:
    program("mosquitto")
    made = devices()
    past(tmp_path / "data", made, view, silent=[one for one in made if is_hit(one)])
    with CollectorProcess(tmp_path / "data") as collector:
        told(collector, verdict)
        assert ever(collector) == {verdict}
        assert ("does not reach its own" in page(collector)) is (view is UNREACHABLE)


def test_on_an_ordinary_evening_nothing_is_said(tmp_path: Path) -> None:
    program("mosquitto")
    made = devices()
    past(tmp_path / "data", made, SEEN)
    with CollectorProcess(tmp_path / "data") as collector, connected(collector, made) as links:
        told(collector, "ok")
        # One device's own line is dead, another's network answers nothing, a third has gone.
        tell(made[0], links[0], cut(Rung.GATEWAY), ago_s=(28, 3))
        tell(made[3], links[3], cut(Rung.RESOLVER), ago_s=(28, 3))
        for device, link in list(zip(made, links, strict=True))[4:7]:
            tell(device, link, invented.clear, ago_s=(1,))
        before = json.loads(collector.get("api/v1/scopes/history"))["judged"]["zz"]
        until(
            lambda: json.loads(collector.get("api/v1/scopes/history"))["judged"]["zz"] != before,
            "judged again",
            pause_s=0.2,
        )
        assert ever(collector) <= {"ok", "inconclusive"}
