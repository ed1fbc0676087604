"""The data directory: one per device, held by one process at a time, with the device's identity in it.

    DIR/lock              held with flock for as long as a daemon runs; holds its pid
    DIR/device.json       {"v": 1, "device": "<16 of a-z0-9>"}: random, made once, nothing personal in it
    DIR/outbox.sqlite3    the outbox (see `appliance.outbox.box`)

It must never replace an identity it cannot read by a new one: records already sent carry the old one. What the outbox
names is the old one.
"""

import contextlib
import errno
import json
import os
import secrets
import sqlite3
import string
import types
from pathlib import Path
from typing import Final, Self

from appliance.errors import ApplianceError
from appliance.storage import sidecar
from appliance.storage.recovery import salvage
from firmware.files.durable import is_read_only, write_durably
from firmware.files.lock import FileHeldError, hold
from firmware.model.jsontypes import Reader, RecordError
from firmware.wire.messages import DEVICE_PATTERN

VERSION: Final = 1
OUTBOX: Final = "outbox.sqlite3"
_ALPHABET: Final = string.ascii_lowercase + string.digits
_DEVICE_LENGTH: Final = 16
_DISK_REFUSES: Final = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT})
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class DataDirError(ApplianceError):
    """The data directory cannot be used."""


class DataDirInUseError(DataDirError):
    """Another process holds the data directory."""


class DataDirReadOnlyError(DataDirError):
    """The data directory, or something in it, cannot be written: read-only mount, or not ours."""


class DeviceIdentityDamagedError(DataDirError):
    """`device.json` is there and cannot be read as a device's identity."""


class DeviceIdentityTooNewError(DeviceIdentityDamagedError):
    """`device.json` was written by a newer version of this software."""


class DataDir:
    """An open, locked data directory. Close it (or leave its `with` block) to let another process have it.

    `path` is the directory, `device` this device's id, `outbox` the path of the outbox's database.
    """

    def __init__(self, path: Path, *, device: str, lock_fd: int) -> None:
        self.path = path
        self.device = device
        self.outbox = path / OUTBOX
        self._lock_fd = lock_fd

    @classmethod
    def open(cls, path: Path, *, patient: bool = False) -> Self:
        """Create the directory if it is missing (0700), lock it, and read or make the identity.

        With `patient`, a disk that is mounted read-only or full is no reason not to hold a directory that is a device's.

        Raises `DataDirInUseError`, `DataDirReadOnlyError`, `DeviceIdentityDamagedError` or `DataDirError`.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = _lock(path / "lock", patient=patient)
        except OSError as error:
            raise translate_os_error(error, path) from error
        try:
            if not (patient and is_read_only(path)):
                _refuse_closed(path)
            device = _read_or_make_identity(path / "device.json", patient=patient)
        except OSError as error:
            os.close(lock_fd)
            raise translate_os_error(error, path) from error
        except BaseException:
            os.close(lock_fd)
            raise
        return cls(path, device=device, lock_fd=lock_fd)

    def close(self) -> None:
        """Let go of the lock. Closing twice is harmless."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()


def read_device(path: Path) -> str | None:
    """Return the id of the device whose data directory is `path`, without locking; None when it has none yet.

    Raises `DeviceIdentityDamagedError`, `DataDirReadOnlyError` or `DataDirError`.
    """
    try:
        return _read_identity(path / "device.json")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate_os_error(error, path) from error


def adopt_device(path: Path, device: str) -> None:
    """Make `path` the data directory of `device`, which has an identity already. It must not be another's.

    Raises what `DataDir.open` raises.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (path / "device.json").exists():
            return
        write_durably(path / "device.json", _identity_of(device))
    except OSError as error:
        raise translate_os_error(error, path) from error


def translate_os_error(error: OSError, path: Path) -> DataDirError:
    """Return the data directory's error for the operating system's."""
    where = error.filename or path
    if error.errno in _READ_ONLY:
        return DataDirReadOnlyError(
            f"cannot be written ({error.strerror})",
            where=where,
            remedy="Give a directory this user may write to with --data, or mount its disk read-write",
        )
    return DataDirError(
        f"cannot be used as a data directory ({error.strerror or error})",
        where=where,
        remedy="Give another directory with --data",
    )


def _refuse_closed(path: Path) -> None:
    """Raise where nothing new can be made in `path`: its files may be writable all the same, and more will come."""
    if not os.access(path, os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _open_lock(path: Path, *, patient: bool) -> int:
    """Return what the lock is taken on: the file, or the directory where the disk does not let it be made."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if not patient or error.errno not in _DISK_REFUSES:
            raise
    return os.open(path if path.exists() else path.parent, os.O_RDONLY)


def _lock(path: Path, *, patient: bool) -> int:
    fd = _open_lock(path, patient=patient)
    try:
        hold(fd)
    except FileHeldError as error:
        os.close(fd)
        raise DataDirInUseError(
            f"in use by process {error.holder}",
            where=path.parent,
            remedy="Stop that process, or give another directory with --data",
        ) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _read_or_make_identity(path: Path, *, patient: bool) -> str:
    """Return who we are; where the file is gone or damaged, as the outbox beside it says. New only where there is neither.

    What is a few letters from what was written for the device that the outbox and its sidecar name, which have checksums, is
    that with bit flips.
    """
    try:
        named = _named_by_outbox(path.with_name(OUTBOX))
        if not (named and salvage.is_misspelt(path.read_text("latin-1"), _identity_of(named).decode())):
            return _read_identity(path)
        device = named
    except FileNotFoundError:
        device = _named_by_outbox(path.with_name(OUTBOX)) or "".join(
            secrets.choice(_ALPHABET) for _ in range(_DEVICE_LENGTH)
        )
    except DeviceIdentityTooNewError:
        raise
    except DeviceIdentityDamagedError:
        device = _named_by_outbox(path.with_name(OUTBOX))
        if not device:
            raise
    try:
        if path.exists():
            path.replace(path.with_name(path.name + ".damaged"))
        write_durably(path, _identity_of(device))
    except OSError as error:
        # Known all the same; an identity that is new would be another one after the next start.
        if not patient or error.errno not in _DISK_REFUSES or not _named_by_outbox(path.with_name(OUTBOX)):
            raise
    return device


def _identity_of(device: str) -> bytes:
    """Return what `device.json` has for a device."""
    return f"{json.dumps({'v': VERSION, 'device': device})}\n".encode()


def _named_by_outbox(path: Path) -> str:
    """Return the device whose records the outbox at `path` holds, by itself and by the note beside it; "" if they do not agree."""
    noted = sidecar.read(path)
    named = set() if noted is None else {noted.device}
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(connection):
            named |= {
                device
                for (device,) in connection.execute("SELECT device FROM state ORDER BY id DESC LIMIT 1")
                if isinstance(device, str) and DEVICE_PATTERN.fullmatch(device)
            }
    return named.pop() if len(named) == 1 else ""


def _read_identity(path: Path) -> str:
    text = path.read_bytes()
    try:
        reader = Reader.of_text(text, where="device.json")
        if reader.integer("v", low=1) > VERSION:
            raise DeviceIdentityTooNewError(
                f"was written by a newer version (v {reader.integer('v')}; this software reads up to {VERSION})",
                where=path,
                remedy="Upgrade tidegauge",
            )
        device = reader.text("device")
        if not DEVICE_PATTERN.fullmatch(device):
            raise RecordError(f"device: found {device[:60]!r}; allowed is {DEVICE_PATTERN.pattern}")
    except ValueError as error:
        raise DeviceIdentityDamagedError(
            f"does not hold this device's identity ({error})",
            where=path,
            remedy="Put a copy of it back; or, to begin anew as a new device, move the whole data directory away",
        ) from error
    return device
