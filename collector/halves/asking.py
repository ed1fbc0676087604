"""Asks one measurement server for its halves of tests, over TLS, and believes of the answer what is signed by that server.

Who it is the handshake shows: a certificate of the fleet's authority for a measurement server, in force; its name is what it was
issued for, and no host name. What the collector says is signed for that name. This file must never return a half whose signature
it has not checked, nor one of another server.
"""

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from collector.errors import HalvesError
from collector.store.server_halves import SignedHalf
from collector.trust.registry import MEASUREMENT_SERVER, Registry
from collector.trust.signing import Signer, key_id
from firmware.model.jsontypes import RecordError
from firmware.wire import bundle
from firmware.wire.envelope import unseal
from firmware.wire.server_halves import (
    ACCOUNT_LEAF,
    ASKING_LEAF,
    HALF_LEAF,
    HALVES_PATH,
    HalvesAccount,
    HalvesAsked,
    bearer,
    decode_account,
    decode_half,
    encode_asked,
)

TIMEOUT_S: Final = 20.0
ASKING_LASTS_S: Final = 300
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvesGiven:
    """What a server gave: whose they are, ascending, and how its log stands."""

    server: str
    account: HalvesAccount
    halves: tuple[SignedHalf, ...]


class AskedServer:
    """One connection to the server at `host` and `port`, for one question; a context manager. Raises `HalvesError`."""

    def __init__(self, host: str, port: int, *, registry: Registry, signer: Signer) -> None:
        self._where = f"the measurement server at {host} port {port}"
        self._registry = registry
        self._signer = signer
        context = _context(registry.directory)
        self._http = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)

    def __enter__(self) -> Self:
        """Connect, and look who it is."""
        try:
            self._http.connect()
            self.name = self._name()
        except (OSError, HalvesError) as error:
            self._http.close()
            if isinstance(error, HalvesError):
                raise
            raise HalvesError(f"{self._where} cannot be reached ({_words(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._http.close()

    def ask(self, epoch: str, upto: int, *, utc_s: float) -> HalvesGiven:
        """Say what is stored durably, and return what follows it. Raises `HalvesError`."""
        now_s = int(utc_s)
        asked = HalvesAsked(from_s=now_s, until_s=now_s + ASKING_LASTS_S, epoch=epoch, upto=upto)
        token = bearer(self._signer.sign(self.name, ASKING_LEAF, encode_asked(asked)))
        try:
            self._http.request("POST", HALVES_PATH, headers={"Authorization": f"Bearer {token}"})
            response = self._http.getresponse()
            body = response.read(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise HalvesError(f"{self._where} gave nothing ({_words(error)})") from error
        if response.status != http.client.OK:
            sentence = body[:200].decode("utf-8", "replace").strip()
            raise HalvesError(f"{self._where} gave nothing (HTTP {response.status}: {sentence})")
        try:
            return self._read(body, after=upto, epoch=epoch)
        except RecordError as error:
            raise HalvesError(f"{self._where} gave what proves nothing ({error})") from error

    def _read(self, body: bytes, *, after: int, epoch: str) -> HalvesGiven:
        read = bundle.decode(body)
        if read.fault or not read.messages or read.messages[-1].leaf != ACCOUNT_LEAF:
            raise RecordError(read.fault or "it is not whole")
        account = decode_account(self._payload(ACCOUNT_LEAF, read.messages[-1].payload))
        last = after if account.epoch == epoch else 0
        halves: list[SignedHalf] = []
        for one in read.messages[:-1]:
            half = decode_half(self._payload(HALF_LEAF, one.payload))
            if half.server != self.name or half.epoch != account.epoch or half.number <= last:
                raise RecordError(f"half {half.number}: it is of another server or log, or out of order")
            last = half.number
            halves.append(SignedHalf(half=half, data=one.payload))
        return HalvesGiven(server=self.name, account=account, halves=tuple(halves))

    def _payload(self, leaf: str, data: bytes) -> bytes:
        envelope = unseal(data)
        self._registry.verify(self.name, leaf, envelope)
        return envelope.payload

    def _name(self) -> str:
        der = None if self._http.sock is None else self._http.sock.getpeercert(binary_form=True)
        public = None if der is None else x509.load_der_x509_certificate(der).public_key()
        known = self._registry.key(key_id(public)) if isinstance(public, ec.EllipticCurvePublicKey) else None
        if known is None or known.role != MEASUREMENT_SERVER or known.revoked is not None:
            raise HalvesError(f"{self._where} is none of the fleet's: its key is not known, or was revoked")
        return known.device


def _context(authority: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(authority / "root.crt"))
    except OSError as error:
        raise HalvesError(f"{authority / 'root.crt'}: it cannot be read ({_words(error)})") from error
    context.check_hostname = False  # the certificate's role and name are looked at instead
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
