"""What the collector's tests share: a real broker, and a collector without its page around a real store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.broker.child import Broker, BrokerKind
from collector.receive.inbox import Inbox
from collector.receive.ingest import IngestThread
from collector.receive.mqtt.subscriber import LinkState, Subscriber
from collector.store.database import Store
from collector.store.queries import Queries
from tests.collector.states import States
from tests.needs import program


@pytest.fixture(params=list(BrokerKind))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Lend a running broker, of either kind."""
    if request.param is BrokerKind.MOSQUITTO:
        program("mosquitto")
    made = Broker(request.param, tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """Lend a running mosquitto."""
    program("mosquitto")
    made = Broker(BrokerKind.MOSQUITTO, tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def amqtt(tmp_path: Path) -> Iterator[Broker]:
    """Lend a running amqtt."""
    made = Broker(BrokerKind.AMQTT, tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A collector that takes in: its store's path, its queries, and what its subscriber said."""

    database: Path
    queries: Queries
    states: States
    inbox: Inbox
    ingest: IngestThread


@pytest.fixture
def take_in(tmp_path: Path) -> Iterator[Callable[[Broker], Running]]:
    """Start taking in from a broker; returns once the subscription stands. Ended after the test."""
    endings: list[Callable[[], None]] = []

    def start(broker: Broker) -> Running:
        database = tmp_path / "collector.sqlite3"
        store = Store.open(database)
        queries = Queries(database)
        inbox = Inbox(max_messages=100, max_bytes=1 << 20)
        states = States()
        subscriber = Subscriber(broker.host, broker.port, inbox, on_state=states)
        ingest = IngestThread(store, inbox, subscriber.send)
        subscriber.start()
        ingest.start()
        endings.extend((store.close, queries.close, subscriber.stop, ingest.stop))
        states.wait_for(LinkState.CONNECTED)
        return Running(database=database, queries=queries, states=states, inbox=inbox, ingest=ingest)

    yield start
    for end in reversed(endings):
        end()
