"""Which keys of a record the table `record` has as columns, so that they can be asked for: those declared `asked`. Pure.

`firmware.model.record` declares them; the insert, the audit and the migrations go by this list, by name. Those of
`FIRST` were made with the table (`collector.store.migrations`), which is never edited: every other one gets a step of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, TypeAlias

from firmware.model import record
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.wire.table import RecordTable

Value: TypeAlias = "str | int | None"

FIRST: Final = frozenset(
    {
        *("start_utc_ns", "clock_quality", "clock_error_ns", "boot_id", "start_boottime_ns", "test", "rung"),
        *("zone", "target", "target_name", "round_id", "runtime_ns", "failure", "verdict", "rule_id"),
    }
)
_SQL_TYPES: Final[dict[type, str]] = {str: "TEXT", int: "INTEGER"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedColumn:
    """A column of the table `record`, with the `key` that its value stands at: `within` is one in the object there, or "".

    `default` is what a record of an earlier schema has, which has no such key.
    """

    name: str
    sql_type: str
    key: str
    within: str = ""
    default: JsonValue = None

    def values(self, table: RecordTable) -> Iterable[Any]:
        """Return what each of some sound records has there: null where the object that it is in is null."""
        try:
            found: Iterable[Any] = table.spread(self.key)
        except KeyError:
            return repeat(self.default, table.height)
        return [one and one[self.within] for one in found] if self.within else found


def _columns() -> Iterator[AskedColumn]:
    for one in record.KEYS:
        if one.asked:
            yield AskedColumn(
                name=one.key, sql_type=_SQL_TYPES[one.kind.holds], key=one.key, default=one.default_json()
            )
        for inner in one.kind.inner:
            if inner.asked:
                yield AskedColumn(
                    name=inner.key, sql_type=_SQL_TYPES[inner.kind.holds], key=one.key, within=inner.key
                )


COLUMNS: Final = tuple(_columns())
NAMES: Final = tuple(one.name for one in COLUMNS)
_at_keys: Final[Callable[[JsonObject], tuple[Any, ...]]] = itemgetter(*(one.key for one in COLUMNS))
_WITHIN: Final = tuple((place, one.within) for place, one in enumerate(COLUMNS) if one.within)


def asked(*names: str) -> Callable[[Sequence[Value]], tuple[Any, ...]]:
    """Return what takes these columns (two at the least) out of a row's, which are in the order of `COLUMNS`."""
    return itemgetter(*map(NAMES.index, names))


def rows_of(table: RecordTable) -> Iterator[tuple[Value, ...]]:
    """Yield each record's columns, in the order of `COLUMNS`."""
    return zip(*(one.values(table) for one in COLUMNS), strict=True)


def row_of(value: JsonObject) -> tuple[Value, ...]:
    """Return one sound record's columns, in the order of `COLUMNS`."""
    try:
        found = list(_at_keys(value))
    except KeyError:
        found = [value.get(one.key, one.default) for one in COLUMNS]
    for place, within in _WITHIN:
        found[place] = found[place] and found[place][within]
    return tuple(found)
