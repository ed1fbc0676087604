"""Actions on TCP between real kernels: resets, refusals, silence, pages, by address, name, Host and payload."""

import contextlib
import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import namespaces
from tests.nation.censor_tests import lab
from tests.servers.tcp import TcpServer
from tests.servers.tls import Authority, over_tls

pytestmark = pytest.mark.namespace

BOTH = (lab.SERVER4, lab.SERVER6)


def handshake(address: str, port: int, name: str) -> str:
    """Shake hands by TLS; return `ok` or what ended it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with lab.connect(address, port) as raw, context.wrap_socket(raw, server_hostname=name) as secured:
            secured.settimeout(3)
            return "ok" if secured.version() else "?"
    except OSError as error:
        return type(error).__name__


def resets_by_name(extra: str) -> list[Any]:
    lab.street()
    rules = f'[[rule]]\nname = "no x.com"\nmatch = {{ sni = "*.x.com", port = 443 }}\ndo = "reset"\n{extra}'
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            context = Authority(Path(stack.enter_context(tempfile.TemporaryDirectory()))).server_context(
                "x.com"
            )
            for address in BOTH:
                stack.enter_context(TcpServer(over_tls(context), address=address, port=443))
        censor = stack.enter_context(lab.censored(rules))
        ends = [handshake(to, 443, name) for to in BOTH for name in ("www.x.com", "x.com", "y.com")]
        said = [(event["sni"], event["to"]) for event in lab.did(censor.events(), "reset")]
    return [ends, said]


def test_a_name_in_the_hello_draws_a_reset() -> None:
    ends, said = namespaces.call(resets_by_name, "")
    assert ends == ["ConnectionResetError", "ConnectionResetError", "ok"] * 2
    assert said == [[name, to] for to in BOTH for name in ("www.x.com", "x.com")]
