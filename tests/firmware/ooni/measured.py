"""Records of real measurements on loopback: pages, handshakes, connects and names, each well and broken."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from firmware.measurements import MEASUREMENTS
from firmware.model.record import Record
from firmware.model.task import OptionValue
from firmware.net.host_view import Host, Resolvers
from tests.firmware.records import tcp_record
from tests.probing import probe
from tests.servers.dns import DnsServer, zone
from tests.servers.http import Request, http, page, redirect
from tests.servers.tcp import Behaviour, TcpServer, reset, stay_silent
from tests.servers.tls import Authority, over_tls

NAME = "www.example.test"
OTHER = "quiet.example.test"
BODY = b"<html><head><title>Here</title></head><body>hello</body></html>"
HERE = ("127.0.0.1",)


def records(authority: Authority) -> dict[str, Record]:
    """Return a record for each condition; `authority` must be the one that this process trusts."""
    well = http(lambda _request: page(BODY))
    secure = over_tls(authority.server_context(NAME), well)
    made: dict[str, Record] = {}
    with _world() as (resolver, second):
        host = Host(resolver_config=Resolvers(addresses=(resolver.place,)))
        options: dict[str, OptionValue] = {"resolver": second.place, "control_sni": OTHER, "window_ms": 0}
        for name, test, scheme, behaviour in (
            ("page over TLS", "web_connectivity", "https", secure),
            ("page in clear text", "web_connectivity", "http", well),
            ("page elsewhere", "web_connectivity", "http", http(_sent_on)),
            ("name filtered", "web_connectivity", "https", _dislikes(NAME, secure)),
            ("handshake reset", "web_connectivity", "https", reset),
            (
                "wrong certificate",
                "web_connectivity",
                "https",
                over_tls(authority.server_context("else.example.test")),
            ),
            ("request reset", "web_connectivity", "http", reset),
            ("http well", "http", "https", secure),
            ("http reset", "http", "http", reset),
        ):
            given = options if test == "web_connectivity" else {}
            with TcpServer(behaviour) as server:
                made[name] = _record(test, f"{scheme}://{NAME}:{server.port}/", given, host)
        with TcpServer(secure) as server:
            made["tls well"] = _record("tls", f"{NAME}:{server.port}", {"sni": NAME}, host)
            made["tls wrong name"] = _record("tls", f"127.0.0.1:{server.port}", {"sni": OTHER}, host)
            made["tcp well"] = _record("tcp", f"127.0.0.1:{server.port}", {}, host)
            port = server.port
        made["tcp refused"] = _record("tcp", f"127.0.0.1:{port}", {}, host)
        made["page refused"] = _record("web_connectivity", f"https://{NAME}:{port}/", options, host)
        made["no such name"] = _record("web_connectivity", "https://none.example.test/", options, host)
        made["dns well"] = _record("dns", NAME, {"resolver": resolver.place}, host)
        made["dns without"] = _record("dns", "none.example.test", {"resolver": resolver.place}, host)
        with TcpServer(stay_silent) as server:
            target = f"https://{NAME}:{server.port}/"
            made["silence"] = _record(
                "web_connectivity", target, {**options, "fetch": False}, host, deadline_s=2
            )
    return made


@contextmanager
def _world() -> Iterator[tuple[DnsServer, DnsServer]]:
    names: dict[str, tuple[str, ...]] = {NAME: HERE, OTHER: HERE}
    with DnsServer(zone(names)) as resolver, DnsServer(zone(names)) as second:
        yield resolver, second


def _record(
    test: str, target: str, options: dict[str, OptionValue], host: Host, *, deadline_s: float = 60.0
) -> Record:
    outcome = probe(MEASUREMENTS[test].parse(target, options).measure, host=host, deadline_s=deadline_s)
    return replace(tcp_record(1, test=test), target=target, outcome=outcome)


def _sent_on(request: Request) -> tuple[bytes, ...]:
    return page(BODY) if "there" in str(request) else redirect("/there")


def _dislikes(name: str, otherwise: Behaviour) -> Behaviour:
    def behaviour(connection: socket.socket) -> None:
        fate = reset if name.encode() in connection.recv(65536, socket.MSG_PEEK) else otherwise
        fate(connection)

    return behaviour
