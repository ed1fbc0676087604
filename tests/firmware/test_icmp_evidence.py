"""ICMP errors told apart, with the router that sent them, in the record of every test that meets one."""

import errno
import socket
from typing import Any

import pytest

from firmware.model.failures import MeasurementFailedError
from firmware.model.record import Outcome
from firmware.model.task import OptionValue, result_to_json
from firmware.net.access import Net
from firmware.net.kernel import stream_hints
from firmware.worker.runner import with_evidence
from firmware.worker.single import measure_once
from tests import namespaces
from tests.chains import chain
from tests.probing import probe

TESTS: dict[str, tuple[str, dict[str, OptionValue]]] = {
    "ping": ("{}", {"count": 1, "method": "icmp"}),
    "tcp": ("{}:80", {}),
    "dns": ("example.org", {"resolver": "{}", "attempts": 1}),
    "ntp": ("{}", {}),
    "tls": ("{}:443", {}),
    "http": ("http://{}/", {}),
}
R3 = {4: "198.51.100.2", 6: "2001:db8:b:1::2"}
GOING_ROUND = {4: {"100.64.7.2", "198.51.100.2"}, 6: {"@near", "2001:db8:b:1::1", "2001:db8:b:1::2"}}


def measure(test: str, address: str) -> dict[str, Any]:
    target, options = TESTS[test]
    bracketed = ":" in address and ("{}:" in target or "//" in target)
    host = f"[{address}]" if bracketed else address
    filled = {
        key: value.format(address) if isinstance(value, str) else value for key, value in options.items()
    }
    return result_to_json(measure_once(test, target.format(host), filled))


def meets(test: str) -> dict[str, Any]:
    """Return what `test` makes of three routers' words in both families: forbidden, no way, going round."""
    there = chain()
    namespaces.open_ping()
    found: dict[str, Any] = {}
    for address, prefix, back in (
        (there.server4, "203.0.113.0/24", "198.51.100.1"),
        (there.server6, "2001:db8:c:1::/64", "2001:db8:b:1::1"),
    ):
        for way in ("prohibit {}", "unreachable {}", f"{{}} via {back}"):
            route = ("-6 " if ":" in prefix else "-4 ") + "route {} " + way.format(prefix)
            namespaces.ip(route.format("add"), node="r3")
            result = measure(test, address)
            told = [
                [one["failure"], one["type"], one["code"], one["from"]] for one in result["detail"]["icmp"]
            ]
            found[f"{way.split()[0]} {6 if ':' in prefix else 4}"] = [result["failure"], told]
            namespaces.ip(route.format("del"), node="r3")
    return found


@pytest.mark.namespace
@pytest.mark.parametrize("test", list(TESTS))
def test_every_test_tells_which_router_said_what(test: str) -> None:
    found = namespaces.call(meets, test)
    prohibited = "administratively_prohibited"
    assert found["prohibit 4"] == [prohibited, [[prohibited, 3, 13, R3[4]]]]
    assert found["prohibit 6"] == [prohibited, [[prohibited, 1, 1, R3[6]]]]
    assert found["unreachable 4"] == ["host_unreachable", [["host_unreachable", 3, 1, R3[4]]]]
    assert found["unreachable 6"] == ["network_unreachable", [["network_unreachable", 1, 0, R3[6]]]]
    for family, kind in ((4, 11), (6, 3)):
        failure, told = found[f"{{}} {family}"]
        assert failure == "ttl_exceeded"
        assert told[0][:3] == ["ttl_exceeded", kind, 0]
        assert told[0][3] in GOING_ROUND[family]


def in_the_middle_of_a_stream(change: str, node: str, size: int, version: int) -> list[Any]:
    """Connect, change the way, and send: nothing comes back but the router's word."""
    there = chain()
    server = there.server4 if version == 4 else there.server6
    with namespaces.inside(there.server):
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        listener = socket.create_server((server, 80), family=family)

    async def use(net: Net) -> list[Any]:
        with await net.connect_tcp(server, 80) as stream:
            namespaces.ip(change, node=node)
            await stream.send_all(bytes(size))
            with pytest.raises(MeasurementFailedError, match="read: generic_timeout_error"):
                await stream.receive(deadline_ns=net.now_ns() + 1_000_000_000)
        outcome = with_evidence(Outcome(), net.host, net.icmp_errors, stepped=False)
        return [outcome.detail.get("icmp")]

    with listener:
        return probe(use)


@pytest.mark.namespace
@pytest.mark.parametrize(
    ("change", "node", "size", "version", "told"),
    [
        ("route add unreachable 203.0.113.2", "r3", 100, 4, {"failure": "host_unreachable"}),
        ("-6 route add prohibit 2001:db8:c:1::2", "r3", 100, 6, {"failure": "administratively_prohibited"}),
        ("link set eth1 mtu 1300", "r2", 1400, 4, {"failure": "message_size", "info": 1300}),
        ("link set eth1 mtu 1300", "r2", 1400, 6, {"failure": "message_size", "info": 1300}),
    ],
)
def test_a_stream_outlives_an_error_and_the_record_has_what_the_kernel_keeps(
    change: str, node: str, size: int, version: int, told: dict[str, Any]
) -> None:
    kept = {"type": None, "code": None, "from": "", "info": 0, "count": 1}
    assert namespaces.call(in_the_middle_of_a_stream, change, node, size, version) == [[kept | told]]


@pytest.mark.parametrize(
    ("soft_errno", "before", "now", "told"),
    [
        (0, 1500, 1500, []),
        (errno.ECONNRESET, 1500, 1500, []),
        (errno.EHOSTUNREACH, None, 1400, [("host_unreachable", 0)]),
        (errno.EACCES, 1500, 1500, [("administratively_prohibited", 0)]),
        (0, 1500, 1400, [("message_size", 1400)]),
        (errno.ENETUNREACH, 1500, 1300, [("network_unreachable", 0), ("message_size", 1300)]),
    ],
)
def test_what_is_known_of_errors_about_a_stream(
    soft_errno: int, before: int | None, now: int | None, told: list[tuple[str, int]]
) -> None:
    hints = stream_hints(soft_errno, before, now)
    assert [(hint.failure, hint.info) for hint in hints] == told
    assert all(hint.icmp_type is None and hint.offender == "" for hint in hints)
