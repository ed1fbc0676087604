"""Ping by each of its ways, in namespaces where the kernel allows or forbids them, and what its record says."""

import socket
from typing import Any

import pytest

from firmware.measurements.ping import Ping
from firmware.model.record import Phase, Stamp
from firmware.model.task import OptionValue, result_to_json
from firmware.net.echo import EchoSample, best_rtt
from firmware.net.targets import TargetError
from firmware.worker.single import measure_once
from tests import namespaces

FAST: dict[str, OptionValue] = {"interval_ms": 20, "timeout_ms": 300}


def ping(target: str, **options: OptionValue) -> dict[str, Any]:
    return result_to_json(measure_once("ping", target, {**FAST, **options}))


def gist(result: dict[str, Any]) -> list[Any]:
    """Return what a ladder sees of a ping."""
    detail = result["detail"]
    return [
        result["failure"],
        detail.get("method"),
        detail.get("not_used"),
        f"{detail.get('received')}/{detail.get('sent')}",
        sorted({sample.get("stamp", sample.get("failure")) for sample in detail.get("samples", [])}),
    ]


def network() -> tuple[str, str]:
    """Make device — router — server."""
    router, server = namespaces.node("router"), namespaces.node("server")
    namespaces.wire("eth0", router, near="10.0.0.2/24 fd01::2/64", far="10.0.0.1/24 fd01::1/64")
    namespaces.wire(
        "eth1", server, near="10.1.0.1/24 fd02::1/64", far="10.1.0.2/24 fd02::2/64", near_node=router
    )
    with namespaces.inside(router):
        namespaces.sysctl("net.ipv4.ip_forward", 1)
        namespaces.sysctl("net.ipv6.conf.all.forwarding", 1)
        namespaces.sysctl("net.ipv4.icmp_ratelimit", 0)
        namespaces.sysctl("net.ipv4.icmp_ratemask", 0)  # nor by what all namespaces of a machine share
    for device, gateway in (("", "10.0.0.1"), ("", "fd01::1"), (server, "10.1.0.1"), (server, "fd02::1")):
        namespaces.ip(f"route add default via {gateway}", node=device)
    return router, server


def icmp_allowed() -> dict[str, Any]:
    router, _ = network()
    namespaces.open_ping()
    namespaces.ip("route add prohibit 10.3.0.0/24", node=router)
    namespaces.ip("route add blackhole 10.5.0.0/24", node=router)
    found: dict[str, Any] = {
        name: gist(ping(name)) for name in ("10.1.0.2", "fd02::2", "@gateway", "10.5.0.1")
    }
    found["10.3.0.1"] = gist(ping("10.3.0.1", count=2))  # the kernel sends few such errors a second
    found["@gateway 6"] = gist(ping("@gateway", family=6))
    whole = ping("10.1.0.2")
    found["ttl"] = {sample["ttl"] for sample in whole["detail"]["samples"]} == {63}
    found["rtt"] = whole["phases"]["rtt"]["ns"] == min(one["rtt_ns"] for one in whole["detail"]["samples"])
    found["bytes"] = [whole["bytes_up"], whole["bytes_down"]]
    found["gateway"] = ping("@gateway")["detail"]["address"]
    found["uplink"] = whole["uplink"]
    found["icmp"] = ping("10.3.0.1", count=2)["detail"]["icmp"]
    return found


@pytest.mark.namespace
def test_by_icmp_where_it_is_allowed() -> None:
    answered: list[Any] = [None, "icmp", {}, "3/3", ["snd"]]
    assert namespaces.call(icmp_allowed) == {
        "10.1.0.2": answered,
        "fd02::2": answered,
        "@gateway": answered,
        "@gateway 6": answered,
        "10.3.0.1": ["administratively_prohibited", "icmp", {}, "0/2", ["administratively_prohibited"]],
        "10.5.0.1": ["generic_timeout_error", "icmp", {}, "0/3", ["generic_timeout_error"]],
        "ttl": True,
        "rtt": True,
        "bytes": [168, 168],
        "gateway": "@gateway",
        "uplink": "ethernet",
        "icmp": [
            {
                "failure": "administratively_prohibited",
                "type": 3,
                "code": 13,
                "from": "@gateway",
                "info": 0,
                "count": 2,
            }
        ],
    }


def icmp_forbidden() -> dict[str, Any]:
    router, server = network()
    with namespaces.inside(server):
        namespaces.sysctl("net.ipv4.icmp_ratelimit", 0)
        namespaces.sysctl("net.ipv4.icmp_ratemask", 0)  # nor by what all namespaces of a machine share
        namespaces.sysctl("net.ipv6.icmp.ratelimit", 0)
    found = {name: gist(ping(name)) for name in ("10.1.0.2", "fd02::2", "@gateway")}
    # A firewall that lets no UDP by: the far end says nothing, and a port that refuses or accepts does.
    namespaces.ip("rule add ipproto udp dport 33434 blackhole", node=router)
    found["no udp, refused"] = gist(ping("10.1.0.2"))
    with namespaces.inside(server):
        listener = socket.create_server(("10.1.0.2", 443))
    with listener:
        found["no udp, open"] = gist(ping("10.1.0.2"))
    found["icmp asked for"] = gist(ping("10.1.0.2", method="icmp"))
    namespaces.ip("route add prohibit 10.3.0.0/24", node=router)
    found["prohibited"] = gist(ping("10.3.0.1", count=1))
    return found


@pytest.mark.namespace
def test_by_udp_or_tcp_where_icmp_is_forbidden_and_it_says_why() -> None:
    udp = [None, "udp", {"icmp": "permission_denied"}, "3/3", ["snd"]]
    not_used = {"icmp": "permission_denied", "udp": "generic_timeout_error"}
    assert namespaces.call(icmp_forbidden) == {
        "10.1.0.2": udp,
        "fd02::2": udp,
        "@gateway": udp,
        "no udp, refused": [None, "tcp", not_used, "3/3", ["user"]],
        "no udp, open": [None, "tcp", not_used, "3/3", ["tcp_info"]],
        "icmp asked for": ["permission_denied", None, None, "None/None", []],
        "prohibited": [
            "administratively_prohibited",
            "tcp",
            not_used,
            "0/1",
            ["administratively_prohibited"],
        ],
    }


def gateway_goes_away() -> dict[str, Any]:
    namespaces.open_ping()
    found = {"nothing": gist(ping("@gateway"))}
    router = namespaces.node("router")
    namespaces.wire("eth0", router, near="10.0.0.2/24", far="10.0.0.1/24")
    found["no route"] = gist(ping("@gateway"))
    namespaces.ip("route add default via 10.0.0.1")
    found["there"] = gist(ping("@gateway"))
    namespaces.ip("addr flush dev eth0", node=router)
    namespaces.ip("neigh flush dev eth0")
    namespaces.sysctl("net.ipv4.neigh.eth0.retrans_time_ms", 50)
    found["gone"] = gist(ping("@gateway", timeout_ms=5000))
    namespaces.ip("route del default")
    namespaces.ip("link del eth0")
    found["unplugged"] = gist(ping("10.0.0.1"))
    return found


@pytest.mark.namespace
def test_a_gateway_that_is_not_there() -> None:
    found = namespaces.call(gateway_goes_away)
    assert found["nothing"][0] == found["no route"][0] == "no_gateway"
    assert found["there"][0] is None
    assert found["gone"] == ["host_unreachable", "icmp", {}, "0/3", ["host_unreachable"]]
    assert found["unplugged"][0] == "network_unreachable"


def answers_no_echo() -> list[Any]:
    server = namespaces.node("server")
    namespaces.wire("eth0", server, near="10.0.0.2/24", far="10.0.0.1/24")
    namespaces.open_ping()
    ping("10.0.0.1", count=1)  # so that the neighbours know each other
    with namespaces.inside(server):
        namespaces.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    lost = ping("10.0.0.1", count=2)
    with namespaces.inside(server):
        namespaces.sysctl("net.ipv4.icmp_echo_ignore_all", 0)
    return [gist(lost), lost["detail"]["loss"], gist(ping("10.0.0.1", count=2))]


@pytest.mark.namespace
def test_a_host_that_answers_no_echo() -> None:
    assert namespaces.call(answers_no_echo) == [
        ["generic_timeout_error", "icmp", {}, "0/2", ["generic_timeout_error"]],
        1.0,
        [None, "icmp", {}, "2/2", ["snd"]],
    ]


def by_name() -> list[Any]:
    namespaces.open_ping()
    result = ping("localhost", count=1)
    return [result["failure"], result["detail"]["address"], result["target"]]


@pytest.mark.namespace
def test_a_name_is_resolved() -> None:
    assert namespaces.call(by_name) == [None, "127.0.0.1", "localhost"]


def test_the_time_of_a_run_is_the_shortest_of_its_best_class() -> None:
    samples = [
        EchoSample(rtt=Phase(ns=9, stamp=Stamp.SND)),
        EchoSample(rtt=Phase(ns=1, stamp=Stamp.USER)),
        EchoSample(rtt=Phase(ns=7, stamp=Stamp.SND)),
        EchoSample(failure="generic_timeout_error"),
        EchoSample(rtt=Phase(ns=3, stamp=Stamp.SCHED)),
    ]
    assert best_rtt(samples) == Phase(ns=7, stamp=Stamp.SND)
    assert best_rtt([]) is None


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("", {}, "allowed is a host name"),
        ("@router", {}, "allowed is a host name"),
        ("host:80", {}, "allowed is a host name"),
        ("::1", {"count": 0}, "option count: found 0"),
        ("::1", {"method": "smoke"}, "one of any, icmp, udp, tcp"),
        ("::1", {"port": 1}, "found option 'port'; the options of ping are: count, family"),
    ],
)
def test_what_cannot_be_pinged(target: str, options: dict[str, OptionValue], told: str) -> None:
    with pytest.raises(TargetError) as caught:
        Ping.parse(target, options)
    assert told in str(caught.value)
