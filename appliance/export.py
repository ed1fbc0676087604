"""`tidegauge export`: the records that wait on a device, for a USB drive, or for a file in our own form or OONI's.

Reads only, also while a device runs: nothing leaves the outbox by it. This file must never write a device's own id
into an OONI measurement.
"""

import json
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from appliance.delivery.removable.command import to_directory
from appliance.errors import ApplianceError
from appliance.measuring.surroundings import surrounded
from appliance.outbox.box import Outbox
from appliance.parts import bring_lists
from appliance.settings import DeviceSettings
from appliance.storage.datadir import read_device
from firmware.commands.errors import BadInputError, CommandError
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator
from firmware.model.jsontypes import RecordError
from firmware.model.plan import PlanError
from firmware.model.record import Record, from_json
from firmware.ooni.export import Format, OoniExportResult, RecordToExport, lines
from firmware.ooni.write import Origin
from firmware.plans import load as plans
from firmware.settings.load import SettingsError, load

_ROWS: Final = 500
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--config", type=_FILE, help="The device's settings file (TOML).")
@click.option("--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/device]")
@click.option(
    "--format",
    "form",
    type=click.Choice([str(form) for form in Format]),
    default=str(Format.JSONL),
    show_default=True,
    help="What a line is: a record of ours, or an OONI measurement.",
)
@click.option(
    "--country", metavar="CC", help="The country to write into OONI measurements, if not the plan's."
)
@click.option(
    "--to",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write them into DIR/tidegauge-bundles instead, as signed messages that `tidegauge collector import` takes in.",
)
def export(
    *, config: Path | None, data: Path | None, form: str, country: str | None, directory: Path | None
) -> None:
    """Write the records that wait on this device to the standard output, a line each; or onto a USB drive.

    Nothing leaves the device by it: what was exported is still delivered. How many lines were written, and what
    was left out of them, is said on the standard error. With --to, ends with 1 where the USB drive was full.
    """
    if directory is not None and form != str(Format.JSONL):
        raise click.UsageError("--to writes messages for a collector, which have no --format: leave one out")
    account = OoniExportResult()
    english = Translator(ENGLISH)
    try:
        settings = load(DeviceSettings, config, {"data": data})
        chosen = plans.load(country or settings.country or None, None if country else settings.plan)
        if read_device(settings.data) is None:
            raise BadInputError(
                f"{settings.data}: no device has run here yet; name its directory with --data"
            )
        if directory is not None:
            click.echo(to_directory(settings.data, directory, country=chosen.country))
            return
        origin = Origin(country=chosen.country, architecture=platform.machine())
        with Outbox.open_for_export(settings.data / "outbox.sqlite3") as outbox:
            epochs = (*outbox.past(), outbox)
            origins = {epoch.device: origin for epoch in epochs}
            known = bring_lists(settings).fingerprints
            for line in lines(waiting(epochs), Format(form), origins, account, english, fingerprints=known):
                click.echo(line)
    except (PlanError, SettingsError) as error:
        raise BadInputError(str(error)) from error
    except (ApplianceError, RecordError) as error:
        raise CommandError(str(error)) from error
    click.echo(account.in_words(), err=True)


def waiting(epochs: Iterable[Outbox]) -> Iterator[RecordToExport]:
    """Yield what waits of each epoch, lowest seq first, with what is known of its round; records of earlier epochs keep their identity."""
    for epoch in epochs:
        for seq, body, around in surrounded(_records(epoch)):
            yield RecordToExport(device=epoch.device, epoch=epoch.epoch, seq=seq, body=body, around=around)


def _records(epoch: Outbox) -> Iterator[tuple[int, str, Record | None]]:
    seq = 0
    while rows := epoch.oldest(_ROWS, above=seq):
        for row in rows:
            yield row.seq, row.body, _record(row.body)
        seq = rows[-1].seq


def _record(body: str) -> Record | None:
    """Return the record that a row is; None for one that cannot be read, which goes out as it is."""
    try:
        return from_json(json.loads(body))
    except (ValueError, RecordError):
        return None
