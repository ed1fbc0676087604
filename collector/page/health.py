"""A device's own health, as its last round tells it: names as people write them, figures with their unit. Pure.

It knows no figure by name, so that a device may tell more than this version has heard of.
"""

import json
from collections.abc import Iterator, Mapping

from collector.page import texts
from collector.store.answers import DeviceRow
from firmware.model.jsontypes import JsonValue
from firmware.model.record import from_json


def lines(device: DeviceRow) -> tuple[tuple[str, str], ...]:
    """Return what the device's last round says of the device itself, as (name, figure)."""
    if device.last_round is None:
        return ()
    return tuple(_lines("", from_json(json.loads(device.last_round.body)).context))


def _lines(prefix: str, values: Mapping[str, JsonValue], unit: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        ending = next((ending for ending in texts.UNITS if key.endswith(ending)), "")
        own = texts.UNITS.get(ending, unit)
        name = prefix + key.removesuffix(ending).replace("_", " ")
        if isinstance(value, dict):
            yield from _lines(f"{name}, ", value, own)
        else:
            yield name, _figure(value, own)


def _figure(value: JsonValue, unit: str) -> str:
    match value:
        case None:
            return texts.plain("health_unknown")
        case bool():
            return texts.plain("yes" if value else "no")
        case int():
            return f"{texts.number(value)} {unit}".rstrip()
        case float():
            return f"{value:,.1f} {unit}".rstrip()
        case list():
            return ", ".join(_figure(item, unit) for item in value)
        case _:
            return str(value)
