"""`tidegauge run`: a broker, the collector with its page, and one device, in one terminal, for a first look.

It starts `tidegauge collector` and `tidegauge device` as the separate programs they are and imports neither:
what works here works apart. It owns two child processes and no measurement; it must never leave a child
behind, nor lose what a device measured because the collector fell over.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from appliance.child_processes import end_with_parent

DEFAULT_PORT: Final = 8464
READY_TIMEOUT_S: Final = 60.0
"""How long the collector may take to be ready, broker included; a Pi Zero on a slow card needs a while."""
STOP_TIMEOUT_S: Final = 15.0
_PROGRAM: Final = (sys.executable, "-m", "firmware.commands.main")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorAddress:
    """Where a started collector is reached."""

    page_url: str
    broker_host: str
    broker_port: int


class CollectorProcess:
    """The collector as a child process, started anew when it ends before it was asked to."""

    def __init__(self, *, data: Path, port: int, broker: str) -> None:
        self._data = data
        self._arguments = ["collector", "--data", str(data), "--port", str(port), "--broker", broker]
        self.log = data.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> CollectorAddress:
        """Start it and wait until it serves. Raises `click.ClickException` with its own words if it does not."""
        ready_file = self._data / "collector.json"
        ready_file.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal ends the device first, and then, asked by us, this.
            self._process = subprocess.Popen(
                [*_PROGRAM, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509  # no threads are running yet
            )
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise click.ClickException(_last_words(self.log) or "the collector ended without a word")
            if ready_file.exists():
                address = read_ready_file(ready_file)
                if "--broker-port" not in self._arguments:
                    # Started anew, it must be found where the device looks for it.
                    self._arguments += ["--broker-port", str(address.broker_port)]
                return address
            time.sleep(0.05)
        self.stop()
        raise click.ClickException(
            f"the collector was not ready within {READY_TIMEOUT_S:.0f} s; its log is {self.log}"
        )

    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to end, and make it end if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def read_ready_file(path: Path) -> CollectorAddress:
    """Read what the collector wrote about itself when it was ready."""
    facts = json.loads(path.read_text())
    return CollectorAddress(
        page_url=facts["page_url"], broker_host=facts["broker_host"], broker_port=facts["broker_port"]
    )


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-5:]).removeprefix("Error: ")


def _device_arguments(
    *, address: CollectorAddress, data: Path, choice: Sequence[str], rounds: int | None
) -> list[str]:
    arguments = ["device", "--data", str(data), *choice]
    arguments += ["--broker", f"{address.broker_host}:{address.broker_port}", "--page", address.page_url]
    return arguments if rounds is None else [*arguments, "--rounds", str(rounds)]


@click.command()
@click.option("--country", metavar="CC", help="The country's plan: `tidegauge plan show` lists them.")
@click.option(
    "--plan",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A plan file of your own, instead of --country.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Where everything is kept; the next run carries on from there.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The page's port on this machine.",
)
@click.option(
    "--broker",
    type=click.Choice(["auto", "mosquitto", "amqtt"]),
    default="auto",
    show_default=True,
    help="Which broker to start: mosquitto where it is installed, else amqtt.",
)
@click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="End after N rounds.")
def run(
    *, country: str | None, plan: Path | None, data: Path, port: int, broker: str, rounds: int | None
) -> None:
    """Measure the network this machine is on, and see it: broker, collector, page and one device.

    Nothing leaves this machine but the measurements themselves. Ctrl-C ends everything; what was measured is
    kept, and the next run carries on.
    """
    if country is not None and plan is not None:
        raise click.UsageError("--country and --plan name the same thing twice: give one of them")
    choice: list[str] = []
    if country is not None:
        choice = ["--country", country]
    elif plan is not None:
        choice = ["--plan", str(plan)]
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"{data}: cannot be made ({error.strerror}); name another folder with --data"
        ) from error
    signal.signal(signal.SIGTERM, _raise_interrupt)
    collector = CollectorProcess(data=data / "collector", port=port, broker=broker)
    try:
        click.echo("Starting the broker and the collector …", err=True)
        address = collector.start()
        arguments = _device_arguments(address=address, data=data / "device", choice=choice, rounds=rounds)
        status = _run_device(arguments, collector)
    except KeyboardInterrupt:
        status = 0
    finally:
        collector.stop()
    sys.exit(status)


def _run_device(arguments: Sequence[str], collector: CollectorProcess) -> int:
    """Run the device in this terminal until it ends; return its exit status."""
    with subprocess.Popen(
        [*_PROGRAM, *arguments],
        preexec_fn=end_with_parent(),  # noqa: PLW1509  # no threads are running yet
    ) as device:
        while True:
            try:
                return device.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                if collector.ended():
                    _restart(collector)
            except KeyboardInterrupt:
                # From the terminal the device got it too; from SIGTERM it has to be told.
                device.terminate()


def _restart(collector: CollectorProcess) -> None:
    """Start the collector again; if it cannot be, the device measures on and keeps what it measures."""
    try:
        collector.start()
    except click.ClickException as error:
        click.echo(f"The collector is down, measuring goes on: {error.message}", err=True)
        time.sleep(5)


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
