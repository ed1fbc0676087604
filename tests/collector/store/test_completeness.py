"""A completeness figure is a count, and says so in words a person reads."""

import pytest

from collector.store.completeness import EpochCoverage, describe, of_device, of_epoch
from firmware.model.seqs import SeqRanges

EPOCH = "0" * 16


def coverage(
    *,
    high: int = 0,
    stored: tuple[tuple[int, int], ...] = (),
    tombstoned: tuple[tuple[int, int], ...] = (),
    rejected: tuple[tuple[int, int], ...] = (),
    epoch: str = EPOCH,
    first_seen_ns: int = 0,
) -> EpochCoverage:
    return EpochCoverage(
        epoch=epoch,
        first_seen_ns=first_seen_ns,
        high=high,
        stored=SeqRanges(stored),
        tombstoned=SeqRanges(tombstoned),
        rejected=SeqRanges(rejected),
    )


def test_epochs_not_named_yet_leave_no_account_whole() -> None:
    whole = of_device("d", [coverage(high=2, stored=((1, 2),))])
    assert (whole.is_whole, whole.percent) == (True, "100 %")
    beyond = of_device("d", [coverage(high=2, stored=((1, 2),))], unnamed=3)
    assert (beyond.is_whole, beyond.missing, beyond.percent) == (False, 0, "99.9 %")
    assert str(beyond) == "seq 1–2 all here; 3 more epochs on the device, not named yet"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (coverage(), "nothing yet"),
        (coverage(high=1, stored=((1, 1),)), "seq 1 all here"),
        (coverage(high=4211, stored=((1, 4211),)), "seq 1–4,211 all here"),
        (coverage(stored=((1, 4), (6, 9)), high=10), "seq 1–10: 8 here, 2 missing (5, 10)"),
        (coverage(high=3), "seq 1–3: 0 here, 3 missing (1–3)"),
        (
            coverage(stored=((1, 3),), tombstoned=((3, 5),), rejected=((5, 6),)),
            "seq 1–6: 3 here, 2 given up by the device, 1 rejected",
        ),
        (
            coverage(stored=tuple((n, n) for n in range(2, 12, 2))),
            "seq 1–10: 5 here, 5 missing (1, 3, 5 and 2 more gaps)",
        ),
    ],
)
def test_an_epoch_in_a_line(one: EpochCoverage, said: str) -> None:
    assert describe(of_epoch(one)) == said


def test_the_parts_add_up() -> None:
    account = of_epoch(coverage(high=30, stored=((1, 9),), tombstoned=((5, 14),), rejected=((12, 20),)))
    assert (account.stored, account.tombstoned, account.rejected, account.missing) == (9, 5, 6, 10)
    assert account.stored + account.tombstoned + account.rejected + account.missing == account.produced
    assert account.gaps == SeqRanges(((21, 30),))


@pytest.mark.parametrize(
    ("stored", "said"), [(1_000_000, "100 %"), (999_999, "99.9 %"), (1, "0.0 %"), (500_000, "50.0 %")]
)
def test_one_missing_of_a_million_is_not_100_percent(stored: int, said: str) -> None:
    account = of_device("d", [coverage(high=1_000_000, stored=((1, stored),))])
    assert account.percent == said


def test_epochs_are_told_oldest_first_and_counted_together() -> None:
    account = of_device(
        "d",
        [
            coverage(epoch="b" * 16, first_seen_ns=2, high=2, stored=((1, 1),)),
            coverage(epoch="a" * 16, first_seen_ns=1, high=3, stored=((1, 3),)),
        ],
    )
    assert str(account) == "seq 1–3 all here; seq 1–2: 1 here, 1 missing (2)"
    assert (account.produced, account.stored, account.missing, account.share) == (5, 4, 1, 0.8)


def test_a_device_that_said_nothing_is_complete() -> None:
    account = of_device("d", [])
    assert (str(account), account.percent, account.share) == ("nothing yet", "100 %", 1.0)


def test_an_outbox_that_was_thinned_over_and_over_is_counted_as_fast_as_another() -> None:
    """Every other record given up: as many ranges as records. At the square of that, a page would take hours."""
    kept, given_up = (tuple((seq, seq) for seq in range(first, 1_000_000, 4)) for first in (1, 3))
    account = of_epoch(
        EpochCoverage(
            epoch=EPOCH,
            first_seen_ns=0,
            high=1_000_000,
            stored=SeqRanges(kept),
            tombstoned=SeqRanges(given_up),
        )
    )
    assert (account.stored, account.tombstoned, account.missing) == (250_000, 250_000, 500_000)
