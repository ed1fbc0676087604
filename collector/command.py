"""`tidegauge collector`: take in what devices measured, and serve the page.

`export` writes what was stored, `audit` accounts for it, `import` takes in what was carried by hand,
`fingerprints` shows what answers and pages of censors it knows.
"""

import logging
from pathlib import Path
from typing import Any

import click

from collector.audit.command import audit
from collector.errors import CollectorError
from collector.export import export
from collector.lists import fingerprints
from collector.receive.bundles.command import import_
from collector.service.serving import Addresses, serve
from collector.settings import CollectorSettings
from firmware.settings.load import SettingsError, load


@click.group(invoke_without_command=True)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings file (TOML). Options go before what it says.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/collector]"
)
@click.option("--host", metavar="ADDRESS", help="The address to serve the page on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=int, help="The port to serve the page on; 0 takes any that is free.  [default: 8464]"
)
@click.option(
    "--broker",
    metavar="auto|mosquitto|amqtt|none|HOST:PORT",
    help="Which MQTT broker: one of the collector's own, or one that runs already.  [default: auto]",
)
@click.option(
    "--broker-port",
    type=int,
    help="The port of the collector's own broker; 0 takes any that is free.  [default: 0]",
)
@click.pass_context
def collector(ctx: click.Context, /, **options: Any) -> None:
    """Take in what devices measured, store it, acknowledge it, and serve the page.

    Runs in the foreground until Ctrl-C or SIGTERM. DIR/collector.json says where it is reached once it is ready.
    """
    if ctx.invoked_subcommand is not None:
        return
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = load(
            CollectorSettings,
            options["config"],
            {
                "data": options["data"],
                "page.host": options["host"],
                "page.port": options["port"],
                "broker.use": options["broker"],
                "broker.port": options["broker_port"],
            },
        )
        serve(
            settings,
            on_ready=lambda addresses: _tell(addresses, settings),
            say=lambda message: click.echo(message, err=True),
        )
    except (CollectorError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


collector.add_command(audit)
collector.add_command(export)
collector.add_command(fingerprints)
collector.add_command(import_)


def _tell(addresses: Addresses, settings: CollectorSettings) -> None:
    click.echo(f"page    {addresses.page_url}")
    if addresses.broker_host:
        click.echo(f"broker  {addresses.broker_host}:{addresses.broker_port}")
    click.echo(f"data    {settings.data}")
