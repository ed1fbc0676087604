"""How many records an outbox has had, and what became of them: sums over the accounts of its epochs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.storage.tables.ledger import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCounts:
    """`produced` = `waiting` + `acknowledged` + `quarantined` + `given_up`, over all epochs of this database.

    `unstored` were measured and could not be stored.
    """

    produced: int
    waiting: int
    acknowledged: int
    quarantined: int
    unstored: int
    given_up: int = 0


def counts_of(accounts: Sequence[Account]) -> OutboxCounts:
    """Return the counts of all epochs together."""
    return OutboxCounts(
        produced=sum(account.produced for account in accounts),
        waiting=sum(account.waiting for account in accounts),
        acknowledged=sum(account.acknowledged for account in accounts),
        quarantined=sum(account.quarantined for account in accounts),
        unstored=sum(account.unstored for account in accounts),
        given_up=sum(account.given_up for account in accounts),
    )
