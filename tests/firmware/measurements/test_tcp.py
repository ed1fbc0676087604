"""TCP connect as a measurement: what its record says of success and of failure."""

import socket
from typing import Any

import pytest

from firmware.measurements.tcp import Tcp
from firmware.model.task import OptionValue, result_to_json
from firmware.net.targets import TargetError
from firmware.worker.single import measure_once
from tests import namespaces


def tcp(target: str, **options: OptionValue) -> dict[str, Any]:
    return result_to_json(measure_once("tcp", target, options))


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", 4), ("::1", 6)])
def test_a_port_that_listens(host: str, family: int) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if family == 6 else socket.AF_INET) as server:
        port = server.getsockname()[1]
        result = tcp(f"[{host}]:{port}" if family == 6 else f"{host}:{port}")
    assert result["failure"] is None
    assert result["phases"]["connect"]["stamp"] == "tcp_info"
    assert 0 < result["phases"]["connect"]["ns"] <= result["detail"]["elapsed_ns"]
    assert result["detail"] | {"elapsed_ns": 0, "tcp_info_bytes": 0, "late_ns": 0} == {
        "address": host,
        "family": family,
        "port": port,
        "resolved_from": "literal",
        "retransmissions": 0,
        "tcp_info_bytes": 0,
        "elapsed_ns": 0,
        "clock_stepped": False,
        "late_ns": 0,
        "late_stamp": "user",
    }
    assert result["detail"]["tcp_info_bytes"] >= 104
    assert (result["bytes_up"], result["bytes_down"]) == (0, 0)


def test_a_port_that_refuses() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        result = tcp(f"127.0.0.1:{bound.getsockname()[1]}")
    assert (result["failure"], result["failed_operation"]) == ("connection_refused", "connect")
    assert result["phases"] == {}
    assert result["detail"]["elapsed_ns"] > 0


def silence_and_names() -> dict[str, Any]:
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="10.0.0.2/24 fd01::2/64", far="10.0.0.1/24 fd01::1/64")
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.ip("route add blackhole 10.5.0.0/24", node=router)
    namespaces.write_file("/etc/hosts", "10.5.0.1 silent.example\nfd01::1 router.example\n")
    with namespaces.inside(router):
        namespaces.sysctl("net.ipv4.ip_forward", 1)
    silent = tcp("silent.example:443", timeout_ms=100)
    router_6 = tcp("router.example:1")
    own = tcp("10.0.0.2:1")
    unreachable = tcp("[2001:db8::1]:443")
    return {
        "silent": [silent["failure"], silent["failed_operation"], silent["detail"]["address"]],
        "from": silent["detail"]["resolved_from"],
        "router": [router_6["failure"], router_6["detail"]["address"], router_6["detail"]["family"]],
        "gateway": tcp("10.0.0.1:1")["detail"]["address"],
        "own": own["detail"]["address"],
        "no route": [unreachable["failure"], unreachable["uplink"]],
        "uplink": silent["uplink"],
        "wrong family": tcp("10.0.0.1:1", family=6)["failure"],
    }


@pytest.mark.namespace
def test_silence_names_and_what_must_not_get_out() -> None:
    assert namespaces.call(silence_and_names) == {
        "silent": ["generic_timeout_error", "connect", "10.5.0.1"],
        "from": "hosts",
        "router": ["connection_refused", "fd01::1", 6],
        "gateway": "@gateway",
        "own": "@self",
        "no route": ["network_unreachable", ""],
        "uplink": "ethernet",
        "wrong family": "address_family_not_supported",
    }


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("example.org", {}, "has no port"),
        ("example.org:https", {}, "found port 'https'"),
        ("example.org:443", {"timeout_ms": 0}, "option timeout_ms: found 0"),
        ("example.org:443", {"timeout": 5}, "found option 'timeout'"),
    ],
)
def test_what_cannot_be_connected_to(target: str, options: dict[str, OptionValue], told: str) -> None:
    with pytest.raises(TargetError) as caught:
        Tcp.parse(target, options)
    assert told in str(caught.value)
