"""A scripted device against real brokers: what is sent is stored once, and answered truthfully every time."""

import os
import signal
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from collector.broker.child import Broker
from collector.receive.mqtt.subscriber import LinkState
from collector.store.answers import RecordFilter
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Presence, Tombstone, encode_batch, encode_presence
from tests.collector.conftest import Running
from tests.collector.scripted_device import DEVICE, EPOCH, OTHER, ScriptedDevice, batch_of

TakeIn = Callable[[Broker], Running]


def test_hello_batch_ack(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        assert device.hello(1, 5).upto == 0
        ack = device.send(1, 2, 3)
        assert (ack.epoch, ack.upto, ack.ranges, ack.rejects) == (EPOCH, 3, SeqRanges(), ())
        assert device.hello(4, 5).upto == 3
    assert str(running.queries.completeness(DEVICE)) == "seq 1–5: 3 here, 2 missing (4–5)"
    row = running.queries.device(DEVICE)
    assert row is not None
    assert (row.country, row.software, row.waiting) == ("ir", "tidegauge 0.1.0", 2)


def test_a_duplicate_is_acknowledged_again_and_stored_once(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        first = device.send(1, 2)
        assert device.send(1, 2) == first
        assert device.send(2, 3).upto == 3
    assert [row.seq for row in running.queries.records(RecordFilter()).records] == [1, 2, 3]


def test_newest_first_shows_the_gap_until_it_is_filled(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        ack = device.send(8, 9, 10)
        assert (ack.upto, ack.ranges) == (0, SeqRanges(((8, 10),)))
        assert running.queries.completeness(DEVICE).percent == "30.0 %"
        assert device.send(1, 2, 3, 4, 5, 6, 7).upto == 10
    account = running.queries.completeness(DEVICE)
    assert str(account) == "seq 1–10 all here"
    assert account.percent == "100 %"


def test_a_reject_is_answered_with_its_reason_and_kept(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        batch = batch_of([1, 2, 3])
        bad = {**batch.records[1], "zone": "moon"}
        device.publish(
            "bulk", encode_batch(replace(batch, records=(batch.records[0], bad, batch.records[2])))
        )
        ack = device.ack()
        assert ack.upto == 3
        assert [(reject.seq, "moon" in reject.reason) for reject in ack.rejects] == [(2, True)]
    (kept,) = running.queries.rejects(DEVICE)
    assert (kept.seq, kept.reason) == (2, ack.rejects[0].reason)
    assert b"moon" in kept.payload
    account = running.queries.completeness(DEVICE)
    assert (account.stored, account.rejected, account.missing) == (2, 1, 0)


def test_a_tombstone_accounts_for_what_was_given_up(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    given_up = Tombstone(low=1, high=40, count=40, reason="disk full")
    with ScriptedDevice(broker.host, broker.port) as device:
        device.publish("bulk", encode_batch(replace(batch_of([41]), tombstones=(given_up,))))
        assert device.ack().upto == 41
    account = running.queries.completeness(DEVICE)
    assert (account.produced, account.stored, account.tombstoned, account.missing) == (41, 1, 40, 0)


def test_a_forged_device_id_counts_for_nobody(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with (
        ScriptedDevice(broker.host, broker.port) as forger,
        ScriptedDevice(broker.host, broker.port, device=OTHER) as other,
    ):
        forger.publish("live", encode_batch(batch_of([1, 2], device=OTHER)))
        ack = forger.ack()
        assert ack.upto == 0
        assert [reject.seq for reject in ack.rejects] == [1, 2]
        assert other.hello(1, 2).upto == 0
        assert other.no_ack_so_far()
    assert running.queries.counts().records == 0
    assert [kept.device for kept in running.queries.rejects()] == [DEVICE]


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"garbage",
        os.urandom(48 * 1024),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"0" * 40_000_000, 9),
        zlib.compress(b'{"v":1}'),
        encode_batch(batch_of([1]))[:-9],
    ],
    ids=["empty", "garbage", "too-large", "deep", "bomb", "not-a-batch", "cut-short"],
)
def test_poison_is_kept_with_its_reason_and_harms_nobody(
    broker: Broker, take_in: TakeIn, poison: bytes
) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        device.hello(1, 1)
        device.publish("live", poison)
        ack = device.ack()
        assert ack.retry_after_s > 0
        assert (ack.epoch, ack.upto, ack.rejects) == (EPOCH, 0, ())
        assert device.send(1).upto == 1
    (kept,) = running.queries.rejects(DEVICE)
    assert kept.payload == poison[: 16 * 1024]
    assert kept.reason


def test_a_megabyte_of_garbage_that_amqtt_lets_pass_is_kept_in_part(amqtt: Broker, take_in: TakeIn) -> None:
    running = take_in(amqtt)
    with ScriptedDevice(amqtt.host, amqtt.port) as device:
        device.hello(1, 1)
        device.publish("live", os.urandom(1_000_000))
        assert device.ack().retry_after_s > 0
        assert device.send(1).upto == 1
    (kept,) = running.queries.rejects(DEVICE)
    assert "1000000 bytes" in kept.reason


def test_a_megabyte_of_garbage_costs_its_sender_the_connection(mosquitto: Broker, take_in: TakeIn) -> None:
    running = take_in(mosquitto)
    with ScriptedDevice(mosquitto.host, mosquitto.port, device=OTHER) as bystander:
        flooder = ScriptedDevice(mosquitto.host, mosquitto.port)
        with flooder:
            lost = flooder.publish_and_be_cut_off(os.urandom(1_000_000))
        assert lost
        assert bystander.send(1).upto == 1
    assert running.queries.device(DEVICE) is None


def test_presence_follows_birth_and_last_word(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        device.hello(1, 0)
        for online in (True, False):
            device.publish_status(encode_presence(Presence(online=online)))
            device.hello(1, 0)  # Its answer comes after the presence was stored.
            row = running.queries.device(DEVICE)
            assert row is not None
            assert row.online is online


def test_the_broker_is_killed_and_everything_goes_on(broker: Broker, take_in: TakeIn) -> None:
    running = take_in(broker)
    with ScriptedDevice(broker.host, broker.port) as device:
        assert device.send(1).upto == 1
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    message = running.states.wait_for(LinkState.WAITING)
    assert f"{broker.host}:{broker.port}" in message
    assert running.queries.counts().records == 1
    running.states.wait_for(LinkState.CONNECTED, times=2)
    with ScriptedDevice(broker.host, broker.port) as device:
        assert device.send(1, 2).upto == 2
    assert str(running.queries.completeness(DEVICE)) == "seq 1–2 all here"
