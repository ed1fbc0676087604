"""Runs the intake in a thread of its own, from `start` to `stop`. TLS by certificate and key, or by a proxy before it."""

import socket
import ssl
import threading
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from collector.errors import CollectorError

STOP_S: Final = 3
MAX_REQUESTS: Final = 1000
"""How many may be open at once: past it, they are told to come again."""


class Intake:
    """The server on `sock`, which listens already. `identity` holds certificate.pem and key.pem for TLS; None: none."""

    def __init__(self, app: FastAPI, sock: socket.socket, *, identity: Path | None) -> None:
        self._socket = sock
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_REQUESTS,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=None if identity is None else identity / "certificate.pem",
            ssl_keyfile=None if identity is None else identity / "key.pem",
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise CollectorError(
                f"{identity}: TLS for the intake cannot be set up ({error}); make its files with: "
                "tidegauge provision broker"
            ) from error
        if isinstance(config.ssl, ssl.SSLContext):
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="intake")

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End; requests under way are given a moment."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
