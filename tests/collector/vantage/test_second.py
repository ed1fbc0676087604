"""The second vantage: packets that really leave from its address, and what of its records, and of devices' reports, tells."""

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import pytest

from collector.store.second_looks import SecondLook
from collector.store.vantage_streaks import Key
from collector.vantage import sweep
from collector.vantage.own_line import OwnLine
from collector.vantage.reports import PlatformReport
from collector.vantage.second import Reached, looks_of
from collector.vantage.targets import VantageTarget
from firmware.judgement.site.evidence import Stand
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Record
from tests.firmware.records import tcp_record

HERE, THERE = "127.0.0.1", "127.0.0.2"
"""Two addresses of this machine, as of two uplinks."""
_SO_ATTACH_FILTER = 26
_NET = 0xFFF00000
"""Where a filter's offsets begin that count from the IP header."""


@contextmanager
def platform(refuses: str) -> Iterator[int]:
    """Run a server that accepts from anywhere but `refuses`, whose packets it drops unanswered; yield its port."""
    (address,) = struct.unpack("!I", socket.inet_aton(refuses))
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (0x20, 0, 0, _NET + 12),  # the source address
            (0x15, 0, 1, address),  # is it that one?
            (0x06, 0, 0, 0),  # drop
            (0x06, 0, 0, 0xFFFFFFFF),  # take
        )
    )
    with socket.create_server((HERE, 0)) as server:
        steps = ctypes.create_string_buffer(program)
        attached = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(steps))
        server.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
        yield server.getsockname()[1]


def tcp(port: int, name: str, network: str = "") -> VantageTarget:
    key = Key(test="tcp", target=f"{HERE}:{port}", target_name=name)
    return VantageTarget(key=key, options={"timeout_ms": 3000}, neutral_network=network)


def test_what_refuses_one_address_is_seen_from_there_and_not_from_here() -> None:
    with platform(refuses=THERE) as refusing, platform(refuses="127.0.0.9") as willing:
        targets = [tcp(refusing, "x"), tcp(willing, "a", "A"), tcp(willing, "b", "B")]
        first, second = sweep.measure_from(("", THERE), targets, Event())
    assert (first.fault, second.fault) == (None, None)
    assert {one.target_name: one.outcome.failure for one in first.records} == dict.fromkeys("xab")
    assert {one.target_name: one.outcome.failure for one in second.records} == {
        "x": "generic_timeout_error",
        "a": None,
        "b": None,
    }
    (look,) = looks_of("ir", second.records, second.line)
    assert (look.key.target_name, look.stand, look.failure) == ("x", Stand.SECOND, "generic_timeout_error")


def test_an_address_that_is_not_this_machines_reaches_nothing_and_says_nothing() -> None:
    with platform(refuses="127.0.0.9") as willing:
        targets = [tcp(willing, "a", "A"), tcp(willing, "x")]
        (swept,) = sweep.measure_from(("192.0.2.77",), targets, Event())
    assert all(one.outcome.failure for one in swept.records)
    assert looks_of("ir", swept.records, swept.line) == []


def test_nothing_leaves_for_the_other_family_than_the_address_has() -> None:
    target = VantageTarget(key=Key(test="tcp", target="[::1]:9", target_name="six"))
    (swept,) = sweep.measure_from((THERE,), [target], Event())
    assert [one.outcome.failure for one in swept.records] == ["network_unreachable"]


def told(record: Record) -> list[SecondLook]:
    """Return what one record tells where the second vantage reaches a reference target."""
    return looks_of("ir", [record], OwnLine(is_connected=True))


def made(failure: str, operation: str) -> Record:
    plain = tcp_record(1, test="tls")
    return replace(
        plain, outcome=replace(plain.outcome, failure=failure, failed_operation=operation, detail={})
    )


@pytest.mark.parametrize(
    ("failure", "operation"),
    [
        ("ssl_invalid_hostname", "tls_handshake"),
        ("connection_reset", "tls_handshake"),
        ("network_unreachable", "connect"),
    ],
)
def test_a_failure_that_is_not_of_its_connects_or_is_its_own_tells_nothing(
    failure: str, operation: str
) -> None:
    assert told(made(failure, operation)) == []


@pytest.mark.parametrize(("address", "is_told"), [("198.51.100.7", True), ("2001:db8::7", False)])
def test_a_page_that_proves_itself_to_a_second_vantage_is_told_where_that_was_over_ipv4(
    address: str, *, is_told: bool
) -> None:
    plain = tcp_record(1, test="tls")
    way: JsonObject = {
        "server_name": "www.social.example",
        "address": address,
        "tcp_connect": [{"address": address, "port": 443, "failure": None}],
    }
    record = replace(plain, target="www.social.example:443", outcome=replace(plain.outcome, detail=way))
    assert [(one.stand, one.failure) for one in told(record)] == ([(Stand.SECOND, None)] if is_told else [])


def reported(device: str, *names: str, at_s: int | None) -> PlatformReport:
    return PlatformReport(
        device=device, failed=frozenset(), reached=frozenset(), proven=frozenset(names), began_utc_ns=at_s
    )


def test_what_devices_reached_is_told_of_their_own_country_by_the_last_of_them() -> None:
    reached = Reached()
    reached.note(reported("one", "x", "y", at_s=100))
    reached.note(reported("two", "x", at_s=200))
    reached.note(reported("two", "y", at_s=None))
    reached.note(reported("far", "x", at_s=300))
    targets = [tcp(1, "x"), tcp(2, "y"), tcp(3, "z")]
    looks = reached.looks("ir", ["one", "two"], targets)
    assert {(one.key.target_name, one.utc_ns, one.stand) for one in looks} == {
        ("x", 200, Stand.INSIDE),
        ("y", 100, Stand.INSIDE),
    }
    assert reached.looks("ru", [], targets) == []
