"""`tidegauge provision`: make an authority, give identities, revoke them, write the broker's configuration."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from firmware.wire.messages import DEVICE_PATTERN
from firmware.wire.trust_list import FILE_NAME as TRUST_LIST
from firmware.wire.trust_list import TrustList
from provisioning import broker as brokers
from provisioning import trust
from provisioning.authority import Authority, Issued, write
from provisioning.certificates import Role, key_pem, make_key, make_request, pem
from provisioning.errors import BadRequestError, ProvisioningError

WATCH_S: Final = 5.0
DRIVE_FOLDER: Final = "tidegauge-bundles"
DRIVE_MARKER: Final = "TIDEGAUGE"
"""Where a device looks on a USB drive (`appliance.delivery.removable.folder`), and what it knows a drive of ours by."""
_DIRECTORY: Final = click.Path(file_okay=False, path_type=Path)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


class _BadInputError(click.ClickException):
    exit_code = 2


def _ca_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--ca",
        type=_DIRECTORY,
        default=Path("authority"),
        show_default=True,
        help="The authority's directory.",
    )(command)


@click.group()
def provision() -> None:
    """Give devices, brokers, collectors and measurement servers their identities, and take them back.

    Everything is in the authority's directory, made by `tidegauge provision ca`. Copy root.key out of it to a
    place that is offline: nothing here needs it again.
    """


@provision.command()
@click.argument("directory", type=_DIRECTORY, default=Path("authority"))
@click.option(
    "--name", default="Tidegauge", show_default=True, help="What the certificates call the authority."
)
def ca(*, directory: Path, name: str) -> None:
    """Make a certificate authority.

    In DIRECTORY, which is `authority` unless given, and must be empty or not be there.
    """
    with _faults_in_words():
        Authority.make(directory, name=name, now=_now())
    click.echo(f"made       {directory}: root.crt (20 years), issuing.crt (10 years)")
    click.echo(f"keep away  {directory}/root.key: copy it to an offline place, then delete it here")
    click.echo(f"next       tidegauge provision broker --ca {directory} --host NAME --out broker")


@provision.command()
@_ca_option
@click.option("--out", type=_DIRECTORY, required=True, help="Where the identity is written: DIR of the card.")
@click.option(
    "--request",
    type=_FILE,
    help="What `tidegauge identity request` wrote on the device: its key stays there.",
)
@click.option("--device", "device", metavar="ID", help="Make the key here, for the device of this id.")
def device(*, ca: Path, out: Path, request: Path | None, device: str | None) -> None:
    """Give one device its identity.

    A certificate, and what it trusts. Best with --request: the key is made on the device and never leaves it. With --device the key is made here and
    lies in --out until it is on the card; delete it then.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        if (request is None) == (device is None):
            raise BadRequestError("give one of --request FILE and --device ID")
        key = None if request else make_key()
        text = request.read_bytes() if request else make_request(_device_id(device or ""), key or make_key())
        name, chain = authority.issue_device(text, now=_now())
        _fresh(out)
        write(out / "certificate.pem", chain)
        write(out / "trust.pem", pem(authority.root))
        listed = (authority.path / TRUST_LIST).exists()
        if listed:
            write(out / TRUST_LIST, (authority.path / TRUST_LIST).read_bytes())
        if key is not None:
            write(out / "key.pem", key_pem(key), mode=0o600)
    click.echo(f"device   {name}")
    click.echo(
        f"written  {out}: certificate.pem, trust.pem"
        + (f", {TRUST_LIST}" if listed else "")
        + (", key.pem (secret)" if key else "")
    )
    click.echo(f"next     on the device: tidegauge identity install {out.name}")


@provision.command()
@_ca_option
@click.option("--out", type=_DIRECTORY, required=True, help="Where its identity is written.")
@click.option("--name", default="collector", show_default=True, help="Its name, one for each collector.")
def collector(*, ca: Path, out: Path, name: str) -> None:
    """Give a collector its identity.

    It connects to the broker with it, and signs what it says to devices.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        _no_device(name)
        key = make_key()
        chain = authority.issue(name, Role.COLLECTOR, key.public_key(), now=_now())
        _write_identity(authority, out, chain, key_pem(key))
        listed = authority.trust_list()
    click.echo(f"written  {out}: certificate.pem, key.pem (secret), trust.pem")
    if listed is not None:
        click.echo(f"listed   {_list_line(listed)}: devices take it from a collector that has it")


@provision.command()
@_ca_option
@click.option("--out", type=_DIRECTORY, required=True, help="Where its files are written.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name or address devices reach it by; may be repeated.",
)
@click.option("--port", default=brokers.MQTT_PORT, show_default=True, help="The port of MQTT over TLS.")
@click.option(
    "--websocket-port",
    default=brokers.WEBSOCKET_PORT,
    show_default=True,
    help="The port of MQTT over WebSocket over TLS; 0 for none.",
)
@click.option("--address", default="", help="The address to listen on.  [default: all]")
@click.option("--user", default="", help="The user mosquitto becomes when it is started as root.")
def broker(
    *, ca: Path, out: Path, hosts: tuple[str, ...], port: int, websocket_port: int, address: str, user: str
) -> None:
    """Write mosquitto's configuration.

    With access list and certificate; to be done again after each new or revoked device.

    The broker's certificate is made when it is missing or --host is given. Afterwards: kill -HUP the broker, and what
    changed counts, also for connections that stand.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        out.mkdir(parents=True, exist_ok=True)
        if hosts or not (out / "certificate.pem").exists():
            if not hosts:
                raise BadRequestError(
                    "--host: the broker has no certificate yet; name what devices reach it by"
                )
            key = make_key()
            chain = authority.issue(hosts[0], Role.BROKER, key.public_key(), now=_now(), hosts=hosts)
            write(out / "key.pem", key_pem(key), mode=0o600)
            write(out / "certificate.pem", chain)
        write(out / "trust.pem", pem(authority.root, authority.issuing))
        write(out / "revoked.crl", (authority.path / "revoked.crl").read_bytes())
        held = [one for one in authority.issued() if one.revoked is None]
        names = {role: [one.name for one in held if one.role is role] for role in Role}
        write(out / "access", brokers.access_list(names[Role.DEVICE], names[Role.COLLECTOR]).encode())
        files = brokers.BrokerFiles(
            trust=out.absolute() / "trust.pem",
            certificate=out.absolute() / "certificate.pem",
            key=out.absolute() / "key.pem",
            revoked=out.absolute() / "revoked.crl",
            access=out.absolute() / "access",
        )
        text = brokers.configuration(
            files, port=port, websocket_port=websocket_port, address=address, user=user
        )
        write(out / "mosquitto.conf", text.encode())
    click.echo(
        f"written  {out}: mosquitto.conf, access ({len(set(names[Role.DEVICE]))} devices), trust.pem, revoked.crl"
    )
    click.echo(f"next     mosquitto -c {out / 'mosquitto.conf'}; where it runs already: kill -HUP it")


@provision.command("measurement-server")
@_ca_option
@click.option("--out", type=_DIRECTORY, required=True, help="Where its identity is written.")
@click.option("--name", default="measurement", show_default=True, help="Its name, one for each server.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name or address it is reached by; may be repeated. Devices need none: they know it by authority and role.",
)
def measurement_server(*, ca: Path, out: Path, name: str, hosts: tuple[str, ...]) -> None:
    """Give a measurement server its identity.

    Devices believe it by the authority that issued it and by its role, whatever name they ask it for.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        _no_device(name)
        key = make_key()
        chain = authority.issue(name, Role.MEASUREMENT_SERVER, key.public_key(), now=_now(), hosts=hosts)
        _write_identity(authority, out, chain, key_pem(key))
    click.echo(f"written  {out}: certificate.pem, key.pem (secret), trust.pem")
    click.echo(f'next     [measurement] identity = "{out}" in the settings of its collector, or of itself')


@provision.command()
@_ca_option
@click.argument("name")
@click.option("--reason", default="", help="Why, kept with it.")
def revoke(*, ca: Path, name: str, reason: str) -> None:
    """Take back every certificate of NAME.

    A device's id, or the name of a collector, a broker or a measurement server.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        before = authority.trust_list()
        count = authority.revoke(name, now=_now(), reason=reason)
        after = authority.trust_list()
    click.echo(
        f"revoked  {name}: {count} certificate{'s' if count != 1 else ''} that {'were' if count != 1 else 'was'} in force"
    )
    if after is not None and after != before:
        click.echo(f"listed   {_list_line(after)}: give {ca / TRUST_LIST} to each collector's copy of {ca}")
    click.echo(
        "next     tidegauge provision broker …, and kill -HUP the broker; a collector reads it by itself"
    )


@provision.command()
@_ca_option
@click.option("--watch", is_flag=True, help="Go on, looking every few seconds, until Ctrl-C.")
def renew(*, ca: Path, watch: bool) -> None:
    """Issue the next certificates, and the next trust list.

    Those that devices asked their collector for before theirs ran out, or after; and the list of which collectors count,
    when the last one is a month old.
    """
    while True:
        with _faults_in_words(), Authority.open(ca) as authority:
            done = authority.renew(now=_now())
            listed = authority.renew_list(now=_now())
        if listed is not None:
            click.echo(f"listed   {_list_line(listed)}")
        for name, refused in done:
            click.echo(f"refused  {name}: {refused}" if refused else f"renewed  {name}")
        if not watch:
            break
        time.sleep(WATCH_S)


@provision.command("trust")
@_ca_option
@click.option(
    "--days",
    default=trust.LIFETIME.days,
    show_default=True,
    help="How long it counts; devices then let go of nothing.",
)
@click.option(
    "--root-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Have the root sign it: where the issuing key was stolen. Later ones must be by the root as well.",
)
@click.option(
    "--number", default=0, help="Give it this number at least: where the directory was restored from a copy."
)
@click.option("--to", type=_DIRECTORY, help="Also write it there: a USB drive for devices, or a directory.")
def trust_(*, ca: Path, days: int, root_key: Path | None, number: int, to: Path | None) -> None:
    """Write the next list of which collectors count.

    `collector`, `revoke` and `renew` do it by themselves. A device lets go of a record only on the word of a collector
    in the newest list it has seen, and takes only a newer one.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        made = authority.list_collectors(
            now=_now(), lifetime=dt.timedelta(days=days), root_key=root_key, number=number
        )
        if to is not None:
            folder = to / DRIVE_FOLDER
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / TRUST_LIST, (authority.path / TRUST_LIST).read_bytes())
            if not (to / DRIVE_MARKER).exists():
                write(to / DRIVE_MARKER, b"")
    click.echo(f"listed   {_list_line(made)}")
    click.echo(f"written  {ca / TRUST_LIST}" + (f" and {folder / TRUST_LIST}" if to is not None else ""))


@provision.command("list")
@_ca_option
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a line.")
def list_(*, ca: Path, as_json: bool) -> None:
    """List every certificate there is.

    Whose, until when, whether it was revoked and why.
    """
    with _faults_in_words(), Authority.open(ca) as authority:
        issued = authority.issued()
    now = _now()
    for one in issued:
        click.echo(json.dumps(_to_json(one)) if as_json else _line(one, now))
    if not issued and not as_json:
        click.echo("no certificate was issued yet")


def _list_line(listed: TrustList) -> str:
    count = len(listed.collectors)
    until = dt.datetime.fromtimestamp(listed.not_after_utc_ns / 1e9, tz=dt.UTC)
    return (
        f"trust list {listed.number}: {count} collector{'s' if count != 1 else ''}, {len(listed.revoked)} revoked, "
        f"until {until:%Y-%m-%d}"
    )


def _line(one: Issued, now: dt.datetime) -> str:
    state = "in force"
    if one.revoked is not None:
        why = f": {one.revoked.reason}" if one.revoked.reason else ""
        state = f"revoked {one.revoked.when:%Y-%m-%d}{why}"
    elif one.not_after < now:
        state = "run out"
    return f"{one.name:<24} {one.role:<18} until {one.not_after:%Y-%m-%d}  {state}"


def _to_json(one: Issued) -> dict[str, str | None]:
    return {
        "name": one.name,
        "role": one.role,
        "serial": f"{one.serial:x}",
        "not_after": one.not_after.isoformat(),
        "revoked": None if one.revoked is None else one.revoked.when.isoformat(),
        "reason": None if one.revoked is None else one.revoked.reason,
    }


def _write_identity(authority: Authority, out: Path, chain: bytes, key: bytes) -> None:
    _fresh(out)
    write(out / "certificate.pem", chain)
    write(out / "trust.pem", pem(authority.root))
    write(out / "key.pem", key, mode=0o600)


def _fresh(out: Path) -> None:
    """Make `out`; what is in it already is somebody's identity."""
    if (out / "key.pem").exists() or (out / "certificate.pem").exists():
        raise BadRequestError(f"{out}: there is an identity in it already; give an empty directory")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)


def _no_device(name: str) -> None:
    if DEVICE_PATTERN.fullmatch(name):
        raise BadRequestError(f"--name: found {name!r}, which is a device's; allowed is any other")


def _device_id(text: str) -> str:
    if not DEVICE_PATTERN.fullmatch(text):
        raise BadRequestError(f"--device: found {text[:60]!r}; allowed is {DEVICE_PATTERN.pattern}")
    return text


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@contextmanager
def _faults_in_words() -> Iterator[None]:
    try:
        yield
    except BadRequestError as error:
        raise _BadInputError(str(error)) from error
    except ProvisioningError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
