"""`tidegauge device` and `tidegauge status`: the options, and every foreseeable fault in words."""

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from appliance.device import Device
from appliance.errors import ApplianceError
from appliance.events import Listener
from appliance.outbox.box import Outbox
from appliance.settings import DeviceSettings
from appliance.storage.datadir import DataDir
from appliance.storage.quota import Quota
from appliance.views import status as statuses
from appliance.views.lines import Lines
from firmware.commands.errors import BadInputError
from firmware.language.translator import Translator
from firmware.model.plan import Plan, PlanError
from firmware.net.targets import TargetError, parse_host_port
from firmware.plans import load as plans
from firmware.settings.load import SettingsError, load

if TYPE_CHECKING:
    from appliance.lights.pins import Lights, LightsConfig

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_log: Final = logging.getLogger(__name__)


@click.command()
@click.option("--config", type=_FILE, help="The settings file (TOML). Options go before what it says.")
@click.option("--data", type=click.Path(path_type=Path), help="The data directory.  [default: data/device]")
@click.option(
    "--country", metavar="CC", help="The country whose plan to measure by; `tidegauge plan` lists them."
)
@click.option("--plan", type=_FILE, help="A plan file of your own, instead of --country.")
@click.option("--broker", metavar="HOST:PORT", help="Where results go.  [default: 127.0.0.1:1883]")
@click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="End after N rounds.")
@click.option("--page", metavar="URL", help="The collector's page, to be shown in the live view.")
def device(
    *,
    config: Path | None,
    data: Path | None,
    country: str | None,
    plan: Path | None,
    broker: str | None,
    rounds: int | None,
    page: str | None,
) -> None:
    """Measure the network this machine is on, keep the results, deliver them to a collector.

    Runs in the foreground until Ctrl-C or SIGTERM: a live view in a terminal, plain lines elsewhere. A collector
    that cannot be reached is said, and measuring goes on.
    """
    with _faults_in_words():
        host, port = _broker(broker)
        settings = load(
            DeviceSettings,
            config,
            {
                "data": data,
                "country": None if country is None else country.lower(),
                "plan": plan,
                "broker.host": host,
                "broker.port": port,
            },
        )
        chosen = plans.load(settings.country or None, settings.plan)
        _run(settings, chosen, rounds=rounds, page=page)


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data/device"),
    show_default=True,
    help="The device's data directory.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def status(*, data: Path, as_json: bool) -> None:
    """Say how a device is: last verdict, how sure its time is, what waits and what was delivered."""
    with _faults_in_words():
        seen = statuses.look(data)
    click.echo(
        json.dumps(statuses.to_json(seen))
        if as_json
        else statuses.in_words(seen, Translator.of_environment(os.environ))
    )


def _run(settings: DeviceSettings, plan: Plan, *, rounds: int | None, page: str | None) -> None:
    """Open what the device works on, in the order in which it must be given back, and run it."""
    with ExitStack() as stack:
        data = stack.enter_context(DataDir.open(settings.data, patient=True))
        quota = Quota(
            path=data.outbox,
            cap_bytes=settings.outbox.cap_mb * 1024 * 1024,
            max_age_s=settings.outbox.max_age_days * 86_400,
        )
        outbox = stack.enter_context(Outbox.open(data.outbox, device=data.device, quota=quota, patient=True))
        title = f"device {data.device}, plan {plan.name}, data {settings.data}"
        listeners = list(_views(stack, settings, plan, title=title, page=page))
        # After the view: in a terminal it catches the error output, which would break its picture.
        _log_to_errors(settings.log.level)
        for warning in plan.warnings:
            _log.warning("%s: %s", plan.file, warning)
        if outbox.quarantined_file is not None:
            click.echo(
                f"The outbox was damaged: it is kept as {outbox.quarantined_file}, and a new one begun.",
                err=True,
            )
        running = Device(settings, plan, data, outbox, listeners=listeners, rounds=rounds)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: running.stop())
        running.run()


def _views(
    stack: ExitStack, settings: DeviceSettings, plan: Plan, *, title: str, page: str | None
) -> Iterator[Listener]:
    """Open what shows how the device is: the lights, where there is somewhere to show them, and a view or lines."""
    watched = sys.stdout.isatty()
    translator = Translator.of_environment(os.environ)
    if watched or settings.lights.factory != "auto" or Path("/dev/gpiochip0").exists():
        lights = stack.enter_context(_lights(settings, plan))
        yield lights
    if watched:
        from appliance.views.terminal import Terminal  # noqa: PLC0415

        yield stack.enter_context(Terminal(title=title, page=page, lights=lights, translator=translator))
    else:
        yield Lines(_say, translator)


def _say(line: str) -> None:
    """Print a line; if nobody reads any more, go on measuring."""
    with suppress(OSError):
        click.echo(line)


def _log_to_errors(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")


def _lights(settings: DeviceSettings, plan: Plan) -> "Lights":
    """Return the lights; where pins were not asked for and cannot be had, lights that only the terminal shows."""
    # gpiozero and rich cost 5 MB: a device without pins and without a terminal need not hold them.
    from appliance.lights.pins import Lights, LightsError, PinFactory  # noqa: PLC0415

    config = _lights_config(settings, plan)
    try:
        try:
            return Lights(config)
        except LightsError as error:
            if config.factory is not PinFactory.AUTO:
                raise
            lights = Lights(replace(config, factory=PinFactory.MOCK))
            click.echo(f"No lights: {error}. Measuring goes on.", err=True)
            return lights
    except LightsError as error:
        raise click.ClickException(str(error)) from error


def _lights_config(settings: DeviceSettings, plan: Plan) -> "LightsConfig":
    from appliance.lights.pins import LightsConfig, PinFactory  # noqa: PLC0415

    lights = settings.lights
    calm_s = settings.schedule.calm_s or plan.cadence.calm_s
    return LightsConfig(
        factory=PinFactory(lights.factory),
        network_pin=lights.network_pin,
        delivery_pin=lights.delivery_pin,
        attention_pin=lights.attention_pin,
        dark=lights.dark,
        # Two rounds may be missed before the light says that the device does not measure.
        stalled_after_s=max(600.0, 3.0 * calm_s),
    )


def _broker(text: str | None) -> tuple[str | None, int | None]:
    if text is None:
        return None, None
    try:
        where = parse_host_port(text, default_port=1883)
    except TargetError as error:
        raise click.BadParameter(str(error), param_hint="--broker") from error
    return where.host, where.port


@contextmanager
def _faults_in_words() -> Iterator[None]:
    """Turn what may go wrong into its sentence and an exit status; bad input is 2, what could not be done 1."""
    try:
        yield
    except (PlanError, SettingsError) as error:
        raise BadInputError(str(error)) from error
    except ApplianceError as error:
        raise click.ClickException(str(error)) from error
