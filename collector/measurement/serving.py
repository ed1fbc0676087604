"""The measurement server as a whole: the one place where its parts are made and tied together.

    listener ──▶ exchange ──▶ admission (token) ──▶ recorder ──▶ handler by path ──▶ limits
    UDP socket ──▶ session, as it was opened over TLS   └──▶ log of halves ──▶ a collector that asks

Nothing is served without a token of the fleet but what the operator opens to anybody (ndt7, throughput1). What goes wrong on one connection ends that one. It must never log who asks,
from where, for which name, or with which token: what it says is counts and faults of its own.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from collector.errors import CollectorError
from collector.listening import listen, take_datagrams
from collector.measurement.admission import Admission
from collector.measurement.capability import keep_net_raw_alone
from collector.measurement.giving import HalfGiving, Keeping, keep_halves
from collector.measurement.http1 import HttpExchange, RequestHead
from collector.measurement.limits import Allowances, Bounds
from collector.measurement.listener import TlsListener, group_of, tls_context
from collector.measurement.mlab import NDT7, THROUGHPUT1, MlabTests
from collector.measurement.recording import HalfRecorder, Handler, RecordedTest
from collector.measurement.refusals import RefusedError, refused
from collector.measurement.transfers import TransferLimits, Transfers
from collector.measurement.udp import UdpEndpoint
from collector.measurement_settings import MeasurementServerSettings, MeasurementSettings
from collector.trust.registry import Registry
from firmware.files.durable import write_durably
from firmware.model.server_half import Direction
from firmware.wire.server_halves import HALVES_PATH

READY_FILE: Final = "measurement-server.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What a connection meets: who may, and what is where. `handlers` are by path, then by method."""

    admission: Admission
    handlers: Mapping[str, Mapping[str, Handler]] = field(default_factory=dict)
    for_anybody: frozenset[str] = frozenset()
    """The paths that need no token; one that is shown there must count all the same."""
    recorded: Mapping[str, RecordedTest] = field(default_factory=dict)
    """Which paths are tests whose half is written, by `recorder`."""
    recorder: HalfRecorder | None = None
    halves: HalfGiving | None = None
    """Who gives halves away, at a path of its own, to collectors."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        exchange = HttpExchange(reader, writer)
        try:
            head = await exchange.head()
            if head is not None:
                await self._serve(exchange, head)
        except RefusedError as error:
            await exchange.refuse(error.refusal)

    async def _serve(self, exchange: HttpExchange, head: RequestHead) -> None:
        who = self._who(exchange, head)
        methods = self.handlers.get(head.path)
        if methods is None:
            raise refused(404, f"there is nothing here; there is {', '.join(self.handlers)}")
        if head.method not in methods:
            raise refused(405, f"allowed is {', '.join(methods)}")
        handle = methods[head.method]
        what = self.recorded.get(head.path)
        if what is None or self.recorder is None:
            await handle(exchange, head, who)
        else:
            await self.recorder.run(handle, exchange, head, who, what)

    def _who(self, exchange: HttpExchange, head: RequestHead) -> str:
        """Return on whose account it goes: a device's, or, where anybody may, an address's; a collector has none."""
        if self.halves is not None and head.path == HALVES_PATH:
            return self.halves.collector(head, utc_s=time.time())
        if head.path in self.for_anybody and not head.token:
            return f"anybody at {group_of(exchange.writer.get_extra_info('peername')[0])}"
        return self.admission.device(head.token, utc_s=time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What serves: `front` over TLS, `udp` beside it, if at all."""

    front: Front
    udp: UdpEndpoint | None


def parts_of(
    settings: MeasurementSettings,
    registry: Registry,
    udp_socket: socket.socket | None,
    keeping: Keeping | None = None,
) -> Parts:
    """Return what serves by `settings`, and believes `registry`; halves are written where there is a `keeping`."""
    recorder = None if keeping is None else keeping.recorder
    limits = TransferLimits(max_bytes=settings.transfer_bytes, max_s=settings.transfer_s)
    allowances = Allowances(
        Bounds(
            transfers_per_device=settings.transfers_per_device,
            transfers=settings.transfers,
            bytes_per_device_per_day=settings.bytes_per_device_per_day,
            bytes_per_day=settings.bytes_per_day,
        )
    )
    transfers = Transfers(limits=limits, allowances=allowances)
    handlers: dict[str, dict[str, Handler]] = {
        "/v1/download": {"GET": transfers.download},
        "/v1/upload": {"POST": transfers.upload, "PUT": transfers.upload},
    }
    recorded = {
        "/v1/download": RecordedTest(test="download", direction=Direction.DOWNLOAD),
        "/v1/upload": RecordedTest(test="upload", direction=Direction.UPLOAD),
    }
    udp = None if udp_socket is None else UdpEndpoint(udp_socket, limits, allowances, recorder)
    if udp is not None:
        handlers["/v1/udp"] = {"POST": udp.open, "GET": udp.look, "DELETE": udp.close}
    for_anybody: set[str] = set()
    tests = (
        ("ndt7", "/ndt/v7", settings.ndt7, NDT7),
        ("throughput1", "/throughput/v1", settings.throughput1, THROUGHPUT1),
    )
    for test, path, whom, protocol in tests:
        if whom != "off":
            mlab = MlabTests(protocol=protocol, limits=limits, allowances=allowances)
            handlers[f"{path}/download"] = {"GET": mlab.download}
            handlers[f"{path}/upload"] = {"GET": mlab.upload}
            for way in (Direction.DOWNLOAD, Direction.UPLOAD):
                recorded[f"{path}/{way}"] = RecordedTest(test=test, direction=way)
        if whom == "anybody":
            for_anybody |= {f"{path}/download", f"{path}/upload"}
    if keeping is not None:
        handlers[HALVES_PATH] = {"POST": keeping.giving.give}
    front = Front(
        admission=Admission(registry),
        handlers=handlers,
        for_anybody=frozenset(for_anybody),
        recorded=recorded,
        recorder=recorder,
        halves=None if keeping is None else keeping.giving,
    )
    return Parts(front=front, udp=udp)


def serve(settings: MeasurementServerSettings, *, on_ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; `on_ready` is told where it is reached. Raises `CollectorError` where it cannot start."""
    measurement, devices = settings.measurement, settings.devices
    if devices is None:
        raise CollectorError("`devices` is not set: without the authority's directory nobody can be let in")
    if measurement.identity is None:
        raise CollectorError(
            "[measurement] `identity` is not set; make one with: tidegauge provision measurement-server"
        )
    if not measurement.port:
        raise CollectorError("[measurement] `port` is not set: name the port to be served on, best 443")
    registry = Registry(devices)
    registry.refresh()
    context = tls_context(measurement.identity)
    with contextlib.ExitStack() as sockets:
        where = (measurement.host, measurement.port, "the measurement server")
        sock = sockets.enter_context(listen(*where))
        udp_socket = sockets.enter_context(take_datagrams(*where)) if measurement.udp else None
        keep_net_raw_alone()
        keeping = keep_halves(measurement, registry, settings.data)
        if keeping is not None:
            sockets.callback(keeping.close)
        parts = parts_of(measurement, registry, udp_socket, keeping)
        listener = TlsListener(
            sock,
            context,
            parts.front,
            most=measurement.connections,
            most_per_address=measurement.connections_per_address,
            close_s=measurement.transfer_s,
        )
        asyncio.run(_run(listener, parts.udp, settings, on_ready))


async def _run(
    listener: TlsListener,
    udp: UdpEndpoint | None,
    settings: MeasurementServerSettings,
    on_ready: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_say_less)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if udp is not None:
        udp.start()
    ready = _ready_file(settings)
    serving = asyncio.create_task(listener.run())
    ending = asyncio.create_task(over.wait())
    on_ready(_where(settings.measurement))
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    ready.unlink(missing_ok=True)
    serving.cancel()
    ending.cancel()
    await asyncio.gather(serving, ending, return_exceptions=True)
    if udp is not None:
        await udp.stop()


def _ready_file(settings: MeasurementServerSettings) -> Path:
    """Write down that it is ready, and return where. Raises `CollectorError`."""
    measurement, path = settings.measurement, settings.data / READY_FILE
    text = {"v": 1, "pid": os.getpid(), "host": measurement.host, "port": measurement.port}
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, json.dumps(text).encode() + b"\n")
    except OSError as error:
        raise CollectorError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def _say_less(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong inside asyncio by its kind: its own words name addresses."""
    log.error("%s", type(context["exception"]).__name__ if "exception" in context else context["message"])


def _where(measurement: MeasurementSettings) -> str:
    host = f"[{measurement.host}]" if ":" in measurement.host else measurement.host
    return f"https://{host}:{measurement.port}/"
