"""A site that is ill is ill in the way that its word says, and well again afterwards."""

import datetime as dt
import socket
from pathlib import Path

import pytest

from tests import namespaces
from tests.nation.atlas import SITES
from tests.nation.sites import RunningSite, Trust

SITE = SITES[0]
WAIT_S = 1.0


HERE = ["10.0.0.0/24", "fd00::/64"]
"""Where the client is."""
ELSEWHERE = ["10.0.1.0/24", "fd00:1::/64"]


def connects_one_fault_after_the_other(folder: str, faults: list[str], country: list[str]) -> list[list[str]]:
    """Return for each fault what a connect to each address of a site comes to, whose country is `country`."""
    there = namespaces.node("there")
    namespaces.wire("eth0", there, near="10.0.0.2/24 fd00::2/64", far="10.0.0.1/24 fd00::1/64")
    for address in SITE.addresses:
        is_six = ":" in address
        namespaces.ip(f"addr add {address}{'/128 dev lo nodad' if is_six else '/32 dev lo'}", node=there)
        namespaces.ip(f"route add {address} via {'fd00::1' if is_six else '10.0.0.1'}")
    trust = Trust(Path(folder), ahead=dt.timedelta())
    with namespaces.inside(there):
        site = RunningSite(SITE, trust, country)
        site.start()
    found = []
    for fault in faults:
        with namespaces.inside(there):
            site.become(fault)
        found.append([_connect(address) for address in SITE.addresses])
    with namespaces.inside(there):
        site.become("refused")  # a server that listens would keep the child from ending
    return found


def _connect(address: str) -> str:
    try:
        socket.create_connection((address, 443), timeout=WAIT_S).close()
    except OSError as error:
        return type(error).__name__
    return "connected"


@pytest.mark.namespace
def test_what_is_gone_is_silent_and_what_is_refused_is_refused(tmp_path: Path) -> None:
    faults = ["", "gone", "refused", "gone", ""]
    refused, silent, well = "ConnectionRefusedError", "TimeoutError", "connected"
    assert namespaces.call(connects_one_fault_after_the_other, str(tmp_path), faults, HERE) == [
        [word] * 2 for word in (well, silent, refused, silent, well)
    ]


@pytest.mark.namespace
@pytest.mark.parametrize(
    ("country", "found"), [(HERE, "TimeoutError"), (ELSEWHERE, "connected")], ids=["here", "elsewhere"]
)
def test_a_site_that_refuses_a_country_is_silent_to_its_addresses_alone(
    tmp_path: Path, country: list[str], found: str
) -> None:
    faults = ["", "refuses_country", ""]
    assert namespaces.call(connects_one_fault_after_the_other, str(tmp_path), faults, country) == [
        [word] * 2 for word in ("connected", found, "connected")
    ]
