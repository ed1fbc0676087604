"""A device in a home: the product's own `Device`, its schedule, rounds, sentinel, journal and outbox, on the virtual clock.

Only its edges are not real: clocks, worker (the product's measurements over virtual sockets), sender
(`tests.country.delivery`), USB drives, the state file and what the machine says of its own health. Its loop does not
wait: `Agenda` calls one tick of it when something is due. This file must never decide what a device does.
"""

import random
import selectors
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

from appliance import device as device_module
from appliance import state_file
from appliance.device import Device
from appliance.events import Event, RoundStarted, VerdictReached
from appliance.measuring import health
from appliance.measuring.rounds import RunningRound
from appliance.measuring.sentinel import PREFIX
from appliance.outbox.box import Outbox
from appliance.settings import DeviceSettings
from appliance.storage.datadir import DataDir
from firmware.clock import clocks
from firmware.clock.clocks import SyncPoint
from firmware.judgement.ladder import Ladder
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.plan import Plan
from firmware.model.record import Record, RecordIdentity, Verdict
from firmware.model.task import Result, Task
from firmware.model.verdict_words import VerdictWord
from tests.country.delivery import Delivery
from tests.country.repertoire import Bearing
from tests.country.sockets import Machine, Machines
from tests.country.virtual_time import NS, Agenda, VirtualClock
from tests.country.worker import VirtualWorker

_TOLD_S: Final = 0.25
"""The daemon is told of results so often, and looks at a round."""
_LEAST_S: Final = 0.001
_POLL_NS: Final = 2048 * NS
"""How often timesyncd asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a device stands, as its operator typed it."""

    name: str
    provider: str
    kind: str
    province: str


class NoDrives:
    """In the place of the watch for USB drives."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Watch nothing."""

    def start(self) -> None:
        """Nothing: there is no thread."""

    def stop(self) -> None:
        """Nothing: there is no thread."""


class Unwaiting(selectors.DefaultSelector):
    """The loop's wait, which returns at once: whoever calls a tick has waited."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return nothing."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundHeard:
    """A round that a device has concluded: from when to when it was, the verdict, and what is said of platforms."""

    since_s: float
    until_s: float
    verdict: Verdict
    targets: tuple[TargetJudgement, ...]


class QuietRound(RunningRound):
    """A round at which nobody looks before it has ended."""

    def ladder(self, *, ended: bool = False) -> Ladder:
        """Return the climb; none while it is under way, which costs as much as all the rest."""
        return super().ladder(ended=True) if ended else _NO_LADDER


_NO_LADDER: Final = Ladder(rungs=())


class LeanOutbox(Outbox):
    """The outbox, without the measurements of rounds that were well and of what is asked beside rounds.

    No verdict on a country ever asks for them.
    """

    def append(self, records: Sequence[Record], *, given_up: int = 0) -> list[RecordIdentity]:
        """Store what is kept; return its identities."""
        concluded = [one for one in records if one.verdict is not None]
        if not any(one.rung is not None or one.test == "gap" for one in records) and not concluded:
            return []
        is_well = bool(concluded) and all(
            one.verdict is not None and one.verdict.verdict == VerdictWord.OK for one in concluded
        )
        return super().append(concluded if is_well else records, given_up=given_up)


class HomeDevice:
    """One device from power-on to power-off. `heard` is called with each verdict."""

    def __init__(
        self,
        *,
        standing: Standing,
        plan: Plan,
        machine: Machine,
        machines: Machines,
        agenda: Agenda,
        delivery: Delivery,
        folder: Path,
        seed: str,
        bearing: Bearing,
        heard: Callable[["RoundHeard"], None],
    ) -> None:
        self.standing = standing
        self._plan = plan
        self._machine = machine
        self._machines = machines
        self._agenda = agenda
        self._heard = heard
        self._bearing = bearing
        self.delivery = delivery
        self._rng = random.Random(f"{seed}/device")
        self._data = DataDir(folder, device=standing.name, lock_fd=-1)
        folder.mkdir()
        self.outbox = LeanOutbox.open(
            self._data.outbox,
            device=standing.name,
            utc_ns=agenda.clock.utc_ns,
        )
        delivery.outbox = self.outbox
        self._device: Device | None = None
        self._worker: VirtualWorker | None = None
        self._turn_at_ns = -1
        self._began_s = 0.0

    def power_on(self) -> None:
        """Start the daemon in a boot of its own."""
        settings = DeviceSettings(
            country=self._plan.country,
            province=self.standing.province,
            provider=self.standing.provider,
            network_kind=self.standing.kind,
        )
        self._worker = VirtualWorker(
            agenda=self._agenda,
            machines=self._machines,
            machine=self._machine,
            wake=self._wake,
            is_expected=self._is_expected,
            bearing=self._bearing,
            rng=self._rng,
        )
        boot_id = f"{self._rng.getrandbits(32):08x}-0000-4000-8000-{self._rng.getrandbits(48):012x}"
        with (
            mock.patch.object(clocks, "read_boot_id", return_value=boot_id),
            mock.patch.object(device_module, "Worker", return_value=self._worker),
            mock.patch.object(device_module, "Sync", self.delivery.started),
        ):
            self._device = Device(settings, self._plan, self._data, self.outbox, listeners=(self,))
        self.turn()

    def power_off(self) -> None:
        """End it at once, as a power cut does: what was not committed is gone."""
        if self._worker is not None:
            self._worker.is_off = True
        self.delivery.power_off()
        if self._device is not None:
            for end in (self._device._wake, self._device._waker, self._device._selector):
                end.close()
        self._device = self._worker = None

    def close(self) -> None:
        """Let go of what is held."""
        self.power_off()
        self.outbox.close()

    def on_event(self, event: Event) -> None:
        """Pass on what it concludes."""
        now_s = self._agenda.clock.since_s
        if isinstance(event, RoundStarted):
            self._began_s = now_s
        if isinstance(event, VerdictReached) and self._device is not None:
            last = self._device._history.last
            targets = () if last is None else last.targets
            self._heard(
                RoundHeard(since_s=self._began_s, until_s=now_s, verdict=event.verdict, targets=targets)
            )

    def _is_expected(self, task: Task, result: Result) -> bool:
        """Return whether the device need not be woken for an end: a probe that was answered while all is well and connected.

        It takes note of it with its next tick, before the next probe.
        """
        device = self._device
        last = None if device is None else device._history.last
        return (
            task.task_id.startswith(PREFIX)
            and result.outcome.failure is None
            and self.delivery.is_connected
            and last is not None
            and last.verdict.verdict == VerdictWord.OK
        )

    def turn(self) -> None:
        """Make one tick of the daemon's loop, and have the next called when it is due."""
        device = self._device
        if device is None:
            return
        device._tick()
        if self._device is device:
            least_s = _LEAST_S if device._round is None else _TOLD_S
            self._turn_by(self._agenda.clock.since_ns + round(max(least_s, device._wait_s()) * NS))

    def _wake(self) -> None:
        self._turn_by(self._agenda.clock.since_ns + round(_TOLD_S * NS))

    def _turn_by(self, when_ns: int) -> None:
        if self._agenda.clock.since_ns < self._turn_at_ns <= when_ns:
            return
        self._turn_at_ns = when_ns

        def due() -> None:
            if self._turn_at_ns == when_ns:
                self._turn_at_ns = -1
                self.turn()

        self._agenda.at(when_ns, due)


def _no_state(*_: object) -> None:
    """Keep no state file."""


@contextmanager
def edges(clock: VirtualClock) -> Iterator[None]:
    """Have every device's disk, health and USB drives be virtual."""
    known = health.read(boottime_ns=0, data=Path("/"), pids={})

    def looked(*, boottime_ns: int, **_: object) -> health.Reading:
        return replace(known, boottime_ns=boottime_ns)

    def timesync() -> SyncPoint:
        boottime_ns, utc_ns = clock.now()
        age_ns = boottime_ns % _POLL_NS
        return SyncPoint(boottime_ns=boottime_ns - age_ns, utc_ns=utc_ns - age_ns, error_ns=20_000_000)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(health, "read", looked))
        stack.enter_context(mock.patch.object(clocks, "read_timesync", timesync))
        stack.enter_context(mock.patch.object(state_file, "write", _no_state))
        stack.enter_context(mock.patch.object(state_file, "read", _no_state))
        stack.enter_context(mock.patch.object(selectors, "DefaultSelector", Unwaiting))
        stack.enter_context(mock.patch.object(device_module, "UsbDriveWatch", NoDrives))
        stack.enter_context(mock.patch.object(device_module, "RunningRound", QuietRound))
        yield
