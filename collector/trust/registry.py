"""The certificates of the devices this collector knows, as the authority's directory has them; read anew when they change.

The directory is the authority's own (`tidegauge provision ca`), or a copy without its keys: root.crt, issued/,
revoked.json, trust-list.json, and requests/, where what devices ask for is left for `tidegauge provision renew`. A key that was issued and not
revoked is believed, also after its certificate has run out: a device that was offline meanwhile still has records, and
has to ask for its next certificate somehow. TLS, which sees dates, is the broker's. This file must never read a private key.
"""

import datetime as dt
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from collector.errors import TrustError
from collector.trust.signing import key_id
from firmware.model.jsontypes import RecordError
from firmware.wire.envelope import Envelope, signed_text
from firmware.wire.messages import DEVICE_PATTERN
from firmware.wire.trust_list import FILE_NAME, TrustList, decode, decode_text

LOOK_AGAIN_S: Final = 2.0
"""How old the list may be: a revocation counts here after this long at the latest."""
MAX_REQUEST_BYTES: Final = 8 * 1024
COLLECTOR: Final = "collector"
MEASUREMENT_SERVER: Final = "measurement-server"
"""Roles, as the authority writes them into certificates."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """One key: whose, from when it counts, and whether it was revoked (why, or None) and when. `chain` is PEM.

    `role` is what it was issued for, as the certificate's organisational unit has it: `device`, `collector`, ….
    """

    device: str
    public: ec.EllipticCurvePublicKey
    chain: bytes
    since_s: float
    role: str = ""
    revoked: str | None = None
    revoked_s: float | None = None

    def signed(self, leaf: str, envelope: Envelope, *, to: str = "") -> bool:
        """Return whether this key made the envelope's signature, for its device (or for `to`) and `leaf`; not whether it counts."""
        text = signed_text(device=to or self.device, leaf=leaf, payload=envelope.payload)
        r, s = (int.from_bytes(envelope.signature[at : at + 32], "big") for at in (0, 32))
        try:
            self.public.verify(encode_dss_signature(r, s), text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(slots=True)
class Registry:
    """What `directory` says. `open` verifies; `refresh` looks whether the directory has changed."""

    directory: Path
    _clock_s: Callable[[], float] = time.monotonic
    _keys: dict[bytes, KnownKey] = field(default_factory=dict)
    _files: dict[str, tuple[int, bytes, KnownKey]] = field(default_factory=dict)
    _newest: dict[str, KnownKey] = field(default_factory=dict)
    _list: tuple[int, bytes, TrustList | None] = (0, b"", None)
    _looked_s: float = -1e9
    _seen: tuple[int, ...] = ()
    _told: set[str] = field(default_factory=set)
    """What the log was told already."""

    def verify(self, device: str, leaf: str, envelope: Envelope) -> KnownKey:
        """Return the key that signed it for `device` and `leaf`. Raises `RecordError` saying why it does not count."""
        known = self.key(envelope.key_id)
        if known is None:
            raise RecordError(f"signature: by a key that is not known here ({envelope.key_id.hex()})")
        if known.device != device:
            raise RecordError(f"signature: by device {known.device}, on the branch of device {device}")
        if known.revoked is not None:
            raise RecordError(f"signature: by a key that was revoked ({known.revoked or 'no reason given'})")
        if not known.signed(leaf, envelope):
            raise RecordError("signature: it does not hold; what was signed was changed")
        return known

    def key(self, identifier: bytes) -> KnownKey | None:
        """Return what is known of a key. Raises `TrustError` where the directory cannot be read."""
        self.refresh()
        return self._keys.get(identifier)

    def newest(self, device: str) -> KnownKey | None:
        """Return the last key issued to a device that is not revoked."""
        self.refresh()
        return self._newest.get(device)

    def devices(self) -> frozenset[str]:
        """Return every device that a key was ever issued to, revoked or not; no server and no collector. Raises `TrustError`."""
        self.refresh()
        names = {known.device for known in self._keys.values()}
        return frozenset(name for name in names if DEVICE_PATTERN.fullmatch(name))

    def retired(self) -> dict[str, float]:
        """Return the devices all of whose keys were revoked, and when the last was (UTC, s). Raises `TrustError`."""
        self.refresh()
        found: dict[str, float] = {}
        for known in tuple(self._keys.values()):
            if known.revoked_s is not None and known.device not in self._newest:
                found[known.device] = max(known.revoked_s, found.get(known.device, 0.0))
        return found

    def leave_request(self, device: str, request: bytes) -> None:
        """Leave a device's request for the authority; the last one counts. Raises `RecordError`.

        Also where it cannot be left: that is this device's affair, and no reason to take in nothing from the others.
        """
        if len(request) > MAX_REQUEST_BYTES:
            raise RecordError(f"renew: {len(request)} bytes; allowed is {MAX_REQUEST_BYTES}")
        path = self.directory / "requests" / f"{device}.csr"
        draft = path.with_suffix(".new")
        try:
            draft.write_bytes(request)
            draft.replace(path)
        except OSError as error:
            told = f"{path}: cannot be written ({error.strerror})"
            if told not in self._told:
                self._told.add(told)
                log.warning("%s: devices get no next certificate until it can", told)
            raise RecordError(f"renew: {told}") from error

    @property
    def trust_list(self) -> TrustList | None:
        """The newest list of which collectors count, None where the directory has none."""
        self.refresh()
        return self._list[2]

    @property
    def trust_list_text(self) -> bytes:
        """That list as it travels."""
        return self._list[1]

    def refresh(self) -> None:
        """Read what is new, if it is time to look. Raises `TrustError`."""
        now_s = self._clock_s()
        if now_s - self._looked_s < LOOK_AGAIN_S:
            return
        try:
            seen = tuple((self.directory / name).stat().st_mtime_ns for name in ("issued", "revoked.json"))
            if seen != self._seen:
                self._seen = seen if self._read() else ()
            self._read_list()
        except OSError as error:
            raise TrustError(
                f"{self.directory}: it is not an authority's directory ({error.strerror}: {error.filename}); "
                "make one with: tidegauge provision ca, or copy one without its keys"
            ) from error
        self._looked_s = now_s

    def _read(self) -> bool:
        """Read all; return whether every certificate could be read.

        One that cannot, as while it is being copied here, counts for nobody, and the others go on; but at the start it is
        told to whoever starts us.
        """
        root = _certificate(self.directory / "root.crt")
        revoked = _revoked(self.directory / "revoked.json")
        keys: dict[bytes, KnownKey] = {}
        newest: dict[str, KnownKey] = {}
        whole = True
        for file in sorted((self.directory / "issued").glob("*.crt")):
            try:
                serial, identifier, known = self._files.get(file.name) or self._load(file, root)
            except TrustError as error:
                if not self._keys:
                    raise
                whole = False
                if str(error) not in self._told:
                    self._told.add(str(error))
                    log.warning("%s; it counts for nobody", error)
                continue
            if serial in revoked:
                known = replace(known, revoked=revoked[serial][0], revoked_s=revoked[serial][1])
            keys[identifier] = known
            before = newest.get(known.device)
            if known.revoked is None and (before is None or before.since_s < known.since_s):
                newest[known.device] = known
        self._keys, self._newest = keys, newest
        return whole

    def _read_list(self) -> None:
        """Read the trust list where it has changed. One that cannot be read, or is older than ours, leaves ours."""
        path = self.directory / FILE_NAME
        try:
            changed_ns = path.stat().st_mtime_ns
            if changed_ns == self._list[0]:
                return
            text = path.read_bytes()
            found = decode_text(decode(text).text)
        except FileNotFoundError:
            return
        except RecordError as error:
            if str(error) not in self._told:
                self._told.add(str(error))
                log.warning("%s: %s; devices get no newer one", path, error)
            return
        before = self._list[2]
        self._list = (
            (changed_ns, text, found)
            if before is None or found.number >= before.number
            else (changed_ns, *self._list[1:])
        )

    def _load(self, file: Path, root: x509.Certificate) -> tuple[int, bytes, KnownKey]:
        chain = file.read_bytes()
        try:
            leaf, issuing = x509.load_pem_x509_certificates(chain)
            leaf.verify_directly_issued_by(issuing)
            issuing.verify_directly_issued_by(root)
            public = leaf.public_key()
        except (ValueError, TypeError, InvalidSignature) as error:
            raise TrustError(
                f"{file}: it is not a certificate under {self.directory}/root.crt ({error})"
            ) from error
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise TrustError(f"{file}: its key is not EC")
        known = KnownKey(
            device=str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value),
            public=public,
            chain=chain,
            since_s=leaf.not_valid_before_utc.timestamp(),
            role=_role_of(leaf),
        )
        entry = (leaf.serial_number, key_id(public), known)
        self._files[file.name] = entry
        return entry


def _role_of(certificate: x509.Certificate) -> str:
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(units[0].value) if units else ""


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise TrustError(f"{path}: it is not a certificate ({error})") from error


def _revoked(path: Path) -> dict[int, tuple[str, float]]:
    """Return reason and time of each revocation, by serial."""
    try:
        return {
            int(entry["serial"], 16): (
                str(entry["reason"]),
                dt.datetime.fromisoformat(entry["when"]).timestamp(),
            )
            for entry in json.loads(path.read_bytes())
        }
    except (ValueError, TypeError, KeyError) as error:
        raise TrustError(f"{path}: it is not a list of revocations ({error})") from error
