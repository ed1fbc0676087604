"""Whether a batch's records are records, a column at a time: what `record.from_json` asks of each, asked of all at once. Pure.

The collector reads thousands a second, nearly all of them sound. This file must never take what `from_json` refuses;
where it is in doubt it says no, and `from_json` says which record and why.
"""

from firmware.model.record import are_records
from firmware.wire.table import RecordTable


def all_records(table: RecordTable) -> bool:
    """Return whether `record.from_json` would take every record of `table`. False may also mean that it is not clear."""
    try:
        return not table.height or are_records(table.column)
    except KeyError:
        return False
