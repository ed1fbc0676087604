"""`tidegauge collector export`: what a collector has stored, for a file, in our own form or as OONI measurements.

Beside each record stands when it was by all that is known now, how its round and its country were, and what the vantage
outside saw of it then, where one looked.
Reads only, also while a collector runs. This file must never write a device's id into an OONI measurement.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from collector.errors import CollectorError
from collector.lists import bring_lists
from collector.settings import CollectorSettings
from collector.store.answers import RecordFilter
from collector.store.queries import Queries
from collector.store.server_halves import HalfFilter, HalfQueries, half_to_json
from collector.vantage.surroundings import Surroundings
from firmware.commands.errors import BadInputError, CommandError
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonObject, RecordError
from firmware.model.nonce import nonce_in
from firmware.ooni.export import Format, OoniExportResult, RecordToExport, lines
from firmware.ooni.write import Origin
from firmware.settings.load import SettingsError, load

_ROWS: Final = 500


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/collector]"
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
@click.option(
    "--server-halves",
    is_flag=True,
    help="Write what measurement servers said of tests instead, a half a line, each with the device's record of that test or null.",
)
@click.pass_context
def export(
    ctx: click.Context, /, *, data: Path | None, form: str, device: str | None, server_halves: bool
) -> None:
    """Write the stored records to the standard output, a line each, in order of arrival.

    Each comes with when it was measured by all that is known now, what the vantage outside saw of its
    target at that time, where one looked, and what a measurement server said of the same test, where it is of one. How many lines were written, and what was left out of them, is said on the standard error.
    """
    # What stands before the subcommand's name counts as well: collector --config FILE export
    before = {} if ctx.parent is None else ctx.parent.params
    try:
        settings = load(CollectorSettings, before.get("config"), {"data": data or before.get("data")})
    except SettingsError as error:
        raise BadInputError(str(error)) from error
    database = settings.data / "collector.sqlite3"
    if not database.is_file():
        raise BadInputError(f"{database}: no collector has run here yet; name its directory with --data")
    account = OoniExportResult()
    known = bring_lists(settings, say=lambda sentence: click.echo(sentence, err=True))
    english = Translator(ENGLISH)
    queries = Queries(database)
    try:
        if server_halves:
            for line in _halves(queries, device):
                account.lines += 1
                click.echo(line)
            click.echo(f"servers' halves written: {account.lines:,}", err=True)
            return
        origins = {row.id: Origin(country=row.country) for row in queries.devices()}
        stored = _stored(queries, device, known.fingerprints)
        for line in lines(stored, Format(form), origins, account, english, fingerprints=known.fingerprints):
            click.echo(line)
    except (CollectorError, RecordError) as error:
        raise CommandError(str(error)) from error
    finally:
        queries.close()
    click.echo(account.in_words(), err=True)


def _stored(queries: Queries, device: str | None, fingerprints: Fingerprints) -> Iterator[RecordToExport]:
    """Yield everything that is there when this begins, and what arrives before it ends, each with its vantage."""
    after: int | None = 0
    wanted = RecordFilter(device=device)
    surroundings = Surroundings(queries, fingerprints)
    halves = HalfQueries(queries)
    while after is not None:
        page = queries.records(wanted, after=after, limit=_ROWS)
        for row in page.records:
            found = surroundings.of(row)
            yield RecordToExport(
                device=row.device,
                epoch=row.epoch,
                seq=row.seq,
                body=row.body,
                vantage=found.view,
                start=row.start,
                around=found.around,
                server_halves=_halves_of(halves, row.device, nonce_in(found.record.outcome.detail)),
            )
        after = page.next_cursor


def _halves_of(halves: HalfQueries, device: str, nonce: str | None) -> tuple[JsonObject, ...] | None:
    return None if nonce is None else tuple(half_to_json(one) for one in halves.of_test(device, nonce))


def _halves(queries: Queries, device: str | None) -> Iterator[str]:
    """Yield a line for each half that is there, in the order in which they came."""
    halves, after = HalfQueries(queries), 0
    while page := halves.halves(HalfFilter(device=device), after=after, limit=_ROWS):
        for row in page:
            epoch, seq = row.record or (None, None)
            record = None if row.record is None else {"device": row.device, "epoch": epoch, "seq": seq}
            yield json.dumps({**half_to_json(row), "record": record})
        after = page[-1].id
