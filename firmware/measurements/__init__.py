"""What can be measured: the one map from a test's name to its code, and what a measurement is.

Adding a test is one file here, one line in the map, one file in tests. A measurement module must import its
heavy libraries inside its functions: the worker holds every test, and should cost 15 MB before it needs one.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Protocol, Self

from firmware.measurements.address import Address
from firmware.measurements.dns import Dns
from firmware.measurements.http import Http
from firmware.measurements.link import Link
from firmware.measurements.ntp import Ntp
from firmware.measurements.ping import Ping
from firmware.measurements.pmtu import Pmtu
from firmware.measurements.tcp import Tcp
from firmware.measurements.tls import Tls
from firmware.measurements.traceroute import Traceroute
from firmware.measurements.web_connectivity import WebConnectivity
from firmware.net.access import Net
from firmware.record import Outcome
from firmware.task import OptionValue


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


MEASUREMENTS: Final[Mapping[str, type[Measurement]]] = {
    "link": Link,
    "address": Address,
    "ping": Ping,
    "tcp": Tcp,
    "ntp": Ntp,
    "dns": Dns,
    "tls": Tls,
    "http": Http,
    "traceroute": Traceroute,
    "pmtu": Pmtu,
    "web_connectivity": WebConnectivity,
}
