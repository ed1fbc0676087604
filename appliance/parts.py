"""What a device's parts are made of, from its settings, its plan and its data directory. Nothing is started here."""

import contextlib
import logging
import os
from typing import Final

from appliance.delivery.network.link import SyncSettings
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from appliance.identity.renewal import recover
from appliance.measuring import records
from appliance.measuring.budget import NS, Budget, wire_bytes
from appliance.measuring.journal import Journal
from appliance.measuring.rounds import most_bytes
from appliance.measuring.schedule import ROUND, Schedule
from appliance.measuring.sentinel import BYTES_PER_DAY, targets_of
from appliance.measuring.slots import ScheduledJob
from appliance.outbox.box import Outbox
from appliance.settings import DeviceSettings
from appliance.state_file import DaemonState
from appliance.storage.datadir import DataDir
from appliance.transports import Ports
from firmware.judgement.fingerprints.lists import Lists, bring
from firmware.model.plan import Plan
from firmware.plans.checks import estimate_bytes, round_bytes

_log: Final = logging.getLogger(__name__)


def make_schedule(
    settings: DeviceSettings,
    plan: Plan,
    *,
    device: str,
    budget: Budget,
    now_ns: int,
    settled_ns: int | None,
) -> Schedule:
    """Return the schedule of a plan, in the cadence that the settings leave it."""
    chosen = settings.schedule
    return Schedule(
        device=device,
        calm=ScheduledJob(
            name=ROUND,
            period_ns=(chosen.calm_s or plan.cadence.calm_s) * NS,
            usual_bytes=round_bytes(plan),
            most_bytes=most_bytes(plan),
        ),
        quick_ns=(chosen.transition_s or plan.cadence.transition_s) * NS,
        tasks=[
            ScheduledJob(
                name=task.name,
                period_ns=task.every_s * NS,
                usual_bytes=estimate_bytes(task),
                most_bytes=wire_bytes(estimate_bytes(task)),
            )
            for task in plan.tasks
        ],
        budget=budget,
        now_ns=now_ns,
        settled_ns=settled_ns,
        beside_bytes_per_day=BYTES_PER_DAY if len(targets_of(plan)) > 1 else 0.0,
    )


def make_journal(
    settings: DeviceSettings,
    plan: Plan,
    data: DataDir,
    outbox: Outbox,
    *,
    lists: Lists,
    boot_id: str,
    started_utc_ns: int,
    round_id: int,
    budget_bytes_per_day: int,
) -> Journal:
    """Return the journal of a run that begins; `round_id` is the last round's before it."""
    return Journal(
        data=data.path,
        plan=plan,
        outbox=outbox,
        place={
            "province": settings.province,
            "provider": settings.provider,
            "network_kind": settings.network_kind,
        },
        state=DaemonState(
            pid=os.getpid(),
            software=records.SOFTWARE,
            boot_id=boot_id,
            plan=plan.label,
            fingerprints=lists.labels,
            fingerprints_left_out=len(lists.left_out),
            started_utc_ns=started_utc_ns,
            round_id=round_id,
            budget_bytes_per_day=budget_bytes_per_day,
        ),
    )


def bring_lists(settings: DeviceSettings) -> Lists:
    """Return the fingerprints to go by. What of the operator's lists cannot be used is said, and stops nothing."""
    lists = bring([] if settings.fingerprints is None else [settings.fingerprints])
    for sentence in lists.left_out:
        _log.warning("left out: %s", sentence)
    return lists


def identity_of(data: DataDir) -> DeviceIdentity | None:
    """Return the device's identity, None where it was given none. Raises `IdentityError`."""
    files = IdentityFiles(data=data.path)
    if not files.are_there:
        return None
    # Where that cannot be done, or a part of it is damaged, loading says what does not fit.
    with contextlib.suppress(OSError, ValueError):
        recover(files)
    return DeviceIdentity.load(files, device=data.device)


def sync_settings(settings: DeviceSettings) -> SyncSettings:
    """Return where the sender is to connect."""
    broker = settings.broker
    return SyncSettings(
        host=broker.host,
        ports=Ports(
            wss=broker.websocket_port, mqtts=broker.tls_port, https=broker.https_port, mqtt=broker.port
        ),
        path=broker.path,
        keepalive_s=broker.keepalive_s,
        retry_max_s=broker.retry_max_s,
    )
