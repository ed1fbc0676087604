"""What happens to an invented country of eight devices in four networks and two regions, into a real store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collector.judgement.thread import AssessmentKeeper
from collector.store.arrivals import Arrival
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.vantage_log import VantageLog
from collector.store.vantage_streaks import NS, Key, Sample
from firmware.judgement.site.evidence import SiteView, VantageSource
from firmware.model.failures import Failure
from firmware.model.plan import PlannedTarget
from firmware.model.record import Zone
from tests.collector.page import invented

BEGAN_S = 1_795_000_000
NETWORKS = {"tci": "fixed", "shatel": "fixed", "mci": "mobile", "irancell": "mobile"}
KEY = Key(test="tls", target="192.0.2.1:443", target_name="reference")
SEEN = SiteView(source=VantageSource.COLLECTOR, status=200)


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


def devices(*, weather: invented.Weather = invented.clear, began_s: int = BEGAN_S) -> list[Placed]:
    """Return two devices a network, one in each of two regions."""
    return [
        Placed(
            id=f"k3v9q2m7x1c8n5p{number}",
            epoch=f"9f1c04d27ab35e6{number}",
            weather=weather,
            booted_utc_ns=(began_s - 9000) * NS,
            network=[*NETWORKS][number // 2],
            region=("tehran", "fars")[number % 2],
        )
        for number in range(2 * len(NETWORKS))
    ]


def vantage(path: Path, at_ns: int, view: SiteView) -> None:
    log = VantageLog.open(path)
    log.add([Sample(key=KEY, utc_ns=at_ns, failure=None, failed_operation=None, view=view)], every_s=600)
    log.close()


def cut_and_heard(store: Store, directory: Path) -> int:
    """Let the way abroad be cut while a collector inside the country goes on hearing; return 40 min after that."""
    return cut_and_back(store, directory, lasts_s=2400, unheard=False, goes_on_s=0)


def cut_and_back(
    store: Store, directory: Path, *, lasts_s: int = 3000, unheard: bool = True, goes_on_s: int = 480
) -> int:
    """Let the way abroad be cut, the collector's devices unheard, and come back; return `goes_on_s` after that.

    The invented evening is of 15 November 2026: the cut is at 16:32:00.
    """
    path = directory / "collector.sqlite3"
    cut_ns = invented.utc(15, 16, 32)
    cut_s, back_s = cut_ns // NS, cut_ns // NS + lasts_s
    made = devices(weather=abroad_cut_from(cut_ns, back_s * NS), began_s=cut_s)
    queries = Queries(path)
    keeper = AssessmentKeeper(path, queries)
    for at_s in range(cut_s - 1500, back_s + goes_on_s, 60):
        is_dark = unheard and cut_s <= at_s < back_s
        for number, device in enumerate(made):
            if (at_s // 60) % 2 == number % 2:
                device.measure_places(at_s + 7 * number, at_s + 7 * number + 1)
                if not is_dark:
                    invented.deliver(store, device, (at_s + 7 * number + 26) * NS)
        if at_s % 300 == 0:
            vantage(path, at_s * NS, SEEN)
        keeper.judge((at_s + 59) * NS)
    keeper.close()
    queries.close()
    return (back_s + goes_on_s) * NS
