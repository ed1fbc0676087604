"""`tidegauge collector export`: what a collector has stored, for a file, in our own form or as OONI measurements.

Reads only, also while a collector runs. This file must never write a device's id into an OONI measurement.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from collector.errors import CollectorError
from collector.store.answers import RecordFilter
from collector.store.queries import Queries
from firmware.commands.errors import BadInputError, CommandError
from firmware.jsontypes import RecordError
from firmware.ooni.export import Format, Stored, Written, lines
from firmware.ooni.write import Origin

_ROWS: Final = 500


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data/collector"),
    show_default=True,
    help="The collector's data directory.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([str(form) for form in Format]),
    default=str(Format.JSONL),
    show_default=True,
    help="What a line is: a record of ours, or an OONI measurement.",
)
@click.option("--device", metavar="ID", help="Only this device's records.")
def export(*, data: Path, form: str, device: str | None) -> None:
    """Write the stored records to the standard output, a line each, in order of arrival.

    How many lines were written, and what was left out of them, is said on the standard error.
    """
    database = data / "collector.sqlite3"
    if not database.is_file():
        raise BadInputError(f"{database}: no collector has run here yet; name its directory with --data")
    account = Written()
    queries = Queries(database)
    try:
        origins = {row.id: Origin(country=row.country) for row in queries.devices()}
        for line in lines(_stored(queries, device), Format(form), origins, account):
            click.echo(line)
    except (CollectorError, RecordError) as error:
        raise CommandError(str(error)) from error
    finally:
        queries.close()
    click.echo(account.in_words(), err=True)


def _stored(queries: Queries, device: str | None) -> Iterator[Stored]:
    """Yield everything that is there when this begins, and what arrives before it ends."""
    after: int | None = 0
    wanted = RecordFilter(device=device)
    while after is not None:
        page = queries.records(wanted, after=after, limit=_ROWS)
        for row in page.records:
            yield Stored(device=row.device, epoch=row.epoch, seq=row.seq, body=row.body)
        after = page.next_cursor
