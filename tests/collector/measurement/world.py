"""A measurement server as a process of its own on loopback, an authority with devices, and a client that speaks to it.

world = MeasurementWorld(tmp_path)                  # an authority, a server's identity, a device's
with world.server(transfers=2) as server:           # `tidegauge measurement-server` with these settings
    with world.connect(server, sni="www.example.org") as tls: …
    world.ask(server, "GET", "/v1/download?…")      # one request, answered
"""

import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path

from click.testing import CliRunner

from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from firmware.settings.docs import write_value
from firmware.wire import measurement_token
from provisioning.command import provision
from tests import ports
from tests.waiting import LIMIT_S, until

PROGRAM = (
    sys.executable,
    "-c",
    "from collector.measurement.command import measurement_server; measurement_server()",
)
DEVICE = "abcd0123efgh4567"
OTHER = "wxyz0123efgh4567"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sentence(self) -> str:
        return self.body.decode().strip()


@dataclass(frozen=True)
class RunningServer:
    """The process, its port, and where its words go."""

    process: "subprocess.Popen[bytes]"
    port: int
    data: Path
    output: Path = field(repr=False)

    @property
    def words(self) -> str:
        return self.output.read_text()


class MeasurementWorld:
    """An authority in `directory`/authority, the server's identity, and those of two devices."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = directory / "authority"
        self.identity = directory / "measurement-identity"
        self.trust = self.authority / "root.crt"
        self.provision("ca", str(self.authority))
        self.provision(
            "measurement-server",
            "--ca",
            str(self.authority),
            "--out",
            str(self.identity),
            "--host",
            "localhost",
        )
        self._devices = {name: self._device(name) for name in (DEVICE, OTHER)}

    def provision(self, *words: str) -> str:
        done = CliRunner().invoke(provision, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def _device(self, name: str) -> DeviceIdentity:
        data = self.directory / f"data-{name}"
        files = IdentityFiles(data=data)
        self.provision("device", "--ca", str(self.authority), "--device", name, "--out", str(files.folder))
        return DeviceIdentity.load(files, device=name)

    def token(
        self, device: str = DEVICE, *, early_s: int = 0, lasts_s: int = 3600, leaf: str = "measure"
    ) -> str:
        """Return a device's token, from `early_s` before now on."""
        now_s = int(time.time()) - early_s
        signed = measurement_token.payload(from_s=now_s, until_s=now_s + lasts_s)
        return measurement_token.encode(device, self._devices[device].sign(leaf, signed))

    def client_tls(self, *alpn: str) -> ssl.SSLContext:
        """Return what a device goes by: the fleet's authority, whatever the name."""
        context = ssl.create_default_context(cafile=str(self.trust))
        context.check_hostname = False
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def settings_text(self, port: int, data: Path, **settings: object) -> str:
        lines = [
            f"data = {write_value(data)}",
            f"devices = {write_value(self.authority)}",
            "[measurement]",
            f"port = {port}",
            f"identity = {write_value(self.identity)}",
            *(f"{name} = {write_value(value)}" for name, value in settings.items()),
        ]
        return "\n".join(lines) + "\n"

    @contextmanager
    def server(self, **settings: object) -> Iterator[RunningServer]:
        """Run a server by itself; it is ended by SIGTERM, and must end well."""
        port = ports.take_one()
        data = self.directory / f"server-{port}"
        config, output = data.with_suffix(".toml"), data.with_suffix(".output")
        config.write_text(self.settings_text(port, data, **settings))
        with output.open("wb") as words:
            process = subprocess.Popen(
                [*PROGRAM, "--config", str(config)], stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )
        try:
            ready = data / "measurement-server.json"
            until(lambda: process.poll() is not None or ready.exists(), output.read_text)
            assert process.poll() is None, output.read_text()
            assert json.loads(ready.read_text())["pid"] == process.pid
            yield RunningServer(process, port, data, output)
            process.terminate()
            assert process.wait(LIMIT_S) == 0, output.read_text()
            assert not ready.exists()
        finally:
            process.kill()
            process.wait()

    def connect(
        self, server: RunningServer, *, sni: str | None = "www.example.org", tls: ssl.SSLContext | None = None
    ) -> ssl.SSLSocket:
        """Return a connection on which nothing was said yet."""
        # Wrapped first: Python forgets to close what it wraps when the peer is gone between connect and wrapping.
        secured = (tls or self.client_tls()).wrap_socket(socket.socket(), server_hostname=sni)
        try:
            secured.settimeout(LIMIT_S)
            secured.connect(("127.0.0.1", server.port))
        except BaseException:
            secured.close()
            raise
        return secured

    def ask(
        self,
        server: RunningServer,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Answer:
        """Send one request with DEVICE's token (or `token`; "": none); return the answer."""
        token = self.token() if token is None else token
        with self.connect(server) as tls:
            send(tls, method, path, token=token, headers=headers, body=body)
            return answer(tls)


def nonce() -> str:
    return secrets.token_hex(16)


def send(
    tls: ssl.SSLSocket,
    method: str,
    path: str,
    *,
    token: str,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> None:
    """Send a request; a body has a Content-Length unless `headers` say how it comes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: measurement"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body and not headers:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    tls.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def answer(tls: ssl.SSLSocket) -> Answer:
    """Read an answer whole. Raises `http.client.IncompleteRead` where it was cut off."""
    response = HTTPResponse(tls)
    response.begin()
    body = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
