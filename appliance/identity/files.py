"""The identity on the device's disk, and how it changes hands. Every change is a rename: a power cut leaves a whole one.

    DATA/identity/key.pem           made here by `request`, or brought along; readable by its owner only
    DATA/identity/certificate.pem   the device's certificate, then the issuing one
    DATA/identity/trust.pem         the authority's root
    DATA/identity/collectors.pem    certificates of collectors heard of, each verified against the root
    DATA/identity/trust-list.json   which collectors count (`appliance.identity.trusted`)
    DATA/identity/next.pem          the key of the certificate that was asked for and has not come yet

It must never send a key anywhere, never print one, and never leave the device without an identity it had.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError
from firmware.files.durable import write_durably
from firmware.wire.trust_list import FILE_NAME

FOLDER: Final = "identity"
MAX_FILE_BYTES: Final = 64 * 1024


class IdentityError(ApplianceError):
    """The device's identity cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFiles:
    """The paths, in the data directory `data`."""

    data: Path

    @property
    def folder(self) -> Path:
        """Where all of it is."""
        return self.data / FOLDER

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        """The chain, the leaf first."""
        return self.folder / "certificate.pem"

    @property
    def trust(self) -> Path:
        """The root."""
        return self.folder / "trust.pem"

    @property
    def collectors(self) -> Path:
        """What collectors have shown us."""
        return self.folder / "collectors.pem"

    @property
    def trust_list(self) -> Path:
        """Which collectors count."""
        return self.folder / FILE_NAME

    @property
    def next_key(self) -> Path:
        """The key of the next certificate."""
        return self.folder / "next.pem"

    @property
    def are_there(self) -> bool:
        """Return whether the device was given an identity; without one it sends unsigned, to a broker that lets it."""
        return self.certificate.exists()


def read(path: Path) -> bytes:
    """Return a file's content. Raises `IdentityError`."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise IdentityError(
            f"cannot be read ({error.strerror})",
            where=path,
            remedy="Give this user the right to read it, or install the identity again: tidegauge identity install",
        ) from error


def write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write a whole file durably, for its owner only if `secret`. Raises `IdentityError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, data, mode=0o600 if secret else 0o644)
    except OSError as error:
        raise IdentityError(
            f"cannot be written ({error.strerror})",
            where=path,
            remedy="Free some space, or mount it read-write",
        ) from error
