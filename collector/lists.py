"""The lists of fingerprints that a collector goes by, and `tidegauge collector fingerprints`, which shows or checks them.

This file must never stop a collector for a list that cannot be read: it is said, and the others count.
"""

from collections.abc import Callable
from pathlib import Path

import click

from collector.settings import CollectorSettings
from firmware.commands.errors import BadInputError
from firmware.commands.fingerprints import show
from firmware.judgement.fingerprints.lists import Lists, bring
from firmware.settings.load import SettingsError, load


def bring_lists(settings: CollectorSettings, say: Callable[[str], None]) -> Lists:
    """Return the fingerprints to go by; `say` is told of everything that was left out."""
    lists = bring([] if settings.fingerprints is None else [settings.fingerprints])
    for sentence in lists.left_out:
        say(f"left out of the fingerprints: {sentence}")
    return lists


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE|DIRECTORY]...", type=click.Path(path_type=Path))
@click.pass_context
def fingerprints(ctx: click.Context, /, *, paths: tuple[Path, ...]) -> None:
    """Show the lists of fingerprints that this collector goes by, or check others before they are used.

    Without FILE those of the settings are shown: collector --config collector.toml fingerprints. Exits with 0 when every
    row can be used, with 1 when some were left out, with 2 when a file cannot be read at all.
    """
    before = {} if ctx.parent is None else ctx.parent.params
    try:
        settings = load(CollectorSettings, before.get("config"), {})
    except SettingsError as error:
        raise BadInputError(str(error)) from error
    lists = bring(paths or ([] if settings.fingerprints is None else [settings.fingerprints]))
    show(lists)
    if lists.faults:
        raise BadInputError("\n".join(lists.faults))
    if lists.left_out:
        ctx.exit(1)
