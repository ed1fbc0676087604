"""The collector as a whole: the one place where its parts are made and tied together, started and ended.

    broker ──▶ subscriber ──▶ inbox ──▶ ingest thread ──▶ store ◀── queries ◀── page
                   ◀──────────── acks ──────┘              ▲
                   ◀──────────── news ─────── control ─────┘  (where it is enabled)

The page serves from the main thread and goes on when the broker is gone. Ending: nothing more is read, the
transaction under way is committed and acknowledged, then the connection, the broker and the database are closed.
"""

import contextlib
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

import uvicorn

from collector.broker.child import Broker, choose_kind
from collector.control.thread import ControlThread
from collector.errors import CollectorError, PortTakenError
from collector.ingest.inbox import Inbox
from collector.ingest.subscriber import LinkState, Subscriber
from collector.ingest.thread import IngestThread
from collector.intake.app import make_app as make_intake
from collector.intake.server import Intake
from collector.page.app import make_app
from collector.settings import CollectorSettings, broker_address
from collector.store.database import Store
from collector.store.datadir import DataDir
from collector.store.queries import Queries
from collector.trust.gate import Gate
from collector.trust.registry import Registry
from collector.trust.signing import Signer

FIRST_CONNECT_S: Final = 10.0
"""How long readiness waits for our own broker to take the subscription."""
PAGE_STOP_S: Final = 3
"""How long requests under way may take to end."""

log = logging.getLogger("collector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the running collector is reached. `broker_host` is "" when it takes in nothing."""

    page_url: str
    broker_host: str
    broker_port: int
    broker_pid: int | None


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
    directory = DataDir.open(settings.data)
    parts.callback(directory.close)
    sock = parts.enter_context(listen(settings.page.host, settings.page.port, "the page"))
    store = Store.open(directory.database)
    parts.callback(store.close)
    queries = Queries(directory.database)
    parts.callback(queries.close)
    broker_host, broker_port, broker_pid = _take_in(settings, directory, store, parts, say, queries=queries)
    addresses = Addresses(
        page_url=_url(sock), broker_host=broker_host, broker_port=broker_port, broker_pid=broker_pid
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
            }
        )
        notify("READY=1")
        on_ready(addresses)

    config = uvicorn.Config(
        make_app(queries),
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


def _take_in(
    settings: CollectorSettings,
    directory: DataDir,
    store: Store,
    parts: contextlib.ExitStack,
    say: Callable[[str], None],
    *,
    queries: Queries,
) -> tuple[str, int, int | None]:
    """Start everything between broker and store; return the broker's host, port and, if it is ours, its pid."""
    if settings.broker.use == "none":
        return "", 0, None
    host_port = broker_address(settings.broker.use)
    broker: Broker | None = None
    if host_port is None:
        broker = Broker(
            choose_kind(settings.broker.use), directory.broker, port=settings.broker.port, on_restart=say
        )
        parts.callback(broker.stop)
        broker.start()
        host_port = (broker.host, broker.port)
    connected = threading.Event()

    def on_state(state: LinkState, message: str) -> None:
        if state is LinkState.CONNECTED:
            connected.set()
        if state is not LinkState.CONNECTING:
            say(message)

    inbox = Inbox(max_messages=settings.ingest.waiting_messages, max_bytes=settings.ingest.waiting_bytes)
    subscriber = Subscriber(*host_port, inbox, tls=_broker_tls(settings), on_state=on_state)
    control = (
        ControlThread(directory.database, queries, settings.control, send=subscriber.send, say=say)
        if settings.control.enabled
        else None
    )
    ingest = IngestThread(
        store,
        inbox,
        subscriber.send,
        gate=_gate(settings),
        after_hello=(lambda _hello: None) if control is None else control.answer_hello,
    )
    subscriber.start()
    parts.callback(subscriber.stop)
    ingest.start()
    parts.callback(ingest.stop)
    if settings.intake.port:
        sock = parts.enter_context(listen(settings.intake.host, settings.intake.port, "the intake"))
        intake = Intake(make_intake(inbox), sock, identity=settings.intake.identity)
        intake.start()
        parts.callback(intake.stop)
    if control is not None:
        control.start()
        parts.callback(control.stop)
    if broker is not None:
        # A device that says hello before we listen would wait for its answer in vain.
        connected.wait(FIRST_CONNECT_S)
    return (*host_port, None if broker is None else broker.pid)


def _gate(settings: CollectorSettings) -> Gate:
    """Return who is believed. Raises `TrustError` where that cannot be read: better no collector than an open one."""
    trust = settings.trust
    if trust.devices is None or trust.identity is None:
        return Gate()
    registry = Registry(trust.devices)
    registry.refresh()
    return Gate(registry=registry, signer=Signer.load(trust.identity))


def _broker_tls(settings: CollectorSettings) -> Callable[[], ssl.SSLContext] | None:
    folder = settings.trust.identity
    if folder is None or broker_address(settings.broker.use) is None:
        return None
    return lambda: Signer.tls(folder)


class _PageServer(uvicorn.Server):
    """uvicorn's server, which says when it has begun to serve."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def listen(host: str, port: int, what: str) -> socket.socket:
    """Return a socket that listens there, for `what`. Raises `PortTakenError` or `CollectorError`."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise CollectorError(f"{what} cannot be served on {host} ({error.strerror})") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise PortTakenError(
            f"port {port} for {what} cannot be had on {host} ({error.strerror}): "
            "choose another with --port, or 0 for any that is free"
        ) from error
    return sock


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
