"""`tidegauge measurement-server`: the far end of devices' transfers, by itself; a collector starts the same as its child."""

import logging
from pathlib import Path

import click

from collector.errors import CollectorError
from collector.measurement.serving import serve
from collector.measurement_settings import MeasurementServerSettings
from firmware.settings.load import SettingsError, load


@click.command("measurement-server")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings file (TOML). Options go before what it says.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/measurement-server]"
)
@click.option("--host", metavar="ADDRESS", help="The address to be served on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="The port to be served on.")
def measurement_server(*, config: Path | None, data: Path | None, host: str | None, port: int | None) -> None:
    """Serve the devices of the fleet as the far end of their transfers.

    Runs in the foreground until Ctrl-C or SIGTERM. DIR/measurement-server.json says where it is reached once it is ready. A collector
    whose settings name a port for it starts one by itself.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = load(
            MeasurementServerSettings,
            config,
            {"data": data, "measurement.host": host, "measurement.port": port},
        )
        serve(settings, on_ready=lambda where: click.echo(f"serving {where}"))
    except (CollectorError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
