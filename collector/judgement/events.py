"""Devices that fell silent together, for as long as that lasts: which are remembered, and which are forgotten. Pure.

A cut has no age: 87 days are on record. A device that fell silent in an event must never be forgotten before the event
is over, since those that come back would then be all there is. One that fell silent alone stands for nothing after a while.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from collector.judgement.devices import DeviceStanding, DeviceState, bursts
from collector.judgement.groups import MOST

FORGOTTEN_S: Final = 7 * 86_400.0
"""A device that fell silent alone, and was not heard for so long, stands for nothing any more."""

Events: TypeAlias = "tuple[frozenset[str], ...]"
"""The devices of each event that is not over: all that fell silent in it, those that are back too."""


def going_on(events: Events, devices: Sequence[DeviceState]) -> Events:
    """Return the events after what is known now: grown by those who fell silent, without those that are over.

    An event is over when as many of its devices as make a group well are back. A device that is not there any more,
    retired by its operator, is in none.
    """
    known = {one.device: one for one in devices}
    found = [event & known.keys() for event in events]
    for together in bursts(devices):
        joined = [event for event in found if _silent(event, known) & together]
        found = [event for event in found if event not in joined]
        found.append(together.union(*joined))
    return tuple(sorted((event for event in found if not _is_over(event, known)), key=sorted))


def remembered(events: Events, devices: Iterable[DeviceState], now_utc_s: float) -> tuple[DeviceState, ...]:
    """Return the devices that stand for something: not those that fell silent alone too long ago."""
    in_event = frozenset().union(*events)
    return tuple(
        one
        for one in devices
        if one.state is not DeviceStanding.SILENT
        or now_utc_s - one.heard_utc_s <= FORGOTTEN_S
        or one.device in in_event
    )


def _silent(event: frozenset[str], known: dict[str, DeviceState]) -> frozenset[str]:
    return frozenset(one for one in event if known[one].state is DeviceStanding.SILENT)


def _is_over(event: frozenset[str], known: dict[str, DeviceState]) -> bool:
    well = sum(known[one].state is DeviceStanding.WELL for one in event)
    return well >= MOST * len(event)
