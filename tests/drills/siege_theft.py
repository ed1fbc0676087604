"""The siege's theft: somebody takes the collector's machine with its key, is believed, and the operator acts as the how-to says.

    taken      the collector ends; one with its identity, its access to the broker and its TLS key answers in its place, and
               stores where nobody looks again. Devices go by a list in which that key is good
    revoked    `tidegauge provision revoke`, `collector`, `broker`: the next list, the next collector, the broker's files
    carried    in half of the thefts the list comes by USB drive, to devices that the thief still answers
    replaced   a broker with the new files and a collector with the new key stand; the list comes over the line, too

A theft that no device believed shows nothing, and fails. Where the product knows of no lists, revoking is all there is.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.drills.siege_account import Identity, Shelf
from tests.drills.siege_scene import Device, Scene, SceneError

GATHERED_S: Final = 600.0
BELIEVED_S: Final = 120.0
"""Within this each device must have let go of its backlog on the thief's word."""
CARRIED_S: Final = 120.0
SETTLED_S: Final = 1.0
"""What had come before the line was cut has been taken by then."""
TAKING_BACK_S: Final = 3.0
"""Within this of the list's coming most of what is taken back is."""
BEHIND: Final = (15, 50)
PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one theft goes."""

    by_https: bool
    """The thief is reached over HTTPS alone; else over MQTT."""
    by_drive: bool
    """The list comes by USB drive, while the thief still answers; else over the line, from the next collector."""
    has_lists: bool
    """The product knows of lists; else the key is revoked and no device hears of it."""
    kills: bool
    """A device is killed while it believes, and again while it takes everything back."""

    @classmethod
    def of(cls, number: int, rng: random.Random, *, has_lists: bool) -> "Plan":
        """Return that of the theft with this number: ways and drives take turns, so that few thefts have them all."""
        by_drive = has_lists and number // 2 % 2 == 1
        return cls(by_https=number % 2 == 1, by_drive=by_drive, has_lists=has_lists, kills=rng.random() < 0.5)

    def __str__(self) -> str:
        way = "HTTPS" if self.by_https else "MQTT"
        comes = "by USB drive" if self.by_drive else "over the line"
        told = f"the list {comes}" if self.has_lists else "no list of who counts"
        return f"over {way}, {told}{', devices killed' if self.kills else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """What each device let go of on the thief's word, and the collector does not have."""

    plan: Plan
    records: dict[str, frozenset[Identity]]

    @property
    def count(self) -> int:
        """How many records."""
        return sum(len(one) for one in self.records.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of what the thief had acknowledged; `lost` is neither stored nor under a tombstone."""

    plan: Plan
    believed: int
    stored: int
    tombstoned: int
    lost: int

    def __str__(self) -> str:
        return (
            f"{self.believed} records left on the thief's word = {self.stored} stored at the next collector"
            f" + {self.tombstoned} tombstoned + {self.lost} LOST"
        )


def be_believed(scene: Scene, rng: random.Random, plan: Plan) -> Believed:
    """Take the machine, answer in the collector's place. Raises `SceneError` where a device does not believe it."""
    behind = rng.randint(*BEHIND)
    for device in scene.devices:
        device.relay.cut()
    before = {device.name: device.account.told_count() for device in scene.devices}
    for device in scene.devices:
        _until(
            device,
            lambda one: one.account.told_count() >= before[one.name] + behind,
            GATHERED_S,
            f"it did not call {behind} records durable",
        )
    scene.kill_collector()
    scene.start_thief()
    shelves = {one.name: Shelf(scene.thief_data / "collector.sqlite3", one.name) for one in scene.devices}
    for device in scene.devices:
        device.relay.join(https_only=plan.by_https)
    killed = not plan.kills
    for device in scene.devices:
        _until(
            device,
            lambda one: len(_let_go(one, shelves[one.name])) >= behind,
            BELIEVED_S,
            f"the stolen key was not believed: the outbox did not let go of {behind} records on its word",
        )
        if not killed:
            device.kill()
            device.start()
            killed = True
    for device in scene.devices:
        device.relay.cut()
    time.sleep(SETTLED_S)
    return Believed(
        plan=plan, records={one.name: frozenset(_let_go(one, shelves[one.name])) for one in scene.devices}
    )


def act(scene: Scene, rng: random.Random, believed: Believed | None) -> None:
    """Do what the operator does, in the how-to's order. Raises `SceneError` where the list on a drive is not taken."""
    scene.replace_identity()
    try:
        if believed is not None and believed.plan.by_drive:
            for device in scene.devices:
                device.relay.join(https_only=believed.plan.by_https)
            _carry_list(scene, believed)
    finally:
        for device in scene.devices:
            device.relay.cut()
        scene.end_thief()
        scene.kill_broker()
        scene.start_broker()
        scene.start_collector()
        for device in scene.devices:
            device.relay.join()
    if believed is not None and believed.plan.kills:
        time.sleep(rng.random() * TAKING_BACK_S)
        scene.devices[-1].kill()
        scene.devices[-1].start()


def outcome(scene: Scene, believed: Believed) -> Outcome:
    """Return what has become of it by now."""
    stored = tombstoned = lost = 0
    for device in scene.devices:
        found = device.account.whereabouts(believed.records[device.name])
        stored += found.stored
        tombstoned += found.tombstoned
        lost += len(found.lost)
    return Outcome(
        plan=believed.plan, believed=believed.count, stored=stored, tombstoned=tombstoned, lost=lost
    )


def in_words(outcomes: Sequence[Outcome]) -> str:
    """Return the sums of several thefts."""
    believed, stored, tombstoned, lost = (
        sum(getattr(one, name) for one in outcomes) for name in ("believed", "stored", "tombstoned", "lost")
    )
    https, drive, kills = (
        sum(getattr(one.plan, name) for one in outcomes) for name in ("by_https", "by_drive", "kills")
    )
    return (
        f"{len(outcomes)} thefts ({len(outcomes) - https} over MQTT, {https} over HTTPS; {drive} with the list by USB drive;"
        f" {kills} with kills): {believed:,} records left on a thief's word = {stored:,} stored at the next collector"
        f" + {tombstoned:,} tombstoned + {lost:,} LOST"
    )


def _let_go(device: Device, shelf: Shelf) -> set[Identity]:
    """Return what the thief has and the collector has not, and no longer waits on the device."""
    waits = device.waits()
    shelf.read()
    device.account.read()
    return device.account.only_on(shelf) - waits


def _carry_list(scene: Scene, believed: Believed) -> None:
    """Take the list to each device on a drive, while the thief goes on answering: nobody may believe it from then on."""
    drive = scene.write_drive()
    newest = scene.list_text()

    def has_newest(device: Device) -> bool:
        held = device.data / "identity" / "trust-list.json"
        return held.exists() and held.read_bytes() == newest

    for device in scene.devices:
        device.plug(drive)
        try:
            _until(device, has_newest, CARRIED_S, "the list on the drive was not taken")
            _until(
                device,
                lambda one: bool(one.waits() & believed.records[one.name]),
                CARRIED_S,
                "nothing that the thief acknowledged waits again after the list from the drive",
            )
        finally:
            device.unplug()


def _until(device: Device, condition: Callable[[Device], bool], limit_s: float, what: str) -> None:
    end_s = time.monotonic() + limit_s
    while not condition(device):
        if words := device.has_ended():
            raise SceneError(words)
        if time.monotonic() > end_s:
            raise SceneError(f"device {device.name[0]}: {what} within {limit_s:.0f} s")
        time.sleep(PAUSE_S)
