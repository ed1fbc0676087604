"""`tidegauge identity`: ask for this device's certificate, install it, look at it. No key is ever printed or sent."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from appliance.errors import ApplianceError
from appliance.identity.files import IdentityError, IdentityFiles, read, write
from appliance.identity.identity import DeviceIdentity, leaf_name
from appliance.identity.renewal import recover, request, span_of
from appliance.storage.datadir import DataDir, adopt_device, read_device
from firmware.model.jsontypes import RecordError
from firmware.wire.measurement_token import MAX_LIFETIME_S
from firmware.wire.trust_list import FILE_NAME

_DATA: Final = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data/device"),
    show_default=True,
    help="The device's data directory.",
)


@click.group()
def identity() -> None:
    """Give this device its key and certificate, and look at them.

    The key is made here and never leaves: `request` writes what goes to `tidegauge provision device --request`, and
    `install` takes what comes back.
    """


@identity.command("request")
@_DATA
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where to write it."
)
def request_(*, data: Path, out: Path) -> None:
    """Make this device's key and write the request for its certificate."""
    with _faults_in_words():
        files = IdentityFiles(data=data)
        if files.are_there:
            raise IdentityError(
                "there is an identity already",
                where=files.folder,
                remedy="It is renewed by itself; to begin anew as a new device, move the data directory away",
            )
        with DataDir.open(data) as directory:
            device = directory.device
        write(out, request(files, device=device, first=True))
    click.echo(f"device   {device}")
    click.echo(f"written  {out} (no secret; the key stays in {files.folder})")
    click.echo(
        f"next     where the authority is: tidegauge provision device --request {out.name} --out {device}"
    )


@identity.command("install")
@click.argument("source", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_DATA
def install(*, source: Path, data: Path) -> None:
    """Install what `tidegauge provision device` wrote into DIR."""
    with _faults_in_words():
        files = IdentityFiles(data=data)
        chain, trust = read(source / "certificate.pem"), read(source / "trust.pem")
        brought, listed = source / "key.pem", source / FILE_NAME
        key = read(brought) if brought.exists() else read(files.key)
        device = leaf_name(chain, where=source)
        known = read_device(data) if data.exists() else None
        fitting = DeviceIdentity.of(files, key, chain, trust, device=known or device)
        if known is None:
            adopt_device(data, device)
        write(files.trust, trust)
        write(files.certificate, chain)
        write(files.key, key, secret=True)
        if listed.exists():
            _take_list(fitting, listed)
    click.echo(f"device     {device}")
    click.echo(f"installed  {files.folder}")
    if brought.exists():
        click.echo(f"delete     {brought}: whoever has it can speak as this device")


@identity.command("show")
@_DATA
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def show(*, data: Path, as_json: bool) -> None:
    """Say who this device is, and until when its certificate is good."""
    with _faults_in_words():
        loaded = _loaded(data)
    before, after = span_of(loaded.certificate)
    asked = loaded.files.next_key.exists()
    if as_json:
        said = {
            "device": loaded.device,
            "not_before": before.isoformat(),
            "not_after": after.isoformat(),
            "asked": asked,
        }
        click.echo(json.dumps(said))
        return
    run_out = " (run out)" if after < dt.datetime.now(dt.UTC) else ""
    click.echo(f"device       {loaded.device}")
    click.echo(f"certificate  from {before:%Y-%m-%d} until {after:%Y-%m-%d}{run_out}")
    click.echo(
        f"next one     {'asked for' if asked else 'asked for by itself from ' + format(before + (after - before) / 2, '%Y-%m-%d')}"
    )


@identity.command("token")
@_DATA
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where to write it."
)
@click.option(
    "--hours",
    type=click.IntRange(1, MAX_LIFETIME_S // 3600),
    default=MAX_LIFETIME_S // 3600,
    show_default=True,
    help="How long it counts, from now on by this machine's clock.",
)
def token(*, data: Path, out: Path, hours: int) -> None:
    """Write the token by which measurement servers know this device.

    Whoever has it can measure on this device's account for as long as it counts; only its owner can read the file.
    """
    with _faults_in_words():
        signed = _loaded(data).measurement_token(int(time.time()), lasts_s=hours * 3600)
        write(out, signed.encode() + b"\n", secret=True)
    click.echo(f"written  {out} (a secret for {hours} hours)")


def _loaded(data: Path) -> DeviceIdentity:
    """Return the identity in `data`. Raises `IdentityError` where there is none."""
    files = IdentityFiles(data=data)
    device = read_device(data)
    if device is None or not files.are_there:
        raise IdentityError(
            "there is no identity here; what is sent from here is not signed",
            where=data,
            remedy="Begin with: tidegauge identity request --out request.csr",
        )
    recover(files)
    return DeviceIdentity.load(files, device=device)


def _take_list(identity: DeviceIdentity, listed: Path) -> None:
    try:
        identity.take_list(read(listed))
    except RecordError as error:
        raise IdentityError(
            f"it cannot be taken ({error})",
            where=listed,
            remedy="Give the directory that `tidegauge provision device` wrote",
        ) from error


@contextmanager
def _faults_in_words() -> Iterator[None]:
    try:
        yield
    except ApplianceError as error:
        raise click.ClickException(str(error)) from error
