"""Carried messages given to a collector that runs: through its own intake, as a device would that comes by HTTPS.

Where the intake speaks TLS, it must show the very certificate that the settings name. It must never count a message as
taken that the collector did not answer.
"""

import http.client
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from collector.errors import CollectorError
from collector.messages import Delivery, OutgoingMessage
from collector.settings import IntakeSettings
from firmware.model.jsontypes import RecordError
from firmware.wire.bundle import MAX_PAYLOAD_BYTES, decode
from firmware.wire.messages import device_of, topic

TRIES: Final = 24
"""How often a message is offered to a collector that is behind, 5 s apart: two minutes."""
ANSWER_S: Final = 60.0
_ANSWER_BYTES: Final = 8 * MAX_PAYLOAD_BYTES
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do


class Poster:
    """A connection to the intake; use it as a context manager."""

    def __init__(self, settings: IntakeSettings) -> None:
        self._host = _LOOPBACK.get(settings.host, settings.host)
        self._port = settings.port
        self._connection = self._make(settings.identity)

    def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Post each, and pass its answers on. Raises `CollectorError` where one was not taken."""
        for delivery in deliveries:
            answers = self._post(delivery)
            if delivery.reply is not None:
                delivery.reply(answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _make(self, identity: Path | None) -> http.client.HTTPConnection:
        if identity is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        try:
            context = ssl.create_default_context(cafile=str(identity / "certificate.pem"))
        except (OSError, ssl.SSLError) as error:
            raise CollectorError(f"{identity}: the intake's certificate cannot be read ({error})") from error
        # It is compared as a whole, so that its name and its issuers do not matter.
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(self._host, self._port, timeout=ANSWER_S, context=context)

    def _post(self, delivery: Delivery) -> tuple[OutgoingMessage, ...]:
        device, leaf = device_of(delivery.topic), delivery.topic.rpartition("/")[2]
        said = ""
        for _ in range(TRIES):
            try:
                self._connection.request("POST", f"/p1/up/{device}/{leaf}", delivery.payload)
                response = self._connection.getresponse()
                body = response.read(_ANSWER_BYTES)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise CollectorError(
                    f"{self._host}:{self._port}: the collector that runs does not answer at its intake ({error}); stop it, "
                    "and import again"
                ) from error
            if response.status == http.HTTPStatus.OK:
                return _answers(device, body)
            said = f"{response.status} {body[:200].decode('utf-8', 'replace').strip()}"
            if response.status != http.HTTPStatus.SERVICE_UNAVAILABLE:
                break
            time.sleep(_pause_s(response.headers.get("Retry-After")))
        raise CollectorError(
            f"{self._host}:{self._port}: the collector took no more ({said}); import again later"
        )


def _answers(device: str, body: bytes) -> tuple[OutgoingMessage, ...]:
    try:
        bundle = decode(body)
    except RecordError as error:
        raise CollectorError(f"the intake answered with something else than ours would ({error})") from error
    return tuple(
        OutgoingMessage(topic=topic(device, "dn", one.leaf), payload=one.payload) for one in bundle.messages
    )


def _pause_s(told: str | None) -> float:
    return min(float(told), 30.0) if told is not None and told.isdigit() else 5.0
