"""The measurement server as a child of the collector: given its settings as a file, kept alive, ended with the collector."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Final

from collector.child import SupervisedChild
from collector.errors import MeasurementServerError
from collector.measurement.serving import READY_FILE
from collector.measurement_settings import MeasurementSettings
from firmware.settings.docs import write_value

_PROGRAM: Final = "from collector.measurement.command import measurement_server; measurement_server()"


class MeasurementChild(SupervisedChild):
    """The measurement server by `settings`, which believes the authority in `devices`; its files are in `directory`."""

    fault = MeasurementServerError

    def __init__(
        self,
        settings: MeasurementSettings,
        directory: Path,
        *,
        devices: Path,
        on_restart: Callable[[str], None] = lambda _message: None,
    ) -> None:
        super().__init__("the measurement server", directory / "server.log", on_restart=on_restart)
        self._settings = settings
        self._directory = directory
        self._devices = devices

    def command(self) -> list[str]:
        """Return its command line, with its settings written. Raises `MeasurementServerError`."""
        path = self._directory / "settings.toml"
        try:
            path.write_text(
                settings_file(self._settings, data=self._directory, devices=self._devices), encoding="utf-8"
            )
        except OSError as error:
            raise MeasurementServerError(f"{path}: cannot be written ({error.strerror})") from error
        return [sys.executable, "-c", _PROGRAM, "--config", str(path.absolute())]

    def answers(self) -> bool:
        """Return whether this very child says that it is ready."""
        try:
            return bool(json.loads((self._directory / READY_FILE).read_bytes())["pid"] == self.pid)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def where(self) -> str:
        """Where it is reached."""
        return f"{self._settings.host} port {self._settings.port}"


def settings_file(settings: MeasurementSettings, *, data: Path, devices: Path) -> str:
    """Return the settings of a server by itself, as TOML, with whole paths: the child's folder is another."""
    lines = [
        "# Written by the collector at each start, from its own settings.",
        f"data = {write_value(data.absolute())}",
        f"devices = {write_value(devices.absolute())}",
        "[measurement]",
    ]
    for one in fields(settings):
        value = getattr(settings, one.name)
        if value is not None:
            lines.append(
                f"{one.name} = {write_value(value.absolute() if isinstance(value, Path) else value)}"
            )
    return "\n".join(lines) + "\n"
