"""A plain WebSocket client of a measurement server, and what came over it until its end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.collector.measurement.world import MeasurementWorld, RunningServer
from tests.waiting import LIMIT_S

NDT7 = "net.measurementlab.ndt.v7"


@contextmanager
def websocket(
    world: MeasurementWorld,
    server: RunningServer,
    path: str,
    *,
    subprotocol: str | None = NDT7,
    token: str = "",
) -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with connect(
        f"wss://localhost:{server.port}{path}",
        ssl=world.client_tls(),
        subprotocols=None if subprotocol is None else [subprotocol],  # type: ignore[list-item]
        additional_headers=headers,
        open_timeout=LIMIT_S,
        close_timeout=LIMIT_S,
        max_size=2**24,
        compression=None,
    ) as channel:
        assert isinstance(channel, ClientConnection)
        yield channel


def drain(channel: ClientConnection) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the sizes of the binary messages that came until the end, and the texts."""
    sizes, texts = [], []
    for message in channel:
        if isinstance(message, str):
            texts.append(json.loads(message))
        else:
            sizes.append(len(message))
    return sizes, texts
