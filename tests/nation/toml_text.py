"""Writes a censor's rules, as a scenario holds them, back into the text the censor reads. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any


def rules_text(rules: Iterable[Mapping[str, Any]]) -> str:
    """Return a rules file: a table `[[rule]]` for each, keys as they stand."""
    return "\n".join(
        "[[rule]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in rule.items()) for rule in rules
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    return json.dumps(value)
