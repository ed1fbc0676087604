"""What the page's tests share: the application behind a real uvicorn on loopback, and one Chromium."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.judgement.thread import AssessmentKeeper
from collector.page.app import make_app
from collector.store.database import Store
from collector.store.queries import Queries
from firmware.language.translator import CATALOGUES
from tests.collector.page import invented, stories
from tests.collector.page.browser import Browser

Fill = Callable[[Store], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it came over the socket. `transferred` counts its bytes, headers included."""

    status: int
    headers: dict[str, str]
    body: bytes
    transferred: int


@dataclass(slots=True, kw_only=True)
class Served:
    """A served store: its address, the queries behind it, and every request that came, as (method, path)."""

    host: str
    port: int
    queries: Queries
    database: Path
    now_ns: int
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def get(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, close: bool = True
    ) -> Answer:
        """Ask over a socket of its own and read until the server closes it."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            *(["Connection: close"] * close),
        ]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        with socket.create_connection((self.host, self.port), timeout=60) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            raw = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        named = {name.lower(): value for name, _, value in (line.partition(": ") for line in fields)}
        return Answer(
            status=int(status.split()[1]),
            headers=named,
            body=_unchunked(body) if named.get("transfer-encoding") == "chunked" else body,
            transferred=len(raw),
        )


def _unchunked(body: bytes) -> bytes:
    parts: list[bytes] = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        parts.append(body[:length])
        body = body[length + 2 :]
    return b"".join(parts)


class _Log:
    """ASGI middleware that notes every request."""

    def __init__(self, app: ASGIApp, seen: list[tuple[str, str]]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._seen.append((scope["method"], scope["path"]))
        await self._app(scope, receive, send)


@contextlib.contextmanager
def serving(directory: Path, fill: Fill, catalogues: Path = CATALOGUES) -> Iterator[Served]:
    """Serve a store that `fill` has filled; the page's clock stands, and countries are judged, when `fill` returns."""
    database = directory / "collector.sqlite3"
    store = Store.open(database)
    try:
        now_ns = fill(store)
    finally:
        store.close()
    queries = Queries(database)
    keeper = AssessmentKeeper(database, queries)
    keeper.judge(now_ns)
    keeper.close()
    listening = socket.create_server(("127.0.0.1", 0))
    host, port = listening.getsockname()
    served = Served(host=host, port=port, queries=queries, database=database, now_ns=now_ns)
    app = _Log(make_app(queries, now_ns=lambda: served.now_ns, catalogues=catalogues), served.requests)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", http="h11", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
        queries.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Fill], Served]]:
    """Lend a function that serves a filled store until the test ends."""
    with contextlib.ExitStack() as open_ones:
        yield lambda fill: open_ones.enter_context(serving(tmp_path, fill))


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Lend a served store with three devices on an evening on which the link abroad is cut."""
    with serving(tmp_path_factory.mktemp("evening"), invented.evening) as served:
        yield served


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Lend a served store with a country that fell silent, came back, and told what had been."""
    directory = tmp_path_factory.mktemp("dark")
    with serving(directory, lambda store: stories.cut_and_back(store, directory)) as served:
        yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Lend a running Chromium."""
    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running
