"""Which tables the digest chain covers, by which columns, and how a row becomes a digest. Pure.

A row's digest is SHA-256 over the JSON array of its columns in the order written here, a BLOB as the hexadecimal
SHA-256 of its bytes. `record` is not among them: each row of it must be what its message says, and messages are.
What is written here is part of every digest that anybody kept: a column or table is never taken out, moved or renamed;
one that is added gets a migration that begins its rows in the chain.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Value = str | int | float | bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """One table: its columns, of which the first `key_columns` are its primary key.

    `whose` is the column that says which device or country a row is of. `is_fixed`: a row is never changed once it
    is written; `is_kept`: none is ever deleted.
    """

    table: str
    columns: tuple[str, ...]
    key_columns: int
    whose: str = "device"
    is_fixed: bool = False
    is_kept: bool = True

    def key(self, row: Sequence[Value]) -> str:
        """Return a row's name in the chain: a JSON array of the table, whose row it is, and its primary key."""
        whose = row[self.columns.index(self.whose)]
        return json.dumps([self.table, whose, *row[: self.key_columns]], separators=(",", ":"))


def row_digest(row: Sequence[Value]) -> str:
    """Return the hexadecimal digest of a row's columns."""
    text = json.dumps(
        [hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value for value in row],
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _covered(
    table: str,
    columns: str,
    key_columns: int = 1,
    *,
    whose: str = "device",
    fixed: bool = False,
    kept: bool = True,
) -> Covered:
    return Covered(
        table=table,
        columns=tuple(columns.split()),
        key_columns=key_columns,
        whose=whose,
        is_fixed=fixed,
        is_kept=kept,
    )


# What devices sent and what became of it (collector.store.database).
RECEIVED: Final = (
    _covered("envelope", "id device epoch leaf received_ns data", fixed=True),
    _covered("hello", "device epoch high received_ns data", 2),
    _covered("device", "id first_seen_ns last_seen_ns country software online rejects", whose="id"),
    _covered("epoch", "device epoch first_seen_ns last_seen_ns high waiting clash", 2),
    _covered("coverage", "device epoch kind low high", 4, kept=False),
    _covered("tombstone", "device epoch low high reason count received_ns", 5, fixed=True),
    _covered("reject", "id device epoch seq reason received_ns topic payload", fixed=True, kept=False),
    _covered("run", "id device epoch run first", fixed=True, kept=False),
    _covered("boot", "device boot_id first_boottime_ns last_boottime_ns latest_start_ns previous_boot_id", 2),
    _covered("sync_point", "device boot_id boottime_ns utc_ns error_ns", 5, fixed=True),
    _covered("turn", "device place since_utc_ns error_ns quality verdict rule_id heard_ns", 2, kept=False),
    _covered("unnamed_epochs", "device epoch count", kept=False),
)
# What was said of countries (collector.store.scopes).
ASSESSED: Final = (
    _covered(
        "scope_said",
        "id country said_ns revises verdict rule_id since_ns since_error_ns evidence overturned_by basis",
        whose="country",
        fixed=True,
    ),
    _covered("scope_now", "country said judged_ns evidence basis", whose="country"),
)
# What the vantage saw, by which the rest is judged (collector.store.vantage_log).
OBSERVED: Final = (
    _covered(
        "control_run",
        "id test target target_name first_utc_ns last_utc_ns samples failure failed_operation view",
        whose="target",
        kept=False,
    ),
    _covered("control_gap", "id from_utc_ns to_utc_ns reason", whose="reason", fixed=True, kept=False),
)
# What was seen from a second stand (collector.store.second_looks).
SECOND: Final = (
    _covered(
        "second_run",
        "id stand country test target target_name first_utc_ns last_utc_ns failure later_ms",
        whose="country",
        kept=False,
    ),
)
# What measurement servers said of tests (collector.store.server_halves).
HALVES: Final = (
    _covered(
        "server_half",
        "id server epoch number device nonce ending start_utc_ns received_ns data",
        fixed=True,
    ),
    _covered("server_log", "server epoch upto last evicted unwritten asked_ns", 2, whose="server"),
)
COVERED: Final = (*RECEIVED, *ASSESSED, *OBSERVED, *SECOND, *HALVES)
FIRST_COVERED: Final = (*RECEIVED, *ASSESSED, *OBSERVED)
"""What the chain's first entries cover, in the form that the tables had then: never edited, as a migration is not."""
