"""A client, a censor and a server, each in a network namespace: what every test of the censor in action needs.

    here (client) eth0 10.0.0.1 ══ inside │ censor │ outside ══ eth0 10.0.0.2 server

Call `street` in a function that `tests.namespaces.call` runs; the caller is the client then.
"""

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

from firmware.jsontypes import JsonObject
from tests import namespaces
from tests.nation.censor.process import Censor

T = TypeVar("T")

CLIENT4: Final = "10.0.0.1"
SERVER4: Final = "10.0.0.2"
CLIENT6: Final = "2001:db8::1"
SERVER6: Final = "2001:db8::2"
SERVER: Final = "server"
_PATIENCE_S: Final = 30


def street() -> None:
    """Make the three hosts; nothing passes until a censor runs."""
    for name in ("censor", SERVER):
        namespaces.node(name)
    namespaces.ip("link add eth0 type veth peer name inside netns censor")
    namespaces.ip("link add outside type veth peer name eth0 netns server", node="censor")
    for where, four, six in (("", CLIENT4, CLIENT6), (SERVER, SERVER4, SERVER6)):
        namespaces.ip(f"addr add {four}/24 dev eth0", node=where)
        namespaces.ip("link set eth0 up", node=where)
        namespaces.ip(f"addr add {six}/64 dev eth0 nodad", node=where)
    for interface in ("inside", "outside"):
        namespaces.ip(f"link set {interface} up", node="censor")


@contextlib.contextmanager
def censored(rules: str) -> Iterator[Censor]:
    """Run a censor with these rules between client and server."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with namespaces.inside("censor"):
            censor = stack.enter_context(Censor(("inside", "outside"), rules, folder / "log.jsonl"))
        yield censor


@contextlib.contextmanager
def serving(*servers: AbstractContextManager[object]) -> Iterator[None]:
    """Run servers, which `on_server` made, and end them where they live."""
    with contextlib.ExitStack() as stack:
        with namespaces.inside(SERVER):
            for server in servers:
                stack.enter_context(server)
        try:
            yield
        finally:
            with namespaces.inside(SERVER):
                stack.close()


def on_server(make: Callable[[], T]) -> T:
    """Return what `make` makes on the server: sockets bound there."""
    with namespaces.inside(SERVER):
        return make()


def connect(address: str, port: int) -> socket.socket:
    """Connect from the client, with patience."""
    return socket.create_connection((address, port), timeout=_PATIENCE_S)


def read(connection: socket.socket) -> bytes | str:
    """Return everything until the peer ends the connection; the error's name where it does so badly."""
    connection.settimeout(_PATIENCE_S)
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except OSError as error:
        return type(error).__name__
    return found


def did(events: list[JsonObject], word: str) -> list[JsonObject]:
    """Return the events of one kind."""
    return [event for event in events if event["did"] == word]


def ask(address: str, port: int, word: bytes) -> str:
    """Say a word over TCP; return the whole answer, or the name of the error."""
    try:
        with connect(address, port) as one:
            one.sendall(word)
            found = read(one)
    except OSError as error:
        return type(error).__name__
    return found if isinstance(found, str) else found.decode()
