"""A device's own health, as its last round tells it: names as people write them, figures with their unit. Pure.

It knows no figure by name, so that a device may tell more than this version has heard of.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from collector.store.answers import DeviceRow
from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonValue
from firmware.model.record import from_json

_UNITS: Final[Mapping[str, str]] = {
    "_percent": "percent",
    "_bytes": "bytes",
    "_c": "celsius",
    "_mhz": "mhz",
    "_dbm": "dbm",
    "_s": "s",
    "_ms": "ms",
}
"""How the name of a health figure ends → its unit."""


def lines(device: DeviceRow, translator: Translator) -> tuple[tuple[str, str], ...]:
    """Return what the device's last round says of the device itself, as (name, figure)."""
    if device.last_round is None:
        return ()
    context = from_json(json.loads(device.last_round.body)).context
    return tuple((name, _figure(value, unit, translator)) for name, value, unit in _figures("", context))


def _figures(
    prefix: str, values: Mapping[str, JsonValue], unit: str = ""
) -> Iterator[tuple[str, JsonValue, str]]:
    """Yield each figure with its name and its unit, "" for none."""
    for key, value in values.items():
        ending = next((ending for ending in _UNITS if key.endswith(ending)), "")
        own = _UNITS.get(ending, unit)
        name = prefix + key.removesuffix(ending).replace("_", " ")
        if isinstance(value, dict):
            yield from _figures(f"{name}, ", value, own)
        else:
            yield name, value, own


def _figure(value: JsonValue, unit: str, translator: Translator) -> str:
    match value:
        case None:
            return translator.say("page.health_unknown")
        case bool():
            return translator.say("page.yes" if value else "page.no")
        case int() | float():
            places = 0 if isinstance(value, int) else 1
            return translator.unit(unit, value, places=places) if unit else translator.number(value, places)
        case list():
            return translator.listed(_figure(item, unit, translator) for item in value)
        case _:
            return str(value)
