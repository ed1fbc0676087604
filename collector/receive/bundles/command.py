"""`tidegauge collector import`: what devices exported to a USB drive, taken in; and the answers, for the way back.

Exit status: 0 all of it is taken, 1 something was damaged or refused, 2 what was given cannot be right.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from collector.errors import CollectorDataDirInUseError, CollectorError
from collector.messages import OutgoingMessage
from collector.receive.bundles.answers import Answering
from collector.receive.bundles.importing import Handle, bundles, import_bundle
from collector.receive.bundles.posting import Poster
from collector.receive.inbox import Inbox
from collector.receive.ingest import IngestThread
from collector.settings import CollectorSettings
from collector.store.database import Store
from collector.store.datadir import CollectorDataDir
from collector.store.queries import Queries
from collector.trust.gate import Gate, gate_of
from firmware.commands.errors import BadInputError, CommandError
from firmware.settings.load import SettingsError, load


@click.command(name="import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/collector]"
)
@click.pass_context
def import_(ctx: click.Context, /, *, paths: tuple[Path, ...], data: Path | None) -> None:
    """Take in what devices exported (`tidegauge export --to`): files, a directory, or a USB drive.

    Says of each file how many records were new. Beside it the answers are written (NAME.acks.bundle): put the USB drive back
    into the device and it lets go of what arrived. Importing twice does no harm. Where the collector of this data
    directory runs, the messages go through its intake; it must have one then.
    """
    # What stands before the subcommand's name counts as well: collector --config FILE import
    before = {} if ctx.parent is None else ctx.parent.params
    try:
        settings = load(CollectorSettings, before.get("config"), {"data": data or before.get("data")})
    except SettingsError as error:
        raise BadInputError(str(error)) from error
    try:
        missing = next((path for path in paths if not path.exists()), None)
        found = [] if missing is not None else list(bundles(paths))
    except OSError as error:
        raise CommandError(
            f"{error.filename}: cannot be read ({error.strerror}); a USB drive that was pulled too early may need its "
            "system's repair (fsck, chkdsk) or to be made anew: what was on it is still at the device"
        ) from error
    if missing is not None:
        raise BadInputError(
            f"{missing}: it is not there; name a bundle, a directory with bundles, or a USB drive"
        )
    if not found:
        raise BadInputError(
            f"{paths[0]}: there is no bundle in it (*.bundle, or tidegauge-bundles/*.bundle on a USB drive)"
        )
    try:
        whole = _import(settings, found)
    except CollectorError as error:
        raise CommandError(str(error)) from error
    ctx.exit(0 if whole else 1)


def _import(settings: CollectorSettings, found: Sequence[Path]) -> bool:
    """Import the bundles, and say of each what came of it; return whether all of it was taken."""
    with ExitStack() as stack:
        gate = gate_of(settings)
        handle = _handle(settings, gate, stack)
        queries = Queries(settings.data / "collector.sqlite3")
        stack.callback(queries.close)
        chain = b"" if gate.signer is None else gate.signer.chain
        whole = True
        for path in found:
            with Answering(path, chain=chain) as answering:
                done = import_bundle(
                    path,
                    handle,
                    answering,
                    stored=lambda device: queries.completeness(device).stored,
                )
            if answering.fault:
                done.faults.append(answering.fault)
            click.echo(str(done))
            whole = whole and not done.faults
        return whole


def _handle(settings: CollectorSettings, gate: Gate, stack: ExitStack) -> Handle:
    """Return what takes the messages: the store itself, or the intake of the collector that has it."""
    try:
        directory = CollectorDataDir.open(settings.data)
    except CollectorDataDirInUseError as error:
        if not settings.intake.port:
            raise CollectorError(
                f"{error}; or give the running collector an [intake], and the messages go through it"
            ) from error
        return stack.enter_context(Poster(settings.intake)).handle
    stack.callback(directory.close)
    store = Store.open(directory.database)
    stack.callback(store.close)
    return IngestThread(store, Inbox(max_messages=1, max_bytes=1), _nowhere, gate=gate).handle


def _nowhere(_: OutgoingMessage) -> None:
    """Drop what nobody waits for."""
