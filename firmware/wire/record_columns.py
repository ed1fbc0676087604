"""Whether a batch's records are records, a column at a time: what `record.from_json` asks of each, asked of all at once. Pure.

The collector reads thousands a second, nearly all of them sound. This file must never take what `from_json` refuses;
where it is in doubt it says no, and `from_json` says which record and why.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from firmware.model.failures import is_failure
from firmware.model.record import SCHEMA, ClockQuality, Rung, Stamp, Zone
from firmware.wire.table import RecordTable

_NONE: Final = type(None)
_LOW: Final = -(2**63)
_HIGH: Final = 2**63 - 1
_VERDICT_TEXTS: Final = ("verdict", "rule_id", "overturned_by")
_Column = Sequence[Any]


def all_records(table: RecordTable) -> bool:
    """Return whether `record.from_json` would take every record of `table`. False may also mean that it is not clear."""
    try:
        return not table.height or all(is_sound(table.column(key)) for key, is_sound in _CHECK_OF.items())
    except KeyError:
        return False


def _texts(column: _Column) -> bool:
    return set(map(type, column)) == {str}


def _optional_texts(column: _Column) -> bool:
    return set(map(type, column)) <= {str, _NONE}


def _whole(column: _Column) -> bool:
    return set(map(type, column)) == {int} and min(column) >= 0 and max(column) <= _HIGH


def _any_whole(column: _Column) -> bool:
    return set(map(type, column)) == {int} and min(column) >= _LOW and max(column) <= _HIGH


def _optional_whole(column: _Column) -> bool:
    numbers = [one for one in column if one is not None]
    return not numbers or _any_whole(numbers)


def _objects(column: _Column) -> bool:
    return set(map(type, column)) == {dict}


def _words(allowed: Iterable[str]) -> Callable[[_Column], bool]:
    words = frozenset(map(str, allowed))
    return lambda column: _texts(column) and words.issuperset(column)


def _optional_words(allowed: Iterable[str]) -> Callable[[_Column], bool]:
    words = frozenset((*map(str, allowed), None))
    return lambda column: _optional_texts(column) and words.issuperset(column)


def _schemas(column: _Column) -> bool:
    return _whole(column) and min(column) >= 1 and max(column) <= SCHEMA


def _failures(column: _Column) -> bool:
    return _optional_texts(column) and all(one is None or is_failure(one) for one in set(column))


_stamps: Final = _words(Stamp)


def _phases(column: _Column) -> bool:
    if not _objects(column):
        return False
    steps = [step for phases in column for step in phases.values()]
    return not steps or (
        _objects(steps)
        and _any_whole([step["ns"] for step in steps])
        and _stamps([step["stamp"] for step in steps])
    )


def _verdicts(column: _Column) -> bool:
    verdicts = [one for one in column if one is not None]
    return not verdicts or (
        _objects(verdicts)
        and all(_texts([one[key] for one in verdicts]) for key in _VERDICT_TEXTS)
        and all(
            type(one["evidence"]) is list and set(map(type, one["evidence"])) <= {str} for one in verdicts
        )
    )


_CHECK_OF: Final[dict[str, Callable[[_Column], bool]]] = {
    "schema": _schemas,
    "software": _texts,
    "boot_id": _texts,
    "test": _texts,
    "test_version": _texts,
    "target": _texts,
    "target_name": _texts,
    "zone": _words(Zone),
    "rung": _optional_words(Rung),
    "uplink": _texts,
    "round_id": _optional_whole,
    "slot_boottime_ns": _whole,
    "start_boottime_ns": _whole,
    "start_utc_ns": _whole,
    "clock_quality": _words(ClockQuality),
    "clock_error_ns": _optional_whole,
    "runtime_ns": _whole,
    "failure": _failures,
    "failed_operation": _optional_texts,
    "phases": _phases,
    "bytes_up": _whole,
    "bytes_down": _whole,
    "detail": _objects,
    "context": _objects,
    "verdict": _verdicts,
}
