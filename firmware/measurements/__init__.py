"""What can be measured: the one map from a test's name to its code, and what a measurement is.

Adding a test is one file here, one line in the map, one file in tests. A test's module is loaded when the test is
first looked up, and must import heavy libraries inside its functions: the worker holds every test, and should cost
15 MB before it needs one.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, Protocol, Self, cast

from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.access import Net


class Measurement(Protocol):
    """One test, pointed at one target: parse it, then measure, any number of times."""

    name: ClassVar[str]
    """The test's name in tasks, records and on the command line."""
    version: ClassVar[str]
    """Changes when what the test does, or the form of its `detail`, changes."""
    summary: ClassVar[str]
    """One line for `tidegauge measure --help`."""

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Read target and options. Raises `TargetError`, which says what is wrong and what is allowed."""

    async def measure(self, net: Net) -> Outcome:
        """Measure once. A network failure is an `Outcome`, never an exception."""


class _Lazily(Mapping[str, type[Measurement]]):
    """Names and the classes behind them, each loaded when it is first asked for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> type[Measurement]:
        module, _, kind = self._places[name].partition(":")
        return cast("type[Measurement]", getattr(importlib.import_module(module), kind))

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


_IN_PLANS: Final = {
    "link": "firmware.measurements.link:Link",
    "address": "firmware.measurements.address:Address",
    "ping": "firmware.measurements.ping:Ping",
    "tcp": "firmware.measurements.tcp:Tcp",
    "ntp": "firmware.measurements.ntp:Ntp",
    "dns": "firmware.measurements.dns:Dns",
    "tls": "firmware.measurements.tls:Tls",
    "http": "firmware.measurements.http:Http",
    "traceroute": "firmware.measurements.traceroute:Traceroute",
    "pmtu": "firmware.measurements.pmtu:Pmtu",
    "web_connectivity": "firmware.measurements.web_connectivity:WebConnectivity",
}
_APART: Final = {
    "transfer": "firmware.measurements.transfer:Transfer",
}
"""What no plan's line can ask for: by rules of its own it is decided when, where to and with whose token (decision 48)."""

MEASUREMENTS: Final[Mapping[str, type[Measurement]]] = _Lazily(_IN_PLANS)
"""What a plan's targets and tasks can ask for."""
EVERY_MEASUREMENT: Final[Mapping[str, type[Measurement]]] = _Lazily(_IN_PLANS | _APART)
"""All that the worker and the command can measure."""
