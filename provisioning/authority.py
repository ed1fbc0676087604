"""The certificate authority as a directory: made once, then it issues, renews and revokes. One writer at a time.

    root.crt      what everybody trusts        root.key      signs issuing.crt only: keep it elsewhere, offline
    issuing.crt   signs all others             issuing.key   needed for each certificate and revocation
    issued/       every certificate there is, NAME-SERIAL.crt; a collector knows its devices by them
    revoked.json  [{"serial", "name", "when", "reason"}, …]
    revoked.crl   the same as a revocation list, for brokers
    trust-list.json   which collectors count, numbered and signed; devices let go of a record on no other's word
    requests/     what devices asked a collector for, NAME.csr, waiting for `renew`

Files appear whole or not at all. Keys are readable by their owner only; the rest is no secret, and collectors read it. It must never make a device's key where it
was not asked to, never issue one name to two keys unless it renews, and never forget what it issued.
"""

import contextlib
import datetime as dt
import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware.files.durable import write_durably
from firmware.wire.trust_list import FILE_NAME as TRUST_LIST
from firmware.wire.trust_list import TrustList, decode
from provisioning import trust
from provisioning.certificates import (
    Issuer,
    Key,
    Role,
    common_name,
    key_pem,
    make_issuing,
    make_key,
    make_leaf,
    make_revocations,
    make_root,
    pem,
    read_request,
    role_of,
)
from provisioning.errors import BadRequestError, ProvisioningError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One certificate that counts no longer."""

    serial: int
    name: str
    when: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One certificate there is: `chain` is PEM, the leaf first; `revoked` says since when and why, or None."""

    name: str
    role: Role
    serial: int
    not_after: dt.datetime
    chain: bytes
    revoked: Revocation | None = None


class Authority:
    """An authority's directory, held with a lock until its `with` block ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = _certificate(path / "root.crt")
        self.issuing = _certificate(path / "issuing.crt")

    @classmethod
    def make(cls, path: Path, *, name: str, now: dt.datetime) -> None:
        """Make a new authority in `path`, which must be empty or not be there. Raises `ProvisioningError`."""
        if path.exists() and any(path.iterdir()):
            raise BadRequestError(
                f"{path}: it is not empty; an authority is made in a directory of its own, and never over another"
            )
        root_key, issuing_key = make_key(), make_key()
        root = Issuer(certificate=make_root(name, root_key, now=now), key=root_key)
        issuing = make_issuing(name, issuing_key, root, now=now)
        with _told(path):
            path.mkdir(parents=True, exist_ok=True)
            for folder in ("issued", "requests"):
                (path / folder).mkdir()
            write(path / "root.key", key_pem(root_key), mode=0o600)
            write(path / "issuing.key", key_pem(issuing_key), mode=0o600)
            write(path / "issuing.crt", pem(issuing))
            write(path / "revoked.json", b"[]\n")
            write(
                path / "revoked.crl",
                make_revocations((), Issuer(certificate=issuing, key=issuing_key), now=now),
            )
            write(path / "root.crt", pem(root.certificate))

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open an authority and hold it. Raises `BadRequestError` where `path` is none."""
        if not (path / "root.crt").is_file():
            raise BadRequestError(
                f"{path}: there is no authority in it (no root.crt); make one with: tidegauge provision ca {path}"
            )
        with _told(path), (path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield cls(path)

    def issue(
        self,
        name: str,
        role: Role,
        public: ec.EllipticCurvePublicKey,
        *,
        now: dt.datetime,
        hosts: Sequence[str] = (),
        lifetime: dt.timedelta | None = None,
    ) -> bytes:
        """Issue a certificate; return its chain, PEM, leaf and issuing. Raises `BadRequestError`."""
        if not _NAME.fullmatch(name):
            raise BadRequestError(f"name: found {name[:70]!r}; allowed is {_NAME.pattern}")
        if now >= self.issuing.not_valid_after_utc:
            raise ProvisioningError(
                f"{self.path / 'issuing.crt'}: it ran out on {self.issuing.not_valid_after_utc:%Y-%m-%d}, and issues nothing "
                "more; revoking still works. Make a new authority with: tidegauge provision ca"
            )
        issuer = Issuer(certificate=self.issuing, key=self._issuing_key())
        given = {} if lifetime is None else {"lifetime": lifetime}
        leaf = make_leaf(name, role, public, issuer, now=now, hosts=hosts, **given)
        chain = pem(leaf, self.issuing)
        with _told(self.path):
            write(self.path / "issued" / f"{name.replace(':', '_')}-{leaf.serial_number:x}.crt", chain)
        if role is Role.COLLECTOR:
            self.list_collectors(now=now)
        return chain

    def trust_list(self) -> TrustList | None:
        """Return the list of who counts, None before the first. Raises `ProvisioningError`."""
        return trust.current(self.path)

    def list_collectors(
        self,
        *,
        now: dt.datetime,
        lifetime: dt.timedelta = trust.LIFETIME,
        root_key: Path | None = None,
        number: int = 0,
    ) -> TrustList:
        """Write the next list of which collectors count, with `number` at least; return it. Raises `BadRequestError`.

        With `root_key` the root signs it, and devices that have it take no list by the issuing key any more.
        """
        self._check_clock(now)
        before = trust.current(self.path)
        keys = [
            trust.CollectorKey(
                public=_public_key(one.chain),
                name=one.name,
                since=x509.load_pem_x509_certificate(one.chain).not_valid_before_utc,
                revoked=None if one.revoked is None else one.revoked.when,
            )
            for one in self.issued()
            if one.role is Role.COLLECTOR
        ]
        made = trust.make(
            keys, number=max(number, (before.number if before else 0) + 1), now=now, lifetime=lifetime
        )
        by_root = root_key is not None or self._is_listed_by_root()
        key = self._root_key(root_key or self.path / "root.key") if by_root else self._issuing_key()
        with _told(self.path):
            write(self.path / TRUST_LIST, trust.signed(made, key, issuing=None if by_root else self.issuing))
        return made

    def renew_list(self, *, now: dt.datetime) -> TrustList | None:
        """Write the next list if there is none or the last is `trust.RENEWED_AFTER` old; None where it is not."""
        before = trust.current(self.path)
        collectors = any(one.role is Role.COLLECTOR for one in self.issued())
        if not collectors or (before and _ns(now) < before.issued_utc_ns + _ns_of(trust.RENEWED_AFTER)):
            return None
        return self.list_collectors(now=now)

    def _is_listed_by_root(self) -> bool:
        """Return whether the last list is by the root: then the next must be, or devices would not take it."""
        file = self.path / TRUST_LIST
        return file.exists() and decode(file.read_bytes()).is_by_root

    def _root_key(self, path: Path) -> Key:
        key = _private_key(path, "the root's key is not here; name where it is kept: --root-key FILE")
        if key.public_key() != self.root.public_key():
            raise BadRequestError(f"{path}: it is not the key of {self.path / 'root.crt'}")
        return key

    def issue_device(self, request: bytes, *, now: dt.datetime) -> tuple[str, bytes]:
        """Issue what a device asks for; return its id and its chain. Raises `BadRequestError`.

        The first comer has the name: a request for an id that has a certificate in force is refused, since
        nothing in it shows that it is the same device. (A renewal is signed with the old key.)
        """
        self._check_clock(now)
        device, public = read_request(request)
        held = [one for one in self.issued() if one.name == device and one.revoked is None]
        if held:
            raise BadRequestError(
                f"device {device} has a certificate already; if this is its new card, revoke the old one first: "
                f"tidegauge provision revoke --ca {self.path} {device}"
            )
        return device, self.issue(device, Role.DEVICE, public, now=now)

    def renew(self, *, now: dt.datetime) -> tuple[tuple[str, str], ...]:
        """Issue what waits in `requests/`; return each device with "" or why it was refused.

        A collector puts there only what came under the signature of a key in force for that very device.
        """
        done: list[tuple[str, str]] = []
        for file in sorted((self.path / "requests").glob("*.csr")):
            with _told(self.path):
                refused = self._renew_one(file, now=now)
                file.unlink()
            done.append((file.stem, refused))
        return tuple(done)

    def _renew_one(self, file: Path, *, now: dt.datetime) -> str:
        """Issue what `file` asks for; return why not, or "". A request that was served already is served.

        None is issued in the first quarter of the last one's life: a device asks from half of it on, unless its clock is
        years ahead or it means harm, and either would ask for one certificate after the other.
        """
        try:
            device, public = read_request(file.read_bytes())
            held = [one for one in self.issued() if one.name == file.stem and one.revoked is None]
            if device != file.stem:
                return f"it names device {device}"
            if not held:
                return "no certificate of this device is in force"
            newest = x509.load_pem_x509_certificate(held[-1].chain)
            if newest.public_key() == public:
                return ""
            due = newest.not_valid_before_utc + (newest.not_valid_after_utc - newest.not_valid_before_utc) / 4
            if now < due:
                return f"it has one since {newest.not_valid_before_utc:%Y-%m-%d}; the next from {due:%Y-%m-%d} on"
            self.issue(device, Role.DEVICE, public, now=now)
        except BadRequestError as error:
            return str(error)
        return ""

    def revoke(self, name: str, *, now: dt.datetime, reason: str = "") -> int:
        """Revoke every certificate of `name`; return how many were in force. Raises `BadRequestError`."""
        all_of_it = [one for one in self.issued() if one.name == name]
        if not all_of_it:
            raise BadRequestError(f"{name}: no certificate of that name was issued by {self.path}")
        self._check_clock(now)
        new = [one for one in all_of_it if one.revoked is None]
        issuer = Issuer(certificate=self.issuing, key=self._issuing_key())
        known = [
            *self.revocations(),
            *(Revocation(serial=one.serial, name=name, when=now, reason=reason) for one in new),
        ]
        text = [
            {
                "serial": f"{one.serial:x}",
                "name": one.name,
                "when": one.when.isoformat(),
                "reason": one.reason,
            }
            for one in known
        ]
        with _told(self.path):
            # The list for brokers first: if what follows fails, the next try makes both again.
            crl = make_revocations([(one.serial, one.when) for one in known], issuer, now=now)
            write(self.path / "revoked.crl", crl)
            write(self.path / "revoked.json", json.dumps(text, indent=1).encode() + b"\n")
        if any(one.role is Role.COLLECTOR for one in all_of_it):
            self.list_collectors(now=now)
        return len(new)

    def issued(self) -> tuple[Issued, ...]:
        """Return every certificate there is, by name, the oldest first."""
        revoked = {one.serial: one for one in self.revocations()}
        found: list[tuple[str, dt.datetime, Issued]] = []
        for file in sorted((self.path / "issued").glob("*.crt")):
            leaf = _certificate(file)
            role = role_of(leaf)
            if role is None:
                raise ProvisioningError(f"{file}: it names no role; it was not made by this software")
            one = Issued(
                name=common_name(leaf),
                role=role,
                serial=leaf.serial_number,
                not_after=leaf.not_valid_after_utc,
                chain=file.read_bytes(),
                revoked=revoked.get(leaf.serial_number),
            )
            found.append((one.name, leaf.not_valid_before_utc, one))
        return tuple(one for _, _, one in sorted(found, key=lambda entry: entry[:2]))

    def revocations(self) -> tuple[Revocation, ...]:
        """Return what was revoked, in the order it was."""
        file = self.path / "revoked.json"
        try:
            return tuple(
                Revocation(
                    serial=int(entry["serial"], 16),
                    name=entry["name"],
                    when=dt.datetime.fromisoformat(entry["when"]),
                    reason=entry["reason"],
                )
                for entry in json.loads(file.read_bytes())
            )
        except (ValueError, TypeError, KeyError) as error:
            raise ProvisioningError(f"{file}: it is not a list of revocations ({error})") from error

    def _check_clock(self, now: dt.datetime) -> None:
        """Refuse a time before the authority was made: what is dated by it would count for nobody, or take back too much."""
        made = self.issuing.not_valid_before_utc
        if now < made:
            raise BadRequestError(
                f"this machine's clock says {now:%Y-%m-%d}, and {self.path} was made after {made:%Y-%m-%d}: set the clock"
            )

    def _issuing_key(self) -> Key:
        return _private_key(
            self.path / "issuing.key",
            "the issuing key is not here; nothing can be issued or revoked without it",
        )


def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a whole file, or none of it, for `mode`'s readers only, also on a power cut."""
    write_durably(path, data, mode=mode)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise ProvisioningError(f"{path}: it is not a certificate ({error})") from error
    except OSError as error:
        raise ProvisioningError(f"{path}: cannot be read ({error.strerror})") from error


def _private_key(path: Path, missing: str) -> Key:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise BadRequestError(f"{path}: {missing}") from error
    except (ValueError, TypeError) as error:
        raise ProvisioningError(f"{path}: it is not a private key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ProvisioningError(f"{path}: it is not an EC key")
    return key


def _public_key(chain: bytes) -> ec.EllipticCurvePublicKey:
    public = x509.load_pem_x509_certificate(chain).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)  # we issue no other
    return public


def _ns(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def _ns_of(span: dt.timedelta) -> int:
    return int(span.total_seconds()) * 1_000_000_000


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Return what the file system refused, and where."""
    try:
        yield
    except OSError as error:
        raise ProvisioningError(f"{error.filename or path}: {error.strerror or error}") from error
