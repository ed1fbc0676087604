"""A USB drive that is plugged in: answers taken from it, what waits written to it, and told when it may be pulled.

A thread of its own, at low priority, with an outbox connection of its own. It looks for file systems that appear below the
watched directories and have the marker; mounting is the system's matter, since a device has no right to. It must never touch
a file system without the marker, write to one while it says that it may be pulled, or keep the device from measuring.
"""

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.removable.answers import AnswersResult, take
from appliance.delivery.removable.bundles import BundleAuthor, BundleResult, write
from appliance.delivery.removable.folder import Folder, is_for, read_marker
from appliance.delivery.removable.mounts import Mount, parse
from appliance.errors import ApplianceError
from appliance.events import (
    Event,
    ExportEnded,
    ExportProgressed,
    ExportStarted,
    OfflineExport,
    OutboxChanged,
    UsbDriveGone,
)
from appliance.identity.identity import DeviceIdentity
from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxError
from appliance.threads import WakeableThread
from firmware.model.failures import Failure, from_os_error
from firmware.net.loop import boottime_ns

LOOK_S: Final = 2.0
AGAIN_S: Final = 24 * 3600.0
"""After this long a USB drive that stays plugged in is written again."""
TELL_EVERY_S: Final = 1.0
_NICE: Final = 10
_MOUNTS: Final = Path("/proc/self/mountinfo")
_log: Final = logging.getLogger(__name__)


class UsbDriveWatch:
    """Watches from `start` to `stop`. `notify` is called from its thread and must not block; `identity` as in `Sync`."""

    def __init__(
        self,
        watched: Sequence[Path],
        outbox: Outbox,
        *,
        software: str,
        country: str,
        notify: Callable[[Event], None],
        identity: Callable[[], DeviceIdentity | None],
    ) -> None:
        self._watched = watched
        self._outbox = outbox
        self._software = software
        self._country = country
        self._notify = notify
        self._identity = identity
        self._seen: dict[Mount, float | None] = {}
        self._thread = WakeableThread(self._run, name="usb_drive")

    def start(self) -> None:
        """Begin to watch, if there is anything to watch."""
        if self._watched:
            self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """End; a bundle that is not whole is taken away. A USB drive that hangs is left to end with the process."""
        self._thread.stop(timeout_s)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            with _MOUNTS.open("rb", buffering=0) as table:
                poller = select.poll()
                # The kernel says by these two that the table has changed (proc(5)).
                poller.register(table, select.POLLPRI | select.POLLERR)
                poller.register(self._thread.wake_fd, select.POLLIN)
                while not self._thread.stopping.is_set():
                    self._look(table)
                    poller.poll(LOOK_S * 1000)
        except OSError as error:
            _log.warning("%s: USB drives are not watched (%s)", _MOUNTS, error.strerror)

    def _look(self, table: BinaryIO) -> None:
        table.seek(0)
        there = parse(table.read(), self._watched)
        for gone in self._seen.keys() - set(there):
            if self._seen.pop(gone) is not None:
                self._notify(UsbDriveGone())
        for mount in there:
            due = self._seen.get(mount, 0.0)
            if self._thread.stopping.is_set() or due is None or time.monotonic() < due:
                continue
            marker = read_marker(mount.path)
            if marker is None or not is_for(marker, self._outbox.device):
                self._seen[mount] = None
                continue
            self._carry(mount.path)
            self._seen[mount] = time.monotonic() + AGAIN_S

    def _carry(self, root: Path) -> None:
        """Take what is there, write what waits, and tell of it once the USB drive is closed."""
        began_ns = boottime_ns()
        taken, written = AnswersResult(), BundleResult()
        try:
            with self._outbox.clone() as outbox, Folder.open(root) as folder:
                self._notify(ExportStarted(waiting=outbox.counts().waiting))
                authentication = MessageAuthentication(self._identity())
                folder.drop_parts(outbox.device)
                taken = take(outbox, folder, authentication)
                # What was taken away is to be gone before its space is written anew: else a USB drive that is pulled then
                # shows a bundle with another's bytes in it.
                folder.sync()
                counts = outbox.counts()
                if taken.records:
                    self._notify(
                        OutboxChanged(
                            waiting=counts.waiting,
                            acknowledged=counts.acknowledged,
                            quarantined=counts.quarantined,
                        )
                    )
                if counts.waiting or outbox.tombstones(1):
                    with contextlib.suppress(
                        OutboxError
                    ):  # a full card must not keep anything from going out
                        outbox.note_incarnation()
                    author = BundleAuthor(
                        seal=authentication.seal,
                        software=self._software,
                        country=self._country,
                        list_number=authentication.list_number,
                    )
                    written = write(outbox, folder, author, utc_ns=time.time_ns(), progress=self._progress())
                folder.sync()
        except OSError as error:
            fault = f"the USB drive cannot be used ({error.strerror or error})"
            written = BundleResult(waiting=written.waiting, fault=fault, failure=from_os_error(error))
        except ApplianceError as error:
            written = BundleResult(waiting=written.waiting, fault=str(error), failure=Failure.RESULT_LOST)
        except Exception as error:  # noqa: BLE001
            # The outermost of a visit: a fault of ours must not leave the light at "do not pull", nor end the watching.
            _log.exception("a USB drive could not be written")
            fault = f"a fault of this program ({error!r})"
            written = BundleResult(waiting=written.waiting, fault=fault, failure=Failure.RESULT_LOST)
        self._notify(
            ExportEnded(
                carried=OfflineExport(
                    start_boottime_ns=began_ns,
                    runtime_ns=boottime_ns() - began_ns,
                    records=written.records if written.path is not None else 0,
                    waiting=written.waiting,
                    size=written.size,
                    taken=taken.records,
                    fault=written.fault,
                    failure=written.failure,
                )
            )
        )

    def _progress(self) -> Callable[[int, int], bool]:
        told_s = time.monotonic()

        def progress(done: int, waiting: int) -> bool:
            nonlocal told_s
            now_s = time.monotonic()
            if now_s - told_s >= TELL_EVERY_S:
                told_s = now_s
                self._notify(ExportProgressed(written=done, waiting=waiting))
            return not self._thread.stopping.is_set()

        return progress
