"""An ended epoch of which nothing came is missing, not unheard of: a real outbox, damaged, against a real store and audit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.delivery.removable.bundles import BundleAuthor, messages
from appliance.outbox.box import Outbox
from collector.command import collector as command
from collector.store.queries import Queries
from firmware.wire.messages import MAX_ENDED, Hello, encode_hello
from tests.collector.scripted_device import hello_of
from tests.drills.exchange import Collector, converse, deliver
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
NOW = "f" * 16


def filled(path: Path, count: int) -> str:
    """Store records in the outbox; return the epoch they are of."""
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(1, count + 1)])
        return outbox.epoch


def damaged(path: Path) -> None:
    """Destroy the head of the database, so that the next start salvages it."""
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    path.write_bytes(bytes(content))


def told(folder: Path, hello: Hello) -> None:
    """Say `hello` to the collector, and no more."""
    listening = Collector(folder)
    listening.take(hello.device, "hello", encode_hello(hello))
    listening.close()


def audited(folder: Path) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the audit's exit status, its epochs by name, and the sums."""
    done = CliRunner().invoke(command, ["audit", "--data", str(folder), "--json"], catch_exceptions=False)
    *epochs, sums = map(json.loads, done.stdout.splitlines())
    return done.exit_code, {one["epoch"]: one for one in epochs}, sums


def test_what_a_salvage_saved_is_missing_until_it_has_come(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    epoch = filled(path, 30)
    damaged(path)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        hello = outbox.hello(software="s", country="xx")
        assert hello.ended == ((epoch, 30),)
        told(tmp_path, hello)
        code, epochs, sums = audited(tmp_path)
        assert (code, sums["whole"], sums["produced"], sums["missing"]) == (1, False, 30, 30)
        assert epochs[epoch]["gaps"] == [[1, 30]]
        queries = Queries(tmp_path / "collector.sqlite3")
        assert str(queries.completeness(DEVICE)) == "seq 1–30: 0 here, 30 missing (1–30); nothing yet"
        queries.close()

        listening = Collector(tmp_path)
        deliver(outbox, listening)
        listening.close()
        code, epochs, sums = audited(tmp_path)
        assert (code, sums["whole"], sums["missing"]) == (0, True, 0)
        assert epochs[epoch]["produced"] == 30
        assert outbox.hello(software="s", country="xx").ended == ()


def test_an_account_that_was_lowered_is_found_by_the_hello_that_named_it(tmp_path: Path) -> None:
    told(tmp_path, replace(hello_of(1, 0, device=DEVICE, epoch=NOW), ended=(("1" * 16, 9),)))
    listening = Collector(tmp_path)
    listening.store._connection.execute("DELETE FROM epoch WHERE epoch = ?", ("1" * 16,))
    listening.close()
    code, epochs, _ = audited(tmp_path)
    assert (code, epochs["1" * 16]["missing"]) == (1, 9)
    assert "the device said it gave 9 seqs" in epochs["1" * 16]["faults_named"][0]["what"]


def test_a_chain_names_what_is_not_accounted_for_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    names = []
    for count in (5, 7, 3):
        names.append(filled(path, count))
        damaged(path)
    with Outbox.open(path, device=DEVICE) as outbox:
        # The newest first, then the one that made the most.
        assert outbox.hello(software="", country="").ended == ((names[2], 3), (names[1], 7), (names[0], 5))
        first, second, third = outbox.past()
        assert not any(box.hello(software="", country="").ended for box in (first, second, third))
        listening = Collector(tmp_path)
        converse(second, listening)
        assert [name for name, _ in outbox.hello(software="", country="").ended] == [names[2], names[0]]
        deliver(outbox, listening)
        listening.close()
        assert outbox.hello(software="", country="").ended == ()
    assert audited(tmp_path)[0] == 0


def test_what_was_given_up_is_named_until_its_tombstone_is_known(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    epoch = filled(path, 4)
    damaged(path)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.evict(4) == 4
        assert outbox.hello(software="", country="").ended == ((epoch, 4),)
        listening = Collector(tmp_path)
        deliver(outbox, listening)
        listening.close()
        assert outbox.hello(software="", country="").ended == ()


def test_epochs_there_was_no_room_to_name_are_counted_and_leave_nothing_whole(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    for _ in range(MAX_ENDED + 2):
        filled(path, 1)
        damaged(path)
    with Outbox.open(path, device=DEVICE) as outbox:
        hello = outbox.hello(software="", country="")
        assert (len(hello.ended), hello.ended_beyond) == (MAX_ENDED, 2)
        told(tmp_path, hello)
        _, epochs, sums = audited(tmp_path)
        assert (sums["missing"], sums["unnamed"], sums["whole"]) == (MAX_ENDED, 2, False)
        assert epochs[hello.epoch]["unnamed_epochs"] == 2
        listening = Collector(tmp_path)
        deliver(outbox, listening)
        listening.close()
    code, _, sums = audited(tmp_path)
    assert (code, sums["unnamed"], sums["produced"]) == (0, 0, MAX_ENDED + 2)


def test_a_bundle_in_which_every_epoch_has_its_hello_leaves_none_to_name(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    for _ in range(MAX_ENDED + 2):
        filled(path, 1)
        damaged(path)
    author = BundleAuthor(seal=lambda _leaf, payload: payload, software="s", country="xx")
    with Outbox.open(path, device=DEVICE) as outbox:
        carried = [message for message, _ in messages(outbox, author)]
    listening = Collector(tmp_path)
    for message in carried:
        listening.take(DEVICE, message.leaf, message.payload)
    listening.close()
    code, _, sums = audited(tmp_path)
    assert (code, sums["unnamed"], sums["produced"]) == (0, 0, MAX_ENDED + 2)


def test_a_bundle_that_is_cut_short_names_them_too(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    filled(path, 6)
    damaged(path)
    author = BundleAuthor(seal=lambda _leaf, payload: payload, software="s", country="xx")
    with Outbox.open(path, device=DEVICE) as outbox:
        first, _ = next(messages(outbox, author))
    listening = Collector(tmp_path)
    listening.take(DEVICE, first.leaf, first.payload)
    listening.close()
    assert audited(tmp_path)[2]["missing"] == 6


def test_a_hello_that_was_carried_and_overtaken_does_not_say_how_many_are_not_named(tmp_path: Path) -> None:
    told(tmp_path, replace(hello_of(1, 5, device=DEVICE, epoch=NOW), ended_beyond=2))
    told(tmp_path, hello_of(1, 4, device=DEVICE, epoch=NOW))
    assert audited(tmp_path)[2]["unnamed"] == 2


def test_only_epochs_beyond_are_enough_for_not_whole(tmp_path: Path) -> None:
    told(tmp_path, replace(hello_of(1, 0, device=DEVICE, epoch=NOW), ended_beyond=1))
    code, _, sums = audited(tmp_path)
    assert (code, sums["missing"], sums["faults"], sums["unnamed"]) == (1, 0, 0, 1)
    # A past epoch's hello speaks of itself alone.
    told(tmp_path, replace(hello_of(1, 0, device=DEVICE, epoch="1" * 16), past=True))
    assert audited(tmp_path)[0] == 1
    told(tmp_path, hello_of(1, 0, device=DEVICE, epoch=NOW))
    assert audited(tmp_path)[0] == 0


def test_a_named_epoch_is_older_than_the_one_that_named_it_and_was_not_heard(tmp_path: Path) -> None:
    told(tmp_path, hello_of(1, 2, device=DEVICE, epoch=NOW))
    told(tmp_path, replace(hello_of(1, 2, device=DEVICE, epoch=NOW), ended=(("1" * 16, 5), ("2" * 16, 5))))
    queries = Queries(tmp_path / "collector.sqlite3")
    account = queries.completeness(DEVICE)
    device = queries.device(DEVICE)
    queries.close()
    assert [epoch.epoch for epoch in account.epochs] == ["2" * 16, "1" * 16, NOW]
    assert device is not None
    assert device.waiting == 2


SAID = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(["1" * 16, "2" * 16, "3" * 16]), st.integers(1, 9)), max_size=4),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=20)
@given(SAID)
def test_whatever_was_named_is_produced_and_never_less(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[list[tuple[str, int]], int]]
) -> None:
    folder = tmp_path_factory.mktemp("said")
    most: dict[str, int] = {}
    for ended, beyond in said:
        told(
            folder,
            replace(hello_of(1, 0, device=DEVICE, epoch=NOW), ended=tuple(ended), ended_beyond=beyond),
        )
        for epoch, high in ended:
            most[epoch] = max(high, most.get(epoch, 0))
    _, epochs, sums = audited(folder)
    assert {epoch: one["missing"] for epoch, one in epochs.items() if epoch != NOW} == most
    assert (sums["faults"], sums["unnamed"]) == (0, said[-1][1])
