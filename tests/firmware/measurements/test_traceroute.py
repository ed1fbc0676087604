"""Traceroute over real routers in namespaces: every method, both families, and every way in which a path ends."""

import ctypes
import socket
import struct
import threading
from typing import Any

import pytest

from firmware.commands.report import report
from firmware.measurements.traceroute import Traceroute
from firmware.model.task import OptionValue, result_to_json
from firmware.net.targets import TargetError
from firmware.paths.probes import UdpForm
from firmware.worker.single import measure_once
from tests import namespaces
from tests.bench.timing.lab import no_offloads
from tests.chains import chain
from tests.english import ENGLISH

FAST: dict[str, OptionValue] = {"timeout_ms": 400}
PATH4 = ["@gateway", "@cgnat", "198.51.100.2", "10.10.34.2", "203.0.113.2"]
PATH6 = ["@gateway", "@near", "2001:db8:b:1::2", "fd10:10:34:1::2", "2001:db8:c:1::2"]


def trace(target: str, **options: OptionValue) -> dict[str, Any]:
    return result_to_json(measure_once("traceroute", target, {**FAST, **options}))


def path(result: dict[str, Any]) -> list[str]:
    """Return who answered for each hop, all of its queries alike; `*` for nobody."""
    hops = result["detail"]["result"]
    assert [hop["hop"] for hop in hops] == list(range(1, len(hops) + 1))
    names = [{reply.get("from", "*") for reply in hop["result"]} for hop in hops]
    return ["/".join(sorted(found)) for found in names]


def gist(result: dict[str, Any]) -> list[Any]:
    detail = result["detail"]
    return [result["failure"], detail["end"], detail["end_hop"], path(result)]


def stamps(result: dict[str, Any]) -> list[str]:
    return sorted({reply.get("stamp", "*") for hop in result["detail"]["result"] for reply in hop["result"]})


def every_way() -> dict[str, Any]:
    there = chain()
    namespaces.open_ping()
    found: dict[str, Any] = {}
    for method in ("udp", "icmp", "tcp"):
        for target in (there.server4, there.server6):
            result = trace(target, method=method)
            found[f"{method} {result['detail']['family']}"] = [*gist(result), stamps(result)]
            if method == "tcp":
                received = [
                    reply.get("received")
                    for hop in result["detail"]["result"][:-1]
                    for reply in hop["result"]
                ]
                found.setdefault("received", []).append([len(received), set(received) == {"kernel"}])
                found.setdefault("late", []).append(result["detail"]["late_stamp"])
    with namespaces.inside(there.server):
        listener = socket.create_server((there.server4, 443))
    with listener:
        opened = trace(there.server4, method="tcp", queries=2)
        found["open"] = [*gist(opened), opened["phases"]["rtt"]["stamp"]]
    whole = trace(there.server4)
    hops = whole["detail"]["result"]
    found["ttl"] = [hop["result"][0]["ttl"] for hop in hops]
    found["rtt"] = whole["phases"]["rtt"]["ns"] == min(reply["rtt_ns"] for reply in hops[-1]["result"])
    found["icmp told once"] = "icmp" not in whole["detail"]
    found["size"] = [path(trace(there.server4, size=size)) == PATH4 for size in (60, 61, 1500)]
    found["shown"] = report("traceroute", measure_once("traceroute", there.server4, FAST), ENGLISH)
    return found


@pytest.mark.namespace
def test_every_method_finds_every_router_in_both_families() -> None:
    found = namespaces.call(every_way)
    for method, stamp in (("udp", "snd"), ("icmp", "snd"), ("tcp", "user")):
        assert found[f"{method} 4"] == [None, "reached", 5, PATH4, [stamp]]
        assert found[f"{method} 6"] == [None, "reached", 5, PATH6, [stamp]]
    assert found["open"] == [None, "reached", 5, PATH4, "tcp_info"]
    assert found["received"] == [[12, True]] * 2
    assert found["late"] == ["user"] * 2
    assert found["ttl"] == [64, 63, 62, 61, 60]
    assert found["rtt"]
    assert found["icmp told once"]
    assert found["size"] == [True, True, True]
    lines = [line.split() for line in found["shown"].splitlines()]
    assert [words[1] for words in lines if words and words[0].isdigit()] == PATH4
    assert "by the kernel, at the driver" in found["shown"]


def limited() -> list[Any]:
    there = chain(1, limited=True)
    return [gist(trace(there.server4)), gist(trace(there.server6))]


@pytest.mark.namespace
def test_a_near_end_that_answers_six_in_a_burst_answers_every_query() -> None:
    assert namespaces.call(limited) == [
        [None, "reached", 2, ["@gateway", "100.64.7.2"]],
        [None, "reached", 2, ["@gateway", "2001:db8:aa:2::2"]],
    ]


def silent_routers() -> dict[str, Any]:
    there = chain()
    namespaces.open_ping()
    for family in ("-4", "-6"):
        namespaces.ip(f"{family} rule add pref 1 iif lo blackhole", node="r2")
    found: dict[str, Any] = {
        method: [gist(trace(target, method=method)) for target in (there.server4, there.server6)]
        for method in ("udp", "icmp", "tcp")
    }
    for family, prefix in (("-4", "203.0.113.2"), ("-6", "2001:db8:c:1::2")):
        namespaces.ip(f"{family} route add blackhole {prefix}", node="r4")
    found["nobody"] = [gist(trace(target, gap=3)) for target in (there.server4, there.server6)]
    found["nobody by tcp"] = [gist(trace(there.server4, gap=2, queries=1, method="tcp"))]
    found["asked"] = [len(hop["result"]) for hop in trace(there.server4, gap=3)["detail"]["result"]]
    return found


@pytest.mark.namespace
def test_a_silent_router_is_passed_and_silence_ends_at_the_gap_limit() -> None:
    four, six = PATH4.copy(), PATH6.copy()
    four[1] = six[1] = "*"
    found = namespaces.call(silent_routers)
    for method in ("udp", "icmp", "tcp"):
        assert found[method] == [[None, "reached", 5, four], [None, "reached", 5, six]]
    end = ["generic_timeout_error", "gap_limit"]
    assert found["nobody"] == [[*end, 6, [*four[:3], "*", "*", "*"]], [*end, 6, [*six[:3], "*", "*", "*"]]]
    assert found["nobody by tcp"] == [[*end, 5, [*four[:3], "*", "*"]]]
    assert found["asked"] == [3] * 6


def refusing_router(word: str, method: str) -> list[Any]:
    there = chain()
    namespaces.open_ping()
    found: list[Any] = []
    for target, prefix in ((there.server4, "203.0.113.0/24"), (there.server6, "2001:db8:c:1::/64")):
        namespaces.ip(f"{'-6' if ':' in prefix else '-4'} route add {word} {prefix}", node="r3")
        result = trace(target, method=method)
        last = result["detail"]["result"][-1]["result"][0]
        found.append([*gist(result), last.get("err"), last.get("failure")])
    return found


@pytest.mark.namespace
@pytest.mark.parametrize("method", ["udp", "icmp", "tcp"])
@pytest.mark.parametrize(
    ("word", "four", "six"),
    [
        ("prohibit", ("administratively_prohibited", "A"), ("administratively_prohibited", "A")),
        ("unreachable", ("host_unreachable", "H"), ("network_unreachable", "N")),  # Linux: no route
    ],
)
def test_a_router_that_refuses_ends_the_way_with_its_own_word(
    method: str, word: str, four: tuple[str, str], six: tuple[str, str]
) -> None:
    assert namespaces.call(refusing_router, word, method) == [
        [four[0], "unreachable", 3, PATH4[:3], four[1], four[0]],
        [six[0], "unreachable", 3, PATH6[:3], six[1], six[0]],
    ]


def first_hop() -> dict[str, Any]:
    there = chain(1)
    found: dict[str, Any] = {}
    namespaces.ip("route add unreachable 203.0.113.0/24", node="r1")
    found["unreachable"] = gist(trace("203.0.113.9"))
    namespaces.ip("addr flush dev eth0", node="r1")
    namespaces.ip("neigh flush dev eth0")
    namespaces.sysctl("net.ipv4.neigh.eth0.retrans_time_ms", 50)
    for method in ("udp", "tcp"):
        found[f"gone {method}"] = gist(trace("203.0.113.9", timeout_ms=5000, method=method))
    namespaces.ip("route del default")
    found["no route"] = [
        [result["failure"], result["failed_operation"], result["detail"]["end"], result["detail"]["result"]]
        for result in (trace("203.0.113.9"), trace("203.0.113.9", method="tcp"))
    ]
    assert there.routers == ("r1",)
    return found


@pytest.mark.namespace
def test_a_way_that_ends_at_the_first_hop_or_before() -> None:
    found = namespaces.call(first_hop)
    assert found["unreachable"] == ["host_unreachable", "unreachable", 1, ["@gateway"]]
    assert found["gone udp"] == found["gone tcp"] == ["host_unreachable", "unreachable", 1, ["@self"]]
    assert found["no route"] == [["network_unreachable", "connect", "not_sent", []]] * 2


def bottleneck() -> dict[str, Any]:
    there = chain()
    namespaces.open_ping()
    namespaces.ip("link set eth1 mtu 1400", node="r2")
    namespaces.ip("link set eth0 mtu 1400", node="r3")
    found: dict[str, Any] = {}
    for method in ("udp", "icmp"):
        for target in (there.server4, there.server6):
            big = trace(target, method=method, size=1500)
            found[f"{method} {big['detail']['family']}"] = [*gist(big), big["detail"]["path_mtu"]]
            found[f"{method} {big['detail']['family']} fits"] = gist(trace(target, method=method, size=1400))[
                :3
            ]
    namespaces.ip("link set eth0 mtu 1300")
    result = trace(there.server4, size=1400)
    found["own link"] = [result["failure"], result["detail"]["end"]]
    return found


@pytest.mark.namespace
def test_a_packet_too_big_for_a_link_ends_there_and_the_router_says_what_fits() -> None:
    found = namespaces.call(bottleneck)
    for method in ("udp", "icmp"):
        for family, names in ((4, PATH4), (6, PATH6)):
            assert found[f"{method} {family}"] == [
                "message_size",
                "unreachable",
                3,
                [*names[:2], names[1]],
                {"mtu": 1400, "from": names[1]},
            ]
            assert found[f"{method} {family} fits"] == [None, "reached", 5]
    assert found["own link"] == ["message_size", "not_sent"]


def going_round() -> dict[str, Any]:
    there = chain()
    namespaces.ip("route add 203.0.113.0/24 via 198.51.100.1", node="r3")
    found: dict[str, Any] = {"loop": gist(trace(there.server4))}
    found["loop by tcp"] = gist(trace(there.server4, method="tcp"))
    found["max_hops"] = gist(trace(there.server4, max_hops=2))
    namespaces.ip("route add blackhole 203.0.113.9", node="r1")
    found["deadline"] = measure_once("traceroute", "203.0.113.9", {"gap": 64}, 0.5).outcome.detail["end"]
    return found


@pytest.mark.namespace
def test_a_loop_is_seen_and_hops_and_time_are_bounded() -> None:
    found = namespaces.call(going_round)
    loop = ["@gateway", "@cgnat", "198.51.100.2", "@cgnat", "198.51.100.2", "@cgnat"]
    assert found["loop"] == found["loop by tcp"] == ["ttl_exceeded", "loop", 6, loop]
    assert found["max_hops"] == ["ttl_exceeded", "max_hops", 2, ["@gateway", "@cgnat"]]
    assert found["deadline"] == "deadline"


def icmp_forbidden() -> list[Any]:
    there = chain(1)
    alone, any_way = trace(there.server4, method="icmp"), trace(there.server4, method="any")
    kept = ("method", "not_used", "end")
    return [
        alone["failure"],
        alone["failed_operation"],
        alone["detail"]["end"],
        any_way["failure"],
        *(any_way["detail"][key] for key in kept),
    ]


@pytest.mark.namespace
def test_where_datagram_icmp_is_forbidden_it_says_so_or_goes_by_udp() -> None:
    assert namespaces.call(icmp_forbidden) == [
        *("permission_denied", "connect", "not_sent"),
        *(None, "udp", {"icmp": "permission_denied"}, "reached"),
    ]


def without_capabilities() -> list[Any]:
    """Trace and search as a process that has no capability left, whatever its user is called."""
    there = chain(2)
    namespaces.open_ping()
    version, nobody = (
        struct.pack("=Ii", 0x20080522, 0),
        bytes(24),
    )  # capset(2): nothing effective, permitted, inherited
    assert ctypes.CDLL(None, use_errno=True).capset(version, nobody) == 0
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        raw = "forbidden"
    found = [
        gist(trace(target, method=method))[:3]
        for method in ("udp", "icmp", "tcp")
        for target in (there.server4, there.server6)
    ]
    searches = [measure_once("pmtu", there.server4, {"method": method}).outcome for method in ("udp", "icmp")]
    return [raw, found, [one.detail["mtu"] for one in searches]]


@pytest.mark.namespace
def test_it_needs_no_capability() -> None:
    assert namespaces.call(without_capabilities) == ["forbidden", [[None, "reached", 3]] * 6, [1500, 1500]]


def on_the_wire() -> dict[str, Any]:
    """Capture what reaches the first router, and return how many different values each field has."""
    there = chain()
    namespaces.open_ping()
    no_offloads("eth0")  # so that a checksum is written before the packet leaves
    namespaces.sysctl("net.ipv6.conf.all.forwarding", 1)
    found: dict[str, Any] = {}
    with namespaces.inside("r1"):
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    with capture:
        capture.bind(("eth0", 3))
        for method, fields in FIELDS.items():
            for target in (there.server4, there.server6):
                drain(capture)
                assert trace(target, method=method, queries=2)["failure"] is None
                packets = [packet for packet in drain(capture) if is_probe(packet, method)]
                version = packets[0][0] >> 4
                header = 20 if version == 4 else 40
                values = {
                    name: {packet[header + a : header + b] for packet in packets} for name, a, b in fields
                }
                if version == 6:
                    values["flow label"] = {packet[1:4] for packet in packets}
                found[f"{method} {version}"] = [
                    len(packets) >= 10,
                    len({packet[8 if version == 4 else 7] for packet in packets}) >= 5,
                    {name: len(seen) for name, seen in values.items()},
                ]
    return found


def flows_by_number() -> dict[str, Any]:
    """Return which values of what routers tell flows apart by are seen in runs of one number, and of two."""
    there = chain(1)
    namespaces.open_ping()
    no_offloads("eth0")
    found: dict[str, Any] = {}
    with namespaces.inside("r1"):
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    with capture:
        capture.bind(("eth0", 3))
        for method, (start, end) in {"udp": (0, 2), "icmp": (2, 4), "tcp": (0, 2)}.items():
            for target in (there.server4, there.server6):
                header = 40 if ":" in target else 20
                seen: list[str] = []
                for number in (7, 7, 8, 0):
                    drain(capture)
                    detail = trace(target, method=method, queries=1, paris_id=number)["detail"]
                    assert (detail["paris_id"], detail["repeatable"]) == (
                        (number, True) if number else (1, False)
                    )
                    packets = [packet for packet in drain(capture) if is_probe(packet, method)]
                    values = {packet[header + start : header + end].hex() for packet in packets}
                    assert len(values) == 1
                    seen += values
                found[f"{method} {header}"] = [seen[0] == seen[1], len(set(seen[1:]))]
    return found


@pytest.mark.namespace
def test_a_numbered_flow_is_the_same_in_every_run_and_another_number_another_flow() -> None:
    found = namespaces.call(flows_by_number)
    assert len(found) == 6
    for method, gist in found.items():
        assert gist == [True, 3], method


FIELDS = {
    "udp": (("source port", 0, 2), ("port", 2, 4), ("length", 4, 6), ("checksum", 6, 8)),
    "icmp": (("type and code", 0, 2), ("checksum", 2, 4), ("identifier", 4, 6)),
    "tcp": (("source port", 0, 2), ("port", 2, 4)),
}


def drain(capture: socket.socket) -> list[bytes]:
    packets = []
    capture.settimeout(0.2)
    try:
        while True:
            data, address = capture.recvfrom(65535)
            if address[2] == socket.PACKET_HOST:
                packets.append(data)
    except TimeoutError:
        return packets


def is_probe(packet: bytes, method: str) -> bool:
    """Return whether a captured packet is a probe: of the method's protocol, and for TCP a SYN alone."""
    version = packet[0] >> 4
    protocol, header = (packet[9], 20) if version == 4 else (packet[6], 40)
    if protocol != {"udp": (17, 17), "icmp": (1, 58), "tcp": (6, 6)}[method][version == 6]:
        return False
    if method == "tcp":
        return packet[header + 13] == 2
    return method == "udp" or packet[header] in (8, 128)


@pytest.mark.namespace
def test_a_run_is_one_flow_on_the_wire() -> None:
    found = namespaces.call(on_the_wire)
    for method, fields in FIELDS.items():
        for version in (4, 6):
            constant = {name: 1 for name, *_ in fields} | ({"flow label": 1} if version == 6 else {})
            assert found[f"{method} {version}"] == [True, True, constant], method


def old_routers() -> list[Any]:
    """Stand in for routers that quote eight bytes behind the IP header, as RFC 792 asks and no more."""
    namespaces.node("old")
    namespaces.wire("eth0", "old", near="192.168.1.1/24", far="192.168.1.2/24")
    namespaces.ip("route add default via 192.168.1.2")
    with namespaces.inside("old"):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    wire.bind(("eth0", 0x0800))
    stop = threading.Event()
    answering = threading.Thread(target=quote_little, args=(wire, sender, stop))
    answering.start()
    try:
        result = trace("203.0.113.2", timeout_ms=300, queries=2)
    finally:
        stop.set()
        answering.join()
        wire.close()
        sender.close()
    return [*gist(result), result["detail"]["one_at_a_time"], stamps(result)]


def quote_little(wire: socket.socket, sender: socket.socket, stop: threading.Event) -> None:
    wire.settimeout(0.1)
    while not stop.is_set():
        try:
            packet = wire.recv(65535)
        except TimeoutError:
            continue
        ttl = packet[8]
        source, target = packet[12:16], packet[16:20]
        if packet[9] != 17 or target != socket.inet_aton("203.0.113.2"):
            continue
        icmp = (11, 0) if ttl < 7 else (3, 3)
        router = socket.inet_aton(f"198.51.100.{ttl}") if ttl < 7 else target
        body = struct.pack(">BBHI", *icmp, 0, 0) + packet[:28]
        body = body[:2] + struct.pack(">H", internet_checksum(body)) + body[4:]
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 60, 1, 0, router, source)
        sender.sendto(header + body, (socket.inet_ntoa(source), 0))


def internet_checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@pytest.mark.namespace
def test_routers_that_quote_little_are_asked_one_at_a_time() -> None:
    names = ["@gateway", *(f"198.51.100.{hop}" for hop in range(2, 7)), "203.0.113.2"]
    assert namespaces.call(old_routers) == [None, "reached", 7, names, True, ["snd"]]


def test_a_udp_probe_knows_its_own_number_and_no_others() -> None:
    form = UdpForm()
    for sequence in (0, 1, 77, 0xFFFF):
        assert form.sequence_of(form.write(sequence, 32)) == sequence
        assert len(form.write(sequence, 32)) == 32
    assert form.sequence_of(b"") is None
    assert form.sequence_of(b"GET / HTTP/1.1") is None


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("", {}, "allowed is a host name"),
        ("host:80", {}, "allowed is a host name"),
        ("::1", {"method": "carrier pigeon"}, "one of udp, icmp, tcp, any"),
        ("::1", {"max_hops": 65}, "option max_hops: found 65"),
        ("::1", {"method": "icmp", "port": 80}, "found option port with method icmp"),
        ("::1", {"method": "tcp", "size": 100}, "found option size with method tcp"),
        ("::1", {"port": 0}, "option port: found 0"),
        ("::1", {"ttl": 1}, "found option 'ttl'; the options of traceroute are: family, gap"),
    ],
)
def test_what_cannot_be_traced(target: str, options: dict[str, OptionValue], told: str) -> None:
    with pytest.raises(TargetError) as caught:
        Traceroute.parse(target, options)
    assert told in str(caught.value)
