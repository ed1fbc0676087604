"""What a collector answered to a bundle, taken from the USB drive: a record leaves the outbox by it as by any other ack.

It must never let an answer count that would not count over a network: where the device has an identity, each is signed.
"""

import contextlib
import logging
from dataclasses import dataclass
from typing import Final

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.messages.received import ACK, TRUST, Received
from appliance.delivery.removable.folder import ANSWERS, BUNDLE, Folder
from appliance.outbox.box import AckImpossibleError, Outbox
from appliance.outbox.time_bounds import TimeBounds
from firmware.model.jsontypes import RecordError
from firmware.wire.bundle_file import BundleFile
from firmware.wire.messages import decode_ack, end_of_incarnation
from firmware.wire.trust_list import FILE_NAME, MAX_BYTES

_MAX_TRIED: Final = 64
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersResult:
    """How many answers counted, and how many records left the outbox by them."""

    answers: int = 0
    records: int = 0


def take(outbox: Outbox, folder: Folder, authentication: MessageAuthentication) -> AnswersResult:
    """Take every answer to this device's bundles. Raises `OutboxError`, and `OSError` where the USB drive cannot be read.

    An answer that was taken is removed, and with it the bundle, if there is an answer to each of its messages. A trust list
    on the drive comes first: it says whose answers count.
    """
    taken = AnswersResult()
    moments = TimeBounds(outbox)
    authentication.now_low_ns = moments.now_low_ns
    _take_list(folder, authentication)
    _go_by_list(outbox, authentication, moments)
    for stem in folder.answers(outbox.device):
        incarnations = outbox.hello(software="", country="").incarnations
        reader, told = _Reader(outbox, authentication, incarnations, moments), 0
        try:
            with folder.read(stem + ANSWERS) as file:
                read = BundleFile(file)
                for message in read:
                    told += message.leaf == ACK
                    reader.take(Received(message.payload, message.leaf))
        except RecordError as error:
            _log.warning("%s%s: %s", stem, ANSWERS, error)
            continue
        taken = AnswersResult(answers=taken.answers + reader.answers, records=taken.records + reader.records)
        if read.fault:
            _log.warning("%s%s: %s", stem, ANSWERS, read.fault)
        elif reader.answers == told:
            if told and told == _messages(folder, stem + BUNDLE):
                folder.drop(stem + BUNDLE)
            folder.drop(stem + ANSWERS)
    for _ in range(_MAX_TRIED):
        if not outbox.reclaim.owes or not outbox.reclaim.bring_back():
            break
    return taken


def _take_list(folder: Folder, authentication: MessageAuthentication) -> None:
    """Take the trust list that lies on the drive by itself, if there is one; it stays, for other devices."""
    with contextlib.suppress(OSError), folder.read(FILE_NAME) as file:
        authentication.open(Received(file.read(MAX_BYTES + 1), TRUST))


def _go_by_list(outbox: Outbox, authentication: MessageAuthentication, moments: TimeBounds) -> None:
    authentication.has_new_list = False
    if authentication.identity is not None:
        trust = authentication.identity.held.trust
        outbox.reclaim.settle(trust, latest_ns=moments.latest_ns, now_low_ns=moments.now_low_ns)


@dataclass(slots=True)
class _Reader:
    """Takes one file's answers. The hello's names the incarnation that wrote the bundle: it must be one of this card's own.

    A card that was copied has the same name, and the same numbers mean other records on it from the copy on.
    """

    outbox: Outbox
    authentication: MessageAuthentication
    incarnations: tuple[tuple[str, int], ...]
    moments: TimeBounds
    answers: int = 0
    records: int = 0

    def take(self, received: Received) -> None:
        """Take one message, if it is an answer that counts."""
        payload, _ = self.authentication.open(received)
        if self.authentication.has_new_list:
            _go_by_list(self.outbox, self.authentication, self.moments)
        if payload is None or received.leaf != ACK:
            return
        try:
            ack = decode_ack(payload)
            receipt = self.authentication.receipt(
                boot_id=self.moments.boot_id, boottime_ns=self.moments.now_ns
            )
            if ack.conflict is not None and self.outbox.reclaim.owes:
                _log.info(
                    "a sequence conflict is left for the next bundle, which names every incarnation again"
                )
                return
            if ack.epoch != self.outbox.epoch:
                self.records += sum(
                    box.acknowledge(ack, receipt) for box in self.outbox.past() if box.epoch == ack.epoch
                )
            elif ack.highest < end_of_incarnation(ack.incarnation, self.incarnations):
                self.records += self.outbox.acknowledge(ack, receipt)
            else:
                _log.info(
                    "an answer on a USB drive says more than the bundle was asked about: left for the next one"
                )
                return
        except (RecordError, AckImpossibleError) as error:
            _log.warning("an answer on a USB drive was ignored: %s", error)
            return
        self.answers += 1


def _messages(folder: Folder, name: str) -> int:
    """Return how many messages a bundle has, 0 where it is not whole or not there."""
    try:
        with folder.read(name) as file:
            read = BundleFile(file)
            count = sum(1 for _ in read)
    except (OSError, RecordError):
        return 0
    return 0 if read.fault else count
