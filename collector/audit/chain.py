"""The audit of the digest chain: rows against it, it against the digests that somebody kept, devices against the authority.

    1  every entry follows from the one before it
    2  every row that the chain covers is as its last entry says, is there if that says so, and else is not
    3  every digest that was kept lies on the chain
    4  the records stand in the order in which their messages came
    5  every device that the authority issued is known to a table; one that the chain names and no table knows was taken out

Each page of rows is read in one transaction with the entries there are by then, so that a collector may go on beside it.
It must never call a row changed that the collector wrote.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from collector.audit import reading
from collector.audit.account import Faults
from collector.audit.replay import Replay
from collector.store.chain import DELETED, Head
from collector.store.covered import COVERED, Covered, Value, row_digest
from collector.store.queries import Queries

ROWS_A_PAGE: Final = 500
KEYS_SHOWN: Final = 3
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainAudit:
    """What was found. `silent` are devices that were issued and never heard: worth a look, and no fault by itself."""

    head: Head
    began_ns: int
    rows_before: int
    kept: int
    kept_that_fit: int
    faults: Faults
    silent: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is wrong."""
        return self.faults.count == 0


@dataclass(slots=True)
class _Group:
    """Rows of one table and one device or country with which the same is wrong."""

    first_entry: int
    last_entry: int
    count: int = 0
    keys: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """What is wrong with rows, gathered so that one device's many rows do not hide another's."""

    only: str | None
    groups: dict[tuple[str, str, str], _Group] = field(default_factory=dict)

    def add(self, what: str, key: str, entry: int) -> None:
        table, whose, *_ = json.loads(key)
        if self.only is not None and whose != self.only:
            return
        group = self.groups.setdefault((table, str(whose), what), _Group(entry, entry))
        group.first_entry, group.last_entry = min(group.first_entry, entry), max(group.last_entry, entry)
        group.count += 1
        if len(group.keys) < KEYS_SHOWN:
            group.keys.append(key)

    def tell(self, faults: Faults) -> None:
        """Add a fault for each group, the first entry's first."""
        for (table, whose, what), group in sorted(self.groups.items(), key=lambda one: one[1].first_entry):
            entries = (
                ""
                if group.last_entry == 0
                else f" (entry {group.first_entry:,})"
                if group.first_entry == group.last_entry
                else f" (entries {group.first_entry:,}–{group.last_entry:,})"
            )
            rows = "1 row" if group.count == 1 else f"{group.count:,} rows"
            more = " …" if group.count > len(group.keys) else ""
            faults.add(
                f"{table} of {whose or 'nobody'}: {rows} {what}{entries}: {', '.join(group.keys)}{more}"
            )


def audit_chain(
    queries: Queries,
    *,
    kept: Iterable[Head] = (),
    issued: Iterable[str] = (),
    device: str | None = None,
    progress: Progress = lambda _: None,
) -> ChainAudit:
    """Audit the chain and all it covers; of rows only those of `device`, if one is named. Raises `StoreError`."""
    faults, found = Faults(), _Found(device)
    wanted = tuple(kept)
    replay = Replay(faults, wanted)
    try:
        more = True
        while more:
            with queries.reading() as connection:
                more = replay.catch_up(connection)
            progress(f"digest chain: {replay.head.number:,} entries read")
        for one in COVERED:
            _rows(queries, replay, one, found)
            _gone(queries, replay, one, found)
            progress(f"digest chain: {one.table} compared")
        _heads(faults, replay, wanted)
        gone, silent = _devices(queries, replay, issued, device)
        for name, (first, last) in gone.items():
            faults.add(
                f"device {name}: nothing is left of it, and entries {first:,}–{last:,} of the chain have it"
            )
        rewritten = len(replay.on_chain) < len({(one.number, one.digest) for one in wanted})
        for name in silent if rewritten or replay.first_broken is not None else ():
            faults.add(f"device {name}: it was issued, no table knows it, and the chain is not what it was")
        found.tell(faults)
        if device is None:
            _order(queries, faults)
        return ChainAudit(
            head=replay.head,
            began_ns=replay.began_ns,
            rows_before=replay.rows_before,
            kept=len(wanted),
            kept_that_fit=len(replay.on_chain),
            faults=faults,
            silent=silent,
        )
    finally:
        replay.close()


def _rows(queries: Queries, replay: Replay, one: Covered, found: _Found) -> None:
    """Compare each row that is there with what the chain says last of it."""
    after: tuple[Value, ...] | None = None
    while True:
        with queries.reading() as connection:
            while replay.catch_up(connection):
                pass
            page = connection.execute(*_page(one, after)).fetchall()
        for row in page:
            key, digest = one.key(row), row_digest(row)
            item = replay.item(key, seen=True)
            if item is None:
                found.add("that no entry has", key, replay.head.number)
            elif item.digest == DELETED:
                found.add("there that the chain deleted", key, item.entry)
            elif item.digest != digest:
                found.add("not as the chain has it", key, item.entry)
        if len(page) < ROWS_A_PAGE:
            return
        after = tuple(page[-1][: one.key_columns])


def _page(one: Covered, after: tuple[Value, ...] | None) -> tuple[str, tuple[Value, ...]]:
    columns, keys = ", ".join(one.columns), ", ".join(one.columns[: one.key_columns])
    marks = ", ".join("?" * one.key_columns)
    where = "" if after is None else f"WHERE ({keys}) > ({marks})"
    # The names are ours.
    return (
        f"SELECT {columns} FROM {one.table} {where} ORDER BY {keys} LIMIT {ROWS_A_PAGE}",  # noqa: S608
        after or (),
    )


def _gone(queries: Queries, replay: Replay, one: Covered, found: _Found) -> None:
    """Look for each row that should be there and was not met; the collector may have written it meanwhile."""
    keys = " AND ".join(f"{name} = ?" for name in one.columns[: one.key_columns])
    query = f"SELECT {', '.join(one.columns)} FROM {one.table} WHERE {keys}"  # noqa: S608  # names of our own
    after = ""
    while page := replay.unseen(one.table, after, ROWS_A_PAGE):
        after = page[-1]
        with queries.reading() as connection:
            while replay.catch_up(connection):
                pass
            for key in page:
                row = connection.execute(query, json.loads(key)[2:]).fetchone()
                item = replay.item(key)
                if item is None or item.digest == DELETED:
                    continue
                if row is None or one.key(row) != key:
                    found.add("gone that the chain has", key, item.entry)
                elif row_digest(row) != item.digest:
                    found.add("not as the chain has it", key, item.entry)


def _heads(faults: Faults, replay: Replay, wanted: Iterable[Head]) -> None:
    """Return which of the digests that were kept do not lie on the chain, and from where on it may have been rewritten."""
    fits = 0
    for one in wanted:
        if (one.number, one.digest) in replay.on_chain:
            fits = one.number
        elif one.number > replay.head.number:
            faults.add(
                f"the digest of entry {one.number:,} was kept, and the chain ends at {replay.head.number:,}:"
                " its end was cut off"
            )
        else:
            faults.add(
                f"the digest of entry {one.number:,} is not the one that was kept: what entries"
                f" {fits + 1:,}–{one.number:,} cover was changed, and the chain made anew"
            )


def _devices(
    queries: Queries, replay: Replay, issued: Iterable[str], only: str | None
) -> tuple[Mapping[str, tuple[int, int]], tuple[str, ...]]:
    """Return the devices that the chain names and no table knows, and those that were issued and never heard."""

    def wanted(names: Iterable[str]) -> Iterator[str]:
        return (name for name in sorted(set(names)) if only is None or name == only)

    unknown = [name for name in wanted((*replay.named, *issued)) if not reading.knows(queries, name)]
    gone = {name: replay.named[name] for name in unknown if name in replay.named}
    return gone, tuple(name for name in unknown if name not in gone)


def _order(queries: Queries, faults: Faults) -> None:
    """Look whether records stand in the order of arrival: numbers without a gap, their messages' ascending."""
    last, last_message = 0, 0
    for number, message in reading.arrivals(queries):
        if number != last + 1:
            faults.add(f"records: {last + 1:,}–{number - 1:,} in the order of arrival are gone")
        if message is not None:
            if message < last_message:
                faults.add(
                    f"record {number:,} in the order of arrival: its message came before the one before it"
                )
            last_message = message
        last = number


def to_json(found: ChainAudit) -> dict[str, Any]:
    """Return it for machines."""
    return {
        "head": str(found.head),
        "head_ns": found.head.at_ns,
        "began_ns": found.began_ns,
        "rows_before": found.rows_before,
        "kept": found.kept,
        "kept_that_fit": found.kept_that_fit,
        "never_heard": list(found.silent),
        "faults": found.faults.count,
        "faults_named": [str(one) for one in found.faults.named],
    }
