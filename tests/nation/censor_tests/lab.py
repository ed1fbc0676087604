"""What every test of the censor in action needs: the street, a censor in it, servers at its end, a client's words."""

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

from firmware.model.jsontypes import JsonObject
from tests import namespaces
from tests.nation.censor.process import Censor
from tests.nation.censor.street import CLIENT4, CLIENT6, SERVER, SERVER4, SERVER6, street

T = TypeVar("T")

__all__ = [
    "CLIENT4",
    "CLIENT6",
    "SERVER",
    "SERVER4",
    "SERVER6",
    "ask",
    "censored",
    "connect",
    "did",
    "on_server",
    "read",
    "serving",
    "street",
]

_PATIENCE_S: Final = 30


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
