"""What a collector answered to a bag, taken from the stick: a record leaves the outbox by it as by any other ack.

It must never let an answer count that would not count over a network: where the device has an identity, each is signed.
"""

import logging
from dataclasses import dataclass
from typing import Final

from appliance.carry.folder import ANSWERS, BAG, Folder
from appliance.outbox.box import AckImpossibleError, Outbox
from appliance.sync.link import ACK, Received
from appliance.sync.voice import Voice
from firmware.exchange import decode_ack
from firmware.jsontypes import RecordError
from firmware.mailfile import BagFile

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How many answers counted, and how many records left the outbox by them."""

    answers: int = 0
    records: int = 0


def take(outbox: Outbox, folder: Folder, voice: Voice) -> Taken:
    """Take every answer to this device's bags. Raises `OutboxError`, and `OSError` where the stick cannot be read.

    An answer that was taken is removed, and with it the bag, if there is an answer to each of its messages.
    """
    taken = Taken()
    for stem in folder.answers(outbox.device):
        answers, one = 0, Taken()
        try:
            with folder.read(stem + ANSWERS) as file:
                read = BagFile(file)
                for message in read:
                    answers += message.leaf == ACK
                    one = _with(one, _take_one(outbox, voice, Received(message.payload, message.leaf)))
        except RecordError as error:
            _log.warning("%s%s: %s", stem, ANSWERS, error)
            continue
        taken = Taken(answers=taken.answers + one.answers, records=taken.records + one.records)
        if read.fault:
            _log.warning("%s%s: %s", stem, ANSWERS, read.fault)
        elif one.answers == answers:
            if one.answers and one.answers == _messages(folder, stem + BAG):
                folder.drop(stem + BAG)
            folder.drop(stem + ANSWERS)
    return taken


def _with(taken: Taken, removed: int | None) -> Taken:
    if removed is None:
        return taken
    return Taken(answers=taken.answers + 1, records=taken.records + removed)


def _take_one(outbox: Outbox, voice: Voice, received: Received) -> int | None:
    """Return how many records left by a message, None where it does not count as an answer."""
    payload, _ = voice.heard(received)
    if payload is None or received.leaf != ACK:
        return None
    try:
        ack = decode_ack(payload)
        if ack.epoch == outbox.epoch:
            return outbox.acknowledge(ack)
        return sum(box.acknowledge(ack) for box in outbox.past() if box.epoch == ack.epoch)
    except (RecordError, AckImpossibleError) as error:
        _log.warning("an answer on a stick was ignored: %s", error)
        return None


def _messages(folder: Folder, name: str) -> int:
    """Return how many messages a bag has, 0 where it is not whole or not there."""
    try:
        with folder.read(name) as file:
            read = BagFile(file)
            count = sum(1 for _ in read)
    except (OSError, RecordError):
        return 0
    return 0 if read.fault else count
