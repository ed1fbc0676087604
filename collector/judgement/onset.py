"""Since when a verdict on a country holds, with its error: between the last that says otherwise and the first. Pure.

It must never give a narrower time than the rounds do: what was lost one after the other began with the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.judgement.conditions import MIN_DEVICES
from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.groups import ScopeFacts
from collector.judgement.outside import OutsideFacts
from firmware.model.record import Verdict
from firmware.model.verdict_words import VerdictWord

_NOT_OF_DEVICES: Final = frozenset(
    {
        VerdictWord.INCONCLUSIVE,
        VerdictWord.SERVICE_MAINTENANCE,
        VerdictWord.PLATFORM_BLOCKED,
        VerdictWord.PROTOCOL_FILTERING,
        VerdictWord.ALLOWLISTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """A moment (UTC, s) and how far off it may be (s); None: it may have been any time earlier."""

    utc_s: float
    error_s: float | None


def onset(devices: Iterable[DeviceState], outside: OutsideFacts, verdict: Verdict) -> Onset | None:
    """Return since when `verdict`, made of these, holds by the devices' own rounds; None where they do not tell."""
    facts = ScopeFacts.of(devices, outside)
    if verdict.verdict in _NOT_OF_DEVICES:
        return None
    if verdict.verdict == VerdictWord.OK:
        return _again([one for one in facts.devices if one.state is DeviceStanding.WELL])
    if verdict.verdict == VerdictWord.COLLECTOR_FAULT:
        return _between([one for one in facts.devices if one.state is DeviceStanding.SILENT])
    return _between([one for one in facts.devices if one.device in facts.lost])


def _again(well: Sequence[DeviceState]) -> Onset | None:
    """Return when the last of many came back; where few ever were away, only that it was no later."""
    changed = [one for one in well if one.before_utc_s is not None]
    if len(changed) < MIN_DEVICES:
        return Onset(utc_s=min(one.since_utc_s for one in well), error_s=None) if well else None
    return _between([max(changed, key=lambda one: (one.since_utc_s, one.device))])


def _between(devices: Sequence[DeviceState]) -> Onset | None:
    """Return the narrowest time that all devices agree on; where they do not, that of the first of them."""
    if not devices:
        return None
    changed = [one for one in devices if one.before_utc_s is not None and one.error_s is not None]
    if not changed:
        return Onset(utc_s=min(one.since_utc_s for one in devices), error_s=None)
    first = min(changed, key=lambda one: (one.since_utc_s, one.device))
    before = [one.before_utc_s for one in changed if one.before_utc_s is not None]
    low_s, high_s = max(before), first.since_utc_s
    if low_s > high_s:
        low_s = min(high_s, first.before_utc_s or high_s)
    clock_s = max(one.error_s or 0.0 for one in changed)
    return Onset(utc_s=(low_s + high_s) / 2, error_s=(high_s - low_s) / 2 + clock_s)
