"""The gate between what arrived and what is judged: envelopes opened, signatures checked, answers signed.

    hello live bulk …   passes on without its envelope once the signature holds; a device whose trust list is older than
                        ours is given ours first
    renew               a request for the next certificate: left for the authority
    ask                 a device that does not know our key: it is shown our certificate
    st                  presence and last will: no device can sign its last will; nothing depends on it

Without a registry everything passes, signed or not: that is the collector on one machine, whose broker listens on the
loopback. With one, what is not signed by a key in force is refused, and nobody is answered: who it was is not known. Where our own
key was revoked nothing is taken in: no device would believe our answer, and it is no longer ours to give.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from collector.errors import TrustError
from collector.messages import Delivery, OutgoingMessage
from collector.settings import CollectorSettings
from collector.trust.registry import KnownKey, Registry
from collector.trust.signing import Signer, key_id
from firmware.model.jsontypes import RecordError
from firmware.wire.envelope import is_sealed, unseal
from firmware.wire.messages import decode_hello, device_of, topic
from firmware.wire.trust_list import LEAF

_UNSIGNED_BRANCH: Final = "st"
_NO_LISTS: Final = 2**62
"""What stands for a device whose software knows of no trust lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What goes on to be judged (None: nothing), what is answered at once, or why it is refused ("": it is not)."""

    delivery: Delivery | None
    answers: tuple[OutgoingMessage, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Who is believed, and who we are; None for a collector that checks nothing, or signs nothing."""

    registry: Registry | None = None
    signer: Signer | None = None
    _held: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """The number of the list each device is known to have, or was given."""

    def admit(self, delivery: Delivery) -> Acceptance:
        """Decide on one delivery. Raises `TrustError` where the registry cannot be read."""
        try:
            device = device_of(delivery.topic)
            branch, leaf = _place(delivery.topic)
            if branch == _UNSIGNED_BRANCH:
                return Acceptance(delivery=delivery)
            if self.registry is None:
                payload = (
                    unseal(delivery.payload).payload if is_sealed(delivery.payload) else delivery.payload
                )
                return Acceptance(delivery=replace(delivery, payload=payload))
            if fault := self.fault():
                raise TrustError(fault)
            envelope = unseal(delivery.payload)
            known = self.registry.verify(device, leaf, envelope)
            return self._admitted(replace(delivery, payload=envelope.payload), device, leaf, known)
        except RecordError as error:
            return Acceptance(delivery=None, refused=str(error))

    def fault(self) -> str:
        """Return why our own word counts for nobody, "" where it counts. Raises `TrustError`."""
        if self.registry is None or self.signer is None:
            return ""
        own = self.registry.key(key_id(self.signer.key.public_key()))
        if own is not None and own.revoked is not None:
            return (
                f"the key of this collector ({own.device}) was revoked ({own.revoked or 'no reason given'}): nothing is "
                "acknowledged; give it a new identity with: tidegauge provision collector --name NAME"
            )
        return ""

    def retired(self) -> dict[str, float]:
        """Return the devices that their operator took out of service by revoking their keys, and when (UTC, s).

        None where nothing is checked, or the registry cannot be read at present: then nobody is taken for retired.
        """
        try:
            return {} if self.registry is None else self.registry.retired()
        except TrustError:
            return {}

    def sealed(self, answer: OutgoingMessage) -> OutgoingMessage:
        """Return an answer as it goes out."""
        if self.signer is None:
            return answer
        _, leaf = _place(answer.topic)
        payload = self.signer.sign(device_of(answer.topic), leaf, answer.payload)
        return replace(answer, payload=payload)

    def _admitted(self, delivery: Delivery, device: str, leaf: str, known: KnownKey) -> Acceptance:
        assert self.registry is not None
        match leaf:
            case "renew":
                newest = self.registry.newest(device)
                if newest is None or newest.public == known.public:
                    self.registry.leave_request(device, delivery.payload)
                return Acceptance(delivery=None, answers=self._next_certificate(device, known))
            case "ask":
                chain = b"" if self.signer is None else self.signer.chain
                shown = OutgoingMessage(topic=topic(device, "dn", "collector"), payload=chain)
                return Acceptance(delivery=None, answers=(shown,) if chain else ())
            case "hello":
                self._note_list(device, delivery.payload)
                answers = (*self._next_certificate(device, known), *self._newer_list(device))
                return Acceptance(delivery=delivery, answers=answers)
            case _:
                return Acceptance(delivery=delivery, answers=self._newer_list(device))

    def _note_list(self, device: str, payload: bytes) -> None:
        """Note which list a device says it has; one that names none knows of no lists."""
        try:
            hello = decode_hello(payload)
        except RecordError:
            return  # what is wrong with it is said where it is judged
        if not hello.past:
            self._held[device] = _NO_LISTS if hello.trust is None else hello.trust

    def _newer_list(self, device: str) -> tuple[OutgoingMessage, ...]:
        """Return the trust list, where the device has an older one; it goes out as it is, since it proves itself.

        A device that has been connected since before it was made is given it with its next message.
        """
        assert self.registry is not None
        trust = self.registry.trust_list
        if trust is None or trust.number <= self._held.get(device, 0):
            return ()
        self._held[device] = trust.number
        return (OutgoingMessage(topic=topic(device, "dn", LEAF), payload=self.registry.trust_list_text),)

    def _next_certificate(self, device: str, known: KnownKey) -> tuple[OutgoingMessage, ...]:
        """Return the device's newer certificate, if there is one; it goes out unsigned, since it proves itself."""
        assert self.registry is not None
        newest = self.registry.newest(device)
        if newest is None or newest.since_s <= known.since_s:
            return ()
        return (OutgoingMessage(topic=topic(device, "dn", "certificate"), payload=newest.chain),)


def _place(topic_name: str) -> tuple[str, str]:
    """Return branch and last word of one of our topics."""
    _, branch, _, *leaf = topic_name.split("/")
    return branch, leaf[0] if leaf else ""


def gate_of(settings: CollectorSettings) -> Gate:
    """Return who is believed. Raises `TrustError` where that cannot be read: better no collector than an open one."""
    trust = settings.trust
    if trust.devices is None or trust.identity is None:
        return Gate()
    registry = Registry(trust.devices)
    registry.refresh()
    return Gate(registry=registry, signer=Signer.load(trust.identity))
