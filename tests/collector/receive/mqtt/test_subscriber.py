"""The subscriber at a real broker: it reads only what there is room for, and comes back by itself."""

import socket

import pytest

from collector.broker.child import Broker
from collector.messages import OutgoingMessage
from collector.receive.inbox import Inbox
from collector.receive.mqtt.subscriber import (
    FIRST_RETRY_S,
    LONGEST_RETRY_S,
    LinkState,
    Subscriber,
    retry_wait_s,
)
from firmware.wire.messages import Ack, encode_ack, topic
from tests.collector.scripted_device import DEVICE, EPOCH, WAIT_S, ScriptedDevice
from tests.collector.states import States
from tests.waiting import until


def test_while_the_inbox_is_full_nothing_more_is_read_and_nothing_is_lost(broker: Broker) -> None:
    inbox = Inbox(max_messages=10, max_bytes=1 << 20)
    states = States()
    subscriber = Subscriber(broker.host, broker.port, inbox, on_state=states)
    subscriber.start()
    states.wait_for(LinkState.CONNECTED)
    with ScriptedDevice(broker.host, broker.port) as device:
        for number in range(500):
            device.publish_unawaited("live", str(number).encode())
        device.publish("live", b"last")  # the broker has them all
        taken: list[bytes] = []

        def take_some() -> bool:
            assert inbox.fill <= 1
            taken.extend(delivery.payload for delivery in inbox.take(3))
            return len(taken) >= 501

        until(take_some, lambda: f"all 501: {len(taken)} are here", pause_s=0)
        assert taken == [*(str(number).encode() for number in range(500)), b"last"]
        # And it still hears and speaks.
        ack = Ack(epoch=EPOCH, upto=7)
        subscriber.send(OutgoingMessage(topic=topic(DEVICE, "dn", "ack"), payload=encode_ack(ack)))
        assert device.ack() == ack
    subscriber.stop()
    assert states.count(LinkState.CONNECTED) == 1


def test_acks_handed_over_before_the_end_are_sent(broker: Broker) -> None:
    states = States()
    subscriber = Subscriber(
        broker.host, broker.port, Inbox(max_messages=10, max_bytes=1 << 20), on_state=states
    )
    subscriber.start()
    states.wait_for(LinkState.CONNECTED)
    with ScriptedDevice(broker.host, broker.port) as device:
        for upto in range(200):
            payload = encode_ack(Ack(epoch=EPOCH, upto=upto))
            subscriber.send(OutgoingMessage(topic=topic(DEVICE, "dn", "ack"), payload=payload))
        subscriber.stop()
        assert [device.ack().upto for _ in range(200)] == list(range(200))


def test_without_a_broker_it_says_where_and_tries_again(tmp_path: object) -> None:
    states = States()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        subscriber = Subscriber(
            "127.0.0.1",
            port,
            Inbox(max_messages=10, max_bytes=1 << 20),
            on_state=states,
            jitter=lambda: 0.01,
        )
        subscriber.start()
        message = states.wait_for(LinkState.WAITING, times=3)
        assert f"127.0.0.1:{port}" in message
        assert "refused" in message.lower()
        subscriber.send(
            OutgoingMessage(topic="nobody", payload=b"hears this")
        )  # is dropped: there is no connection
        subscriber.stop()


def test_a_peer_that_is_no_broker_ends_the_connection_not_the_thread() -> None:
    states = States()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        port = server.getsockname()[1]
        subscriber = Subscriber(
            "127.0.0.1",
            port,
            Inbox(max_messages=10, max_bytes=1 << 20),
            on_state=states,
            jitter=lambda: 0.01,
        )
        subscriber.start()
        for nonsense in (
            b"",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x20\x02\x00\x05",
            b"\x30\x05\x00\x63abc",
        ):
            connection, _ = server.accept()
            with connection:
                connection.sendall(nonsense)
        states.wait_for(LinkState.WAITING, times=4)
        subscriber.stop()


@pytest.mark.parametrize("failures", [0, 1, 5, 100, 100_000])
def test_the_wait_grows_to_its_bound(failures: int) -> None:
    assert retry_wait_s(failures, 1.0) == min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures, 16))
