"""`tidegauge collector audit`: whether produced = stored + tombstoned for each device, and whether it can be proved.

Reads only, also while a collector runs. It must never call whole what it could not look at.
"""

import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from collector.audit.account import Totals, counted, in_words, sum_in_words, to_json
from collector.audit.auditor import audit as audit_epochs
from collector.audit.chain import ChainAudit, audit_chain
from collector.audit.chain import to_json as chain_json
from collector.audit.halves import HalvesAudit, audit_halves
from collector.audit.halves import to_json as halves_json
from collector.audit.heads import kept_heads
from collector.audit.reading import has_evidence
from collector.audit.seals import Seals
from collector.errors import CollectorError
from collector.settings import CollectorSettings
from collector.store.queries import Queries
from collector.trust.registry import Registry
from firmware.commands.errors import BadInputError, CommandError
from firmware.settings.load import SettingsError, load
from firmware.wire.messages import DEVICE_PATTERN

TELL_EVERY_S: Final = 5.0


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/collector]"
)
@click.option("--device", metavar="ID", help="Only this device.")
@click.option(
    "--ca",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The authority's directory, or a copy without its keys, to check signatures by.  "
    "[default: what the settings file has as [trust] devices]",
)
@click.option(
    "--digest",
    "digests",
    multiple=True,
    metavar="NUMBER:DIGEST",
    help="A digest of the chain that was kept elsewhere: is it still on the chain? Several may be given.",
)
@click.option(
    "--digests",
    "digest_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file with such digests in it, such as a log of the collector or what audits printed.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Write a JSON object a line, for machines: each epoch, then the sums.",
)
@click.pass_context
def audit(
    ctx: click.Context,
    /,
    *,
    data: Path | None,
    device: str | None,
    ca: Path | None,
    digests: tuple[str, ...],
    digest_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Account for every record: produced = stored + tombstoned, with the gaps if any, and check it against the evidence.

    For each device and epoch: every record is compared with the message that brought it, and the message's
    signature with the keys that were issued; every row of what was received and said with the digest chain, and the
    chain with the digests that were kept elsewhere; the devices with those that were issued. Ends with 0 when all is accounted for and nothing was changed, with
    1 when something is missing or wrong. Reads only, also while the collector runs.
    """
    # What stands before the subcommand's name counts as well: collector --config FILE audit
    before = {} if ctx.parent is None else ctx.parent.params
    try:
        settings = load(CollectorSettings, before.get("config"), {"data": data or before.get("data")})
    except SettingsError as error:
        raise BadInputError(str(error)) from error
    if device is not None and not DEVICE_PATTERN.fullmatch(device):
        raise BadInputError(f"--device: found {device!r}; allowed is {DEVICE_PATTERN.pattern}")
    database = settings.data / "collector.sqlite3"
    if not database.is_file():
        raise BadInputError(f"{database}: no collector has run here yet; name its directory with --data")
    authority = ca or settings.trust.devices
    kept = kept_heads(digests, digest_files)
    queries = Queries(database)
    try:
        if not has_evidence(queries):
            raise CommandError(
                f"{database}: it was written by older software; start the collector once to bring it up to date"
            )
        seals = Seals(None if authority is None else Registry(authority))
        totals = _run(queries, seals, device, as_json=as_json)
        chain = audit_chain(queries, kept=kept, issued=seals.devices(), device=device, progress=_Progress())
        halves = audit_halves(queries, seals, device=device)
    except CollectorError as error:
        raise CommandError(str(error)) from error
    finally:
        queries.close()
    is_whole = totals.is_whole and chain.is_whole and halves.is_whole
    if as_json:
        click.echo(
            json.dumps(
                {
                    "v": 1,
                    "whole": is_whole,
                    "signatures_checked": seals.checked,
                    **asdict(totals),
                    "chain": chain_json(chain),
                    "server_halves": halves_json(halves),
                }
            )
        )
    else:
        click.echo(_summary(totals, chain, halves, checked=seals.checked))
    ctx.exit(0 if is_whole else 1)


def _run(queries: Queries, seals: Seals, device: str | None, *, as_json: bool) -> Totals:
    """Audit, write each epoch as it is done, and return the sums."""
    totals, last = Totals(), ""
    for epoch in audit_epochs(queries, seals, device=device, progress=_Progress()):
        totals.add(epoch)
        totals.devices += epoch.device != last
        last = epoch.device
        for line in (json.dumps(to_json(epoch)),) if as_json else in_words(epoch, checked=seals.checked):
            click.echo(line)
    return totals


def _summary(totals: Totals, chain: ChainAudit, halves: HalvesAudit, *, checked: bool) -> str:
    lines = [
        *_chain_in_words(chain),
        *_halves_in_words(halves, checked=checked),
        f"{counted(totals.devices, 'device')}, {counted(totals.epochs, 'epoch')}: {sum_in_words(totals)}",
    ]
    if checked:
        lines.append(f"{totals.signed:,} of {totals.messages:,} messages bear a signature that holds")
    else:
        lines.append(
            "signatures not checked: name the authority's directory with --ca, or as [trust] devices"
        )
    if totals.is_whole and chain.is_whole and halves.is_whole:
        lines.append("all accounted for")
    else:
        unnamed = f", {totals.unnamed:,} epochs not named yet" if totals.unnamed else ""
        faults = totals.faults + chain.faults.count + halves.faults.count
        lines.append(f"NOT all accounted for: {totals.missing:,} not here{unnamed}, {faults:,} faults")
    return "\n".join(lines)


def _chain_in_words(chain: ChainAudit) -> Iterator[str]:
    """Yield what people read of the chain; its head is for them to keep."""
    yield f"digest {chain.head}  ({_utc(chain.head.at_ns)})"
    before = f", with {counted(chain.rows_before, 'row')} that were there before" if chain.rows_before else ""
    yield f"    the chain began {_utc(chain.began_ns)}{before}"
    if chain.kept:
        yield f"    {chain.kept_that_fit:,} of {counted(chain.kept, 'digest')} that were kept lie on the chain"
    else:
        yield "    no digest kept elsewhere was given (--digest, --digests): keep this one"
    for fault in chain.faults.named:
        yield f"    FAULT {fault}"
    if chain.faults.count > len(chain.faults.named):
        yield f"    {chain.faults.count - len(chain.faults.named):,} more faults"
    for device in chain.silent:
        yield f"    issued and never heard: device {device}"


def _halves_in_words(halves: HalvesAudit, *, checked: bool) -> Iterator[str]:
    """Yield what people read of measurement servers' halves; nothing where there are none."""
    if halves.halves:
        proved = f": {halves.signed:,} bear a signature that holds" if checked else ""
        yield f"{halves.halves:,} halves of tests by measurement servers{proved}"
    for fault in halves.faults.named:
        yield f"    FAULT {fault}"
    if halves.faults.count > len(halves.faults.named):
        yield f"    {halves.faults.count - len(halves.faults.named):,} more faults"


def _utc(at_ns: int) -> str:
    return dt.datetime.fromtimestamp(at_ns // 1_000_000_000, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class _Progress:
    """Says on the standard error how far a long run is, now and then."""

    def __init__(self) -> None:
        self._told_s = time.monotonic()

    def __call__(self, words: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            click.echo(words, err=True)
