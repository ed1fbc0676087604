"""Faults put into the judgement of packets on purpose, which the drill must find: one that finds none would prove nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from firmware.judgement.throttling import policing

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "queue-not-looked-at": {"QUEUED_SHARE": 2.0, "INFLATED_SHARE": 2.0},
    "burst-not-asked-for": {"BURST_SEGMENTS": -1000, "BURST_SHARE": -1.0},
    "chance-not-looked-at": {"LEAST_APART": 0.0, "INFLATED_SHARE": 2.0},
}
"""Name → what stands in place of which bounds."""


@contextmanager
def policing_fault(name: str | None) -> Iterator[None]:
    """Put a fault in for as long as this lasts; none for None."""
    with patch.multiple(policing, **(FAULTS[name] if name else {})):
        yield
