"""The thread that stores: takes what the subscriber read, commits it in one transaction, then sends the acks.

Nothing is acknowledged before it is committed, and what could not be committed is not acknowledged: the device
still holds it. This is the outermost loop of ingest: it must never end because of what a device sent.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from collector.errors import StoreError, TrustError
from collector.messages import Delivery, OutgoingMessage
from collector.receive.inbox import Inbox, pause_s
from collector.receive.validation import Validation, answer, unreadable, validate
from collector.store.arrivals import Accounted, BatchArrived, HelloArrived
from collector.store.database import Store
from collector.trust.gate import Gate
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Hello

GROUP: Final = 256
"""How many messages at most share one transaction."""
STORE_RETRY_S: Final = 2.0

log = logging.getLogger("collector.receive.validation")


class IngestThread:
    """Runs from `start` to `stop`; owns the store meanwhile. `send` is called with each ack, after the commit.

    What `after_hello` returns for a hello is sent after its ack; `after_batch` is called with each batch that was stored.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        send: Callable[[OutgoingMessage], None],
        *,
        gate: Gate | None = None,
        after_hello: Callable[[Hello], OutgoingMessage | None] = lambda _hello: None,
        after_batch: Callable[[BatchArrived], None] = lambda _batch: None,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._gate = gate or Gate()
        self._send = send
        self._after_hello = after_hello
        self._after_batch = after_batch
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest")
        self.fault: str | None = None
        """Why nothing can be stored at present, or None."""

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction that is under way, whose acks still go out."""
        self._stopping.set()
        self._inbox.close()
        self._thread.join()

    def _run(self) -> None:
        while deliveries := self._inbox.take(GROUP):
            try:
                self.handle(deliveries)
                self.fault = None
            except (StoreError, TrustError) as error:
                # Nothing was stored and nothing is acknowledged: the devices keep it and send it again.
                log.warning("%s; %d messages wait at their devices", error, len(deliveries))
                self.fault = str(error)
                self._stopping.wait(STORE_RETRY_S)

    def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Store a group and answer it, in the calling thread. Raises `StoreError`, `TrustError`: nothing was stored then."""
        try:
            self._handle(deliveries)
        except (StoreError, TrustError):
            raise
        except Exception:
            # What a device sent has found a fault of ours: the others' messages must not suffer for it.
            log.exception("a group of %d messages could not be handled; one by one", len(deliveries))
            for delivery in deliveries:
                self._handle_alone(delivery)

    def _handle(self, deliveries: Sequence[Delivery]) -> None:
        admitted = [(delivery, *self._admit(delivery)) for delivery in deliveries]
        arrivals = [judgement.arrival for _, judgement, _ in admitted if judgement is not None]
        committed = iter(self._store.commit(arrivals))
        asked_s = pause_s(self._inbox.fill)
        for delivery, judgement, shown in admitted:
            said = () if judgement is None else tuple(self._answers(judgement, next(committed), asked_s))
            self._reply(delivery, (*shown, *said))

    def _admit(self, delivery: Delivery) -> tuple[Validation | None, tuple[OutgoingMessage, ...]]:
        """Return what is to become of a delivery, None where it is done with already, and what the gate says to it."""
        admitted = self._gate.admit(delivery)
        if admitted.refused:
            return unreadable(delivery, admitted.refused), admitted.answers
        if admitted.delivery is None:
            return None, admitted.answers
        return _with_evidence(validate(admitted.delivery), delivery.payload), admitted.answers

    def _reply(self, delivery: Delivery, answers: tuple[OutgoingMessage, ...]) -> None:
        """Send answers the way the message came."""
        if delivery.reply is not None:
            delivery.reply(answers)
            return
        for one in answers:
            self._send(one)

    def _handle_alone(self, delivery: Delivery) -> None:
        try:
            self._handle([delivery])
        except (StoreError, TrustError) as error:
            log.warning("%s", error)
        except Exception as fault:
            log.exception("a message on %r cannot be handled; it is kept with the rejects", delivery.topic)
            judgement = unreadable(delivery, f"a fault of the collector: {type(fault).__name__}")
            try:
                self._store.commit([judgement.arrival])
            except StoreError as error:
                log.warning("%s", error)

    def _answers(
        self, judgement: Validation, accounted: Accounted | None, asked_s: float
    ) -> Iterator[OutgoingMessage]:
        if judgement.to is None:
            return
        if accounted is not None and judgement.epoch is not None:
            yield self._gate.sealed(answer(judgement, accounted, judgement.epoch, pause_s=asked_s))
            if isinstance(judgement.arrival, BatchArrived) and accounted.conflict is None:
                self._after_batch(judgement.arrival)
            if isinstance(judgement.arrival, HelloArrived):
                news = self._after_hello(judgement.arrival.hello)
                if news is not None:
                    yield self._gate.sealed(news)
            return
        # Refused as a whole: the device is told to hold back, and of no record, since nobody knows which of its incarnations asks.
        epoch = judgement.epoch or self._store.newest_epoch(judgement.to)
        if epoch is not None:
            nothing = Accounted(upto=0, ranges=SeqRanges())
            yield self._gate.sealed(answer(judgement, nothing, epoch, pause_s=asked_s))


def _with_evidence(judgement: Validation, came: bytes) -> Validation:
    """Return a judgement with the message as it came, so that it is kept beside what is stored of it."""
    match judgement.arrival:
        case BatchArrived() | HelloArrived():
            return replace(judgement, arrival=replace(judgement.arrival, came=came))
        case _:
            return judgement
