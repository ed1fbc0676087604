"""The map of tests: every one is there under its own name and is what a measurement must be."""

import subprocess
import sys

import pytest

from firmware.measurements import EVERY_MEASUREMENT, MEASUREMENTS, Measurement
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
from firmware.measurements.transfer import Transfer
from firmware.measurements.web_connectivity import WebConnectivity

# Typed, so that mypy holds each to the protocol: the map names them in text.
KINDS: tuple[type[Measurement], ...] = (
    Link,
    Address,
    Ping,
    Tcp,
    Ntp,
    Dns,
    Tls,
    Http,
    Traceroute,
    Pmtu,
    WebConnectivity,
    Transfer,
)


def test_every_test_stands_under_its_own_name() -> None:
    assert dict(EVERY_MEASUREMENT) == {kind.name: kind for kind in KINDS}


def test_a_plan_can_ask_for_all_but_a_transfer() -> None:
    """Which has a token and a nonce, and whose time and place other rules decide."""
    assert set(EVERY_MEASUREMENT) - set(MEASUREMENTS) == {"transfer"}
    assert all(EVERY_MEASUREMENT[name] is kind for name, kind in MEASUREMENTS.items())


def test_a_name_that_is_no_test_is_not_there() -> None:
    assert "nosuch" not in MEASUREMENTS
    assert MEASUREMENTS.get("nosuch") is None
    with pytest.raises(KeyError):
        MEASUREMENTS["nosuch"]


def test_to_know_the_names_loads_none_of_them() -> None:
    code = (
        "import sys\nfrom firmware.measurements import MEASUREMENTS\n"
        "assert 'http' in MEASUREMENTS and len(MEASUREMENTS) == len(list(MEASUREMENTS))\n"
        "print([name for name in sys.modules if name.startswith('firmware.measurements.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
