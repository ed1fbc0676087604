"""Cutting a record's detail to a size that travels. Pure.

What a server sends decides how much there is to tell, and a hostile one could make a record that no batch can
carry (16 KiB compressed) and so lose the evidence. Lists lose their middle first, since beginning and end tell
most and a certificate must stay whole; texts only after that. This file must never cut without saying so.
"""

import json
from typing import Final

from firmware.model.jsontypes import JsonObject, JsonValue

MAX_DETAIL_BYTES: Final = 12_288
CUT: Final = "cut"
"""The key that is true in a detail that was cut."""

_STEPS: Final = ((100, 4096), (24, 4096), (10, 4096), (4, 4096), (2, 4096), (2, 512), (2, 64))
"""The most items of a list and characters of a text, from mild to harsh."""


def fit(detail: JsonObject, *, max_bytes: int = MAX_DETAIL_BYTES) -> JsonObject:
    """Return `detail` as it is where its JSON has at most `max_bytes`, else cut by the mildest step that does.

    The harshest step bounds what comes of any detail of ours, whose keys are few; it is returned in any case.
    """
    kept = detail
    for items, characters in _STEPS:
        if len(json.dumps(kept, separators=(",", ":"))) <= max_bytes:
            break
        kept = {key: _cut(value, items, characters) for key, value in detail.items()} | {CUT: True}
    return kept


def _cut(value: JsonValue, items: int, characters: int) -> JsonValue:
    if isinstance(value, str):
        return value[:characters]
    if isinstance(value, dict):
        return {key: _cut(item, items, characters) for key, item in value.items()}
    if isinstance(value, list):
        chosen = value if len(value) <= items else [*value[: items - 1], value[-1]]
        return [_cut(item, items, characters) for item in chosen]
    return value
