"""Everything between the devices' messages and the store: made, tied together, started, and ended in reverse order.

broker ──▶ subscriber ──┐
                        ├──▶ inbox ──▶ ingest thread ──▶ store
HTTPS  ──▶ intake ──────┘
"""

import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.broker.child import Broker, choose_kind
from collector.judgement.thread import ScopeThread
from collector.listening import listen
from collector.messages import OutgoingMessage
from collector.receive.http.app import make_app
from collector.receive.http.server import Intake
from collector.receive.inbox import Inbox
from collector.receive.ingest import IngestThread
from collector.receive.mqtt.subscriber import LinkState, Subscriber
from collector.settings import CollectorSettings, broker_address
from collector.store.arrivals import BatchArrived
from collector.store.database import Store
from collector.store.datadir import CollectorDataDir
from collector.store.queries import Queries
from collector.trust.gate import Gate, gate_of
from collector.trust.signing import Signer
from collector.vantage.thread import VantageThread
from firmware.wire.messages import Hello

FIRST_CONNECT_S: Final = 10.0
"""How long readiness waits for our own broker to take the subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Where what is taken in comes from ("": no broker), its broker's pid if it is ours, why nothing can be stored, and who is retired."""

    broker_host: str = ""
    broker_port: int = 0
    broker_pid: int | None = None
    fault: Callable[[], str | None] = lambda: None
    retired: Callable[[], Mapping[str, float]] = dict


def start_pipeline(
    settings: CollectorSettings,
    directory: CollectorDataDir,
    store: Store,
    parts: contextlib.ExitStack,
    say: Callable[[str], None],
    *,
    queries: Queries,
) -> Pipeline:
    """Start it all, each part to be ended by `parts`."""
    inbox = Inbox(max_messages=settings.ingest.waiting_messages, max_bytes=settings.ingest.waiting_bytes)
    broker = _broker(settings, directory, parts, say)
    host_port = broker_address(settings.broker.use) if broker is None else (broker.host, broker.port)
    if host_port is None and not settings.intake.port:
        return Pipeline()
    linked = threading.Event()

    def on_state(state: LinkState, message: str) -> None:
        if state is LinkState.CONNECTED:
            linked.set()
        elif state is LinkState.WAITING:
            linked.clear()
        if state is not LinkState.CONNECTING:
            say(message)

    subscriber: Subscriber | None = None
    if host_port is not None:
        tls = _broker_tls(settings) if broker is None else None
        subscriber = Subscriber(*host_port, inbox, tls=tls, on_state=on_state)
    send = _nowhere if subscriber is None else subscriber.send
    gate = _gate_told(settings, say)
    scopes, vantage = _judges(
        settings,
        directory,
        queries,
        send=lambda news: send(gate.sealed(news)),
        say=say,
        retired=gate.retired,
        is_linked=lambda: subscriber is None or linked.is_set(),
    )

    def after_hello(hello: Hello) -> OutgoingMessage | None:
        scopes.nudge()
        return None if vantage is None else vantage.answer_hello(hello)

    ingest = IngestThread(
        store,
        inbox,
        send,
        gate=gate,
        after_hello=after_hello,
        after_batch=_ignore if vantage is None else vantage.note,
    )
    if subscriber is not None:
        subscriber.start()
        parts.callback(subscriber.stop)
    scopes.start()
    parts.callback(scopes.stop)
    ingest.start()
    parts.callback(ingest.stop)
    if settings.intake.port:
        sock = parts.enter_context(listen(settings.intake.host, settings.intake.port, "the intake"))
        intake = Intake(make_app(inbox), sock, identity=settings.intake.identity)
        intake.start()
        parts.callback(intake.stop)
    if vantage is not None:
        vantage.start()
        parts.callback(vantage.stop)
    if broker is not None:
        # A device that says hello before we listen would wait for its answer in vain.
        linked.wait(FIRST_CONNECT_S)
    host, port = host_port or ("", 0)
    return Pipeline(
        broker_host=host,
        broker_port=port,
        broker_pid=None if broker is None else broker.pid,
        fault=lambda: ingest.fault,
        retired=gate.retired,
    )


def _judges(
    settings: CollectorSettings,
    directory: CollectorDataDir,
    queries: Queries,
    *,
    send: Callable[[OutgoingMessage], None],
    say: Callable[[str], None],
    retired: Callable[[], Mapping[str, float]],
    is_linked: Callable[[], bool],
) -> tuple[ScopeThread, VantageThread | None]:
    """Return what judges countries, and the vantage where there is to be one: each has the other act at once."""
    if not settings.vantage.enabled:
        return ScopeThread(directory.database, queries, retired=retired, is_linked=is_linked), None

    def look() -> None:
        vantage.look()

    scopes = ScopeThread(directory.database, queries, look=look, retired=retired, is_linked=is_linked)
    vantage = VantageThread(
        directory.database,
        queries,
        settings.vantage,
        second=settings.second_vantage,
        send=send,
        say=say,
        looked=scopes.nudge,
    )
    return scopes, vantage


def _ignore(_: BatchArrived) -> None:
    """Look at nothing: there is no vantage."""


def _broker(
    settings: CollectorSettings,
    directory: CollectorDataDir,
    parts: contextlib.ExitStack,
    say: Callable[[str], None],
) -> Broker | None:
    """Start a broker of our own, if one is wanted."""
    if settings.broker.use == "none" or broker_address(settings.broker.use) is not None:
        return None
    broker = Broker(
        choose_kind(settings.broker.use), directory.broker, port=settings.broker.port, on_restart=say
    )
    parts.callback(broker.stop)
    broker.start()
    return broker


def _nowhere(_: OutgoingMessage) -> None:
    """Drop what is for the broker: there is none, and who asks over HTTPS is answered there."""


def _gate_told(settings: CollectorSettings, say: Callable[[str], None]) -> Gate:
    """Return the gate, and say so where our own key was revoked: the page is still to be read, so we start."""
    gate = gate_of(settings)
    if fault := gate.fault():
        say(fault)
    return gate


def _broker_tls(settings: CollectorSettings) -> Callable[[], ssl.SSLContext] | None:
    folder = settings.trust.identity
    if folder is None:
        return None
    return lambda: Signer.tls(folder)
