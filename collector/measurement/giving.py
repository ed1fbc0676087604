"""Gives the server's halves to a collector that asks, and lets go of those that it has stored.

    POST /v1/halves     Authorization: Bearer BASE64URL (`firmware.wire.server_halves`); 200: a bundle

Only a collector that counts by the authority's list is given any, and only what it signed for this very server. All others
are told the one sentence that everybody is told. This file must never let go of what no collector says that it has stored.
"""

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from collector.errors import TrustError
from collector.measurement.admission import EARLY_S, NOBODY
from collector.measurement.http1 import HttpExchange, RequestHead
from collector.measurement.recording import HalfRecorder, HalfWriter
from collector.measurement.refusals import refused
from collector.measurement.watching import SenderWatch
from collector.measurement_settings import MeasurementSettings
from collector.store.half_log import HalfLog
from collector.trust.registry import COLLECTOR, MEASUREMENT_SERVER, Registry
from collector.trust.signing import Signer, key_id
from firmware.model.jsontypes import RecordError
from firmware.wire import bundle
from firmware.wire.server_halves import (
    ACCOUNT_LEAF,
    ASKING_LEAF,
    HALF_LEAF,
    HalvesAsked,
    decode_bearer,
    encode_account,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfGiving:
    """Gives what `writer` wrote, in the name of `server`, to those whom `registry` has as collectors."""

    writer: HalfWriter
    server: str
    signer: Signer
    registry: Registry

    def collector(self, head: RequestHead, *, utc_s: float) -> str:
        """Return the name of the collector that asks. Raises `RefusedError`."""
        try:
            envelope, asked = decode_bearer(head.token)
            known = self.registry.key(envelope.key_id)
            trust = self.registry.trust_list
        except RecordError as error:
            raise refused(401, NOBODY) from error
        except TrustError as error:
            raise refused(503, "who may ask cannot be read here at present", retry_after_s=60) from error
        counts = (
            known is not None
            and known.revoked is None
            and known.role == COLLECTOR
            and (trust is None or trust.counts(envelope.key_id.hex()))
            and known.signed(ASKING_LEAF, envelope, to=self.server)
        )
        if known is None or not counts:
            raise refused(401, NOBODY)
        if not asked.from_s - EARLY_S <= utc_s < asked.until_s + EARLY_S:
            raise refused(403, f"this counts until {asked.until_s}; here it is {int(utc_s)}")
        return known.device

    async def give(self, exchange: HttpExchange, head: RequestHead, collector: str) -> None:  # noqa: ARG002 - as handlers are called
        """Let go of what the collector has, and give what follows. Raises `RefusedError`, `OSError`."""
        asked: HalvesAsked = decode_bearer(head.token)[1]
        try:
            page = await self.writer.page(asked.epoch, asked.upto)
        except sqlite3.Error as error:
            log.warning("servers' halves cannot be read (%s)", error)
            raise refused(503, "they cannot be read here at present", retry_after_s=60) from error
        account = self.signer.sign(self.server, ACCOUNT_LEAF, encode_account(page.account))
        messages = (*page.halves, bundle.BundleMessage(leaf=ACCOUNT_LEAF, payload=account))
        await exchange.answer(bundle.encode(messages), content_type="application/octet-stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What writes halves and what gives them; `close` it once nothing is served any more."""

    recorder: HalfRecorder
    giving: HalfGiving

    def close(self) -> None:
        """Write what waits."""
        self.recorder.writer.close()


def keep_halves(settings: MeasurementSettings, registry: Registry, data: Path) -> Keeping | None:
    """Return what keeps halves in `data`; None where the server's key is none of the fleet's, whose word would prove nothing.

    Raises `MeasurementServerError` where its log cannot be opened.
    """
    assert settings.identity is not None
    try:
        signer = Signer.load(settings.identity)
        known = registry.key(key_id(signer.key.public_key()))
    except TrustError:
        known = None
    if known is None or known.role != MEASUREMENT_SERVER:
        log.warning(
            "%s: it is no measurement server's identity of the fleet's authority: no halves of tests are kept",
            settings.identity,
        )
        return None
    server = known.device

    def sign(payload: bytes) -> bytes:
        return signer.sign(server, HALF_LEAF, payload)

    writer = HalfWriter(HalfLog.open(data, sign, most_bytes=settings.halves_bytes))
    return Keeping(
        recorder=HalfRecorder(
            writer=writer,
            server=server,
            max_s=settings.transfer_s,
            watch=SenderWatch(captures=settings.capture),
        ),
        giving=HalfGiving(writer=writer, server=server, signer=signer, registry=registry),
    )
