"""An invented country's devices, written into a real store through its own write API.

Targets, networks and events are invented (RFC 2606 names, RFC 5398 networks); ladders and verdicts are not:
they are what `firmware.judgement.ladder` and `firmware.judgement.round.verdict` make of the invented observations.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from collector.receive.record_rows import to_row
from collector.store.arrivals import Arrival, BatchArrived, HelloArrived, Refusal
from collector.store.database import Store
from firmware.judgement import ladder, observation
from firmware.judgement.facts import Past
from firmware.judgement.round.from_records import judge_records
from firmware.judgement.target_judgement import to_json as targets_json
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.plan import Cadence, Network, Plan, PlannedTarget
from firmware.model.record import (
    ClockQuality,
    ClockReading,
    Outcome,
    Phase,
    Record,
    Rung,
    Stamp,
    Zone,
    to_json,
)
from firmware.wire.messages import Hello, Tombstone

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
SOFTWARE: Final = "0.1.0"
BATCH: Final = 500

Weather: TypeAlias = Callable[[PlannedTarget, int], "str | None"]
"""A target and a moment (UTC ns) → the failure word it ends with, or None for success."""


def _far(rung: Rung, zone: Zone, names: Sequence[str], first_asn: int) -> list[PlannedTarget]:
    return [
        PlannedTarget(
            name=name,
            rung=rung,
            zone=zone,
            test="tls",
            target=f"{name}.example:443",
            network=Network(asn=first_asn + index, name=f"{name} networks"),
        )
        for index, name in enumerate(names)
    ]


def _near(rung: Rung, name: str, test: str, target: str) -> PlannedTarget:
    return PlannedTarget(name=name, rung=rung, zone=Zone.LOCAL, test=test, target=target)


PLAN: Final = Plan(
    file="invented",
    country="zz",
    name="An invented country",
    revised=dt.date(2026, 11, 1),
    cadence=Cadence(calm_s=300, transition_s=60, budget_bytes_per_day=10_000_000),
    targets=(
        _near(Rung.LINK, "link", "link", "@default"),
        _near(Rung.ADDRESS, "address", "address", "@default"),
        _near(Rung.GATEWAY, "gateway", "ping", "@gateway"),
        _near(Rung.RESOLVER, "isp-resolver", "dns", "anchor-bank.example"),
        *_far(Rung.DOMESTIC, Zone.DOMESTIC, ("bank", "news", "shop", "university"), 64_496),
        *_far(
            Rung.INTERNATIONAL,
            Zone.INTERNATIONAL,
            ("library", "archive", "registry", "mirror", "atlas"),
            64_500,
        ),
        *_far(Rung.PLATFORMS, Zone.INTERNATIONAL, ("video", "messenger", "pictures"), 64_506),
    ),
)

_TIMES_MS: Final = {
    Rung.LINK: 0.2,
    Rung.ADDRESS: 0.3,
    Rung.GATEWAY: 1.8,
    Rung.RESOLVER: 9.0,
    Rung.DOMESTIC: 22.0,
    Rung.INTERNATIONAL: 118.0,
    Rung.PLATFORMS: 96.0,
}


@dataclass(slots=True, kw_only=True)
class Device:
    """An invented device: measures under `weather` and keeps its records until they are delivered."""

    id: str
    epoch: str
    weather: Weather
    seed: int = 1
    boot_id: str = "5a1c1d2e-6f52-4b2f-9a3e-0d0a1c1d2e3f"
    booted_utc_ns: int = 0
    quality: ClockQuality = ClockQuality.SYNCHRONISED
    error_ns: int | None = 4 * NS_PER_MS
    records: list[Record] = field(default_factory=list)
    past: list[tuple[int, Past]] = field(default_factory=list)
    round_id: int = 0

    def measure(self, start_ns: int, end_ns: int) -> None:
        """Measure round after round, faster after a change as the plan says."""
        at_ns = start_ns
        while at_ns < end_ns:
            changed = self.one_round(at_ns)
            at_ns += (PLAN.cadence.transition_s if changed else PLAN.cadence.calm_s) * NS_PER_S

    def one_round(self, at_ns: int) -> bool:
        """Measure one round; say whether its verdict differs from that of any of the five before."""
        self.round_id += 1
        chance = random.Random(f"{self.seed}/{self.round_id}")  # weather, not a secret
        made = [self._measurement(target, at_ns, chance) for target in PLAN.targets]
        seen = {record.target_name: observation.from_record(record) for record in made}
        climbed = ladder.climb(PLAN, seen, ended=True)
        end_ns = at_ns + 25 * NS_PER_S
        history = [replace(past, age_s=(end_ns - then) / NS_PER_S) for then, past in self.past[-5:]]
        judged = judge_records(made, history)
        concluded = judged.verdict
        ended = Past(
            verdict=concluded,
            ladder=climbed,
            age_s=0.0,
            targets=judged.targets,
            references=judged.facts.references,
        )
        self.past.append((end_ns, ended))
        health: dict[str, JsonValue] = {
            "cpu_percent": round(chance.uniform(2, 9), 1),
            "memory_percent": 31.4,
            "disk_free_bytes": 21_400_000_000,
            "uptime_s": (at_ns - self.booted_utc_ns) // NS_PER_S,
            "temperature_c": round(chance.uniform(48, 53), 1),
            "under_voltage": False,
            "wifi_signal_dbm": None,
            "resident_bytes": {"daemon": 41_200_000, "worker": 22_800_000},
            "plan": PLAN.label,
        }
        self.records += made
        self.records.append(
            Record(
                boot_id=self.boot_id,
                test="ladder",
                test_version="1",
                target="",
                zone=Zone.LOCAL,
                round_id=self.round_id,
                slot_boottime_ns=at_ns - self.booted_utc_ns,
                start=self._reading(at_ns),
                runtime_ns=end_ns - at_ns,
                outcome=Outcome(
                    detail={
                        "ladder": ladder.to_json(climbed),
                        "targets": targets_json(judged.targets),
                        "references": judged.facts.references.to_json(),
                    }
                ),
                context=health,
                verdict=concluded,
                software=SOFTWARE,
            )
        )
        return any(past.verdict.verdict != concluded.verdict for past in history)

    def miss(self, at_ns: int, *, count: int = 1) -> None:
        """Miss rounds, and record that as a device does."""
        self.records.append(
            Record(
                boot_id=self.boot_id,
                test="gap",
                test_version="1",
                target="round",
                zone=Zone.LOCAL,
                slot_boottime_ns=at_ns - self.booted_utc_ns,
                start=self._reading(at_ns),
                runtime_ns=0,
                outcome=Outcome(
                    failure=Failure.MISSED_SLOT,
                    failed_operation="schedule",
                    detail={"count": count, "reason": ["stalled", {}]},
                ),
                software=SOFTWARE,
            )
        )

    def hello(self, *, waiting: int = 0, acknowledged: int = 0) -> Hello:
        """Return what the device says on connecting."""
        return Hello(
            device=self.id,
            epoch=self.epoch,
            low=acknowledged + 1,
            high=len(self.records),
            waiting=waiting,
            software=SOFTWARE,
            country=PLAN.country,
        )

    def arrivals(self, now_ns: int, *, lost: Sequence[int] = ()) -> Iterator[Arrival]:
        """Yield the hello and the batches that deliver every record but those with a seq in `lost`."""
        yield HelloArrived(hello=self.hello(waiting=len(lost)), received_ns=now_ns)
        seqs = [seq for seq in range(1, len(self.records) + 1) if seq not in set(lost)]
        for index in range(0, len(seqs), BATCH):
            yield BatchArrived(
                device=self.id,
                epoch=self.epoch,
                received_ns=now_ns,
                topic=f"p1/up/{self.id}/bulk",
                rows=tuple(
                    to_row(seq, to_json(self.records[seq - 1])) for seq in seqs[index : index + BATCH]
                ),
            )

    def _measurement(self, target: PlannedTarget, at_ns: int, chance: random.Random) -> Record:
        failure = self.weather(target, at_ns)
        took_ns = int(_TIMES_MS[target.rung] * chance.uniform(0.9, 1.4) * NS_PER_MS)
        if failure == Failure.TIMEOUT:
            took_ns = 10 * NS_PER_S
        # Domestic targets are asked again once everything abroad has timed out, as in a real round.
        late_ns = 12 * NS_PER_S if target.rung not in {Rung.INTERNATIONAL, Rung.PLATFORMS} else 0
        began_ns = at_ns + late_ns
        return Record(
            boot_id=self.boot_id,
            test=target.test,
            test_version="1",
            target=target.target,
            target_name=target.name,
            zone=target.zone,
            rung=target.rung,
            uplink="ethernet",
            round_id=self.round_id,
            slot_boottime_ns=began_ns - self.booted_utc_ns,
            start=self._reading(began_ns),
            runtime_ns=took_ns,
            outcome=Outcome(
                failure=failure,
                failed_operation="connect" if failure else None,
                phases={} if failure else {"connect": Phase(ns=took_ns, stamp=Stamp.TCP_INFO)},
                bytes_up=600,
                bytes_down=0 if failure else 4100,
            ),
            context=observation.context_of(PLAN, target.name),
            software=SOFTWARE,
        )

    def _reading(self, at_ns: int) -> ClockReading:
        return ClockReading(
            boottime_ns=at_ns - self.booted_utc_ns, utc_ns=at_ns, quality=self.quality, error_ns=self.error_ns
        )


def utc(day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    """Return a moment of November 2026 in ns since 1970."""
    at = dt.datetime(2026, 11, day, hour, minute, second, tzinfo=dt.UTC)
    return int(at.timestamp()) * NS_PER_S


def clear(_target: PlannedTarget, _at_ns: int) -> str | None:
    """Let everything work."""
    return None


def cut_from(when_ns: int, until_ns: int = 2**63) -> Weather:
    """Cut everything abroad from a moment on; one platform is blocked before as well."""

    def weather(target: PlannedTarget, at_ns: int) -> str | None:
        if target.zone is Zone.INTERNATIONAL and when_ns <= at_ns < until_ns:
            return Failure.TIMEOUT
        if target.rung is Rung.INTERNATIONAL and when_ns - 180 * NS_PER_S <= at_ns < when_ns:
            return Failure.TIMEOUT if target.name in {"library", "atlas", "mirror"} else None
        return Failure.CONNECTION_RESET if target.name == "messenger" else None

    return weather


def dark_from(when_ns: int, until_ns: int = 2**63) -> Weather:
    """Let nothing beyond the gateway answer from a moment on."""

    def weather(target: PlannedTarget, at_ns: int) -> str | None:
        beyond = target.rung not in {Rung.LINK, Rung.ADDRESS, Rung.GATEWAY}
        return Failure.TIMEOUT if beyond and when_ns <= at_ns < until_ns else None

    return weather


def ragged(seed: int) -> Weather:
    """Fail at random, every rung, with many words: as much to show as there can be."""
    words = (
        Failure.TIMEOUT,
        Failure.CONNECTION_RESET,
        Failure.HOST_UNREACHABLE,
        Failure.CONNECTION_REFUSED,
        Failure.SSL_INVALID_CERTIFICATE,
        Failure.EOF,
    )

    def weather(target: PlannedTarget, at_ns: int) -> str | None:
        chance = random.Random(f"{seed}/{target.name}/{at_ns}")
        return chance.choice(words) if chance.random() < 0.4 else None

    return weather


def deliver(store: Store, device: Device, now_ns: int, *, lost: Sequence[int] = ()) -> None:
    """Commit everything the device has, but `lost`, as received at `now_ns`."""
    store.commit(list(device.arrivals(now_ns, lost=lost)))


def evening(store: Store) -> int:
    """Fill the store with a day in which the link abroad is cut in the evening; return the moment it is seen."""
    now_ns = utc(15, 18, 4, 21)
    cut_ns = utc(15, 16, 32)
    first = Device(id="k3v9q2m7x1c8n5p4", epoch="9f1c04d27ab35e68", weather=cut_from(cut_ns), seed=1)
    first.booted_utc_ns = utc(13, 4)
    first.measure(utc(15, 0, 1, 8), now_ns - 40 * NS_PER_S)
    deliver(store, first, now_ns - 12 * NS_PER_S)

    second = Device(id="b7d2w8r4t6z1h0js", epoch="41aa90be6c03f7d2", weather=cut_from(cut_ns + 97 * NS_PER_S))
    second.seed, second.error_ns, second.quality = 2, 4 * NS_PER_S, ClockQuality.HOLDOVER
    second.booted_utc_ns = utc(10, 9)
    second.measure(utc(15, 0, 3, 40), utc(15, 15, 40))
    second.miss(utc(15, 15, 43, 40), count=4)
    second.measure(utc(15, 16, 1, 40), now_ns - 70 * NS_PER_S)
    deliver(store, second, now_ns - 31 * NS_PER_S, lost=(17, *range(1203, 1211)))

    third = Device(id="e5y0f9a3u8k6g2ql", epoch="c7720f3e915ab84d", weather=clear, seed=3)
    third.booted_utc_ns = utc(14, 20)
    third.measure(utc(15, 0, 2), utc(15, 16, 41))
    deliver(store, third, utc(15, 16, 41, 30))
    return now_ns


def crowd(store: Store, devices: int, rounds: int, now_ns: int) -> None:
    """Fill the store with devices that each have `rounds` ragged rounds: the most the page can have to show."""
    for number in range(devices):
        chance = random.Random(number)
        name = "".join(chance.choice("abcdefghjkmnpqrstvwxyz0123456789") for _ in range(16))
        device = Device(id=name, epoch=f"{chance.getrandbits(64):016x}", weather=ragged(number), seed=number)
        device.booted_utc_ns = utc(1, 1)
        for index in range(rounds):
            device.one_round(now_ns - (rounds - index) * 300 * NS_PER_S + chance.randrange(10**10))
        deliver(store, device, now_ns - chance.randrange(10**11), lost=range(30, 60, 2))


def refused(store: Store, device: Device, now_ns: int) -> None:
    """Let the collector refuse two records of `device`, and the device give up three."""
    high = len(device.records)
    store.commit(
        [
            BatchArrived(
                device=device.id,
                epoch=device.epoch,
                received_ns=now_ns,
                topic=f"p1/up/{device.id}/bulk",
                rejected=(high + 1, high + 2),
                refusals=tuple(
                    Refusal(
                        epoch=device.epoch,
                        seq=high + extra,
                        reason="record: zone: found 'mars'; allowed is one of local, domestic, international",
                        payload=b"{}",
                    )
                    for extra in (1, 2)
                ),
                tombstones=(Tombstone(low=high + 3, high=high + 5, count=3, reason="space"),),
            )
        ]
    )
