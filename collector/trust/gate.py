"""The gate between what arrived and what is judged: envelopes opened, signatures checked, answers signed.

    hello live bulk …   passes on without its envelope once the signature holds
    renew               a request for the next certificate: left for the authority
    ask                 a device that does not know our key: it is shown our certificate
    st                  presence and last will: no device can sign its last will; nothing depends on it

Without a registry everything passes, signed or not: that is the collector on one machine, whose broker listens on the
loopback. With one, what is not signed by a key in force is refused, and nobody is answered: who it was is not known.
"""

from dataclasses import dataclass, replace
from typing import Final

from collector.ingest.judge import Answer, Delivery
from collector.trust.registry import KnownKey, Registry
from collector.trust.signing import Signer
from firmware.envelope import is_sealed, unseal
from firmware.exchange import device_of, topic
from firmware.jsontypes import RecordError

_UNSIGNED_BRANCH: Final = "st"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What goes on to be judged (None: nothing), what is answered at once, or why it is refused ("": it is not)."""

    delivery: Delivery | None
    answers: tuple[Answer, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Who is believed, and who we are; None for a collector that checks nothing, or signs nothing."""

    registry: Registry | None = None
    signer: Signer | None = None

    def admit(self, delivery: Delivery) -> Admitted:
        """Decide on one delivery. Raises `TrustError` where the registry cannot be read."""
        try:
            device = device_of(delivery.topic)
            branch, leaf = _place(delivery.topic)
            if branch == _UNSIGNED_BRANCH:
                return Admitted(delivery=delivery)
            if self.registry is None:
                payload = (
                    unseal(delivery.payload).payload if is_sealed(delivery.payload) else delivery.payload
                )
                return Admitted(delivery=replace(delivery, payload=payload))
            envelope = unseal(delivery.payload)
            known = self.registry.verify(device, leaf, envelope)
            return self._admitted(replace(delivery, payload=envelope.payload), device, leaf, known)
        except RecordError as error:
            return Admitted(delivery=None, refused=str(error))

    def sealed(self, answer: Answer) -> Answer:
        """Return an answer as it goes out."""
        if self.signer is None:
            return answer
        _, leaf = _place(answer.topic)
        payload = self.signer.sign(device_of(answer.topic), leaf, answer.payload)
        return replace(answer, payload=payload)

    def _admitted(self, delivery: Delivery, device: str, leaf: str, known: KnownKey) -> Admitted:
        assert self.registry is not None
        match leaf:
            case "renew":
                newest = self.registry.newest(device)
                if newest is None or newest.public == known.public:
                    self.registry.leave_request(device, delivery.payload)
                return Admitted(delivery=None, answers=self._next_certificate(device, known))
            case "ask":
                chain = b"" if self.signer is None else self.signer.chain
                shown = Answer(topic=topic(device, "dn", "collector"), payload=chain)
                return Admitted(delivery=None, answers=(shown,) if chain else ())
            case "hello":
                return Admitted(delivery=delivery, answers=self._next_certificate(device, known))
            case _:
                return Admitted(delivery=delivery)

    def _next_certificate(self, device: str, known: KnownKey) -> tuple[Answer, ...]:
        """Return the device's newer certificate, if there is one; it goes out unsigned, since it proves itself."""
        assert self.registry is not None
        newest = self.registry.newest(device)
        if newest is None or newest.since_s <= known.since_s:
            return ()
        return (Answer(topic=topic(device, "dn", "certificate"), payload=newest.chain),)


def _place(topic_name: str) -> tuple[str, str]:
    """Return branch and last word of one of our topics."""
    _, branch, _, *leaf = topic_name.split("/")
    return branch, leaf[0] if leaf else ""
