"""The censor as a process: traffic passes, rules bite, can be changed, and refuse with every fault."""

import contextlib
from typing import Any

import pytest

from tests import namespaces
from tests.nation.censor_tests import lab
from tests.servers.tcp import TcpServer, say


def asks_twice() -> list[Any]:
    lab.street()
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            servers = [
                stack.enter_context(TcpServer(say(b"hello" * 100_000), address=address))
                for address in (lab.SERVER4, lab.SERVER6)
            ]
        censor = stack.enter_context(lab.censored(""))
        for server in servers:
            with lab.connect(server.address, server.port) as one:
                one.sendall(b"x" * 100_000)
                found.append(lab.read(one) == b"hello" * 100_000)
        censor.change('[[rule]]\nname = "shut"\ndo = "reject"\nmatch = { proto = "tcp" }\nanswer = "reset"')
        for server in servers:
            try:
                lab.connect(server.address, server.port).close()
            except ConnectionRefusedError:
                found.append("refused")
        found.append(sorted({str(event["did"]) for event in censor.events()}))
    return found


@pytest.mark.namespace
def test_traffic_passes_and_changed_rules_bite() -> None:
    assert namespaces.call(asks_twice) == [
        *(True, True, "refused", "refused"),
        ["begins", "changed", "rejected"],
    ]
