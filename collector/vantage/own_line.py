"""Whether the vantage's own line was well while a target failed: which of its failures are the target's. Pure.

A line that dies in the midst of a look fails whatever is asked after that, and a failure of ours must never be stored as a
target's. A failure counts where reference targets were reached before and after it, and meanwhile so often that the line
cannot have been gone for as long as anything is waited for; and what else it took, IPv6 or a resolver, likewise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.store.vantage_streaks import Key
from collector.vantage.targets import VantageTarget
from firmware.judgement.observation import Outlook, from_record
from firmware.judgement.site.evidence import Connect, Lookup
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.site.journey import OUR_SIDE
from firmware.model.failures import Failure
from firmware.model.record import Record
from firmware.net.targets import TargetError, family_of, parse_host_port

MIN_NEUTRAL: Final = 2
"""Unrelated neutral networks that must answer before the vantage is taken to be connected itself."""
UNSEEN_MOST_NS: Final = 4_500_000_000
"""A line that was well at two moments so far apart was not gone between them for as long as a connect or a handshake waits."""
_DENIALS: Final = frozenset({Failure.DNS_NXDOMAIN, Failure.DNS_NO_ANSWER, Failure.DNS_BOGON})
"""Answers about a name. All else that ends a lookup may be the resolver's own."""
_SYSTEM: Final = frozenset({"", "@system", "@isp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Something that was reached, all between two moments (CLOCK_BOOTTIME): what of the own line that shows to be well."""

    began_ns: int
    ended_ns: int
    is_reference: bool = False
    families: frozenset[int] = frozenset()
    resolvers: frozenset[str] = frozenset()
    """Those, beside the system's, that gave an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLine:
    """How the vantage's line was during one look. `is_dead`: it was well at first, and was gone at the end."""

    is_connected: bool
    is_dead: bool = False
    began_ns: int = 0
    """What was asked by then was asked with the look's first: that has no proof before it but the look's own beginning."""
    proofs: tuple[Proof, ...] = ()

    @property
    def is_well(self) -> bool:
        """Return whether it was well when the look ended."""
        return self.is_connected and not self.is_dead

    def believes(self, record: Record) -> bool:
        """Return whether what a record of this look says is its target's doing, and not this line's."""
        if not self.is_connected:
            return False
        if record.outcome.failure is None:
            return True
        return (
            record.outcome.failure not in OUR_SIDE
            and self._are_around([one for one in self.proofs if one.is_reference], record)
            and all(self._are_around(self._over(family), record) for family in needed(record))
            and (not is_unanswered(record) or self._is_name_at_fault(record))
        )

    def _over(self, family: int) -> list[Proof]:
        return [one for one in self.proofs if family in one.families]

    def _are_around(self, proofs: Sequence[Proof], record: Record) -> bool:
        began_ns, ended_ns = _span(record)
        return _are_around(proofs, began_ns, ended_ns, is_first=began_ns <= self.began_ns)

    def _is_name_at_fault(self, record: Record) -> bool:
        """Return whether another resolver had no answer either, which answered for other names before and after."""
        asked = others_asked(record)
        ended_ns = _span(record)[1]
        telling = [one for one in self.proofs if asked & one.resolvers]
        # A page is fetched long after its name was asked for: that stands at its beginning.
        return any(one.began_ns <= ended_ns for one in telling) and any(
            one.began_ns >= ended_ns for one in telling
        )


def is_connected(targets: Iterable[VantageTarget], records: Iterable[Record]) -> bool:
    """Return whether the vantage reached enough of its reference targets for its other findings to mean anything."""
    networks = {target.key: target.neutral_network for target in targets if target.neutral_network}
    reached = {
        networks[key]
        for record in records
        if (key := key_of(record)) in networks and from_record(record).outlook is Outlook.REACHED
    }
    return bool(reached) and len(reached) >= min(MIN_NEUTRAL, len(set(networks.values())))


def proof_of(target: VantageTarget, record: Record) -> Proof | None:
    """Return what the record of a target shows to be well of the own line; None where it shows nothing."""
    is_reference = bool(target.neutral_network)
    is_reached = from_record(record).outlook is Outlook.REACHED
    evidence = evidence_of(record)
    reached = [one for one in evidence.connects if one.failure is None] if evidence else []
    families = _families(record, reached)
    resolvers = {one.resolver for one in _beside_the_system(record) if one.addresses}
    if not (is_reached and (is_reference or families)) and not resolvers:
        return None
    began_ns, ended_ns = _span(record)
    return Proof(
        began_ns=began_ns,
        ended_ns=ended_ns,
        is_reference=is_reference and is_reached,
        families=families if is_reached else frozenset(),
        resolvers=frozenset(resolvers),
    )


def is_doubtful(record: Record) -> bool:
    """Return whether a record's failure may be its target's or the own line's, so that the line must be looked at again."""
    failure = record.outcome.failure
    if failure is None or from_record(record).outlook is Outlook.EXCLUDED:
        return False
    # A host without IPv6 fails so in every look.
    return failure not in OUR_SIDE or not needs_six(record)


def needed(record: Record) -> frozenset[int]:
    """Return over which address families the line must have been seen for a record's failure to be its target's.

    That is IPv4 where it was tried at all, and IPv6 where nothing else was: a host may well be without it.
    """
    evidence = evidence_of(record)
    tried = _families(record, evidence.connects if evidence else ())
    return frozenset({4}) if 4 in tried else tried


def needs_six(record: Record) -> bool:
    """Return whether a record tried its target over IPv6 alone."""
    return needed(record) == {6}


def stands_on_six(key: Key) -> bool:
    """Return whether a target is an IPv6 address itself."""
    return _family_of(key) == 6


def _families(record: Record, connects: Iterable[Connect]) -> frozenset[int]:
    """Return the address families of connects; where there are none, that of the address which the target itself is, if any."""
    found = {family_of(one.address) for one in connects} or {_family_of(key_of(record))}
    return frozenset(one for one in found if one is not None)


def _family_of(key: Key) -> int | None:
    try:
        return family_of(parse_host_port(key.target).host)
    except TargetError:
        return None


def is_unanswered(record: Record) -> bool:
    """Return whether a record's failure is that no resolver said anything of the name; of one that is the target, never."""
    if record.test == "dns" and _beside_the_system(record):
        return False
    return record.outcome.failed_operation == "resolve" and record.outcome.failure not in _DENIALS


def others_asked(record: Record) -> frozenset[str]:
    """Return the resolvers beside the system's that a record asked for a name which nobody had an answer for."""
    lookups = _beside_the_system(record)
    return (
        frozenset() if any(one.addresses for one in lookups) else frozenset(one.resolver for one in lookups)
    )


def key_of(record: Record) -> Key:
    """Return which target a record is of."""
    return Key(test=record.test, target=record.target, target_name=record.target_name)


def _beside_the_system(record: Record) -> list[Lookup]:
    evidence = evidence_of(record)
    return [one for one in evidence.lookups if one.resolver not in _SYSTEM] if evidence is not None else []


def _are_around(proofs: Sequence[Proof], began_ns: int, ended_ns: int, *, is_first: bool) -> bool:
    """Return whether a line was seen to be well before and after a time, and in it with no long time between.

    `proofs` are in order of their ends. What began with the look itself (`is_first`) has none before it: its own beginning
    stands there.
    """
    before = [one.ended_ns for one in proofs if one.ended_ns <= began_ns]
    if not before and not is_first:
        return False
    at_ns = max(before, default=began_ns)
    for one in proofs:
        if one.ended_ns <= at_ns:
            continue
        if one.ended_ns - at_ns > UNSEEN_MOST_NS:
            return False
        if one.began_ns >= ended_ns:
            return True
        at_ns = one.ended_ns
    return False


def _span(record: Record) -> tuple[int, int]:
    began_ns = record.start.boottime_ns
    return began_ns, began_ns + record.runtime_ns
