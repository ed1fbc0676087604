"""A card that was copied or restored: both sides notice, both devices go on, and each record arrives exactly once."""

import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.removable.answers import take
from appliance.delivery.removable.bundles import BundleAuthor, write
from appliance.delivery.removable.folder import Folder
from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxError
from firmware.wire import bundle as wire_bundle
from firmware.wire.bundle import BundleMessage
from firmware.wire.messages import encode_ack
from tests.drills.exchange import Collector, converse, deliver
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"


@dataclass
class Cards:
    """Cards of one device, one of them in use at a time; every record is a number of its own."""

    folder: Path
    rng: random.Random
    made: int = 0
    live_copies: float = 0.0
    cards: list[Path] = field(default_factory=list)
    usb_drives: list[Path] = field(default_factory=list)

    def new_card(self, like: Path | None = None) -> None:
        card = self.folder / f"card-{len(self.cards)}"
        if like is None:
            card.mkdir()
        else:
            shutil.copytree(like, card)
        self.cards.append(card)

    def use(self, collector: Collector, card: Path, *, steps: int) -> None:
        with Outbox.open(card / "outbox.sqlite3", device=DEVICE) as outbox:
            for _ in range(steps):
                if self.rng.random() < 0.6:
                    count = self.rng.randint(1, 5)
                    outbox.append([tcp_record(self.made + n) for n in range(1, count + 1)])
                    self.made += count
                    if self.rng.random() < self.live_copies and len(self.cards) < 4:
                        self.new_card(card)  # while it runs, which then goes on
                else:
                    lost = self.loser(self.rng.choice([0.0, 0.3]))
                    with suppress(OutboxError):
                        deliver(outbox, collector, lost=lost, rng=self.rng, rounds=1)

    def export(self, card: Path) -> Path:
        """Carry what waits on a card to a USB drive of its own."""
        usb_drive = self.folder / f"drive-{len(self.usb_drives)}"
        usb_drive.mkdir()
        with Outbox.open_read_only(card / "outbox.sqlite3") as outbox, Folder.open(usb_drive) as folder:
            author = BundleAuthor(seal=lambda _leaf, payload: payload, software="drill", country="xx")
            assert not write(outbox, folder, author, utc_ns=0).fault
        self.usb_drives.append(usb_drive)
        return usb_drive

    def bring(self, collector: Collector, usb_drive: Path) -> None:
        """Have the collector read a USB drive, maybe for the second time, and answer it."""
        for bundle in usb_drive.glob("tidegauge-bundles/*Z.bundle"):
            told = [
                BundleMessage(leaf="ack", payload=encode_ack(ack))
                for one in wire_bundle.decode(bundle.read_bytes()).messages
                if (ack := collector.take(DEVICE, one.leaf, one.payload)) is not None
            ]
            bundle.with_suffix(".acks.bundle").write_bytes(wire_bundle.encode(told))

    def take_back(self, card: Path, usb_drive: Path) -> None:
        """Plug a USB drive into any card."""
        with Outbox.open(card / "outbox.sqlite3", device=DEVICE) as outbox, Folder.open(usb_drive) as folder:
            take(outbox, folder, MessageAuthentication(None))

    def loser(self, odds: float) -> Callable[[], bool]:
        return lambda: self.rng.random() < odds


@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_each_record_of_every_copy_arrives_once(seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        collector = Collector(Path(folder))
        cards = Cards(Path(folder), rng)
        cards.new_card()
        for _ in range(rng.randint(3, 9)):
            cards.use(collector, rng.choice(cards.cards), steps=rng.randint(1, 6))
            if rng.random() < 0.4 and len(cards.cards) < 4:
                cards.new_card(rng.choice(cards.cards))
        for _ in range(2):
            for card in cards.cards:
                with Outbox.open(card / "outbox.sqlite3", device=DEVICE) as outbox:
                    deliver(outbox, collector)
                    assert outbox.counts().waiting == 0
        stored = Counter(json.loads(body)["round_id"] for body in collector.bodies())
        assert stored == Counter(range(1, cards.made + 1))
        account = collector.completeness(DEVICE)
        assert (account.produced, account.missing) == (cards.made, 0)
        collector.close()


def test_an_answer_to_an_incarnation_that_two_cards_share_lets_go_only_of_what_it_had_told(
    tmp_path: Path,
) -> None:
    """A card is copied while it runs; the copy's drive is read once the copy has given, in an incarnation of its own, the same numbers."""
    collector = Collector(tmp_path)
    cards = Cards(tmp_path, random.Random(0))
    cards.new_card()
    original = cards.cards[0]
    with Outbox.open(original / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in (1, 2, 3)])
        cards.new_card(original)
        outbox.append([tcp_record(number) for number in (4, 5)])
    copy = cards.cards[1]
    usb_drive = cards.export(copy)
    with Outbox.open(copy / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in (6, 7, 8)])
        deliver(outbox, collector)
    cards.bring(collector, usb_drive)
    cards.take_back(original, usb_drive)
    with Outbox.open(original / "outbox.sqlite3", device=DEVICE) as outbox:
        assert outbox.counts().waiting == 2
        deliver(outbox, collector)
    assert sorted(json.loads(body)["round_id"] for body in collector.bodies()) == [1, 2, 3, 4, 5, 6, 7, 8]
    collector.close()


def test_an_answer_about_an_epoch_that_has_ended_lets_nothing_go_where_it_goes_on(tmp_path: Path) -> None:
    """A sequence conflict ends the epoch on one card; its copy, in which the epoch goes on, is given the drive with the answers."""
    collector = Collector(tmp_path)
    cards = Cards(tmp_path, random.Random(0))
    cards.new_card()
    first = cards.cards[0]
    with Outbox.open(first / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(1)])
    cards.new_card(first)
    with Outbox.open(cards.cards[1] / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(2), tcp_record(3)])
        deliver(outbox, collector)
    with Outbox.open(first / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(4), tcp_record(5)])
        cards.new_card(first)
        converse(outbox, collector)
        assert [box.counts().produced for box in outbox.past()] == [3]
    usb_drive = cards.export(first)
    cards.bring(collector, usb_drive)
    cards.take_back(cards.cards[2], usb_drive)
    with Outbox.open(cards.cards[2] / "outbox.sqlite3", device=DEVICE) as copy:
        assert [row.seq for row in copy.oldest(10)] == [1, 2, 3]
    collector.close()


@given(seed=st.integers(0, 2**32))
@example(seed=11901)
@settings(max_examples=12, deadline=None)
def test_usb_drives_carried_between_any_of_the_copies_lose_nothing(seed: int) -> None:
    """Bundles written, read and answered at any time, in any order, by any copy; some made while the card was in use."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        collector = Collector(Path(folder))
        cards = Cards(Path(folder), rng, live_copies=0.1)
        cards.new_card()
        for _ in range(rng.randint(3, 12)):
            cards.use(collector, rng.choice(cards.cards), steps=rng.randint(1, 6))
            if rng.random() < 0.3 and len(cards.cards) < 4:
                cards.new_card(rng.choice(cards.cards))
            if rng.random() < 0.5:
                cards.export(rng.choice(cards.cards))
            for usb_drive in cards.usb_drives:
                if rng.random() < 0.3:
                    cards.bring(collector, usb_drive)
                if rng.random() < 0.3:
                    cards.take_back(rng.choice(cards.cards), usb_drive)
        for _ in range(2):
            for card in cards.cards:
                with Outbox.open(card / "outbox.sqlite3", device=DEVICE) as outbox:
                    deliver(outbox, collector)
                    assert outbox.counts().waiting == 0
        stored = Counter(json.loads(body)["round_id"] for body in collector.bodies())
        assert stored == Counter(range(1, cards.made + 1))
        collector.close()
