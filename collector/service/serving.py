"""The collector as a whole: the one place where its parts are made and tied together, started and ended.

    broker ──▶ subscriber ──▶ inbox ──▶ ingest thread ──▶ store ◀── queries ◀── page
                   ◀──────────── acks ──────┘              ▲
                   ◀──────────── news ─────── vantage ─────┘  (where it is enabled)

The page serves from the main thread and goes on when the broker is gone. Ending: nothing more is read, the
transaction under way is committed and acknowledged, then the connection, the broker and the database are closed.
"""

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

import uvicorn

from collector.halves.thread import HalvesThread
from collector.listening import listen
from collector.lists import bring_lists
from collector.measurement.child import MeasurementChild
from collector.page.app import make_app
from collector.service.pipeline import start_pipeline
from collector.settings import CollectorSettings, server_address
from collector.store.database import Store
from collector.store.datadir import CollectorDataDir
from collector.store.queries import Queries
from collector.trust.registry import Registry
from collector.trust.signing import Signer

_OWN: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is served on every address is reached on these
PAGE_STOP_S: Final = 3
"""How long requests under way may take to end."""

log = logging.getLogger("collector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the running collector is reached. `broker_host` is "" when it takes in nothing; a pid is None where there is no such child."""

    page_url: str
    broker_host: str
    broker_port: int
    broker_pid: int | None
    measurement_pid: int | None = None


def serve(
    settings: CollectorSettings,
    *,
    on_ready: Callable[[Addresses], None],
    say: Callable[[str], None],
) -> None:
    """Run until SIGTERM or SIGINT; `on_ready` is told the addresses, `say` what an operator should know.

    To be called from the main thread. Raises `CollectorError` when it cannot start.
    """
    waiting_to_start = True

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # While parts are being made it breaks off; afterwards uvicorn takes the signal, ends, and repeats it here.
        if waiting_to_start:
            raise KeyboardInterrupt

    def started(addresses: Addresses) -> None:
        nonlocal waiting_to_start
        waiting_to_start = False
        on_ready(addresses)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as parts:
            _run(settings, parts, started, say)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(
    settings: CollectorSettings,
    parts: contextlib.ExitStack,
    on_ready: Callable[[Addresses], None],
    say: Callable[[str], None],
) -> None:
    """Make the parts, each to be ended in the reverse order, and serve the page until told to end."""
    directory = CollectorDataDir.open(settings.data)
    parts.callback(directory.close)
    sock = parts.enter_context(listen(settings.page.host, settings.page.port, "the page"))
    store = Store.open(directory.database)
    parts.callback(store.close)
    queries = Queries(directory.database)
    parts.callback(queries.close)
    taking = start_pipeline(settings, directory, store, parts, say, queries=queries)
    measuring = _measurement_server(settings, directory, parts, say)
    _collect_halves(settings, directory, parts, say)
    addresses = Addresses(
        page_url=_url(sock),
        broker_host=taking.broker_host,
        broker_port=taking.broker_port,
        broker_pid=taking.broker_pid,
        measurement_pid=None if measuring is None else measuring.pid,
    )

    def ready() -> None:
        directory.ready(
            {
                "v": 1,
                "pid": os.getpid(),
                "page_url": addresses.page_url,
                "broker_host": addresses.broker_host,
                "broker_port": addresses.broker_port,
                "broker_pid": addresses.broker_pid,
                "measurement_pid": addresses.measurement_pid,
            }
        )
        notify("READY=1")
        on_ready(addresses)

    config = uvicorn.Config(
        make_app(
            queries,
            storing_fault=taking.fault,
            retired=taking.retired,
            lists=bring_lists(settings, say),
        ),
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=PAGE_STOP_S,
    )
    _PageServer(config, ready).run(sockets=[sock])
    notify("STOPPING=1")
    directory.not_ready()


def _measurement_server(
    settings: CollectorSettings,
    directory: CollectorDataDir,
    parts: contextlib.ExitStack,
    say: Callable[[str], None],
) -> MeasurementChild | None:
    """Start the measurement server as a process of its own, if one is wanted."""
    if not settings.measurement.port or settings.trust.devices is None:
        return None
    child = MeasurementChild(
        settings.measurement, directory.measurement, devices=settings.trust.devices, on_restart=say
    )
    parts.callback(child.stop)
    child.start()
    return child


def _collect_halves(
    settings: CollectorSettings,
    directory: CollectorDataDir,
    parts: contextlib.ExitStack,
    say: Callable[[str], None],
) -> None:
    """Ask measurement servers for their halves of tests: our own, and those that are named."""
    trust, own = settings.trust, settings.measurement
    addresses = [server_address(one) for one in settings.halves.servers]
    if own.port:
        addresses.insert(0, (_OWN.get(own.host, own.host), own.port))
    if trust.devices is None or trust.identity is None or not addresses:
        return
    thread = HalvesThread(
        directory.database,
        addresses,
        registry=Registry(trust.devices),
        signer=Signer.load(trust.identity),
        every_s=settings.halves.every_s,
        say=say,
    )
    thread.start()
    parts.callback(thread.stop)


class _PageServer(uvicorn.Server):
    """uvicorn's server, which says when it has begun to serve."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def notify(state: str) -> None:
    """Tell systemd, or whatever gave us NOTIFY_SOCKET, how we are (sd_notify(3)); without one do nothing."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where.startswith(("/", "@")):
        return
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        try:
            sock.sendto(state.encode(), where.replace("@", "\0", 1) if where.startswith("@") else where)
        except OSError as error:
            log.warning("NOTIFY_SOCKET %s does not take a message (%s)", where, error.strerror)


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
