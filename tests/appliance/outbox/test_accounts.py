"""The outbox's counters beside its rows, after anything that may happen to it, in any order."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.storage.tables import ledger
from appliance.storage.tables.ledger import SPAN
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack, Reject
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
STEPS = 45


class Life:
    """An outbox as the daemon and the sender have it open, and what may happen to it next."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path = path
        self.rng = rng
        self.owner = Outbox.open(path, device=DEVICE)
        self.sender = self.owner.clone()

    def close(self) -> None:
        self.sender.close()
        self.owner.close()

    def measured(self) -> None:
        count = self.rng.choice((1, 5, 40, 300))
        failures = (None, None, "generic_timeout_error")
        self.owner.append([tcp_record(n, failure=self.rng.choice(failures)) for n in range(count)])

    def given_up(self) -> None:
        self.owner.evict(self.rng.choice((1, 10, 100)))

    def acknowledged(self) -> None:
        for box in self.sender.past() if self.rng.random() < 0.3 else (self.sender,):
            account = box._account()
            if made := account.produced:
                upto, low = self.rng.randint(0, made), self.rng.randint(1, made)
                ranges = ((max(upto + 2, low), made),) if max(upto + 2, low) <= made else ()
                rejects = tuple(Reject(seq=self.rng.randint(1, made), reason="no") for _ in range(2))
                box.acknowledge(
                    Ack(
                        epoch=account.epoch,
                        upto=upto,
                        ranges=SeqRanges(ranges),
                        rejects=rejects,
                        incarnation=self.sender.incarnation,
                    )
                )

    def quarantined_file(self) -> None:
        if made := self.sender._account().produced:
            self.sender.quarantine(self.rng.randint(1, made), "cannot be sent")

    def conflicted(self) -> None:
        account = self.sender._account()
        self.sender.acknowledge(
            Ack(
                epoch=account.epoch,
                upto=0,
                conflict=self.rng.randint(0, account.produced),
                incarnation=self.sender.incarnation,
            )
        )

    def recovered(self) -> None:
        self.sender.close()
        assert self.owner.recover() is not None
        self.sender = self.owner.clone()

    def started_again(self) -> None:
        self.close()
        self.owner = Outbox.open(self.path, device=DEVICE)
        self.sender = self.owner.clone()
        assert self.owner.recovered is None

    def check(self) -> None:
        def count(sql: str, *span: int) -> int:
            (found,) = self.owner._handle.connection.execute(sql, span).fetchone()
            return int(found)

        for account in ledger.accounts(self.owner._handle.connection):
            span = account.base + 1, account.base + SPAN - 1
            assert account.is_possible, account
            assert (
                count("SELECT count(*) FROM waiting WHERE seq BETWEEN ? AND ?", *span) == account.waiting
            ), account
            highest = count("SELECT coalesce(max(seq), 0) FROM waiting WHERE seq BETWEEN ? AND ?", *span)
            assert highest <= account.base + account.produced
        assert not count("SELECT count(*) FROM waiting JOIN tombstone ON seq BETWEEN low AND high")
        assert not count(
            "SELECT count(*) FROM tombstone a JOIN tombstone b ON a.low < b.low AND b.low <= a.high"
        )


@pytest.mark.parametrize("seed", [6, 10, 12, 24, *range(100, 106)])
def test_counters_never_contradict_rows(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    life = Life(tmp_path / "outbox.sqlite3", rng)
    events: tuple[tuple[Callable[[], None], int], ...] = (
        (life.measured, 4),
        (life.given_up, 2),
        (life.acknowledged, 4),
        (life.quarantined_file, 1),
        (life.conflicted, 1),
        (life.recovered, 1),
        (life.started_again, 1),
    )
    try:
        for _ in range(STEPS):
            (event,) = rng.choices([event for event, _ in events], [weight for _, weight in events])
            event()
            life.check()
    finally:
        life.close()
