"""The sender against a real mosquitto, with a scripted collector on the other side."""

import dataclasses
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.events import Event, OutboxChanged, SyncChanged
from appliance.outbox.box import Outbox
from appliance.transports import Ports
from firmware.model.record import Verdict, to_json
from firmware.model.statement import stated
from firmware.wire.messages import Batch, Hello, decode_presence
from tests.appliance.collector_peer import Behaviour, CollectorPeer, well_behaved
from tests.firmware.records import tcp_record
from tests.mosquitto import Mosquitto, broker  # noqa: F401 - a fixture
from tests.waiting import LIMIT_S

DEVICE = "a1b2c3d4e5f6g7h8"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as opened:
        yield opened


class Sender:
    """A started `Sync` and what it said."""

    def __init__(self, port: int, outbox: Outbox, *, jitter: float = 0.0, **settings: object) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.sync = Sync(
            SyncSettings(host="127.0.0.1", ports=Ports(mqtt=port), **settings),  # type: ignore[arg-type]
            outbox,
            software="tidegauge test",
            country="xx",
            notify=self.events.put,
            random=lambda: jitter,
        )
        self.sync.start()

    def await_(self, what: Callable[[Event], bool], *, limit_s: float = LIMIT_S) -> Event:
        """Return the first event from now on for which `what` holds."""
        deadline = time.monotonic() + limit_s
        while True:
            event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            if what(event):
                return event

    def await_delivered(self) -> None:
        self.await_(lambda event: isinstance(event, OutboxChanged) and event.waiting == 0)


@pytest.fixture
def start(outbox: Outbox) -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def _start(port: int, **options: object) -> Sender:
        senders.append(Sender(port, outbox, **options))  # type: ignore[arg-type]
        return senders[-1]

    yield _start
    for sender in senders:
        assert sender.sync.stop(timeout_s=LIMIT_S)


@pytest.fixture
def peer(broker: Mosquitto) -> Iterator[CollectorPeer]:  # noqa: F811
    collector = CollectorPeer(broker.port)
    yield collector
    collector.close()


def fill(outbox: Outbox, count: int) -> None:
    outbox.append([tcp_record(number) for number in range(1, count + 1)])


def state(name: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, SyncChanged) and event.state == name


def says(words: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, SyncChanged) and words in event.message


def test_a_thousand_records_arrive_once_as_they_were(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    fill(outbox, 1000)
    sender = start(broker.port)
    sender.await_delivered()
    assert sorted(peer.arrivals) == list(range(1, 1001))
    assert peer.stored[777] == to_json(tcp_record(777))
    assert outbox.counts().acknowledged == 1000
    assert {leaf for leaf, _, _ in peer.batches} == {"live", "bulk"}
    assert max(size for _, _, size in peer.batches) <= 16 * 1024
    first_leaf, first_batch, _ = peer.batches[0]
    assert (first_leaf, max(first_batch.seqs)) == ("live", 1000), "the newest record goes first"


def test_a_new_record_is_sent_when_woken(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    sender = start(broker.port)
    sender.await_(state("connected"))
    outbox.append([tcp_record(1), tcp_record(2)])
    sender.sync.wake()
    sender.await_delivered()
    assert sorted(peer.stored) == [1, 2]
    assert len(peer.batches) == 1, "records of one moment share a batch"


def test_hello_tells_what_waits(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    fill(outbox, 7)
    start(broker.port).await_delivered()
    hello = peer.hellos[0]
    assert [first for _, first in hello.incarnations] == [1]
    assert dataclasses.replace(hello, incarnations=()) == Hello(
        device=DEVICE, epoch=outbox.epoch, low=1, high=7, waiting=7, software="tidegauge test", country="xx"
    )


def test_the_first_message_says_what_happened(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    cut = Verdict(
        verdict="international_cut",
        rule_id="cut_international_dark",
        evidence=(stated("rung", rung="international", reached=0, tried=5),),
    )
    conclusion = dataclasses.replace(tcp_record(8, test="ladder"), verdict=cut)
    fill(outbox, 7)
    outbox.append([conclusion])
    start(broker.port).await_delivered()
    (transition,) = peer.hellos[0].headline
    assert (transition.verdict, transition.rule_id) == (cut.verdict, cut.rule_id)
    assert (transition.since_utc_ns, transition.error_ns) == (
        conclusion.start.utc_ns,
        conclusion.start.error_ns,
    )


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_everything_arrives_when_the_broker_restarts_in_the_middle(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
    how: str,
) -> None:
    fill(outbox, 5000)
    half = threading.Event()

    def behave(heard: Hello | Batch) -> Behaviour:
        if isinstance(heard, Batch) and len(peer.stored) > 1000 and not half.is_set():
            half.set()
            return Behaviour(acks=0)
        return Behaviour()

    peer.behave = behave
    sender = start(broker.port)
    assert half.wait(120)
    getattr(broker, how)()
    sender.await_(state("waiting"))
    fill(outbox, 10)
    broker.start()
    sender.await_delivered()
    assert sorted(peer.stored) == list(range(1, 5011))
    assert outbox.counts().acknowledged == 5010


def test_a_lost_ack_costs_a_question_and_not_the_batch(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    peer.behave = lambda heard: Behaviour(acks=0 if isinstance(heard, Batch) else 1)
    fill(outbox, 5)
    start(broker.port).await_delivered()
    assert sorted(peer.arrivals) == [1, 2, 3, 4, 5], (
        "the hello's answer covers what was stored: nothing is resent"
    )
    assert len(peer.hellos) >= 2


def test_what_the_collector_did_not_store_is_sent_again(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    lost = threading.Event()

    def behave(heard: Hello | Batch) -> Behaviour:
        if isinstance(heard, Batch) and not lost.is_set():
            lost.set()
            return Behaviour(acks=0, stores=False)
        return Behaviour()

    peer.behave = behave
    fill(outbox, 5)
    start(broker.port).await_delivered()
    assert sorted(peer.stored) == [1, 2, 3, 4, 5]
    assert len(peer.batches) == 2


def test_an_ack_that_comes_three_times_counts_once(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    peer.behave = lambda heard: Behaviour(acks=3)
    fill(outbox, 600)
    start(broker.port).await_delivered()
    assert sorted(peer.arrivals) == list(range(1, 601))
    assert outbox.counts().acknowledged == 600


def test_a_rejected_record_is_quarantined_and_not_sent_again(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    peer.behave = lambda heard: Behaviour(rejects={3: "found a comet; allowed is a record"})
    fill(outbox, 5)
    start(broker.port).await_delivered()
    assert peer.arrivals.count(3) == 1
    counts = outbox.counts()
    assert (counts.acknowledged, counts.quarantined, counts.waiting) == (4, 1, 0)


def test_retry_after_holds_the_next_batch_back(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    asked: list[float] = []
    came: list[float] = []

    def behave(heard: Hello | Batch) -> Behaviour:
        if isinstance(heard, Batch):
            came.append(time.monotonic())
        if isinstance(heard, Batch) and not asked:
            asked.append(time.monotonic())
            return Behaviour(retry_after_s=3.0)
        return Behaviour()

    peer.behave = behave
    sender = start(broker.port)
    sender.await_(state("connected"))
    fill(outbox, 2)
    sender.sync.wake()
    sender.await_delivered()
    fill(outbox, 2)
    sender.sync.wake()
    sender.await_delivered()
    assert came[1] - asked[0] >= 3.0


def test_an_ack_that_cannot_be_is_told_and_sending_goes_on_later(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    peer.behave = lambda heard: Behaviour(upto=1_000_000, stores=False)
    fill(outbox, 5)
    sender = start(broker.port)
    sender.await_(says("the collector has record 1,000,000 of this epoch, but only 5 were ever made here"))
    assert outbox.counts().waiting == 5
    peer.behave = well_behaved
    sender.await_delivered()
    assert sorted(peer.stored) == [1, 2, 3, 4, 5]


def test_an_ack_that_cannot_be_read_is_ignored(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    fill(outbox, 5)
    sender = start(broker.port)
    sender.await_delivered()
    peer.say(DEVICE, b"\xff not an ack")
    peer.say(
        DEVICE, b'{"v":1,"epoch":"ffffffffffffffff","upto":9,"ranges":[],"rejects":[],"retry_after_s":0}'
    )
    outbox.append([tcp_record(6)])
    sender.sync.wake()
    sender.await_delivered()
    assert outbox.counts().acknowledged == 6


def test_without_a_collector_nothing_leaves_the_outbox_and_it_is_said(
    broker: Mosquitto,  # noqa: F811
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    fill(outbox, 300)
    sender = start(broker.port)
    sender.await_(says("no collector answers"))
    assert outbox.counts().waiting == 300
    peer = CollectorPeer(broker.port)
    try:
        sender.await_delivered()
    finally:
        peer.close()
    assert sorted(peer.stored) == list(range(1, 301))


def test_an_absent_broker_is_said_in_words_and_found_when_it_comes(
    broker: Mosquitto,  # noqa: F811
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    broker.stop()
    sender = start(broker.port, jitter=0.999)
    event = sender.await_(state("waiting"))
    assert isinstance(event, SyncChanged)
    assert event.message == (
        f"broker 127.0.0.1:{broker.port} refused the connection; next try in 1 s; measuring goes on"
    )
    broker.start()
    sender.await_(state("connected"))


def test_what_cut_a_good_connection_may_meet_the_next_try_too_before_the_delays_grow(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    fill(outbox, 5)
    sender = start(broker.port, jitter=0.999)
    sender.await_delivered()
    broker.kill()
    for said in ("was lost; next try in 1 s", "refused the connection; next try in 1 s", "next try in 2 s"):
        event = sender.await_(state("waiting"))
        assert isinstance(event, SyncChanged)
        assert said in event.message


def test_stop_does_not_wait_for_the_next_try(broker: Mosquitto, outbox: Outbox) -> None:  # noqa: F811
    broker.stop()
    sender = Sender(broker.port, outbox, jitter=300)
    sender.await_(says("next try in 300 s"))
    assert sender.sync.stop(timeout_s=LIMIT_S), "it slept on"
    sender.await_(state("off"))
    assert sender.sync.stop()
    sender.sync.wake()


def test_a_refusal_by_the_broker_is_said(
    tmp_path: Path, outbox: Outbox, start: Callable[..., Sender]
) -> None:
    mosquitto = Mosquitto(tmp_path, extra=["allow_anonymous false"])
    mosquitto.start()
    try:
        event = start(mosquitto.port).await_(state("waiting"))
    finally:
        mosquitto.stop()
    assert isinstance(event, SyncChanged)
    assert f"broker 127.0.0.1:{mosquitto.port} refused this device: Not authorized" in event.message


def test_a_refused_subscription_is_said(outbox: Outbox, start: Callable[..., Sender]) -> None:
    # mosquitto lets everyone subscribe and then delivers nothing, so the refusal is written by hand.
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = start(server.getsockname()[1])
        peer, _ = server.accept()
        with peer:
            peer.recv(1024)
            peer.sendall(b"\x20\x02\x00\x00")  # CONNACK: accepted
            subscribe = peer.recv(1024)
            assert subscribe[0] == 0x82
            peer.sendall(b"\x90\x03" + subscribe[2:4] + b"\x80")  # SUBACK: failure
            sender.await_(says("refused our ack topic"))


def test_a_server_that_says_nothing_is_given_up(outbox: Outbox, start: Callable[..., Sender]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = start(server.getsockname()[1], connect_timeout_s=0.2)
        sender.await_(says("did not answer within"))


def test_birth_and_last_will(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    sender = start(broker.port)
    peer.await_(lambda p: len(p.presence) == 1)
    assert sender.sync.stop(timeout_s=LIMIT_S)
    peer.await_(lambda p: len(p.presence) == 2)
    assert [decode_presence(payload).online for payload in peer.presence] == [True, False]


def test_a_record_too_large_to_send_is_set_aside_and_the_rest_arrives(
    broker: Mosquitto,  # noqa: F811
    peer: CollectorPeer,
    outbox: Outbox,
    start: Callable[..., Sender],
) -> None:
    # Characters drawn so that zlib finds nothing to save.
    noise = "".join(chr(0x4E00 + (number * 7919 * 104729) % 20000) for number in range(30_000))
    fill(outbox, 3)
    large = json.loads(json.dumps(to_json(tcp_record(4))))
    large["detail"] = {"noise": noise}
    from firmware.model.record import from_json

    outbox.append([from_json(large), tcp_record(5)])
    start(broker.port).await_delivered()
    assert sorted(peer.stored) == [1, 2, 3, 5]
    assert outbox.counts().quarantined == 1


def test_while_the_outside_is_gone_it_is_knocked_at_and_tried_when_a_knock_is_answered(
    outbox: Outbox,
) -> None:
    # A full backlog answers no SYN, as a line that is cut does not.
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    filler = socket.create_connection(server.getsockname())
    sender = Sender(server.getsockname()[1], outbox, jitter=0.999, connect_timeout_s=0.5)
    try:
        sender.sync.link_is_gone()
        sender.await_(says("next try in 300 s"))
        taken, _ = server.accept()  # from here on SYNs are answered
        sender.await_(state("connecting"))
        taken.close()
    finally:
        assert sender.sync.stop(timeout_s=LIMIT_S)
        filler.close()
        server.close()


def test_when_the_outside_is_back_the_next_try_is_at_once(
    broker: Mosquitto,  # noqa: F811
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.delivery.network.sender.RETURN_JITTER_S", 0.0001)
    broker.stop()
    sender = Sender(broker.port, outbox, jitter=300)
    try:
        for pause_s in (300, 300, 600):
            sender.await_(says(f"next try in {pause_s} s"))
            assert pause_s > LIMIT_S, "waited out, it would look the same"
            sender.sync.link_is_gone()
            sender.sync.link_is_back()
        sender.await_(says("next try in 1200 s"))
        broker.start()
        sender.sync.link_is_gone()
        sender.sync.link_is_back()
        sender.await_(state("connected"))
    finally:
        assert sender.sync.stop(timeout_s=LIMIT_S)
