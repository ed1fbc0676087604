"""From a cut to the device's verdict and back, without waiting for a slot: the next one is hours away.

The seconds are printed (`-s`), not asserted; that a verdict comes at all before the slot is the sentinel's work.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import namespaces
from tests.appliance.world import Device, records
from tests.servers.dns import DnsServer, zone
from tests.servers.tcp import TcpServer
from tests.servers.tls import Authority, over_tls

pytestmark = [pytest.mark.namespace, pytest.mark.long]

HOME, ABROAD = ("10.1.1.1", "10.1.2.1"), ("10.2.1.1", "10.2.2.1", "10.2.3.1")
NAME = "www.example.org"


def _plan() -> str:
    near = "".join(
        f'[[target]]\nname = "{rung}"\nrung = "{rung}"\nzone = "local"\ntest = "{test}"\ntarget = "{target}"\n'
        f'{extra}source = "made"\nwhy = "made"\n'
        for rung, test, target, extra in (
            ("link", "link", "@uplink", ""),
            ("address", "address", "@host", ""),
            ("gateway", "ping", "@gateway", ""),
            ("resolver", "dns", NAME, 'options = { resolver = "@isp" }\n'),
        )
    )
    far = "".join(
        f'[[target]]\nname = "site-{number}"\nrung = "{zone}"\nzone = "{zone}"\ntest = "tls"\n'
        f'target = "{address}:443"\noptions = {{ sni = "{NAME}" }}\n'
        f'network = {{ asn = {64500 + number}, name = "Site {number}" }}\nsource = "made"\nwhy = "made"\n'
        for number, (zone, address) in enumerate(
            [*(("domestic", one) for one in HOME), *(("international", one) for one in ABROAD)]
        )
    )
    return (
        'schema = 1\ncountry = "zz"\nname = "Small world"\nrevised = 2026-11-21\n'
        "[cadence]\ncalm_s = 120\ntransition_s = 30\nbudget_bytes_per_day = 100_000_000\n"
        f"[round]\nstagger_ms = 5\n{near}{far}"
    )


def cut_and_back(folder: str) -> Any:
    root = Path(folder)
    authority = Authority(root)
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="10.0.0.2/24", far="10.0.0.1/24")
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.open_ping()
    namespaces.write_file("/etc/resolv.conf", "nameserver 10.0.0.1\n")
    for address in (*HOME, *ABROAD):
        namespaces.ip(f"addr add {address}/32 dev lo", node=router)
    (root / "plan.toml").write_text(_plan())
    settings = root / "device.toml"
    settings.write_text(
        f'data = "{root / "data"}"\nplan = "{root / "plan.toml"}"\n'
        "[schedule]\ncalm_s = 86400\ntransition_s = 86400\n"
    )
    seconds = {}
    stack = ExitStack()
    with namespaces.inside(router):
        servers = [
            TcpServer(over_tls(authority.server_context(NAME)), address=address, port=443)
            for address in (*HOME, *ABROAD)
        ]
        resolver = DnsServer(zone({NAME: ("10.1.1.1",)}), address="10.0.0.1", port=53)
        stack.enter_context(resolver)
        for server in servers:
            stack.enter_context(server)
    with stack, Device(settings, environment={"SSL_CERT_FILE": str(authority.trusted)}) as device:
        device.await_line("verdict ok")
        for word, act, times in (("international_cut", "del", 1), ("ok", "add", 2)):
            begun_s = time.monotonic()
            for address in ABROAD:
                namespaces.ip(f"addr {act} {address}/32 dev lo", node=router)
            device.await_line(f"verdict {word}", times=times)
            seconds[word] = time.monotonic() - begun_s
        device.end()
        rounds = [record for record in records(device.data) if record.test == "ladder"]
        return {
            "seconds": seconds,
            "rounds": [
                (one.verdict.verdict, [said.code for said in one.verdict.evidence])
                for one in rounds
                if one.verdict
            ],
            "probes": [one.target_name for one in records(device.data) if one.test == "tcp"],
        }


def test_a_cut_and_its_end_are_said_long_before_the_next_slot(tmp_path: Path) -> None:
    seen = namespaces.call(cut_and_back, str(tmp_path))
    print(f"cut to verdict {seen['seconds']['international_cut']:.1f} s, back {seen['seconds']['ok']:.1f} s")
    assert [word for word, _ in seen["rounds"]] == ["ok", "international_cut", "ok"]
    assert "taken-to-be-silent" in seen["rounds"][1][1]
    assert seen["probes"] == []  # the sentinel's are no records
