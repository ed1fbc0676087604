"""`tidegauge export --to DIR`: what waits on a device, written into a directory or onto a USB drive by hand.

Reads only, also while the device runs. It must never wait for the device, nor take its place.
"""

import time
from pathlib import Path
from typing import Final

import click

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.removable.bundles import BundleAuthor, write
from appliance.delivery.removable.folder import Folder
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from appliance.measuring.records import SOFTWARE
from appliance.outbox.box import Outbox
from firmware.commands.errors import CommandError

TELL_EVERY_S: Final = 5.0


def to_directory(data: Path, directory: Path, *, country: str) -> str:
    """Export the outbox in `data` to `directory`; return what to say. Raises `CommandError`, `ApplianceError`."""
    files = IdentityFiles(data=data)
    with Outbox.open_for_export(data / "outbox.sqlite3") as outbox:
        identity = DeviceIdentity.load(files, device=outbox.device) if files.are_there else None
        authentication = MessageAuthentication(identity)
        author = BundleAuthor(
            seal=authentication.seal,
            software=SOFTWARE,
            country=country,
            list_number=authentication.list_number,
        )
        try:
            with Folder.open(directory) as folder:
                done = write(outbox, folder, author, utc_ns=time.time_ns(), progress=_Progress())
        except OSError as error:
            raise CommandError(
                f"{directory}: cannot be written ({error.strerror}); give a directory that this user may write to"
            ) from error
    if done.fault:
        raise CommandError(str(done))
    return str(done)


class _Progress:
    """Says on the standard error how far a long export is, now and then."""

    def __init__(self) -> None:
        self._told_s = time.monotonic()

    def __call__(self, done: int, waiting: int) -> bool:
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            click.echo(f"{done:,} of {waiting:,} records", err=True)
        return True
